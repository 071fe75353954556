//! Annotations: all or none, a hundred of each, and whose they are.

use super::*;

const OWNER: AccountId = AccountId(1);
const BO: AccountId = AccountId(2);
const CY: AccountId = AccountId(3);

#[test]
fn too_many_annotations_change_none() {
    let fixture = fixture();
    let inbox = Some(fixture.id("INBOX"));
    let entries = |numbers: std::ops::Range<u32>| {
        numbers.map(|number| (format!("/private/{number}"), Some(vec![0, 1]))).collect::<Vec<_>>()
    };
    fixture.account.annotate(inbox, OWNER, entries(0..100)).unwrap();
    let refused = fixture.account.annotate(inbox, OWNER, [entries(99..101), entries(0..1)].concat());
    assert!(matches!(refused, Err(Error::OverQuota)), "{refused:?}");
    // Another mailbox and the account have room of their own.
    fixture.account.annotate(Some(fixture.id("Sent")), OWNER, entries(0..1)).unwrap();
    fixture.account.annotate(None, OWNER, entries(0..1)).unwrap();
    let fixture = fixture.reopen();
    assert_eq!(fixture.account.annotations(inbox, OWNER).unwrap().len(), 100);
    assert_eq!(fixture.account.annotations(None, OWNER).unwrap()[0].value, [0, 1]);
    let gone = fixture.account.annotate(Some(MailboxId(999)), OWNER, entries(0..1));
    assert!(matches!(gone, Err(Error::NotFound(_))), "{gone:?}");
    fixture.is_whole();
}

#[test]
fn values_are_bounded_over_all_mailboxes() {
    let fixture = fixture();
    let value = |octets: usize| vec![("/private/comment".to_owned(), Some(vec![b'x'; octets]))];
    fixture.account.annotate(Some(fixture.id("INBOX")), OWNER, value(6 << 20)).unwrap();
    let refused = fixture.account.annotate(Some(fixture.id("Sent")), OWNER, value(5 << 20));
    assert!(matches!(refused, Err(Error::OverQuota)), "{refused:?}");
    fixture.account.annotate(Some(fixture.id("Sent")), OWNER, value(4 << 20)).unwrap();
}

fn named(fixture: &Fixture, reader: AccountId) -> Vec<(String, Vec<u8>)> {
    let annotations = fixture.account.annotations(Some(fixture.id("INBOX")), reader).unwrap();
    annotations.into_iter().map(|it| (it.entry, it.value)).collect()
}

fn entry(name: &str, value: Option<&str>) -> Vec<(String, Option<Vec<u8>>)> {
    vec![(name.to_owned(), value.map(|value| value.as_bytes().to_vec()))]
}

#[test]
fn private_entries_are_of_who_sets_them() {
    let fixture = fixture();
    let inbox = Some(fixture.id("INBOX"));
    for (setter, value) in [(OWNER, "ana"), (BO, "bo")] {
        fixture.account.annotate(inbox, setter, entry("/private/comment", Some(value))).unwrap();
    }
    fixture.account.annotate(inbox, BO, entry("/shared/comment", Some("all"))).unwrap();
    let shared = ("/shared/comment".to_owned(), b"all".to_vec());
    let private = |value: &str| ("/private/comment".to_owned(), value.as_bytes().to_vec());
    assert_eq!(named(&fixture, OWNER), [private("ana"), shared.clone()]);
    assert_eq!(named(&fixture, BO), [private("bo"), shared.clone()]);
    assert_eq!(named(&fixture, CY), [shared]);
    // Each has a hundred, and nobody fills the account of another one.
    let hundred =
        |from: u32| (from..from + 100).map(|at| (format!("/private/{at}"), Some(vec![0]))).collect();
    fixture.account.annotate(inbox, BO, entry("/private/comment", None)).unwrap();
    fixture.account.annotate(inbox, BO, hundred(0)).unwrap();
    fixture.account.annotate(inbox, CY, hundred(0)).unwrap();
    let large = entry("/private/0", Some(&"x".repeat((1 << 20) + 1)));
    let refused = fixture.account.annotate(inbox, CY, large);
    assert!(matches!(refused, Err(Error::OverQuota)), "{refused:?}");
    fixture.is_whole();
}

#[test]
fn what_changed_is_told_to_who_may_read_it() {
    let fixture = fixture();
    let inbox = fixture.id("INBOX");
    let annotate = |setter, name: &str, value: Option<&str>| {
        fixture.account.annotate(Some(inbox), setter, entry(name, value)).unwrap();
    };
    annotate(OWNER, "/shared/a", Some("1"));
    let (begin, nothing) = fixture.account.annotations_changed(BO, None).unwrap();
    assert_eq!(nothing, []);
    annotate(OWNER, "/shared/a", None);
    annotate(OWNER, "/shared/never", None);
    annotate(OWNER, "/private/b", Some("2"));
    annotate(BO, "/private/c", Some("3"));
    let changed = |reader, since| {
        let (until, changes) = fixture.account.annotations_changed(reader, Some(since)).unwrap();
        assert!(changes.iter().all(|change| change.mailbox == Some(inbox)));
        (until, changes.into_iter().map(|change| change.entry).collect::<Vec<_>>())
    };
    assert_eq!(changed(OWNER, begin).1, ["/private/b", "/shared/a"]);
    let (end, told) = changed(BO, begin);
    assert_eq!(told, ["/private/c", "/shared/a"]);
    assert_eq!(changed(CY, begin).1, ["/shared/a"]);
    assert_eq!(changed(BO, end).1, Vec::<String>::new());
    // Of what is removed the last hundred are told.
    for at in 0..110 {
        annotate(CY, &format!("/private/{at:03}"), Some("x"));
        annotate(CY, &format!("/private/{at:03}"), None);
    }
    assert_eq!(changed(CY, end).1.len(), 100);
    annotate(CY, "/private/000", Some("again"));
    assert_eq!(named(&fixture, CY), [("/private/000".to_owned(), b"again".to_vec())]);
}
