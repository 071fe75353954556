//! A whole SMTP session of any octets, cut anywhere.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| postern_smtp::server::fuzz::fuzz_session(octets));
