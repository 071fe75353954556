use std::sync::Arc;

use postern_store::account::{AccountId, Detail, Keyword, SystemFlags, UidSet};
use proptest::prelude::*;

use super::*;
use crate::export;

/// Mailbox, octets, system flags, keywords, date.
type Listed = (String, Vec<u8>, SystemFlags, Vec<String>, i64);

struct Home {
    _directory: tempfile::TempDir,
    store: Store,
}

impl Home {
    fn new() -> Home {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(directory.path()).expect("a store");
        Home { _directory: directory, store }
    }

    fn account(&self) -> Account {
        self.store.account(AccountId(1)).expect("an account")
    }

    fn append(&self, mailbox: &str, octets: &[u8], flags: Flags, second: i64) {
        let mut staging = self.store.stage();
        staging.write(octets).expect("staged");
        let message = Arc::new(staging.finish().expect("staged"));
        let internal_date = Timestamp::from_second(second).expect("a moment");
        let mailbox = self.account().mailbox_named_or_made(mailbox).expect("there");
        self.account().append(mailbox, vec![Append { message, flags, internal_date }]).expect("stored");
    }

    fn import(&self, path: &Path, form: Option<Form>) -> Report {
        let folders = folders(path, form, None).expect("a form");
        import(Some(&self.account()), &Mode::Store(&self.store), &folders, |_, _| ()).expect("imported")
    }

    /// Every message.
    fn all(&self) -> Vec<Listed> {
        let account = self.account();
        let mut found = Vec::new();
        for mailbox in account.mailboxes().expect("listed") {
            for message in account.messages(mailbox.id, &UidSet::all(), Detail::Summary) {
                let message = message.expect("read");
                let octets = account.read_blob(message.email.blob, 0..u64::MAX).expect("read");
                let mut keywords: Vec<String> =
                    message.flags.keywords.iter().map(|keyword| keyword.as_str().to_owned()).collect();
                keywords.sort();
                let date = message.email.internal_date.as_second();
                found.push((mailbox.name.clone(), octets, message.flags.system, keywords, date));
            }
        }
        found
    }

    fn export(&self, form: export::Form) -> (tempfile::TempDir, std::path::PathBuf) {
        let target = tempfile::tempdir().expect("a directory");
        let path = target.path().join("out");
        export::export(&self.account(), &path, form).expect("written");
        (target, path)
    }
}

fn flags() -> impl Strategy<Value = Flags> {
    let all = SystemFlags::NAMES.map(|(flag, _)| flag).to_vec();
    let keywords = prop::sample::subsequence(vec!["$Work", "$Forwarded", "later"], 0..3);
    (prop::sample::subsequence(all, 0..5), keywords).prop_map(|(system, keywords)| Flags {
        system: system.into_iter().fold(SystemFlags::empty(), |all, flag| all | flag),
        keywords: keywords.into_iter().filter_map(|name| Keyword::new(name).ok()).collect(),
    })
}

fn message() -> impl Strategy<Value = String> {
    let line = "(>{0,2}From (me|ana Tue Nov 14 22:13:20 2023))|Status: mine|[a-zü .>]{0,20}|";
    prop::collection::vec(line, 0..8)
        .prop_map(|lines| format!("Subject: x\r\nStatus: own\r\n\r\n{}", lines.join("\r\n") + "\r\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn what_was_exported_comes_back(
        messages in prop::collection::vec((0usize..5, message(), flags(), 0i64..2_000_000_000), 1..12),
    ) {
        const MAILBOXES: [&str; 5] = ["INBOX", "Work/v1.2", "Grüße & Küsse", ".x\\2e", "a.mbox/b"];
        let home = Home::new();
        for (mailbox, text, flags, second) in messages {
            home.append(MAILBOXES[mailbox], text.as_bytes(), flags, second);
        }
        for form in [export::Form::Maildir, export::Form::Mbox] {
            let (_target, path) = home.export(form);
            let other = Home::new();
            let report = other.import(&path, None);
            prop_assert_eq!(&report.lost, &Vec::<String>::new());
            prop_assert_eq!(other.all(), home.all(), "{:?}", form);
            prop_assert_eq!(other.account().verify().expect("checked"), Vec::<String>::new());
        }
    }
}

#[test]
fn an_import_that_is_done_again_brings_nothing_in() {
    let home = Home::new();
    // The same message twice: it is there twice afterwards, too.
    for _ in 0..2 {
        home.append("INBOX", b"Subject: twin\r\n\r\n", Flags::default(), 1_000);
    }
    home.append("Work", &b"large letter\r\n".repeat(20_000), Flags::default(), 2_000);
    let (_target, path) = home.export(export::Form::Maildir);
    let other = Home::new();
    assert_eq!((other.import(&path, None).messages(), other.all().len()), (3, 3));
    let again = other.import(&path, None);
    assert_eq!((again.messages(), again.present(), other.all().len()), (0, 3, 3));
    // As an import leaves it that was killed in between.
    let half = Home::new();
    half.append("INBOX", b"Subject: twin\r\n\r\n", Flags::default(), 1_000);
    let rest = half.import(&path, None);
    assert_eq!((rest.messages(), rest.present()), (2, 1));
    assert_eq!(half.all(), home.all());
}

#[test]
fn what_would_come_in_is_counted() {
    let home = Home::new();
    home.append("INBOX", b"Subject: a\r\n\r\n", Flags::default(), 1_000);
    home.append("Work", b"Subject: b\r\n\r\n", Flags::default(), 1_000);
    let (_target, path) = home.export(export::Form::Mbox);
    let other = Home::new();
    other.append("INBOX", b"Subject: a\r\n\r\n", Flags::default(), 1_000);
    let folders = folders(&path, None, None).expect("mbox");
    let counted = import(Some(&other.account()), &Mode::Count, &folders, |_, _| ()).expect("counted");
    assert_eq!((counted.messages(), counted.present(), other.all().len()), (1, 1, 1));
    let of_nobody = import(None, &Mode::Count, &folders, |_, _| ()).expect("counted");
    assert_eq!((of_nobody.messages(), of_nobody.present()), (2, 0));
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_comes_in() {
    let home = Home::new();
    let source = tempfile::tempdir().expect("a directory");
    for folder in ["cur", "new", ".Work/cur", "..bad/cur"] {
        std::fs::create_dir_all(source.path().join(folder)).expect("made");
    }
    std::fs::write(source.path().join("new/1.a"), "Subject: a\n\nx\n").expect("written");
    std::fs::write(source.path().join(".Work/cur/1.b:2,S"), "Subject: b\r\n\r\n").expect("written");
    let report = home.import(source.path(), None);
    assert_eq!(report.messages(), 2);
    assert!(matches!(report.lost.as_slice(), [one] if one.contains("..bad")), "{:?}", report.lost);
    assert_eq!(home.all()[0].1, b"Subject: a\r\n\r\nx\r\n");
    let nothing = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(nothing.path(), "no mail").expect("written");
    let report = home.import(nothing.path(), None);
    assert!(report.lost[0].contains("not an mbox"), "{:?}", report.lost);
    folders(source.path().join("cur").as_path(), Some(Form::Maildir), None).expect_err("no Maildir");
}

#[test]
fn a_full_quota_ends_it_and_what_came_before_stays() {
    use postern_store::account::{Limits, QuotaRoot};
    let home = Home::new();
    (0..200).for_each(|number| {
        home.append("INBOX", format!("Subject: {number}\r\n\r\n").as_bytes(), Flags::default(), number)
    });
    let (_target, path) = home.export(export::Form::Maildir);
    let other = Home::new();
    other.account().set_quota(QuotaRoot::Account, Limits { octets: None, messages: Some(100) }).expect("set");
    let folders = folders(&path, None, None).expect("a Maildir");
    let import = || import(Some(&other.account()), &Mode::Store(&other.store), &folders, |_, _| ());
    assert!(matches!(import(), Err(Error::OverQuota)));
    assert_eq!(other.all().len(), 64, "one batch");
    other.account().set_quota(QuotaRoot::Account, Limits::default()).expect("set");
    assert_eq!(import().expect("imported").messages(), 136);
    assert_eq!(other.all(), home.all());
}
