mod annotations;
mod chunks;
mod replace;

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::{Delivery, StagedMessage, Store, Timestamp};

struct Fixture {
    store: Store,
    account: Account,
    directory: Arc<tempfile::TempDir>,
}

fn fixture() -> Fixture {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let store = Store::open(crate::seal::tests::state_dir(directory.path())).unwrap();
    let account = store.account(AccountId(1)).unwrap();
    Fixture { store, account, directory }
}

impl Fixture {
    fn stage(&self, text: &str) -> Arc<StagedMessage> {
        let mut staging = self.store.stage();
        staging.write(text.as_bytes()).unwrap();
        Arc::new(staging.finish().unwrap())
    }

    fn append(&self, mailbox: &str, text: &str, flags: Flags) -> Appended {
        let mailbox = self.account.mailbox_named(mailbox).unwrap().id;
        let message = self.stage(text);
        let append = Append { message, flags, internal_date: at(1_000) };
        self.account.append(mailbox, vec![append]).unwrap()[0]
    }

    fn id(&self, mailbox: &str) -> MailboxId {
        self.account.mailbox_named(mailbox).unwrap().id
    }

    fn uids(&self, mailbox: &str) -> Vec<u32> {
        let snapshot = self.account.snapshot(self.id(mailbox)).unwrap();
        snapshot.messages.iter().map(|message| message.uid.get()).collect()
    }

    fn reopen(self) -> Fixture {
        let directory = Arc::clone(&self.directory);
        drop(self);
        let store = Store::open(crate::seal::tests::state_dir(directory.path())).unwrap();
        let account = store.account(AccountId(1)).unwrap();
        Fixture { store, account, directory }
    }

    /// Every test ends with this: whatever it did, the account is whole.
    fn is_whole(&self) {
        assert_eq!(self.account.verify().unwrap(), Vec::<String>::new());
    }

    /// Changes rows behind the account's back.
    fn run(&self, statements: &'static str) {
        let database = &self.account.0.database;
        database.write(move |connection| Ok::<_, Error>(connection.execute_batch(statements)?)).unwrap();
    }

    fn blob_files(&self) -> usize {
        let blobs = self.directory.path().join("accounts/1/blobs");
        let prefixes = std::fs::read_dir(blobs).unwrap();
        prefixes.map(|prefix| std::fs::read_dir(prefix.unwrap().path()).unwrap().count()).sum()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.is_whole();
        }
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn set(uids: impl IntoIterator<Item = u32>) -> UidSet {
    uids.into_iter().filter_map(Uid::new).collect()
}

fn mail(subject: &str, more: &str) -> String {
    format!("From: Ana <ana@home.example>\r\nSubject: {subject}\r\n{more}\r\nHello {subject}.\r\n")
}

fn seen() -> Flags {
    SystemFlags::SEEN.into()
}

fn numbered(account: &Account, name: &str) -> MailboxId {
    account.mailbox_named(name).unwrap().id
}

#[test]
fn damage_is_named_and_neighbours_stay_readable() {
    let fixture = fixture();
    let large = mail("large", "") + &"x".repeat(100_000);
    let damaged = fixture.append("INBOX", &large, seen());
    fixture.append("INBOX", &mail("small", ""), seen());
    fixture.is_whole();
    let blobs = fixture.directory.path().join("accounts/1/blobs");
    let prefix = std::fs::read_dir(blobs).unwrap().next().unwrap().unwrap().path();
    let file = std::fs::read_dir(prefix).unwrap().next().unwrap().unwrap().path();
    let stored = std::fs::read(&file).unwrap();
    assert!(stored.len() < 10_000, "{} octets are not compressed", stored.len());
    let mut flipped = stored.clone();
    flipped[30] ^= 1;
    std::fs::write(&file, flipped).unwrap();
    let damages = fixture.account.verify().unwrap();
    assert!(
        matches!(damages.as_slice(), [line] if line.starts_with("blob 1 (INBOX, UID 1): ")),
        "{damages:?}"
    );
    std::fs::write(&file, "short").unwrap();
    let read = |uid| {
        let mut messages = fixture.account.messages(damaged.mailbox, &set([uid]), Detail::Summary);
        fixture.account.read_blob(messages.next().unwrap().unwrap().email.blob, 0..100_000)
    };
    assert!(matches!(read(1), Err(Error::Corrupt(_))));
    assert!(read(2).is_ok());
    std::fs::write(&file, stored).unwrap();
}

#[test]
fn any_part_of_a_compressed_message_is_read() {
    let fixture = fixture();
    for octets in [3_000, 60_000, 100_000, 300_000] {
        let text = mail("parts", "") + &"a line of a letter\r\n".repeat(octets / 20);
        let appended = fixture.append("INBOX", &text, seen());
        let mut messages =
            fixture.account.messages(appended.mailbox, &set([appended.uid.get()]), Detail::Summary);
        let blob = messages.next().unwrap().unwrap().email.blob;
        for (start, end) in [(0, 40), (octets / 2, octets), (0, usize::MAX), (octets * 2, octets * 3)] {
            let read = fixture.account.read_blob(blob, start as u64..end as u64).unwrap();
            let end = end.min(text.len());
            assert!(read == text.as_bytes()[start.min(end)..end], "{start}..{end} of {octets}");
        }
    }
    let database = std::fs::metadata(fixture.account.0.database.path()).unwrap().len();
    assert!(database < 400_000, "{database} octets for 63,000 of text");
}

#[test]
fn an_appended_message_that_compressing_does_not_shorten_is_kept_as_it_came() {
    let fixture = fixture();
    // The upper half of a square times an odd number.
    let noise = |number: u32| number.wrapping_mul(number).wrapping_mul(2_654_435_761).to_be_bytes();
    let noise = (1..=50_000).flat_map(|number| noise(number).into_iter().take(2));
    let mut staging = fixture.store.stage();
    staging.write(&noise.collect::<Vec<u8>>()).unwrap();
    let message = Arc::new(staging.finish().unwrap());
    let append = Append { message, flags: seen(), internal_date: at(1_000) };
    fixture.account.append(fixture.id("INBOX"), vec![append]).unwrap();
    let kept: i64 = fixture
        .account
        .0
        .database
        .read(|connection| {
            Ok::<_, Error>(connection.query_row("SELECT encoding FROM blob", [], |row| row.get(0))?)
        })
        .unwrap();
    assert_eq!(kept, 0);
}

#[test]
fn an_account_begins_with_its_mailboxes() {
    let fixture = fixture();
    let mailboxes = fixture.account.mailboxes().unwrap();
    let names: Vec<_> = mailboxes.iter().map(|mailbox| mailbox.name.as_str()).collect();
    assert_eq!(names, ["INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"]);
    assert!(
        mailboxes.iter().all(|mailbox| mailbox.subscribed && mailbox.selectable && mailbox.uid_next == 1)
    );
    assert_eq!(mailboxes[4].special_use, Some(SpecialUse::Sent));
    assert_eq!(fixture.account.mailbox_named("inbox").unwrap().id, mailboxes[0].id);
    let validities: std::collections::HashSet<_> =
        mailboxes.iter().map(|mailbox| mailbox.uid_validity).collect();
    assert_eq!(validities.len(), 6);
}

#[test]
fn an_appended_message_is_read_back() {
    let fixture = fixture();
    let text = mail("Grüße", "Date: Thu, 01 Jan 1970 01:00:00 +0100\r\nTo: bo@home.example\r\n");
    let flags = Flags { system: SystemFlags::SEEN, keywords: vec![Keyword::new("$Work").unwrap()] };
    let appended = fixture.append("INBOX", &text, flags.clone());
    let fixture = fixture.reopen();
    let read: Vec<Message> = fixture
        .account
        .messages(appended.mailbox, &UidSet::all(), Detail::Structure)
        .collect::<Result<_>>()
        .unwrap();
    let [message] = read.as_slice() else { panic!("{read:?}") };
    assert_eq!((message.uid, &message.flags), (appended.uid, &flags));
    assert_eq!(message.email.size, text.len() as u64);
    assert_eq!((message.email.sent_date, message.email.internal_date), (at(0), at(1_000)));
    assert_eq!(message.email.preview, "Hello Grüße.");
    assert_eq!(
        fixture.account.sort_keys(appended.mailbox, &UidSet::all()).unwrap()[0].base_subject,
        "GRÜSSE"
    );
    assert!(!message.email.has_attachment);
    let structure = message.email.structure.as_ref().unwrap();
    let mut listed = fixture.account.messages(appended.mailbox, &UidSet::all(), Detail::Envelope);
    let listed = listed.next().unwrap().unwrap().email;
    assert_eq!((listed.envelope.as_ref(), listed.structure), (Some(&structure.envelope), None));
    assert_eq!(structure.envelope.to[0].host.as_deref(), Some(&b"home.example"[..]));
    let whole = fixture.account.read_blob(message.email.blob, 0..u64::MAX).unwrap();
    assert_eq!(whole, text.as_bytes());
    let part = fixture.account.read_blob(message.email.blob, 6..9).unwrap();
    assert_eq!(part, b"Ana");
    assert_eq!(fixture.account.mailbox(appended.mailbox).unwrap().uid_next, 2);
}

#[test]
fn large_messages_are_files_and_stored_once() {
    let fixture = fixture();
    let text = mail("large", "") + &"0123456789abcde\n".repeat(20_000);
    let first = fixture.append("INBOX", &text, seen());
    let second = fixture.append("Archive", &text, seen());
    assert_ne!(first.email, second.email);
    assert_eq!(fixture.blob_files(), 1);
    let blob = |mailbox| {
        let mut messages = fixture.account.messages(mailbox, &UidSet::all(), Detail::Summary);
        messages.next().unwrap().unwrap().email.blob
    };
    assert_eq!(blob(first.mailbox), blob(second.mailbox));
    let read = fixture.account.read_blob(blob(first.mailbox), 100..text.len() as u64 + 5).unwrap();
    assert_eq!(read, &text.as_bytes()[100..]);

    fixture.account.expunge(first.mailbox, Expunge::Exactly(UidSet::all())).unwrap();
    assert_eq!(fixture.blob_files(), 1);
    let last = blob(second.mailbox);
    fixture.account.expunge(second.mailbox, Expunge::Exactly(UidSet::all())).unwrap();
    assert_eq!(fixture.blob_files(), 0);
    assert!(matches!(fixture.account.read_blob(last, 0..1), Err(Error::NotFound(_))));
}

#[test]
fn files_that_a_crash_left_are_swept() {
    let fixture = fixture();
    let stray = fixture.directory.path().join("accounts/1/blobs/ab");
    std::fs::create_dir_all(&stray).unwrap();
    std::fs::write(stray.join("abcd-0"), "x").unwrap();
    std::fs::write(fixture.directory.path().join("staging/1-0"), "x").unwrap();
    let fixture = fixture.reopen();
    assert_eq!(fixture.blob_files(), 0);
    assert_eq!(std::fs::read_dir(fixture.directory.path().join("staging")).unwrap().count(), 0);
}

#[test]
fn deliveries_go_to_every_account_and_fall_back_to_inbox() {
    let fixture = fixture();
    let message = fixture.stage(&(mail("hi", "") + &"x".repeat(200_000)));
    let delivery = |account, mailbox| Delivery {
        account: AccountId(account),
        mailbox,
        flags: Flags::default(),
        internal_date: at(5),
    };
    let gone = Some(MailboxId(4711));
    let answers = fixture.store.deliver(&message, &[delivery(1, None), delivery(2, gone)]);
    let inbox = fixture.id("INBOX");
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().mailbox == inbox));
    assert_eq!(fixture.uids("INBOX"), [1]);
    let other = fixture.store.account(AccountId(2)).unwrap();
    assert_eq!(other.mailbox_named("INBOX").unwrap().unseen, 1);
}

#[test]
fn flags_change_only_what_changes_and_respect_unchanged_since() {
    let fixture = fixture();
    let inbox = fixture.append("INBOX", &mail("a", ""), seen()).mailbox;
    fixture.append("INBOX", &mail("b", ""), Flags::default());
    let before = fixture.account.mailbox(inbox).unwrap().highest_mod_seq;
    let stored = fixture.account.store_flags(inbox, &UidSet::all(), FlagChange::Add(seen()), None).unwrap();
    assert!(stored.messages.iter().all(|message| message.flags == seen()));
    let changes = fixture.account.changes_since(inbox, before).unwrap();
    assert_eq!(changes.changed.iter().map(|message| message.uid.get()).collect::<Vec<_>>(), [2]);
    assert_eq!(changes.mailbox.unseen, 0);

    let flagged = Flags { system: SystemFlags::FLAGGED, keywords: vec![Keyword::new("$a").unwrap()] };
    let stored = fixture
        .account
        .store_flags(inbox, &UidSet::all(), FlagChange::Replace(flagged.clone()), Some(before))
        .unwrap();
    assert_eq!((stored.messages.len(), stored.modified), (1, set([2])));
    let upper = Flags { system: SystemFlags::empty(), keywords: vec![Keyword::new("$A").unwrap()] };
    let stored = fixture.account.store_flags(inbox, &set([1]), FlagChange::Remove(upper), None).unwrap();
    assert_eq!(stored.messages[0].flags, SystemFlags::FLAGGED.into());
    assert_eq!(fixture.account.mailbox(inbox).unwrap().unseen, 1);
    assert_eq!(fixture.account.keywords().unwrap(), [Keyword::new("$a").unwrap()]);
}

#[test]
fn copies_share_the_email_and_moves_keep_it() {
    let fixture = fixture();
    let original = fixture.append("INBOX", &mail("a", ""), seen());
    let (inbox, archive, trash) = (original.mailbox, fixture.id("Archive"), fixture.id("Trash"));
    let email = |mailbox, index: usize| {
        fixture
            .account
            .messages(mailbox, &UidSet::all(), Detail::Summary)
            .nth(index)
            .unwrap()
            .unwrap()
            .email
            .id
    };
    let copied = fixture.account.copy(inbox, &UidSet::all(), archive).unwrap();
    assert_eq!(copied.uids, [(original.uid, Uid::new(1).unwrap())]);
    assert_eq!(email(archive, 0), original.email);
    // A mailbox cannot hold an email twice, so a second copy is another email.
    fixture.account.copy(inbox, &UidSet::all(), archive).unwrap();
    assert_ne!(email(archive, 1), original.email);

    let moved = fixture.account.move_messages(inbox, &set([1, 7]), trash).unwrap();
    assert_eq!(moved.uids.len(), 1);
    assert_eq!(email(trash, 0), original.email);
    assert!(fixture.uids("INBOX").is_empty());
    let changes = fixture.account.changes_since(inbox, ModSeq(0)).unwrap();
    assert_eq!(changes.vanished, set([1]));
    // Within one mailbox: a new UID.
    fixture.account.move_messages(trash, &set([1]), trash).unwrap();
    assert_eq!(fixture.uids("Trash"), [2]);
    assert_eq!(email(trash, 0), original.email);
    let missing = fixture.account.copy(trash, &UidSet::all(), MailboxId(999));
    assert!(matches!(missing, Err(Error::NotFound(_))));
}

#[test]
fn expunge_takes_the_deleted_and_uids_never_come_back() {
    let fixture = fixture();
    for number in 0..4 {
        fixture.append("INBOX", &mail(&number.to_string(), ""), Flags::default());
    }
    let inbox = fixture.id("INBOX");
    let deleted = FlagChange::Add(SystemFlags::DELETED.into());
    fixture.account.store_flags(inbox, &set([2, 3, 4]), deleted, None).unwrap();
    assert_eq!(fixture.account.mailbox(inbox).unwrap().deleted, 3);
    let since = fixture.account.mailbox(inbox).unwrap().highest_mod_seq;
    assert_eq!(fixture.account.expunge(inbox, Expunge::DeletedOf(set([1, 4]))).unwrap(), set([4]));
    assert_eq!(fixture.account.expunge(inbox, Expunge::Deleted).unwrap(), set([2, 3]));
    assert_eq!(fixture.account.expunge(inbox, Expunge::Deleted).unwrap(), set([]));
    assert_eq!(fixture.account.changes_since(inbox, since).unwrap().vanished, set([2, 3, 4]));
    let fixture = fixture.reopen();
    assert_eq!(fixture.append("INBOX", &mail("next", ""), seen()).uid.get(), 5);
    assert_eq!(fixture.uids("INBOX"), [1, 5]);
    assert_eq!(fixture.account.usage().unwrap().0, fixture.account.mailbox(inbox).unwrap().size);
}

#[test]
fn a_mailbox_is_renamed_and_deleted_by_its_number_whatever_its_name_is_by_then() {
    let fixture = fixture();
    let account = &fixture.account;
    let meant = account.create_mailbox("meant", None).unwrap().id;
    account.rename_mailbox(meant, "elsewhere").unwrap();
    let private = account.create_mailbox("meant", None).unwrap().id;
    account.rename_mailbox(meant, "yonder").unwrap();
    account.delete_mailbox(meant).unwrap();
    assert_eq!(account.mailbox_named("meant").unwrap().id, private);
    assert!(matches!(account.mailbox_named("yonder"), Err(Error::NotFound(_))));
    assert!(matches!(account.delete_mailbox(meant), Err(Error::NotFound(_))));
}

#[test]
fn names_are_bounded() {
    let fixture = fixture();
    let account = &fixture.account;
    let fill = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 10000)
                INSERT OR IGNORE INTO subscription (name) SELECT 'x' || n FROM n";
    fixture.run(fill);
    assert!(matches!(account.subscribe("one more"), Err(Error::OverQuota)));
    account.unsubscribe("x1").unwrap();
    assert!(!account.subscriptions().unwrap().contains(&"one more".to_owned()));
}

#[test]
fn junk_is_found_under_any_name_and_made_when_it_is_gone() {
    let fixture = fixture();
    let account = &fixture.account;
    let junk = account.mailbox_named("Junk").unwrap().id;
    account.rename_mailbox(junk, "Unwanted").unwrap();
    assert_eq!(account.mailbox_for(SpecialUse::Junk).unwrap(), junk);
    account.delete_mailbox(junk).unwrap();
    let plain = account.create_mailbox("Junk", None).unwrap().id;
    assert_eq!(account.mailbox_for(SpecialUse::Junk).unwrap(), plain);
    account.delete_mailbox(plain).unwrap();
    let made = account.mailbox_for(SpecialUse::Junk).unwrap();
    let made = account.mailbox(made).unwrap();
    assert_eq!(
        (made.name.as_str(), made.special_use, made.subscribed),
        ("Junk", Some(SpecialUse::Junk), true)
    );
}

#[test]
fn mailboxes_are_made_renamed_and_deleted() {
    let fixture = fixture();
    let account = &fixture.account;
    let made = account.create_mailbox("a/b/c", None).unwrap();
    assert!(matches!(account.create_mailbox("a/b", None), Err(Error::Conflict(_))));
    assert!(matches!(account.create_mailbox("x", Some(SpecialUse::Sent)), Err(Error::Conflict(_))));
    account.subscribe("a/b/c").unwrap();
    fixture.append("a/b/c", &mail("kept", ""), seen());
    account.rename_mailbox(numbered(account, "a/b"), "z").unwrap();
    let renamed = account.mailbox_named("z/c").unwrap();
    assert_eq!((renamed.id, renamed.uid_validity, renamed.messages), (made.id, made.uid_validity, 1));
    assert!(renamed.subscribed);
    assert!(account.subscriptions().unwrap().contains(&"a/b/c".to_owned()));
    assert!(matches!(account.rename_mailbox(numbered(account, "z"), "z/y"), Err(Error::Conflict(_))));
    assert!(matches!(account.rename_mailbox(MailboxId(99), "y"), Err(Error::NotFound(_))));

    account.delete_mailbox(numbered(account, "z")).unwrap();
    let hollow = account.mailbox_named("z").unwrap();
    assert!(!hollow.selectable && hollow.has_children);
    assert!(matches!(account.snapshot(hollow.id), Err(Error::NotFound(_))));
    assert!(matches!(account.delete_mailbox(numbered(account, "z")), Err(Error::Conflict(_))));
    let revived = account.create_mailbox("z", None).unwrap();
    assert!(revived.selectable && revived.uid_validity > hollow.uid_validity);

    account.delete_mailbox(numbered(account, "z/c")).unwrap();
    assert!(account.subscriptions().unwrap().contains(&"z/c".to_owned()));
    let again = account.create_mailbox("z/c", None).unwrap();
    assert!(again.uid_validity > made.uid_validity && again.id != made.id && again.messages == 0);
    assert!(matches!(account.delete_mailbox(numbered(account, "Inbox")), Err(Error::Permanent(_))));
}

#[test]
fn renaming_inbox_moves_its_messages() {
    let fixture = fixture();
    fixture.append("INBOX", &mail("a", ""), seen());
    fixture.account.create_mailbox("INBOX/child", None).unwrap();
    fixture.account.rename_mailbox(numbered(&fixture.account, "INBOX"), "old").unwrap();
    assert_eq!((fixture.uids("INBOX").len(), fixture.uids("old").len()), (0, 1));
    assert!(fixture.account.mailbox_named("INBOX/child").is_ok());
}

#[test]
fn recent_is_claimed_once() {
    let fixture = fixture();
    let inbox = fixture.append("INBOX", &mail("a", ""), seen()).mailbox;
    assert_eq!(fixture.account.unclaimed(inbox).unwrap(), 1);
    assert_eq!(fixture.account.claim_recent(inbox).unwrap(), 1);
    assert_eq!(fixture.account.claim_recent(inbox).unwrap(), 2);
    fixture.append("INBOX", &mail("b", ""), seen());
    assert_eq!(fixture.account.snapshot(inbox).unwrap().recent, 2);
    assert_eq!(fixture.account.unclaimed(inbox).unwrap(), 1);
}

#[test]
fn conversations_are_found_in_any_order() {
    let fixture = fixture();
    let thread = |appended: Appended| {
        let uids = set([appended.uid.get()]);
        let mut messages = fixture.account.messages(appended.mailbox, &uids, Detail::Summary);
        messages.next().unwrap().unwrap().email.thread
    };
    let add = |subject: &str, more: &str| thread(fixture.append("INBOX", &mail(subject, more), seen()));
    let reply = add("Re: dinner", "Message-ID: <2@h>\r\nIn-Reply-To: <1@h>\r\n");
    let origin = add("dinner", "Message-ID: <1@h>\r\n");
    let third = add("AW: dinner", "Message-ID: <3@h>\r\nReferences: <1@h>\r\n <2@h>\r\n");
    assert_eq!((origin, third), (reply, reply));
    assert_ne!(add("something else", "Message-ID: <4@h>\r\nIn-Reply-To: <1@h>\r\n"), reply);
    assert_ne!(add("dinner", "Message-ID: <5@h>\r\n"), reply);
    let plain = add("no ids", "");
    assert_ne!(add("no ids", ""), plain);
}

#[test]
fn a_quota_refuses_what_comes_but_not_a_move() {
    let fixture = fixture();
    fixture.append("INBOX", &mail("a", ""), seen());
    let (inbox, archive) = (fixture.id("INBOX"), fixture.id("Archive"));
    let limits = Limits { octets: Some(10), messages: None };
    fixture.account.set_quota(QuotaRoot::Account, limits).unwrap();
    let append = Append { message: fixture.stage(&mail("b", "")), flags: seen(), internal_date: at(0) };
    assert!(matches!(fixture.account.append(inbox, vec![append]), Err(Error::OverQuota)));
    assert!(matches!(fixture.account.copy(inbox, &UidSet::all(), archive), Err(Error::OverQuota)));
    assert_eq!(fixture.uids("INBOX"), [1]);
    fixture.account.move_messages(inbox, &UidSet::all(), archive).unwrap();
    fixture.account.expunge(archive, Expunge::Exactly(UidSet::all())).unwrap();
    assert_eq!(fixture.account.usage().unwrap(), (0, Some(10)));
}

#[test]
fn messages_and_mailboxes_have_limits_of_their_own() {
    let fixture = fixture();
    let (inbox, archive) = (fixture.id("INBOX"), fixture.id("Archive"));
    let append = |mailbox| {
        let append = Append { message: fixture.stage(&mail("b", "")), flags: seen(), internal_date: at(0) };
        fixture.account.append(mailbox, vec![append]).map(drop)
    };
    let one = Limits { octets: None, messages: Some(1) };
    fixture.account.set_quota(QuotaRoot::Mailbox(archive), one).unwrap();
    append(archive).unwrap();
    assert!(matches!(append(archive), Err(Error::OverQuota)));
    append(inbox).unwrap();
    assert!(matches!(fixture.account.copy(inbox, &UidSet::all(), archive), Err(Error::OverQuota)));
    assert!(matches!(fixture.account.move_messages(inbox, &UidSet::all(), archive), Err(Error::OverQuota)));
    fixture.account.set_quota(QuotaRoot::Account, Limits { octets: None, messages: Some(2) }).unwrap();
    assert!(matches!(append(inbox), Err(Error::OverQuota)));
    let usage = fixture.account.quota(QuotaRoot::Account).unwrap();
    assert_eq!((usage.messages, usage.limits.messages), (2, Some(2)));
    let nowhere = fixture.account.set_quota(QuotaRoot::Mailbox(MailboxId(99)), one);
    assert!(matches!(nowhere, Err(Error::NotFound(_))));
}

#[test]
fn what_was_expunged_can_be_put_back() {
    let fixture = fixture();
    fixture.account.keep_removed();
    let flags = Flags { system: SystemFlags::FLAGGED, keywords: vec![Keyword::new("$Work").unwrap()] };
    let large = mail("large", "") + &"x".repeat(100_000);
    fixture.account.create_mailbox("Old", None).unwrap();
    fixture.append("Old", &large, flags.clone());
    fixture.append("INBOX", &mail("small", ""), SystemFlags::DELETED.into());
    fixture.account.delete_mailbox(numbered(&fixture.account, "Old")).unwrap();
    fixture.account.expunge(fixture.id("INBOX"), Expunge::Deleted).unwrap();
    fixture.is_whole();
    assert_eq!(fixture.account.usage().unwrap().0, 0);
    let fixture = fixture.reopen();
    let removed = fixture.account.removed().unwrap();
    let names: Vec<_> = removed.iter().map(|one| (one.mailbox.as_str(), one.subject.as_str())).collect();
    assert_eq!(names, [("INBOX", "small"), ("Old", "large")]);
    for one in &removed {
        fixture.account.restore(one.id, fixture.store.stage()).unwrap();
    }
    assert!(fixture.account.removed().unwrap().is_empty());
    assert!(matches!(fixture.account.restore(removed[0].id, fixture.store.stage()), Err(Error::NotFound(_))));
    let mut messages = fixture.account.messages(fixture.id("Old"), &UidSet::all(), Detail::Summary);
    let message = messages.next().unwrap().unwrap();
    assert_eq!((message.flags, message.email.internal_date), (flags, at(1_000)));
    assert!(fixture.account.read_blob(message.email.blob, 0..u64::MAX).unwrap() == large.as_bytes());
    let inbox = fixture.account.snapshot(fixture.id("INBOX")).unwrap();
    assert!(inbox.messages[0].flags.is_empty(), "it is not marked for deletion again");
}

#[test]
fn what_was_expunged_goes_with_time_and_beyond_the_quota() {
    let fixture = fixture();
    fixture.account.keep_removed();
    let inbox = fixture.id("INBOX");
    let size = 100_000;
    fixture
        .account
        .set_quota(QuotaRoot::Account, Limits { octets: Some(5 * size / 2), messages: None })
        .unwrap();
    for subject in ["a", "b", "c"] {
        let mut text = mail(subject, "");
        text += &"x".repeat(size as usize - text.len());
        fixture.append("INBOX", &text, seen());
        fixture.account.expunge(inbox, Expunge::Exactly(UidSet::all())).unwrap();
    }
    let subjects = |removed: Vec<Removed>| removed.into_iter().map(|one| one.subject).collect::<Vec<_>>();
    assert_eq!(subjects(fixture.account.removed().unwrap()), ["c", "b"]);
    assert_eq!(fixture.blob_files(), 2);
    fixture.is_whole();
    let hour = Duration::from_secs(3_600);
    assert_eq!(fixture.store.purge_removed(at(1_000), hour).unwrap(), 0);
    assert_eq!(fixture.store.purge_removed(at(4_600), hour).unwrap(), 0);
    assert_eq!(fixture.store.purge_removed(at(4_601), hour).unwrap(), 2);
    assert_eq!(fixture.blob_files(), 0);
}

/// Whatever the clock said when the message was removed: nobody had asked then whether it was right.
#[test]
fn removed_mail_is_kept_for_its_time_from_when_the_clock_was_known_to_be_right() {
    let fixture = fixture();
    fixture.account.keep_removed();
    fixture.append("INBOX", &mail("a", ""), seen());
    fixture.account.expunge(fixture.id("INBOX"), Expunge::Exactly(UidSet::all())).unwrap();
    let (days, now) = (Duration::from_secs(30 * 86_400), Timestamp::now());
    let after = |days: i64| now + jiff::SignedDuration::from_hours(24 * days);
    assert_eq!(
        fixture.store.purge_removed(after(31), days).unwrap(),
        0,
        "the clock was back when it was removed"
    );
    assert_eq!(fixture.store.purge_removed(after(61), days).unwrap(), 0);
    assert_eq!(fixture.store.purge_removed(after(62), days).unwrap(), 1);
}

/// As a deletion leaves it that a crash has ended.
#[test]
fn a_purge_makes_no_account_of_what_a_deletion_has_left() {
    let fixture = fixture();
    let left = fixture.directory.path().join("accounts/7");
    std::fs::create_dir_all(left.join("blobs/ab")).unwrap();
    std::fs::create_dir_all(fixture.directory.path().join("accounts/8")).unwrap();
    fixture.store.purge_removed(Timestamp::now(), Duration::ZERO).unwrap();
    assert!(matches!(fixture.store.existing_account(AccountId(8)), Err(Error::NotFound(_))));
    for account in ["accounts/7", "accounts/8"] {
        assert!(!fixture.directory.path().join(account).join("account.sqlite").exists(), "{account}");
    }
    assert!(left.join("blobs/ab").exists());
}

#[test]
fn octets_that_lost_their_row_are_kept_by_a_repair() {
    let fixture = fixture();
    let text = mail("lost", "") + &"x".repeat(100_000);
    fixture.append("INBOX", &text, seen());
    let damage = "DELETE FROM message; DELETE FROM email;
        UPDATE mailbox SET messages = 0, size = 0; UPDATE account SET size = 0";
    fixture.run(damage);
    fixture.account.repair().unwrap();
    fixture.is_whole();
    let removed = fixture.account.removed().unwrap();
    let [one] = removed.as_slice() else { panic!("{removed:?}") };
    assert_eq!((one.subject.as_str(), one.from.as_str()), ("lost", "Ana <ana@home.example>"));
    assert_eq!(one.size, text.len() as u64);
    let back = fixture.account.restore(one.id, fixture.store.stage()).unwrap();
    let mut messages = fixture.account.messages(back.mailbox, &UidSet::all(), Detail::Summary);
    let blob = messages.next().unwrap().unwrap().email.blob;
    assert!(fixture.account.read_blob(blob, 0..u64::MAX).unwrap() == text.as_bytes());
}

/// Octets that were not compressed can change without a frame that breaks.
#[test]
fn a_damaged_message_is_not_put_back_as_another() {
    let fixture = fixture();
    fixture.account.keep_removed();
    fixture.append("INBOX", "a", seen());
    fixture.account.expunge(fixture.id("INBOX"), Expunge::Exactly(UidSet::all())).unwrap();
    fixture.run("UPDATE blob_content SET content = CAST('b' AS BLOB); UPDATE blob SET encoding = 0");
    let removed = fixture.account.removed().unwrap();
    let refused = fixture.account.restore(removed[0].id, fixture.store.stage());
    assert!(matches!(refused, Err(Error::Corrupt(_))), "{refused:?}");
    assert_eq!(fixture.account.removed().unwrap(), removed, "it is kept on");
    fixture.run("UPDATE blob_content SET content = CAST('a' AS BLOB)");
    fixture.account.restore(removed[0].id, fixture.store.stage()).unwrap();
}

#[test]
fn counts_that_went_wrong_are_put_right() {
    let fixture = fixture();
    fixture.account.keep_removed();
    fixture.append("INBOX", &mail("kept", ""), seen());
    fixture.append("INBOX", &mail("lost", ""), seen());
    fixture.append("INBOX", &mail("removed", ""), SystemFlags::DELETED.into());
    fixture.account.expunge(fixture.id("INBOX"), Expunge::Deleted).unwrap();
    let damage = "DELETE FROM message WHERE uid = 2; UPDATE email SET placements = 7 WHERE email_id = 1;
        UPDATE mailbox SET messages = 9, unseen = 9, deleted = 9, size = 9, uid_next = 1, highest_mod_seq = 0;
        UPDATE account SET size = 9, removed_size = 9, mod_seq = 0, next_uid_validity = 1;
        UPDATE blob SET refs = 9; UPDATE thread SET emails = 9";
    fixture.run(damage);
    let broken = fixture.account.verify().unwrap();
    assert!(broken.len() >= 8, "{broken:?}");
    let repaired = fixture.account.repair().unwrap();
    assert!(repaired.contains(&"1 message(s) of no mailbox are in INBOX now".to_owned()), "{repaired:?}");
    fixture.is_whole();
    // Neither 2, which is lost, nor 3, which was expunged, is given again.
    assert_eq!(fixture.uids("INBOX"), [1, 4]);
    assert_eq!(fixture.account.repair().unwrap(), Vec::<String>::new());
}

#[test]
fn an_account_of_the_first_schema_is_taken_over() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let account = directory.path().join("accounts/1");
    std::fs::create_dir_all(&account).unwrap();
    let connection = rusqlite::Connection::open(account.join("account.sqlite")).unwrap();
    connection.execute_batch(schema::SCHEMA.migrations[0]).unwrap();
    connection.pragma_update(None, "application_id", schema::SCHEMA.application_id).unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    drop(connection);
    let store = Store::open(crate::seal::tests::state_dir(directory.path())).unwrap();
    let account = store.account(AccountId(1)).unwrap();
    let fixture = Fixture { store, account, directory };
    fixture.append("INBOX", &mail("a", ""), seen());
}

#[test]
fn watchers_see_each_commit() {
    let fixture = fixture();
    let mut watch = fixture.account.watch();
    let before = *watch.borrow_and_update();
    fixture.append("INBOX", &mail("a", ""), seen());
    assert!(watch.has_changed().unwrap());
    assert!(*watch.borrow_and_update() > before);
}

#[test]
fn long_mailboxes_are_read_in_chunks() {
    let fixture = fixture();
    let inbox = fixture.id("INBOX");
    let append = |number: u32| Append {
        message: fixture.stage(&mail(&number.to_string(), "")),
        flags: Flags::default(),
        internal_date: at(0),
    };
    fixture.account.append(inbox, (1..=600).map(append).collect()).unwrap();
    let read = |uids: &UidSet| -> Vec<u32> {
        let messages = fixture.account.messages(inbox, uids, Detail::Summary);
        messages.map(|message| message.unwrap().uid.get()).collect()
    };
    assert_eq!(read(&UidSet::all()), (1..=600).collect::<Vec<_>>());
    let odd = (1..=600).filter(|number| number % 2 == 1);
    assert_eq!(read(&set(odd.clone())), odd.collect::<Vec<_>>());
    assert_eq!(read(&set([600, 601, 5])), [5, 600]);
}

/// A new database would know none of the messages, and their files would be removed as left over.
#[test]
fn an_account_whose_database_is_missing_keeps_its_messages() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let account = directory.path().join("accounts/1");
    let file = account.join("blobs/ab/message-1");
    std::fs::create_dir_all(file.parent().expect("a directory")).expect("made");
    std::fs::write(&file, "a message").expect("written");
    let store = crate::Store::open(crate::seal::tests::state_dir(directory.path())).expect("a store");
    let refused = store.account(AccountId(1)).expect_err("refused").to_string();
    assert!(refused.contains("account.sqlite: missing"), "{refused}");
    assert!(file.exists() && !account.join("account.sqlite").exists());
}
