//! One SMTP command line of any octets.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| postern_smtp::server::fuzz::fuzz_command(octets));
