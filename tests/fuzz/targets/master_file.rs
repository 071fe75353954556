//! Any text as a master file: what is read is written, and read back as the same record.
#![no_main]

use hickory_proto::rr::{Name, Record};
use postern_home::zone::{master, presentation, text};

libfuzzer_sys::fuzz_target!(|file: &str| {
    let origin = Name::from_ascii("home.example.").expect("a name");
    for entry in master::read(file, &origin).into_iter().flatten() {
        let Ok(data) = presentation::rdata(entry.record_type, &entry.data, &entry.origin) else { continue };
        let record = Record::from_rdata(entry.owner, entry.ttl.unwrap_or_default(), data);
        let line = text::line(&record);
        let again = master::read(&line, &Name::root()).pop().expect("an entry").expect("no mistake");
        let data = presentation::rdata(again.record_type, &again.data, &Name::root());
        assert_eq!((again.owner, data.as_ref()), (record.name, Ok(&record.data)), "{line}");
    }
});
