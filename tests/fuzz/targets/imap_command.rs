//! One IMAP command of any octets.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| postern_imap::fuzz_command(octets));
