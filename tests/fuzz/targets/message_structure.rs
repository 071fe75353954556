//! A message's structure: any octets are walked through; the stored form gives the same structure back; any octets as
//! a stored form are refused or read; every section lies within the message.
#![no_main]

use libfuzzer_sys::fuzz_target;
use postern_store::structure::{Structure, text};

fuzz_target!(|octets: &[u8]| {
    let structure = Structure::parse(octets);
    assert_eq!(Structure::decode(&structure.encode()).ok(), Some(structure.clone()));
    let _ = Structure::decode(octets);
    let _ = text::decode_header(octets);
    for part in structure.root.walk() {
        assert!(part.header.start <= part.body.start && part.body.end <= octets.len() as u64);
        let body = usize::try_from(part.body.start)
            .ok()
            .zip(usize::try_from(part.body.end).ok())
            .and_then(|(start, end)| octets.get(start..end))
            .expect("a part lies within the message");
        let _ = text::decode_text(part, body);
    }
});
