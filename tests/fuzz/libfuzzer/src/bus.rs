//! See `tributary_fuzz::bus`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tributary_fuzz::bus::check(data));
