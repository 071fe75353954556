//! A zone of any text: what is accepted is served octet for octet.
#![no_main]

use postern_shared::zone::{Record, Zone};

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    let Ok(zone) = serde_json::from_slice::<Zone>(text) else { return };
    let Ok(records) = zone.records() else { return };
    for (record, wire) in records.iter().zip(&zone.records) {
        assert_eq!(Record::from_dns(record).map(|again| again.rdata), Ok(wire.rdata.clone()));
    }
});
