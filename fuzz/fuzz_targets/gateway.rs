#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| credence_testkit::fuzz::gateway(bytes));
