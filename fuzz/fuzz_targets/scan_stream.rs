#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| exeat::secrets::fuzzing::scan_stream(data));
