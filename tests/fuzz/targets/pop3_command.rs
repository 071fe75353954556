//! One POP3 line of any octets.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| postern_pop3::fuzz_command(octets));
