//! Any octets as an attachment: nothing is unpacked beyond its bound.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let _ = postern_report::read(octets);
});
