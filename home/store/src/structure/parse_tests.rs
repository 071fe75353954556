use super::*;
use crate::structure::{Mentioned, SectionText};
use proptest::prelude::*;

const NESTED: &str = "From: Ana <ana@home.example>\r\n\
Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\n and more\r\n\
Content-Type: multipart/mixed; boundary=\"outer\"\r\n\
\r\n\
preamble\r\n\
--outer\r\n\
\r\n\
text one\r\nline two\r\n\
--outer\r\n\
Content-Type: message/rfc822\r\n\
\r\n\
Subject: inner\r\n\
Content-Type: multipart/alternative; boundary=inner\r\n\
\r\n\
--inner\r\n\
Content-Type: text/plain; charset=utf-8\r\n\
\r\n\
plain\r\n\
--inner\r\n\
Content-Type: text/html\r\n\
\r\n\
<p>html\r\n\
--inner--\r\n\
--outer\r\n\
Content-Type: image/png; name=\"a b.png\"\r\n\
Content-Transfer-Encoding: base64\r\n\
Content-Disposition: attachment; filename=\"a b.png\"\r\n\
Content-ID: <one@home>\r\n\
\r\n\
aGFsbG8=\r\n\
\r\n\
--outer--\r\n\
epilogue\r\n";

fn at<'a>(message: &'a str, structure: &Structure, number: &[u32], text: SectionText) -> Option<&'a str> {
    let range = structure.section(number, text)?;
    message.get(usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap())
}

#[test]
fn sections_are_where_rfc_9051_says() {
    let structure = Structure::parse(NESTED.as_bytes());
    let section = |number: &[u32], text| at(NESTED, &structure, number, text);
    assert_eq!(section(&[], SectionText::Body), Some(NESTED));
    assert!(section(&[], SectionText::Header).unwrap().ends_with("\"outer\"\r\n\r\n"));
    assert!(section(&[], SectionText::Text).unwrap().starts_with("preamble"));
    assert_eq!(section(&[1], SectionText::Body), Some("text one\r\nline two"));
    assert_eq!(section(&[1], SectionText::Mime), Some("\r\n"));
    assert!(section(&[2], SectionText::Body).unwrap().starts_with("Subject: inner"));
    assert!(section(&[2], SectionText::Header).unwrap().starts_with("Subject: inner"));
    assert!(section(&[2], SectionText::Text).unwrap().starts_with("--inner"));
    assert_eq!(section(&[2], SectionText::Mime), Some("Content-Type: message/rfc822\r\n\r\n"));
    assert_eq!(section(&[2, 1], SectionText::Body), Some("plain"));
    assert_eq!(section(&[2, 2], SectionText::Body), Some("<p>html"));
    assert_eq!(section(&[2, 2], SectionText::Mime), Some("Content-Type: text/html\r\n\r\n"));
    assert_eq!(section(&[3], SectionText::Body), Some("aGFsbG8=\r\n"));
    for missing in [&[4][..], &[0], &[1, 1], &[2, 3], &[3, 1]] {
        assert_eq!(section(missing, SectionText::Body), None, "{missing:?}");
    }
    assert_eq!(section(&[1], SectionText::Header), None);
    assert_eq!(section(&[], SectionText::Mime), None);
}

#[test]
fn descriptions_are_kept_raw() {
    let structure = Structure::parse(NESTED.as_bytes());
    assert_eq!(structure.envelope.subject.as_deref(), Some(&b"=?utf-8?Q?Gr=C3=BC=C3=9Fe?= and more"[..]));
    let text = structure.part(&[1]).unwrap();
    assert!(text.is("text", "plain"));
    assert_eq!((text.lines, text.parameter("charset")), (1, Some(&b"us-ascii"[..])));
    let image = structure.part(&[3]).unwrap();
    assert_eq!(image.disposition.as_ref().unwrap().parameters, [(b"filename".to_vec(), b"a b.png".to_vec())]);
    assert_eq!((image.id.as_deref(), image.encoding.as_slice()), (Some(&b"<one@home>"[..]), &b"base64"[..]));
    let Content::Message(inner) = &structure.part(&[2]).unwrap().content else { panic!("no message") };
    assert_eq!(inner.envelope.subject.as_deref(), Some(&b"inner"[..]));
    assert_eq!(structure.root.walk().len(), 7);
}

#[test]
fn a_single_part_is_part_one() {
    let message = "Subject: x\r\n\r\nhello\r\nworld\r\n";
    let structure = Structure::parse(message.as_bytes());
    assert_eq!(at(message, &structure, &[1], SectionText::Body), Some("hello\r\nworld\r\n"));
    assert_eq!(at(message, &structure, &[1], SectionText::Mime), Some("Subject: x\r\n\r\n"));
    assert_eq!(structure.root.lines, 2);
    assert_eq!(structure.section(&[2], SectionText::Body), None);
}

#[test]
fn odd_messages_have_a_structure_too() {
    for (message, leaf) in [
        ("", true),
        ("Subject: x", true),
        ("\r\nbody only", true),
        ("Content-Type: multipart/mixed\r\n\r\n--x\r\n", true),
        ("Content-Type: multipart/mixed; boundary=x\r\n\r\nno delimiter", true),
        ("Content-Type: multipart/mixed; boundary=x\r\n\r\n--x", false),
        ("Content-Type: multipart/mixed; boundary=x\r\n\r\n--x--", true),
        ("Content-Type: nonsense\r\n\r\n", true),
    ] {
        let structure = Structure::parse(message.as_bytes());
        assert_eq!(matches!(structure.root.content, Content::Leaf), leaf, "{message:?}");
        assert!(!leaf || structure.root.is("text", "plain"), "{message:?}");
        assert_eq!(structure.root.body.end, message.len() as u64);
    }
}

#[test]
fn an_inner_part_ends_at_the_outer_delimiter() {
    let message = "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nnever closed\r\n--a\r\n\r\nlast\r\n--a--\r\n";
    let structure = Structure::parse(message.as_bytes());
    assert_eq!(at(message, &structure, &[1, 1], SectionText::Body), Some("never closed"));
    assert_eq!(at(message, &structure, &[2], SectionText::Body), Some("last"));
}

#[test]
fn a_digest_holds_messages() {
    let message =
        "Content-Type: multipart/digest; boundary=a\r\n\r\n--a\r\n\r\nSubject: one\r\n\r\nx\r\n--a--\r\n";
    let structure = Structure::parse(message.as_bytes());
    assert_eq!(at(message, &structure, &[1], SectionText::Text), Some("x"));
}

/// Bounds from the fault catalogue: 10,000 parts and a depth of 1000 in linear time, on a small stack.
#[test]
fn hostile_nesting_is_bounded() {
    let mut deep = String::new();
    for level in 0..1000 {
        deep += &format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n");
    }
    let mut wide = "Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_owned();
    wide += &"--b\r\n\r\nx\r\n".repeat(20_000);
    let cyclic = "Content-Type: message/rfc822\r\n\r\n".repeat(1000);
    for message in [deep, wide, cyclic] {
        let structure = Structure::parse(message.as_bytes());
        assert_eq!(Structure::decode(&structure.encode()).unwrap(), structure);
    }
}

/// Lines that make structure likely.
fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("--a".to_owned()),
        Just("--a--".to_owned()),
        Just("--b".to_owned()),
        Just(String::new()),
        Just("Content-Type: multipart/mixed; boundary=a".to_owned()),
        Just("Content-Type: multipart/alternative; boundary=\"b\"".to_owned()),
        Just("Content-Type: message/rfc822".to_owned()),
        Just("From: a <b@c>, d:e@f;".to_owned()),
        "[ -~]{0,20}",
    ]
}

proptest! {
    #[test]
    fn any_lines_have_a_consistent_structure_that_survives_storage(
        lines in proptest::collection::vec(line(), 0..60),
    ) {
        let message = lines.join("\r\n");
        let structure = Structure::parse(message.as_bytes());
        check(&structure.root, message.len() as u64)?;
        let stored = structure.encode();
        prop_assert_eq!(&Structure::decode(&stored).unwrap(), &structure);
        let Structure { envelope, references, .. } = &structure;
        let Mentioned { subject, in_reply_to, message_id, references: found } = Mentioned::decode(&stored).unwrap();
        prop_assert_eq!(subject, envelope.subject.as_deref());
        prop_assert_eq!(in_reply_to, envelope.in_reply_to.as_deref());
        prop_assert_eq!(message_id, envelope.message_id.as_deref());
        prop_assert_eq!(found, references.as_deref());
    }

    #[test]
    fn any_octets_are_parsed_and_any_record_is_refused_or_read(octets: Vec<u8>) {
        let _ = Structure::parse(&octets);
        let _ = Structure::decode(&octets);
        let _ = Mentioned::decode(&octets);
        let _ = crate::structure::text::decode_header(&octets);
    }

    #[test]
    fn a_cut_record_is_corrupt(cut in 0usize..200) {
        let stored = Structure::parse(NESTED.as_bytes()).encode();
        prop_assume!(cut < stored.len());
        prop_assert!(Structure::decode(&stored[..cut]).is_err());
    }
}

/// Every part lies within its parent, and header and body meet.
fn check(part: &Part, limit: u64) -> Result<(), TestCaseError> {
    prop_assert!(part.header.start <= part.header.end && part.header.end == part.body.start);
    prop_assert!(part.body.start <= part.body.end && part.body.end <= limit);
    match &part.content {
        Content::Leaf => {}
        Content::Multipart(parts) => parts.iter().try_for_each(|child| check(child, part.body.end))?,
        Content::Message(message) => check(&message.root, part.body.end)?,
    }
    Ok(())
}
