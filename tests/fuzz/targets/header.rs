//! A header section of any octets: its fields lie without gaps, and every list of addresses in it prints itself as
//! it was meant.
#![no_main]

use postern_message::{authres, header, mailbox_list};

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let mut length = 0;
    for field in header::fields(octets) {
        assert_eq!(octets.get(length..length + field.raw.len()), Some(field.raw));
        length += field.raw.len();
        let _ = authres::is_forged(field.name, field.value, "mail.home.example");
        for address in mailbox_list::parse(&field.text()).unwrap_or_default() {
            assert_eq!(mailbox_list::parse(&format!("<{address}>")), Ok(vec![address]));
        }
    }
    assert_eq!(header::header_length(octets), length);
    assert!((length..=octets.len()).contains(&header::body_offset(octets)));
});
