//! See `tributary_fuzz::query`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tributary_fuzz::query::check(data));
