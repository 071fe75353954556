//! Octets that claim to be signed, or to ask for a transfer: read or refused, and never believed without the key.
#![no_main]

use postern_edge::dns::message;
use postern_edge::dns::transfer::Request;
use postern_edge::dns::tsig::{Conversation, Key, Read, read};

/// What every signed question begins with: a question for a transfer, and a place for the rest.
const QUESTION: &[u8] = b"\x12\x34\0\0\0\x01\0\0\0\0\0\0\x01e\0\0\xfc\0\x01";

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let key = Key::new(b"\x01k\0", &[7; 32]);
    for message in [octets.to_vec(), [QUESTION, octets].concat()] {
        message::read(&message);
        Request::read(&message);
        Request::is_in(&message);
        if let Read::Signed(signed) = read(&message) {
            assert!(signed.verify(Some(&key), 1_700_000_000).is_err());
            let mut answer = Vec::new();
            signed.append_unsigned(postern_edge::dns::tsig::TsigError::BadSig, &mut answer);
        }
        // What is signed here is believed, whatever it says.
        let mut own = message.clone();
        if message::read(&own).is_some_and(|sections| sections.additionals.len() < usize::from(u16::MAX)) {
            Conversation::begin(&key, &mut own, 1_700_000_000);
            match read(&own) {
                Read::Signed(signed) => assert!(signed.verify(Some(&key), 1_700_000_000).is_ok()),
                Read::Malformed => assert_ne!(read(&message), Read::Unsigned),
                Read::Unsigned => panic!("a signature is lost"),
            }
        }
    }
});
