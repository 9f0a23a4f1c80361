#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| exeat::secrets::fuzzing::session(data, std::time::Instant::now()));
