//! Which messages of a server have been brought in.
//!
//! `STATE_DIR/imports/ACCOUNT-SOURCE.json`, where SOURCE is a hash of server and login, and each mailbox is a hash of its
//! name, so that no name stands here in clear while the mail is sealed:
//!
//! ```text
//! {"mailboxes": {"3f…": {"uid_validity": 7, "done": [[1, 500], [502, 502]]}}}
//! ```
//!
//! It is replaced whole after the messages are durable, never before. So after a crash some messages are fetched again,
//! none is left out; those that are fetched again are known by their octets and date. Another UIDVALIDITY (RFC 9051 §2.3.1.1) makes a
//! mailbox's numbers void.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use postern_shared::durable;
use postern_store::account::{AccountId, Uid, UidSet};
use serde::{Deserialize, Serialize};

/// The file of one account and one source.
pub(super) struct Done {
    path: PathBuf,
    file: Mutex<File>,
}

#[derive(Default, Serialize, Deserialize)]
struct File {
    mailboxes: BTreeMap<String, Numbers>,
}

#[derive(Default, Serialize, Deserialize)]
struct Numbers {
    uid_validity: u32,
    done: Vec<(u32, u32)>,
}

impl Done {
    /// Reads what was noted before.
    ///
    /// # Errors
    /// As the operating system says, or where the file is not what was written.
    pub(super) fn open(state_dir: &Path, account: AccountId, server: &str, login: &str) -> io::Result<Done> {
        let directory = state_dir.join("imports");
        std::fs::create_dir_all(&directory)?;
        let source = hash(&format!("{}\0{login}", server.to_lowercase()));
        let path = directory.join(format!("{account}-{source}.json"));
        let file = match std::fs::read(&path) {
            Ok(octets) => serde_json::from_slice(&octets)
                .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => File::default(),
            Err(error) => return Err(error),
        };
        Ok(Done { path, file: Mutex::new(file) })
    }

    /// The UIDs of a mailbox that were brought in.
    pub(super) fn of(&self, mailbox: &[u8], uid_validity: u32) -> UidSet {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        match file.mailboxes.get(&name(mailbox)) {
            Some(numbers) if numbers.uid_validity == uid_validity => set(numbers),
            _ => UidSet::from_ranges([]),
        }
    }

    /// Notes UIDs as brought in; durable on return.
    ///
    /// # Errors
    /// As the operating system says.
    pub(super) fn add(&self, mailbox: &[u8], uid_validity: u32, uids: &[Uid]) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let numbers = file.mailboxes.entry(name(mailbox)).or_default();
        if numbers.uid_validity != uid_validity {
            *numbers = Numbers { uid_validity, done: Vec::new() };
        }
        let new = uids.iter().map(|uid| uid.get()..=uid.get());
        let all = UidSet::from_ranges(set(numbers).ranges().chain(new));
        numbers.done = all.ranges().map(|range| (*range.start(), *range.end())).collect();
        let octets = serde_json::to_vec(&*file).map_err(io::Error::other)?;
        durable::write_secret(&self.path, &octets)
    }
}

fn set(numbers: &Numbers) -> UidSet {
    UidSet::from_ranges(numbers.done.iter().map(|(first, last)| *first..=*last))
}

fn name(mailbox: &[u8]) -> String {
    hash(&String::from_utf8_lossy(mailbox))
}

/// Sixteen octets of a SHA-256 are told apart well enough.
fn hash(text: &str) -> String {
    let digest = digest(&SHA256, text.as_bytes());
    digest.as_ref().iter().take(16).map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_there_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let open = || Done::open(directory.path(), AccountId(1), "imap.example", "ana").expect("opened");
        let uids = |numbers: &[u32]| numbers.iter().filter_map(|uid| Uid::new(*uid)).collect::<Vec<_>>();
        open().add(b"INBOX", 7, &uids(&[1, 2, 5])).expect("noted");
        open().add(b"INBOX", 7, &uids(&[3])).expect("noted");
        assert_eq!(open().of(b"INBOX", 7).ranges().collect::<Vec<_>>(), [1..=3, 5..=5]);
        assert!(open().of(b"INBOX", 8).is_empty(), "another generation");
        assert!(open().of(b"Work", 7).is_empty(), "another mailbox");
        let other = Done::open(directory.path(), AccountId(1), "imap.example", "bo").expect("opened");
        assert!(other.of(b"INBOX", 7).is_empty(), "another login");
        open().add(b"INBOX", 8, &uids(&[9])).expect("noted");
        assert_eq!(open().of(b"INBOX", 8).ranges().collect::<Vec<_>>(), [9..=9]);
    }
}
