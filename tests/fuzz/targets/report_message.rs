//! Any octets as a message, and as a packed report in one: nothing is unpacked beyond its bound.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let _ = postern_report::read(octets);
    let attached = b"Content-Type: application/zip\r\nContent-Transfer-Encoding: binary\r\n\r\n";
    let _ = postern_report::read(&[attached, octets].concat());
});
