#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| credence_testkit::fuzz::user_token(bytes));
