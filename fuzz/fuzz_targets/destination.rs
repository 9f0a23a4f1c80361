#![no_main]
#[path = "../protocols.rs"]
#[allow(dead_code)]
mod protocols;
libfuzzer_sys::fuzz_target!(|data: &[u8]| protocols::destination(data));
