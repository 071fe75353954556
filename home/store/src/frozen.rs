//! A state directory held still, so that a backup can read it while mail goes on being delivered.
//!
//! In: a state directory, open or not. Out: a tree of hard links to its files, which stay as they are until this is dropped.
//! Left out: what is made again by itself (search indexes, staging) and SQLite's logs.
//!
//! *How a database is held.* Its log is copied into the file and emptied; then a read transaction begins. If the log is still
//! empty at that moment, the transaction reads the file alone, and SQLite lets no checkpoint write into the file until it ends:
//! later commits gather in the log. So the file is one committed state, and it is not copied anywhere. If a commit came in
//! between, it is tried again. Sealed databases are held and linked as they lie on the disk: the backup cannot read them.
//!
//! *How files are held.* Content files never change; they come and go. They are linked before the databases are held and
//! again afterwards, so that whatever a held row names is among them. Small files are replaced by renaming, and a link keeps
//! the one that it was made of.
//!
//! ```text
//! TREE/server.sqlite, queue.sqlite, …
//! TREE/accounts/ID/account.sqlite, blobs/…
//! ```

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::account::{AccountId, Census};
use crate::db::open::connect;
use crate::place::Place;
use crate::{Error, Result, files};

/// How often a database is tried that is written to at that very moment.
const TRIES: u32 = 200;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a checkpoint waits for readers and for the writer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A state directory held still; dropping it lets go and removes the tree.
#[derive(Debug)]
pub struct Frozen {
    tree: PathBuf,
    accounts: Vec<(AccountId, Connection)>,
    others: Vec<Connection>,
}

impl Frozen {
    /// Holds `state_dir` still. `tree` lies in it and is made anew.
    ///
    /// # Errors
    /// `Temporary` where a database is too busy, or the file system knows no hard links; `DiskFull`, `Corrupt`.
    pub fn take(state_dir: &Place, tree: &Path) -> Result<Frozen> {
        let state_dir = state_dir.clone().admit()?;
        remove(tree)?;
        let mut frozen = Frozen { tree: tree.to_owned(), accounts: Vec::new(), others: Vec::new() };
        let mut found = Found::default();
        found.walk(state_dir.path(), Path::new(""), tree)?;
        frozen.link(state_dir.path(), &found.files)?;
        for name in &found.databases {
            let connection = hold(&state_dir.join(name))?;
            match account_of(name) {
                Some(account) => frozen.accounts.push((account, connection)),
                None => frozen.others.push(connection),
            }
        }
        frozen.link(state_dir.path(), &found.databases)?;
        let mut later = Found::default();
        later.walk(state_dir.path(), Path::new(""), tree)?;
        frozen.link(state_dir.path(), &later.files)?;
        Ok(frozen)
    }

    /// Where the links are.
    pub fn tree(&self) -> &Path {
        &self.tree
    }

    /// What each account holds.
    ///
    /// # Errors
    /// `Corrupt` or `Temporary` when a database cannot be read.
    pub fn census(&self) -> Result<Vec<(AccountId, Census)>> {
        self.accounts.iter().map(|(id, connection)| Ok((*id, Census::of(connection)?))).collect()
    }

    /// Links files that are not linked yet; what is gone meanwhile is not missed.
    fn link(&self, state_dir: &Path, names: &[PathBuf]) -> Result<()> {
        for name in names {
            let (from, to) = (state_dir.join(name), self.tree.join(name));
            if let Some(parent) = to.parent() {
                std::fs::create_dir_all(parent).map_err(|error| files::at(parent, &error))?;
            }
            match std::fs::hard_link(&from, &to) {
                Ok(()) => {}
                Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => {}
                Err(error) => return Err(files::at(&from, &error)),
            }
        }
        Ok(())
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.accounts.clear();
        self.others.clear();
        if let Err(error) = remove(&self.tree) {
            tracing::warn!(%error, "the links of a backup stay until the next one");
        }
    }
}

/// Files of a state directory, by their names in it.
#[derive(Debug, Default)]
struct Found {
    databases: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl Found {
    fn walk(&mut self, root: &Path, below: &Path, tree: &Path) -> Result<()> {
        let directory = root.join(below);
        let entries = match std::fs::read_dir(&directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(|error| files::at(&directory, &error))?,
        };
        for entry in entries {
            let entry = entry.map_err(|error| files::at(&directory, &error))?;
            let (name, kind) = (below.join(entry.file_name()), entry.file_type());
            let kind = kind.map_err(|error| files::at(&entry.path(), &error))?;
            if entry.path() == tree || is_left_out(&entry.file_name()) {
                continue;
            }
            if kind.is_dir() {
                self.walk(root, &name, tree)?;
            } else if kind.is_file() {
                let is_database = name.extension() == Some(OsStr::new("sqlite"));
                if is_database { &mut self.databases } else { &mut self.files }.push(name);
            }
        }
        Ok(())
    }
}

/// What is made again by itself, or is of this moment only.
fn is_left_out(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let is_index = name.starts_with("search-") && name.ends_with(".sqlite");
    let is_of_the_moment = ["-wal", "-shm", "-journal", ".new"].iter().any(|ending| name.ends_with(ending));
    is_index || is_of_the_moment || matches!(&*name, "staging" | "lock" | "drill")
}

/// `accounts/ID/account.sqlite`
fn account_of(name: &Path) -> Option<AccountId> {
    let mut parts = name.iter().map(OsStr::to_str);
    let (accounts, id, file) = (parts.next()??, parts.next()??, parts.next()??);
    (accounts == "accounts" && file == "account.sqlite").then_some(())?;
    id.parse().ok().map(AccountId)
}

/// Begins a transaction that reads the file without the log.
fn hold(place: &Place) -> Result<Connection> {
    let connection = connect(place, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(PATIENCE)?;
    for _ in 0..TRIES {
        let is_busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if !is_busy {
            connection.execute_batch("BEGIN")?;
            // The transaction begins with its first look.
            let _: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
            if is_log_empty(place.path()) {
                return Ok(connection);
            }
            connection.execute_batch("ROLLBACK")?;
        }
        std::thread::sleep(PAUSE);
    }
    Err(Error::Temporary(format!("{}: it is too busy to be held still", place.path().display())))
}

fn is_log_empty(database: &Path) -> bool {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(log).is_ok_and(|log| log.len() == 0)
}

fn remove(tree: &Path) -> Result<()> {
    match std::fs::remove_dir_all(tree) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(files::at(tree, &error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::account::Flags;
    use crate::{Delivery, Inspection, Store};

    fn deliver(store: &Store, number: u64) {
        let mut staging = store.stage();
        let body = format!("{number:x}").repeat(if number.is_multiple_of(7) { 60_000 } else { 100 });
        staging.write(format!("Subject: {number}\r\n\r\n{body}\r\n").as_bytes()).expect("written");
        let message = Arc::new(staging.finish().expect("staged"));
        let delivery = Delivery {
            account: AccountId(if number.is_multiple_of(2) { 1 } else { 2 }),
            mailbox: None,
            flags: Flags::default(),
            internal_date: jiff::Timestamp::now(),
        };
        assert!(store.deliver(&message, &[delivery]).iter().all(Result::is_ok));
    }

    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).expect("made");
        for entry in std::fs::read_dir(from).expect("listed") {
            let entry = entry.expect("an entry");
            let to = to.join(entry.file_name());
            if entry.file_type().expect("a type").is_dir() {
                copy(&entry.path(), &to);
            } else {
                std::fs::copy(entry.path(), to).expect("copied");
            }
        }
    }

    #[test]
    fn a_copy_of_what_is_held_is_whole_though_mail_arrives() {
        let state = tempfile::tempdir().expect("a directory");
        let place = Place::from(state.path());
        let store = Store::open(&place).expect("opened");
        (0..20).for_each(|number| deliver(&store, number));

        let stop = Arc::new(AtomicBool::new(false));
        let (delivering, until) = (store.clone(), stop.clone());
        let sender = std::thread::spawn(move || {
            (20..)
                .take_while(|_| !until.load(Ordering::Relaxed))
                .inspect(|n| deliver(&delivering, *n))
                .count()
        });
        let frozen = Frozen::take(&place, &state.path().join("frozen")).expect("held");
        let census = frozen.census().expect("counted");
        let restored = tempfile::tempdir().expect("a directory");
        let copied = restored.path().join("state");
        // More mail arrives while it is copied.
        std::thread::sleep(Duration::from_millis(300));
        copy(frozen.tree(), &copied);
        stop.store(true, Ordering::Relaxed);
        assert!(sender.join().expect("joined") > 0, "mail arrived meanwhile");
        drop(frozen);
        assert!(!state.path().join("frozen").exists());

        let inspection = Inspection::of(Place::from(copied.as_path()));
        assert_eq!(census.len(), 2);
        for (id, counted) in census {
            Store::open(Place::from(copied.as_path())).and_then(|store| store.account(id)).expect("opened");
            let account = inspection.account(id).expect("there");
            assert_eq!(account.verify().expect("verified"), Vec::<String>::new());
            assert_eq!(account.census().expect("counted"), counted);
            assert!(counted.messages >= 10);
        }
        // What came later is in the first one, and not in the copy.
        let now: u64 = [1, 2]
            .map(|id| store.account(AccountId(id)).expect("there").census().expect("counted").messages)
            .iter()
            .sum();
        assert!(now > 20);
    }

    #[test]
    fn what_is_of_the_moment_is_left_out() {
        for name in ["staging", "lock", "account.sqlite-wal", "search-3.sqlite", "link.json.new"] {
            assert!(is_left_out(OsStr::new(name)), "{name}");
        }
        for name in ["account.sqlite", "identity.key", "blobs", "search.txt"] {
            assert!(!is_left_out(OsStr::new(name)), "{name}");
        }
    }
}
