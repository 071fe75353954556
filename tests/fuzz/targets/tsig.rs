//! A message of any octets from a secondary: believed only where the key has signed it, and then as it was.
#![no_main]

use postern_edge::dns::message;
use postern_edge::dns::tsig::{Conversation, Key, Read, read};

const NOW: u64 = 1_000_000;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let key = Key::new(b"\x01k\0", &[7; 32]);
    if let Read::Signed(signed) = read(octets) {
        assert!(signed.verify(Some(&key), NOW).is_err(), "nobody has the key");
        let mut answer = octets.to_vec();
        let conversation = Conversation::begin(&key, &mut answer, NOW);
        assert!(!conversation.is_answered_by(&signed, NOW));
        return;
    }
    if message::read(octets).is_none() || read(octets) != Read::Unsigned {
        return;
    }
    let mut sent = octets.to_vec();
    Conversation::begin(&key, &mut sent, NOW);
    if let Read::Signed(signed) = read(&sent) {
        assert_eq!(signed.message, octets);
        assert!(signed.verify(Some(&key), NOW).is_ok());
        assert!(signed.verify(Some(&key), NOW + 10_000).is_err(), "a message counts for ever");
    }
});
