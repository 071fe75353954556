//! Annotations: all or none, and a hundred of each.

use super::*;

#[test]
fn too_many_annotations_change_none() {
    let fixture = fixture();
    let inbox = Some(fixture.id("INBOX"));
    let entries = |numbers: std::ops::Range<u32>| {
        numbers.map(|number| (format!("/private/{number}"), Some(vec![0, 1]))).collect::<Vec<_>>()
    };
    fixture.account.annotate(inbox, entries(0..100)).unwrap();
    let refused = fixture.account.annotate(inbox, [entries(99..101), entries(0..1)].concat());
    assert!(matches!(refused, Err(Error::OverQuota)), "{refused:?}");
    // Another mailbox and the account have room of their own.
    fixture.account.annotate(Some(fixture.id("Sent")), entries(0..1)).unwrap();
    fixture.account.annotate(None, entries(0..1)).unwrap();
    let fixture = fixture.reopen();
    assert_eq!(fixture.account.annotations(inbox).unwrap().len(), 100);
    assert_eq!(fixture.account.annotations(None).unwrap()[0].value, [0, 1]);
    let gone = fixture.account.annotate(Some(MailboxId(999)), entries(0..1));
    assert!(matches!(gone, Err(Error::NotFound(_))), "{gone:?}");
    fixture.is_whole();
}

#[test]
fn values_are_bounded_over_all_mailboxes() {
    let fixture = fixture();
    let value = |octets: usize| vec![("/private/comment".to_owned(), Some(vec![b'x'; octets]))];
    fixture.account.annotate(Some(fixture.id("INBOX")), value(6 << 20)).unwrap();
    let refused = fixture.account.annotate(Some(fixture.id("Sent")), value(5 << 20));
    assert!(matches!(refused, Err(Error::OverQuota)), "{refused:?}");
    fixture.account.annotate(Some(fixture.id("Sent")), value(4 << 20)).unwrap();
}
