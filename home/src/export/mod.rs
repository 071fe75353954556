//! Mail written out as Maildir or mbox, for another server, an archive, or a person with a text editor.
//!
//! In: an account that is only read, whole or damaged, while the daemon runs or not. Out: a directory with every message
//! that can be read: octets, flags, keywords and the date of receipt. Refused: a directory that exists. What cannot be
//! read, or is not what it was when it came (by its hash), is named in the [`Report`], and everything else is written.

pub(crate) mod maildir;
pub(crate) mod mbox;
pub(crate) mod name;

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use postern_store::account::{Account, Detail, Mailbox, Message, Uid, UidSet};
use serde::Serialize;

/// The form in which mail is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// A directory for each mailbox, a file for each message (Maildir++)
    Maildir,
    /// A file for each mailbox (mboxrd)
    Mbox,
}

/// What was written, and what could not be.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Messages written.
    pub messages: u64,
    /// A line for each thing that could not be read or written.
    pub lost: Vec<String>,
    /// A line for each mailbox whose name is too long for the file system.
    pub renamed: Vec<String>,
}

/// Octets of a message that are read at once.
const STEP: u64 = 1024 * 1024;

/// Writes everything in `account` below `target`, which is made.
///
/// # Errors
/// Where `target` cannot be made or written. What cannot be read is no error, but told in the report.
pub fn export(account: &Account, target: &Path, form: Form) -> io::Result<Report> {
    // A person's mail is for nobody else, whatever the umask.
    std::fs::DirBuilder::new().mode(0o700).create(target)?;
    let mut report = Report::default();
    let mailboxes = account.mailboxes().map_err(io::Error::other)?;
    for mailbox in mailboxes.iter().filter(|mailbox| mailbox.selectable) {
        write(Readable { account, mailbox, report: &mut report }, target, form)?;
    }
    Ok(report)
}

fn write(mut messages: Readable<'_>, target: &Path, form: Form) -> io::Result<()> {
    let name = &messages.mailbox.name;
    let path = match form {
        Form::Maildir => maildir::path(target, name),
        Form::Mbox => mbox::path(target, name),
    };
    if name::is_cut(&path) {
        messages.report.renamed.push(format!("{name} is in {}", path.display()));
    }
    let written = match form {
        Form::Maildir => maildir::write(&mut messages, &path),
        Form::Mbox => mbox::write(&mut messages, &path),
    };
    match written {
        // A path of too many long levels is this mailbox's misfortune alone.
        Err(error) if error.kind() == io::ErrorKind::InvalidFilename => {
            messages.report.lost.push(format!("{}: {error}", messages.mailbox.name));
            Ok(())
        }
        other => other,
    }
}

/// The messages of one mailbox, those that cannot be read passed over.
struct Readable<'a> {
    account: &'a Account,
    mailbox: &'a Mailbox,
    report: &'a mut Report,
}

impl Readable<'_> {
    /// Calls `write` with each message that can be read, and a reader of its octets.
    fn each(&mut self, mut write: impl FnMut(&Message, &mut Octets<'_>) -> io::Result<()>) -> io::Result<()> {
        for uid in self.uids() {
            let one: UidSet = [uid].into_iter().collect();
            let message = match self.account.messages(self.mailbox.id, &one, Detail::Summary).next() {
                Some(Ok(message)) => message,
                Some(Err(error)) => {
                    self.lose(uid, &error);
                    continue;
                }
                None => continue,
            };
            // What is read twice is right in an mbox too, from which nothing can be taken back.
            if let Err(error) = self.account.verify_blob(message.email.blob) {
                self.lose(uid, &error);
                continue;
            }
            let mut octets = Octets { account: self.account, message: &message, position: 0, failed: None };
            write(&message, &mut octets)?;
            match octets.failed {
                Some(error) => self.lose(uid, &error),
                None => self.report.messages += 1,
            }
        }
        Ok(())
    }

    /// All UIDs; where the index is damaged, every one that there can be.
    fn uids(&self) -> Vec<Uid> {
        match self.account.snapshot(self.mailbox.id) {
            Ok(snapshot) => snapshot.messages.iter().map(|message| message.uid).collect(),
            Err(_) => (1..self.mailbox.uid_next).filter_map(Uid::new).collect(),
        }
    }

    fn lose(&mut self, uid: Uid, error: &postern_store::Error) {
        self.report.lost.push(format!("{}, UID {uid}: {error}", self.mailbox.name));
    }
}

/// A message's octets, in pieces.
struct Octets<'a> {
    account: &'a Account,
    message: &'a Message,
    position: u64,
    failed: Option<postern_store::Error>,
}

impl Octets<'_> {
    /// The next octets; empty at the end, and where they cannot be read.
    fn next(&mut self) -> Vec<u8> {
        let range = self.position..self.position + STEP;
        match self.account.read_blob(self.message.email.blob, range) {
            Ok(octets) => {
                self.position += octets.len() as u64;
                octets
            }
            Err(error) => {
                self.failed = Some(error);
                Vec::new()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::sync::Arc;

    use postern_store::account::{AccountId, Append, Flags, Keyword, SystemFlags};
    use postern_store::{Inspection, Store, Timestamp};

    use super::*;

    const TEXT: &str = "From: Ana <ana@home.example>\r\nSubject: hello\r\n\r\nFrom here to there.\r\n";

    struct Home {
        directory: tempfile::TempDir,
        /// The daemon's hold on the accounts, which an export does not mind.
        store: Store,
    }

    impl Home {
        fn new() -> Home {
            let directory = tempfile::tempdir().expect("a directory");
            let store = Store::open(directory.path()).expect("a store");
            let home = Home { directory, store };
            let keyword = Keyword::new("$Work").expect("a keyword");
            let system = SystemFlags::SEEN | SystemFlags::FLAGGED;
            home.append("INBOX", TEXT, Flags { system, keywords: vec![keyword] });
            let account = home.account();
            account.create_mailbox("Old/2026", None).expect("made");
            home.append(
                "Old/2026",
                &format!("{TEXT}{}", "a longer letter\r\n".repeat(20_000)),
                Flags::default(),
            );
            home
        }

        fn account(&self) -> Account {
            self.store.account(AccountId(1)).expect("an account")
        }

        fn append(&self, mailbox: &str, text: &str, flags: Flags) {
            let mut staging = self.store.stage();
            staging.write(text.as_bytes()).expect("staged");
            let message = Arc::new(staging.finish().expect("staged"));
            let internal_date = Timestamp::from_second(1_700_000_000).expect("a moment");
            let mailbox = self.account().mailbox_named(mailbox).expect("there").id;
            self.account().append(mailbox, vec![Append { message, flags, internal_date }]).expect("stored");
        }

        fn export(&self, form: Form) -> (tempfile::TempDir, Report) {
            let target = tempfile::tempdir().expect("a directory");
            let account = Inspection::of(self.directory.path()).account(AccountId(1)).expect("readable");
            let report = export(&account, &target.path().join("out"), form).expect("written");
            (target, report)
        }
    }

    fn files(directory: &Path) -> Vec<std::path::PathBuf> {
        fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path()).collect()
    }

    #[test]
    fn a_maildir_has_octets_flags_keywords_and_dates() {
        let home = Home::new();
        let (target, report) = home.export(Form::Maildir);
        assert_eq!((report.messages, report.lost.len()), (2, 0));
        let inbox = files(&target.path().join("out/cur"));
        let [message] = inbox.as_slice() else { panic!("{inbox:?}") };
        assert!(message.to_string_lossy().ends_with(":2,FSa"), "{message:?}");
        assert_eq!(fs::read_to_string(message).expect("text"), TEXT);
        assert_eq!(fs::metadata(message).expect("there").mtime(), 1_700_000_000);
        let keywords = fs::read_to_string(target.path().join("out/dovecot-keywords"));
        assert_eq!(keywords.expect("there"), "0 $Work\n");
        let old = files(&target.path().join("out/.Old.2026/cur"));
        assert!(fs::read(&old[0]).expect("there").ends_with(b"a longer letter\r\n"));
    }

    #[test]
    fn an_mbox_has_octets_flags_and_dates() {
        let (target, report) = Home::new().export(Form::Mbox);
        assert_eq!(report.messages, 2);
        let inbox = fs::read_to_string(target.path().join("out/INBOX.mbox")).expect("there");
        assert_eq!(
            inbox,
            "From - Tue Nov 14 22:13:20 2023\nStatus: RO\nX-Status: F\nX-Keywords: $Work\nFrom: Ana <ana@home.example>\n\
             Subject: hello\n\n>From here to there.\n\n"
        );
        assert!(target.path().join("out/Old/2026.mbox").is_file());
    }

    #[test]
    fn names_that_no_file_can_have_do_not_meet() {
        let home = Home::new();
        let long = format!("{}1", "ü".repeat(250));
        let names = ["v1.2", "v1_2", "v1\\2e2", ".x", "_.x", "a", "a.mbox/b", &long];
        for name in names {
            home.account().create_mailbox(name, None).expect("made");
            home.append(name, &format!("Subject: in {name}\r\n\r\n"), Flags::default());
        }
        for form in [Form::Maildir, Form::Mbox] {
            let (target, report) = home.export(form);
            assert_eq!(
                (report.messages, report.lost.as_slice()),
                (2 + names.len() as u64, [].as_slice()),
                "{form:?}"
            );
            assert!(
                matches!(report.renamed.as_slice(), [one] if one.starts_with(&long)),
                "{:?}",
                report.renamed
            );
            for name in names {
                let path = match form {
                    Form::Maildir => {
                        files(&maildir::path(&target.path().join("out"), name).join("cur")).remove(0)
                    }
                    Form::Mbox => mbox::path(&target.path().join("out"), name),
                };
                let text = fs::read_to_string(path).expect("there");
                assert!(text.contains(&format!("Subject: in {name}")), "{name}: {text}");
            }
        }
    }

    /// Each of two files can be read, and is the other message.
    #[test]
    fn octets_that_are_not_those_that_came_are_left_out() {
        let home = Home::new();
        home.append("INBOX", &format!("{TEXT}{}", "b longer letter\r\n".repeat(20_000)), Flags::default());
        let blobs = files(&home.directory.path().join("accounts/1/blobs"));
        let [one, other] = [0, 1].map(|number| files(&blobs[number]).remove(0));
        let between = home.directory.path().join("between");
        fs::rename(&one, &between).and_then(|()| fs::rename(&other, &one)).expect("moved");
        fs::rename(between, other).expect("moved");
        for form in [Form::Maildir, Form::Mbox] {
            let (_target, report) = home.export(form);
            assert_eq!((report.messages, report.lost.len()), (1, 2), "{form:?}");
            assert!(report.lost[0].contains("do not match their hash"), "{:?}", report.lost);
        }
    }

    #[test]
    fn what_is_damaged_is_named_and_the_rest_is_written() {
        let home = Home::new();
        let blobs = files(&home.directory.path().join("accounts/1/blobs"));
        let file = files(&blobs[0]).remove(0);
        let mut octets = fs::read(&file).expect("there");
        let middle = octets.len() / 3;
        octets[middle] ^= 1;
        fs::write(&file, octets).expect("written");
        for form in [Form::Maildir, Form::Mbox] {
            let (target, report) = home.export(form);
            assert_eq!(report.messages, 1);
            assert!(report.lost[0].starts_with("Old/2026, UID 1: corrupt"), "{:?}", report.lost);
            if form == Form::Maildir {
                assert!(files(&target.path().join("out/.Old.2026/cur")).is_empty());
            }
        }
        let inspection = Inspection::of(home.directory.path());
        let damages = inspection.account(AccountId(1)).expect("readable").verify().expect("checked");
        assert!(matches!(damages.as_slice(), [one] if one.contains("Old/2026, UID 1")), "{damages:?}");
    }
}
