//! See `tributary_fuzz::accept`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tributary_fuzz::accept::check(data));
