//! REPLACE: one change, and the quotas see the difference only.

use super::*;

fn replace(fixture: &Fixture, old: Uid, text: &str) -> Result<Option<Appended>> {
    let inbox = fixture.id("INBOX");
    let message = fixture.stage(text);
    let append = Append { message, flags: Flags::default(), internal_date: at(1_000) };
    fixture.account.replace(inbox, old, inbox, append)
}

#[test]
fn a_message_takes_the_place_of_another_in_one_change() {
    let fixture = fixture();
    let old = fixture.append("INBOX", "Subject: old\r\n\r\n", Flags::default()).uid;
    let before = fixture.account.snapshot(fixture.id("INBOX")).unwrap().mailbox.highest_mod_seq;
    let new = replace(&fixture, old, "Subject: new\r\n\r\n").unwrap().unwrap().uid;
    assert_eq!(fixture.uids("INBOX"), [new.get()]);
    let changes = fixture.account.changes_since(fixture.id("INBOX"), before).unwrap();
    assert_eq!(changes.mailbox.highest_mod_seq, ModSeq(before.0 + 1));
    assert_eq!((changes.changed.len(), changes.vanished.iter().count()), (1, 1));
    // The same octets once more, and what is gone already.
    let same = replace(&fixture, new, "Subject: new\r\n\r\n").unwrap().unwrap().uid;
    assert_eq!(replace(&fixture, new, "Subject: late\r\n\r\n").unwrap(), None);
    assert_eq!(fixture.uids("INBOX"), [same.get()]);
    fixture.is_whole();
}

#[test]
fn only_the_difference_counts_and_a_refusal_keeps_the_old_one() {
    let fixture = fixture();
    let old = fixture.append("INBOX", "Subject: old\r\n\r\n", Flags::default()).uid;
    let limits = Limits { octets: Some(16), messages: Some(1) };
    fixture.account.set_quota(QuotaRoot::Account, limits).unwrap();
    let refused = replace(&fixture, old, "Subject: longer\r\n\r\n");
    assert!(matches!(refused, Err(Error::OverQuota)), "{refused:?}");
    assert_eq!(fixture.uids("INBOX"), [old.get()]);
    replace(&fixture, old, "Subject: new\r\n\r\n").unwrap().unwrap();
    fixture.is_whole();
}
