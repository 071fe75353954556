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

#[test]
fn what_is_no_file_is_not_followed_and_is_named() {
    use std::os::unix::fs::symlink;
    let outside = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(outside.path().join("cur")).expect("made");
    let secret = outside.path().join("cur/1.secret");
    std::fs::write(&secret, "From x Tue Nov 14 22:13:20 2023\nSubject: secret\n\n").expect("written");
    let home = Home::new();
    let maildir = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(maildir.path().join("cur")).expect("made");
    std::fs::write(maildir.path().join("cur/2.mail"), "Subject: a\n\n").expect("written");
    symlink(&secret, maildir.path().join("cur/1.link")).expect("linked");
    symlink(outside.path(), maildir.path().join(".Link")).expect("linked");
    std::fs::create_dir(maildir.path().join(".Half")).expect("made");
    std::fs::create_dir(maildir.path().join(".Half/cur")).expect("made");
    symlink(outside.path().join("cur"), maildir.path().join(".Half/new")).expect("linked");
    symlink("/dev/zero", maildir.path().join("dovecot-keywords")).expect("linked");
    fifo(&maildir.path().join("cur/3.pipe"));
    let report = home.import(maildir.path(), None);
    assert_eq!((report.messages(), report.lost.len()), (1, 4), "{:?}", report.lost);
    assert_eq!(
        report.lost.iter().filter(|lost| lost.contains("symbolic link")).count(),
        3,
        "{:?}",
        report.lost
    );

    let mbox = tempfile::tempdir().expect("a directory");
    fifo(&mbox.path().join("pipe"));
    for name in ["one", "two"] {
        symlink(".", mbox.path().join(name)).expect("linked");
    }
    symlink(&secret, mbox.path().join("three")).expect("linked");
    let report = home.import(mbox.path(), None);
    assert_eq!((report.messages(), report.lost.len()), (0, 3), "{:?}", report.lost);
    let linked = mbox.path().join("three");
    assert_eq!(home.import(&linked, None).messages(), 1, "the operator's own word");
}

fn fifo(path: &Path) {
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).expect("made");
}

#[test]
fn a_message_that_is_refused_does_not_take_the_others_with_it() {
    let home = Home::new();
    let keywords = (0..4_096).filter_map(|number| Keyword::new(&format!("k{number}")).ok()).collect();
    home.append("INBOX", b"Subject: all\r\n\r\n", Flags { keywords, ..Flags::default() }, 1_000);
    let source = tempfile::NamedTempFile::new().expect("a file");
    const FROM: &str = "From - Tue Nov 14 22:13:20 2023\n";
    let text =
        format!("{FROM}Subject: a\n\n\n{FROM}Subject: b\nX-Keywords: one-more\n\n\n{FROM}Subject: c\n\n");
    std::fs::write(source.path(), text).expect("written");
    let report = home.import(source.path(), None);
    assert_eq!((report.messages(), home.all().len()), (3, 4), "{:?}", report.lost);
    assert!(
        matches!(report.lost.as_slice(), [one] if one.contains("keywords of the message")),
        "{:?}",
        report.lost
    );
    assert_eq!(home.import(source.path(), None).present(), 3);
}

const TAKEOUT: &str = "\
From 1700000000000000001@xxx Tue Nov 14 22:13:20 +0000 2023\n\
X-GM-THRID: 1700000000000000001\n\
X-Gmail-Labels: =?UTF-8?Q?Posteingang,Markiert,Ungelesen,Gr=C3=BC=C3=9Fe/2023?=\n\
Subject: one\nX-Gmail-Labels: Spam\nStatus: RO\n\nFrom me\n>From you\n\n\
From 1700000000000000002@xxx Tue Nov 14 22:13:20 +0000 2023\n\
X-GM-THRID: 2\nX-Gmail-Labels: Archived,Opened,\n Category Updates\nSubject: two\n\n\n\
From 3@xxx Tue Nov 14 22:13:20 +0000 2023\nX-GM-THRID: 3\nX-Gmail-Labels: Sent,Opened\nSubject: three\n\nend\n";

/// Of the same export as a zip (packed, and not), a folder and a file, only the first brings anything in.
#[test]
fn google_takeout_comes_in_by_its_labels_in_whatever_wrapping() {
    use std::io::Write as _;
    let directory = tempfile::tempdir().expect("a directory");
    let mail = directory.path().join("Takeout/Mail");
    std::fs::create_dir_all(&mail).expect("made");
    let mbox = mail.join("Alle Nachrichten einschließlich Spam und Papierkorb.mbox");
    std::fs::write(&mbox, TAKEOUT).expect("written");
    let zipped = |name: &str, method| {
        let path = directory.path().join(name);
        let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).expect("made"));
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        for (name, octets) in [("Takeout/archive_browser.html", "<p>"), ("Takeout/Mail/Alle.mbox", TAKEOUT)] {
            zip.start_file(name, options).expect("begun");
            zip.write_all(octets.as_bytes()).expect("written");
        }
        zip.finish().expect("ended");
        path
    };
    let packed = zipped("takeout-001.zip", zip::CompressionMethod::Deflated);
    let home = Home::new();
    let report = home.import(&packed, None);
    assert_eq!((report.messages(), report.lost.as_slice()), (4, &[][..]));
    let found = home.all();
    let of = |mailbox: &str| found.iter().find(|listed| listed.0 == mailbox).expect("a message");
    let (_, octets, flags, _, date) = of("INBOX");
    assert_eq!(octets, b"Subject: one\r\nX-Gmail-Labels: Spam\r\nStatus: RO\r\n\r\nFrom me\r\nFrom you\r\n");
    assert_eq!((*flags, *date), (SystemFlags::FLAGGED, 1_700_000_000));
    assert_eq!(of("Grüße/2023").1, *octets);
    assert_eq!((of("Archive").2, of("Sent").2), (SystemFlags::SEEN, SystemFlags::SEEN));
    let stored = zipped("takeout-002.zip", zip::CompressionMethod::Stored);
    for again in [&packed, &stored, &directory.path().join("Takeout"), &mbox] {
        let folders = folders(again, Some(Form::Takeout), None).expect("a takeout");
        let counted = import(Some(&home.account()), &Mode::Count, &folders, |_, _| ()).expect("counted");
        assert_eq!((counted.messages(), counted.present()), (0, 4), "{}", again.display());
        assert_eq!(home.import(again, Some(Form::Takeout)).messages(), 0, "{}", again.display());
    }
    // One octet of the content is another one, and the checksum tells.
    let mut damaged = std::fs::read(&stored).expect("read");
    let at = damaged.windows(5).position(|octets| octets == b"three").expect("there");
    damaged[at] = b'T';
    std::fs::write(&stored, damaged).expect("written");
    let report = Home::new().import(&stored, None);
    assert!(matches!(report.lost.as_slice(), [one] if one.contains("checksum")), "{:?}", report.lost);
}
