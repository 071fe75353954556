//! What is written is read back as the same octets.

use hickory_proto::rr::{Name, RData, RecordType};
use postern_shared::zone::encode;
use proptest::prelude::*;

use super::forms::{FORMS, Field, Form};
use super::*;
use crate::zone::master::words;

fn origin() -> Name {
    Name::from_ascii("home.example.").expect("a name")
}

fn read(record_type: &str, data: &str) -> Result<RData, Malformed> {
    let record_type = type_of(record_type).expect("a type");
    rdata(record_type, &words(data).expect("words"), &origin())
}

fn there_and_back(record_type: &str, data: &str) -> String {
    let data = read(record_type, data).unwrap_or_else(|error| panic!("{record_type} {data}: {error}"));
    crate::zone::text::rdata(&data)
}

#[test]
fn what_other_programs_write_is_read_and_written_in_one_form() {
    for (record_type, data, written) in [
        ("A", "192.0.2.1", "192.0.2.1"),
        ("aaaa", "2001:DB8:0::1", "2001:db8::1"),
        ("MX", "010 Mail", "10 Mail.home.example."),
        ("MX", "0 .", "0 ."),
        ("CNAME", "@", "home.example."),
        ("CNAME", r"\042.a\.b\ c\\.example.", r"*.a\.b\032c\\.example."),
        ("TXT", r#"plain "a b" "\"\195\169" é"#, r#""plain" "a b" "\"\195\169" "\195\169""#),
        ("CAA", "0 issue letsencrypt.org", r#"0 issue "letsencrypt.org""#),
        ("CAA", r#"128 iodef "mailto:a@b.example""#, r#"128 iodef "mailto:a@b.example""#),
        ("TLSA", "3 1 1 AB CD\tef01", "3 1 1 abcdef01"),
        ("SSHFP", "4 2 00ff", "4 2 00ff"),
        ("DS", "60485 RSASHA256 2 d4b7", "60485 8 2 d4b7"),
        (
            "NAPTR",
            r#"100 50 s http+I2R "" _http._tcp"#,
            r#"100 50 "s" "http+I2R" "" _http._tcp.home.example."#,
        ),
        ("URI", r#"10 1 "ftp://ftp.example/""#, r#"10 1 "ftp://ftp.example/""#),
        ("RP", "admin .", "admin.home.example. ."),
        ("HINFO", "\"PC-Intel\" Linux", r#""PC-Intel" "Linux""#),
        (
            "LOC",
            "52 22 23.000 N 4 53 32 E -2.00m 0m 10000m 10m",
            "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000.00m 10.00m",
        ),
        (
            "LOC",
            "42 21 54 N 71 06 18 W -24m 30m",
            "42 21 54.000 N 71 6 18.000 W -24.00m 30.00m 10000.00m 10.00m",
        ),
        ("HTTPS", r#"1 . alpn="h2,h3" port=8443"#, r"\# 19 000100000100060268320268330003000220fb"),
        ("OPENPGPKEY", "AAEC Aw==", "AAECAw=="),
        ("TYPE65280", r"\# 3 01 fF02", r"\# 3 01ff02"),
        ("A", r"\# 4 c0000201", "192.0.2.1"),
        ("TYPE1", "192.0.2.1", "192.0.2.1"),
    ] {
        let once = there_and_back(record_type, data);
        assert_eq!(once, written, "{record_type} {data}");
        assert_eq!(there_and_back(record_type, &once), written);
    }
}

#[test]
fn what_is_not_of_its_type_is_refused_with_the_field_and_what_was_expected() {
    let long = format!("\"{}\"", "x".repeat(256));
    let label = format!("{}.example.", "x".repeat(64));
    for (record_type, data, reason) in [
        ("A", "192.0.2", "ADDRESS: expected an IPv4 address such as 192.0.2.7, found `192.0.2`"),
        ("A", "", "ADDRESS: expected an IPv4 address such as 192.0.2.7, found nothing"),
        ("A", "192.0.2.1 192.0.2.2", "`192.0.2.2` is one word too many: the data are `ADDRESS`"),
        ("MX", "mail 10", "PREFERENCE: expected a number from 0 to 65535, found `mail`"),
        ("MX", "65536 mail", "PREFERENCE: expected"),
        ("MX", "10 a..b", "HOST: expected a domain name"),
        ("MX", "10 bücher", "other scripts as `xn--…`"),
        ("CNAME", label.as_str(), "labels of at most 63"),
        ("TXT", long.as_str(), "give a longer one as several, which readers join"),
        ("TXT", r"\256", "TEXT: expected"),
        ("TXT", "", "TEXT: expected"),
        ("TLSA", "3 1 1 nonsense", "DATA: expected hexadecimal digits, two for each octet, found `nonsense`"),
        ("TLSA", "3 1 1 abc", "DATA: expected hexadecimal digits"),
        ("OPENPGPKEY", "AA=A", "KEY: expected base64"),
        ("CAA", "0 is-sue x", "TAG: expected letters and digits such as `issue`, found `is-sue`"),
        ("LOC", "91 N 0 E 0m", "LOCATION: expected a place"),
        ("A", r"\# 3 c00002", "not the data of such a record"),
        ("TYPE65280", r"\# 3 01ff", "expected `\\# LENGTH HEXADECIMAL`"),
        ("TYPE65280", "words", "data of type TYPE65280 are written as `\\# LENGTH HEXADECIMAL`"),
        ("HTTPS", "1 . alpn", "parameters"),
    ] {
        let refused = read(record_type, data).map(|data| data.to_string()).expect_err(data).to_string();
        assert!(refused.contains(reason), "{record_type} {data}: {refused}");
    }
}

#[test]
fn times_may_have_units() {
    for (text, expected) in [
        ("300", Some(300)),
        ("1h30M", Some(5400)),
        ("2w", Some(1_209_600)),
        ("1h30", None),
        ("h", None),
        ("", None),
    ] {
        assert_eq!(seconds(text), expected, "{text}");
    }
}

/// Octets that are data of this form.
fn octets(form: Form) -> impl Strategy<Value = Vec<u8>> {
    let fields: Vec<_> = form.iter().map(|(_, field)| of_field(*field)).collect();
    fields.prop_map(|fields| fields.concat())
}

fn of_field(field: Field) -> BoxedStrategy<Vec<u8>> {
    let any_octets = |range| proptest::collection::vec(any::<u8>(), range);
    let string = || any_octets(0..40usize).prop_map(|text| [&[text.len() as u8], text.as_slice()].concat());
    match field {
        Field::U8 | Field::Algorithm => any_octets(1..2).boxed(),
        Field::U16 => any_octets(2..3).boxed(),
        Field::U32 | Field::Period | Field::Ipv4 => any_octets(4..5).boxed(),
        Field::Ipv6 => any_octets(16..17).boxed(),
        Field::Text => string().boxed(),
        Field::Texts => proptest::collection::vec(string(), 1..4).prop_map(|texts| texts.concat()).boxed(),
        Field::Tag => {
            "[a-zA-Z0-9]{1,15}".prop_map(|tag| [&[tag.len() as u8], tag.as_bytes()].concat()).boxed()
        }
        Field::Value | Field::Hexadecimal | Field::Base64 => any_octets(1..60).boxed(),
        Field::Name => proptest::collection::vec(proptest::collection::vec(0u8..128, 1..20), 0..5)
            .prop_map(|labels| {
                let labels = labels.iter().map(|label| [&[label.len() as u8], label.as_slice()].concat());
                [labels.collect::<Vec<_>>().concat(), vec![0]].concat()
            })
            .boxed(),
        Field::Location => any_octets(15..16)
            .prop_map(|octets| {
                [&[0, 0x12, 0x90, 0x33][..], &[0x80], octets.get(..11).unwrap_or_default()].concat()
            })
            .boxed(),
    }
}

proptest! {
    #[test]
    fn data_of_every_form_survive_as_text(
        (record_type, octets) in proptest::sample::select(&FORMS[..])
            .prop_flat_map(|(number, form)| octets(form).prop_map(move |octets| (RecordType::from(number), octets)))
    ) {
        if let Some(text) = text(record_type, &octets) {
            let read = rdata(record_type, &words(&text).expect("words"), &Name::root());
            // The zone's own type may refuse more than the form says, such as a tag that hickory does not know.
            if let Ok(read) = read {
                prop_assert_eq!(encode(&read), Some(octets), "{}", text);
            }
        } else {
            prop_assert!(FORMS.iter().any(|(number, form)| RecordType::from(*number) == record_type
                && form.iter().any(|(_, field)| *field == Field::Location)));
        }
    }

    #[test]
    fn no_octets_and_no_words_make_it_fail(number: u16, octets: Vec<u8>, data in "\\PC*") {
        let _ = text(RecordType::from(number), &octets);
        if let Ok(words) = words(&data) {
            let _ = rdata(RecordType::from(number), &words, &origin());
        }
    }
}
