//! See `tributary_fuzz::summary`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tributary_fuzz::summary::check(data));
