#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| everwit_fuzz::run("sse", bytes));
