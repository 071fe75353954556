//! IMAP's lines and literals of any octets, cut anywhere.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| postern_imap::fuzz_framer(octets));
