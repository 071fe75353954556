//! A POP3 session with a client that sends any octets.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| postern_pop3::fuzz_session(octets));
