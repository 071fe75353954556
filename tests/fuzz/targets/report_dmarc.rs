//! Any octets as the XML of an aggregate report: what is read is written, and read back the same.
#![no_main]

use postern_report::dmarc;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    if let Ok(report) = dmarc::read(octets) {
        assert_eq!(dmarc::read(report.to_xml().as_bytes()), Ok(report));
    }
});
