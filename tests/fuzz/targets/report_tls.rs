//! Any octets as the JSON of a TLS report: what is read is written, and read back the same.
#![no_main]

use postern_report::tls;

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    if let Ok(report) = tls::read(octets) {
        assert_eq!(tls::read(report.to_json().as_bytes()), Ok(report));
    }
});
