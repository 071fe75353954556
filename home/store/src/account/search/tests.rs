use std::path::Path;

use super::super::{AccountId, Append, Expunge, Flags};
use super::*;
use crate::seal::tests::state_dir;
use crate::{Store, Timestamp};

const INDEX: &str = "accounts/1/search-1.sqlite";

struct Fixture {
    store: Store,
    account: Account,
}

impl Fixture {
    fn open(directory: &Path) -> Fixture {
        let store = Store::open(state_dir(directory)).unwrap();
        let account = store.account(AccountId(1)).unwrap();
        Fixture { store, account }
    }

    fn append(&self, text: &str) {
        self.append_all([text.to_owned()]);
    }

    fn append_all(&self, texts: impl IntoIterator<Item = String>) {
        let append = |text: String| {
            let mut staging = self.store.stage();
            staging.write(format!("Subject: {text}\r\n\r\n{text}\r\n").as_bytes()).unwrap();
            let message = Arc::new(staging.finish().unwrap());
            Append { message, flags: Flags::default(), internal_date: Timestamp::UNIX_EPOCH }
        };
        self.account.append(self.inbox(), texts.into_iter().map(append).collect()).unwrap();
    }

    fn inbox(&self) -> MailboxId {
        self.account.mailbox_named("INBOX").unwrap().id
    }

    /// What the index names, and what it does not know.
    fn found(&self, needle: &str) -> usize {
        let hits = self.account.find_text(Field::Text, needle).expect("an index");
        self.account.uids_of_hits(self.inbox(), &hits).unwrap().iter().count()
    }
}

/// All of an account but the files of its messages, which stay from one moment to the next.
fn copy_database(from: &Path, to: &Path) {
    for file in ["account.sqlite", "account.sqlite-wal"] {
        let (from, to) = (from.join("accounts/1").join(file), to.join("accounts/1").join(file));
        let _ = std::fs::remove_file(&to);
        if from.exists() {
            std::fs::copy(from, to).unwrap();
        }
    }
    let _ = std::fs::remove_file(to.join("accounts/1/account.sqlite-shm"));
}

#[test]
fn an_index_that_is_newer_than_its_account_hides_no_new_mail() {
    let (directory, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::create_dir_all(backup.path().join("accounts/1")).unwrap();
    let fixture = Fixture::open(directory.path());
    fixture.append("first");
    drop(fixture);
    copy_database(directory.path(), backup.path());
    let fixture = Fixture::open(directory.path());
    (0..3).for_each(|number| fixture.append(&format!("after {number}")));
    fixture.account.index_all().unwrap();
    assert_eq!(fixture.found("after"), 3);
    drop(fixture);
    copy_database(backup.path(), directory.path());
    let fixture = Fixture::open(directory.path());
    (0..4).for_each(|number| fixture.append(&format!("again {number}")));
    assert!(fixture.found("again") >= 4, "before it is indexed");
    fixture.account.index_all().unwrap();
    assert_eq!((fixture.found("again"), fixture.found("after"), fixture.found("first")), (4, 0, 1));
    assert!(!directory.path().join(INDEX).exists(), "the index of the other history is gone");
}

#[test]
fn a_message_that_could_not_be_read_is_read_when_it_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = Fixture::open(directory.path());
    fixture.append(&"seldom ".repeat(20_000));
    fixture.append("other");
    let blobs = directory.path().join("accounts/1/blobs");
    let prefix = std::fs::read_dir(blobs).unwrap().next().unwrap().unwrap().path();
    let file = std::fs::read_dir(prefix).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, "damaged").unwrap();
    fixture.account.index_all().unwrap();
    std::fs::write(&file, whole).unwrap();
    assert_eq!(fixture.found("seldom"), 1);
}

#[test]
fn words_of_deleted_mail_go_when_there_are_more_of_them_than_of_mail() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = Fixture::open(directory.path());
    let count = MOST_DESTROYED + 1;
    let letters =
        |number: u64| number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'g')).collect();
    fixture.append_all((0..count).map(letters));
    fixture.append("last");
    fixture.account.index_all().unwrap();
    let all: UidSet = (1..=u32::try_from(count).unwrap()).filter_map(super::super::Uid::new).collect();
    fixture.account.expunge(fixture.inbox(), Expunge::Exactly(all)).unwrap();
    fixture.account.index_all().unwrap();
    assert_eq!((fixture.found("hhh"), fixture.found("last")), (0, 1));
    let words = fixture.account.0.search.get().unwrap().words().unwrap();
    assert!(words < 10, "{words} words of one message");
    assert!(!directory.path().join(INDEX).exists());
}

#[test]
fn whoever_gives_an_index_up_late_leaves_the_next_one_alone() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = Fixture::open(directory.path());
    fixture.append("one");
    fixture.account.index_all().unwrap();
    let search = &fixture.account.0.search;
    let (first, damaged) = (search.get().unwrap(), Error::Corrupt("damaged".to_owned()));
    search.give_up(&first, &damaged);
    fixture.account.index_all().unwrap();
    search.give_up(&first, &damaged);
    let other = Error::Temporary("no memory".to_owned());
    search.give_up(&search.get().unwrap(), &other);
    assert_eq!(fixture.found("one"), 1);
    assert_eq!(search.numbers().unwrap(), [2]);
}

/// The database of the mail is damaged: its index is not to blame.
#[test]
fn an_index_stays_when_the_account_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = Fixture::open(directory.path());
    fixture.append("one");
    fixture.account.index_all().unwrap();
    let root = "SELECT rootpage FROM sqlite_schema WHERE name = 'email_tombstone'";
    let page = |connection: &Connection| Ok::<_, Error>(connection.query_row(root, [], |row| row.get(0))?);
    let page: u64 = fixture.account.0.database.read(page).unwrap();
    drop(fixture);
    let file = directory.path().join("accounts/1/account.sqlite");
    let file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0xa5; 4096], (page - 1) * 4096).unwrap();
    let fixture = Fixture::open(directory.path());
    let error = fixture.account.index_all().unwrap_err();
    assert!(matches!(error, Error::Corrupt(_)), "{error}");
    assert_eq!(fixture.account.0.search.numbers().unwrap(), [1]);
}
