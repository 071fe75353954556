//! Messages are read in chunks that memory can hold, with their headers.

use super::*;

fn headers(fixture: &Fixture, header: Header) -> Vec<Vec<u8>> {
    let messages = fixture.account.messages(fixture.id("INBOX"), &UidSet::all(), Detail::Summary);
    messages.with_header(header).map(|message| message.unwrap().email.header.unwrap()).collect()
}

fn without_kept_fields(fixture: &Fixture) {
    let change = |connection: &rusqlite::Connection| Ok(connection.execute("DELETE FROM email_fields", [])?);
    let gone: usize = fixture.account.0.database.write::<_, Error, _>(change).unwrap();
    assert_eq!(gone, 1);
}

#[test]
fn headers_are_read_with_their_messages() {
    let fixture = fixture();
    fixture.append("INBOX", &mail("One", "X-Other: x\r\nTO: b,\r\n c\r\n"), Flags::default());
    let whole = b"From: Ana <ana@home.example>\r\nSubject: One\r\nX-Other: x\r\nTO: b,\r\n c\r\n\r\n";
    let kept = b"From: Ana <ana@home.example>\r\nSubject: One\r\nTO: b,\r\n c\r\n\r\n";
    assert_eq!(headers(&fixture, Header::Whole), [whole]);
    assert_eq!(headers(&fixture, Header::Kept), [kept]);
    without_kept_fields(&fixture);
    assert_eq!(headers(&fixture, Header::Kept), [whole]);
}

#[test]
fn a_chunk_ends_where_headers_become_too_much() {
    let fixture = fixture();
    let field = format!("X-Long: {}\r\n", "x".repeat(200_000));
    for subject in ["One", "Two", "Three", "Four"] {
        fixture.append("INBOX", &mail(subject, &field), Flags::default());
    }
    let uids = UidSet::all();
    let messages = fixture.account.messages(fixture.id("INBOX"), &uids, Detail::Summary);
    let mut messages = messages.with_header(Header::Whole);
    let (first, remaining) = messages.next_chunk().unwrap();
    assert_eq!((first.len(), remaining), (3, Remaining::Some));
    let (rest, remaining) = messages.next_chunk().unwrap();
    assert_eq!((rest.len(), rest[0].uid.get(), remaining), (1, 4, Remaining::None));
}

#[test]
fn states_are_flags_and_nothing_else() {
    let fixture = fixture();
    let flags = Flags { system: SystemFlags::SEEN, keywords: vec![Keyword::new("$Work").unwrap()] };
    for subject in ["One", "Two", "Three"] {
        fixture.append("INBOX", &mail(subject, ""), flags.clone());
    }
    let states = fixture.account.states(fixture.id("INBOX"), &set([1, 3, 9])).unwrap();
    assert_eq!(states.iter().map(|state| state.uid.get()).collect::<Vec<_>>(), [1, 3]);
    assert!(states.iter().all(|state| state.flags == flags));
}

#[test]
fn octets_of_short_messages_come_with_them() {
    let fixture = fixture();
    let (short, long) = (mail("One", ""), mail("Two", &format!("X-Long: {}\r\n", "x".repeat(70_000))));
    fixture.append("INBOX", &short, Flags::default());
    fixture.append("INBOX", &long, Flags::default());
    let messages = fixture.account.messages(fixture.id("INBOX"), &UidSet::all(), Detail::Summary);
    let octets: Vec<_> = messages.with_octets().map(|message| message.unwrap().email.octets).collect();
    assert_eq!(octets, [Some(short.into_bytes()), None]);
}
