use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::*;
use crate::account::{Account, AccountId};
use crate::queue::{Content, NewMessage, NewRecipient, Queue, QueueId, Ret};
use crate::{Delivery, Inspection, StagedMessage, Store, Timestamp};

/// Set for a run of all tests of this crate on sealed state directories.
const EVERYWHERE: &str = "POSTERN_TEST_SEALED";
/// In every message: in its subject, address, text and attachment.
const MARKERS: [&str; 4] = ["quincunx-subject", "zeugma@far.example", "syzygy-body", "ouroboros-attachment"];

/// The state directory of a test: a plain path, or sealed where the tests are run so.
pub(crate) fn state_dir(path: &Path) -> Place {
    if std::env::var_os(EVERYWHERE).is_some() { sealed(path) } else { Place::from(path) }
}

pub(super) fn secret() -> Secret {
    Secret::Key(vec![7; 32].into())
}

/// The directory, sealed if it was not.
pub(crate) fn sealed(path: &Path) -> Place {
    if !Envelope::is_in(path) {
        seal(path, &secret(), &mut |_| {}).unwrap();
    }
    Envelope::of(path).unwrap().unwrap().unseal(path, &secret()).unwrap()
}

/// All other tests of this crate, with everything sealed.
#[test]
fn all_tests_pass_on_sealed_directories() {
    if std::env::var_os(EVERYWHERE).is_some() {
        return;
    }
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    // Those of the seal itself, and what does not touch the disk.
    again.args(["--test-threads=4", "--skip", "seal::", "--skip", "structure::", "--skip", "compression::"]);
    // It opens its databases by itself.
    again.args(["--skip", "a_newer_schema_and_a_foreign_file_are_refused_untouched"]);
    let output = again.env(EVERYWHERE, "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// A message that fits into a row, or one for a file.
fn message(filling: usize) -> String {
    let [subject, address, body, attachment] = MARKERS;
    let filling: String =
        (0..filling).map(|number| char::from(b'a' + (number * number % 26) as u8)).collect();
    format!(
        "From: <{address}>\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n{body} {body}\r\n--b\r\n\
         Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename={attachment}.bin\r\n\r\n\
         {attachment} {filling}\r\n--b--\r\n"
    )
}

/// A home that is open, with mail in every place.
pub(super) struct Home {
    store: Store,
    queue: Queue,
    pub(super) account: Account,
}

const SIZES: [usize; 3] = [10, 40_000, 300_000];

impl Home {
    pub(super) fn open(place: &Place) -> Home {
        let store = Store::open(place).unwrap();
        let account = store.account(AccountId(1)).unwrap();
        Home { queue: Queue::open(place).unwrap(), store, account }
    }

    fn stage(&self, size: usize) -> Arc<StagedMessage> {
        let mut staging = self.store.stage();
        staging.write(message(size).as_bytes()).unwrap();
        Arc::new(staging.finish().unwrap())
    }

    pub(super) fn fill(&self) {
        self.fill_with(&SIZES, &[1, 2]);
    }

    /// Messages of these sizes for these accounts and for the queue.
    pub(super) fn fill_with(&self, sizes: &[usize], accounts: &[u32]) {
        for &size in sizes {
            let staged = self.stage(size);
            let delivery = |account| Delivery {
                account: AccountId(account),
                mailbox: None,
                flags: crate::account::Flags::default(),
                internal_date: Timestamp::UNIX_EPOCH,
            };
            let deliveries: Vec<_> = accounts.iter().map(|account| delivery(*account)).collect();
            for answer in self.store.deliver(&staged, &deliveries) {
                answer.unwrap();
            }
            self.queue.enqueue(queued(Content::Staged(&staged))).unwrap();
        }
        self.queue.enqueue(queued(Content::Bytes(message(5).as_bytes()))).unwrap();
        self.account.index_all().unwrap();
    }

    /// All messages of the account, and the queue's.
    pub(super) fn contents(&self) -> Vec<Vec<u8>> {
        let inbox = self.account.mailbox_named("INBOX").unwrap().id;
        let messages =
            self.account.messages(inbox, &crate::account::UidSet::all(), crate::account::Detail::Structure);
        let blobs = messages.map(|message| message.unwrap().email.blob);
        let mut contents: Vec<_> =
            blobs.map(|blob| self.account.read_blob(blob, 0..u64::MAX).unwrap()).collect();
        for summary in self.queue.list(None, 100).unwrap() {
            contents.push(self.queued(summary.id));
        }
        contents
    }

    fn queued(&self, id: QueueId) -> Vec<u8> {
        let mut octets = Vec::new();
        let mut content = self.queue.content(id).unwrap().unwrap();
        std::io::Read::read_to_end(&mut content.file, &mut octets).unwrap();
        octets
    }
}

fn queued(content: Content<'_>) -> NewMessage<'_> {
    NewMessage {
        reverse_path: MARKERS[1].parse().ok(),
        recipients: vec![NewRecipient::new(MARKERS[1].parse().unwrap())],
        sender: None,
        forwarder: None,
        prepend: Vec::new(),
        content,
        smtp_utf8: false,
        envelope_id: None,
        ret: Ret::Headers,
        wishes: Default::default(),
        story: crate::journal::StoryId::of_session("test"),
    }
}

pub(super) fn expected() -> Vec<Vec<u8>> {
    let mut expected: Vec<_> = SIZES.iter().map(|size| message(*size).into_bytes()).collect();
    expected.extend(expected.clone());
    expected.push(message(5).into_bytes());
    expected
}

/// The markers that a search in all octets below a directory finds; compressed files are opened for it.
pub(super) fn found_in(directory: &Path) -> Vec<&'static str> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(found_in(&path));
            continue;
        }
        let mut octets = match std::fs::read(&path) {
            // The index is made behind the mail: files of SQLite's come and go.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            octets => octets.unwrap(),
        };
        octets.extend(zstd::stream::decode_all(octets.as_slice()).unwrap_or_default());
        let is_in = |marker: &&str| memchr::memmem::find(&octets, marker.as_bytes()).is_some();
        found.extend(MARKERS.into_iter().filter(is_in));
        // Names of files by hash tell who has the same message that it is here.
        let hash = crate::hex::hex(&sha2_of(&message(300_000)));
        assert!(!path.to_string_lossy().contains(&hash) || !Envelope::is_in(directory_of(&path)));
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn directory_of(path: &Path) -> &Path {
    path.ancestors().find(|ancestor| Envelope::is_in(ancestor)).unwrap_or(Path::new("/nowhere"))
}

fn sha2_of(text: &str) -> Vec<u8> {
    use sha2::Digest;
    sha2::Sha256::digest(text.as_bytes()).to_vec()
}

#[test]
fn nothing_of_the_mail_is_found_on_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let home = Home::open(&sealed(directory.path()));
    home.fill();
    // A message that is still being received, and databases whose logs are not yet copied.
    let staged = home.stage(200_000);
    assert_eq!(found_in(directory.path()), Vec::<&str>::new());
    assert!(directory.path().join("accounts/1/account.sqlite-wal").metadata().unwrap().len() > 100_000);
    drop(staged);
    drop(home);
    assert_eq!(found_in(directory.path()), Vec::<&str>::new());
    let home = Home::open(&sealed(directory.path()));
    assert_eq!(home.contents(), expected());
    assert_eq!(home.account.verify().unwrap(), Vec::<String>::new());
}

#[test]
fn without_a_seal_everything_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let home = Home::open(&Place::from(directory.path()));
    home.fill();
    let staged = home.stage(200_000);
    let mut all = MARKERS.to_vec();
    all.sort_unstable();
    assert_eq!(found_in(&directory.path().join("staging")), all);
    assert_eq!(found_in(&directory.path().join("queue")), all);
    assert_eq!(found_in(&directory.path().join("accounts/1/blobs")), all);
    drop((staged, home));
    // Terms of the index are cut where a word ends, and what is in a row is compressed: addresses and subjects are seen.
    assert!(!found_in(&directory.path().join("accounts")).is_empty());
}

#[test]
fn a_directory_is_sealed_and_unsealed_with_all_that_is_in_it() {
    let directory = tempfile::tempdir().unwrap();
    Home::open(&Place::from(directory.path())).fill();
    let mut told = Vec::new();
    seal(directory.path(), &secret(), &mut |progress| told.push(progress)).unwrap();
    assert!(told.len() > 4 && told.iter().all(|progress| progress.done <= progress.total), "{told:?}");
    assert_eq!(found_in(directory.path()), Vec::<&str>::new());
    let home = Home::open(&sealed(directory.path()));
    assert_eq!(home.contents(), expected());
    assert_eq!(home.account.verify().unwrap(), Vec::<String>::new());
    home.fill();
    drop(home);

    unseal(directory.path(), &secret(), &mut |_| {}).unwrap();
    let home = Home::open(&Place::from(directory.path()));
    assert_eq!(home.account.verify().unwrap(), Vec::<String>::new());
    assert_eq!(home.contents().len(), 2 * expected().len());
    home.fill();
}

#[test]
fn a_wrong_secret_touches_nothing() {
    let directory = tempfile::tempdir().unwrap();
    Home::open(&sealed(directory.path())).fill();
    let before = octets_below(directory.path());
    let wrong = Secret::Key(vec![8; 32].into());
    let envelope = Envelope::of(directory.path()).unwrap().unwrap();
    assert!(matches!(envelope.unseal(directory.path(), &wrong), Err(SealError::WrongSecret { .. })));
    let phrase = Secret::Passphrase("x".to_owned().into());
    assert!(matches!(envelope.unseal(directory.path(), &phrase), Err(SealError::WrongSecret { .. })));
    assert!(unseal(directory.path(), &wrong, &mut |_| {}).is_err());
    assert!(seal(directory.path(), &wrong, &mut |_| {}).is_err());
    assert!(Store::open(directory.path()).is_err() && Queue::open(directory.path()).is_err());
    assert!(Inspection::of(directory.path()).directory().is_err());
    assert!(octets_below(directory.path()) == before);
}

fn octets_below(directory: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut all = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(octets_below(&path)),
            false => drop(all.insert(path.clone(), std::fs::read(&path).unwrap())),
        }
    }
    all
}

#[test]
fn another_secret_opens_the_same_mail() {
    let directory = tempfile::tempdir().unwrap();
    Home::open(&sealed(directory.path())).fill();
    let phrase = Secret::Passphrase("correct horse battery staple".to_owned().into());
    rekey(directory.path(), &secret(), &phrase).unwrap();
    let envelope = Envelope::of(directory.path()).unwrap().unwrap();
    assert_eq!(envelope.secret_kind(), SecretKind::Passphrase);
    assert!(envelope.unseal(directory.path(), &secret()).is_err());
    let home = Home::open(&envelope.unseal(directory.path(), &phrase).unwrap());
    assert_eq!(home.contents(), expected());
}

/// One account's database, and one message's file, in another's place.
#[test]
fn what_is_put_in_anothers_place_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let place = sealed(directory.path());
    Home::open(&place).fill();
    let accounts = directory.path().join("accounts");
    std::fs::copy(accounts.join("1/account.sqlite"), accounts.join("2/account.sqlite")).unwrap();
    let damages = Inspection::of(&place).account(AccountId(2)).and_then(|account| account.verify());
    assert!(matches!(damages, Err(Error::Corrupt(_))), "{damages:?}");

    let home = Home::open(&place);
    let staged = home.stage(100_000);
    home.queue.enqueue(queued(Content::Staged(&staged))).unwrap();
    drop((staged, home));
    let mut files: Vec<_> = std::fs::read_dir(directory.path().join("queue")).unwrap().collect();
    let (one, two) = (files.remove(0).unwrap().path(), files.remove(0).unwrap().path());
    std::fs::copy(&one, &two).unwrap();
    assert!(StoredFile::open(&one, place.seal()).is_ok());
    assert!(StoredFile::open(&two, place.seal()).is_err());
}

#[test]
fn any_flipped_bit_of_a_file_is_noticed_and_any_cut() {
    let directory = tempfile::tempdir().unwrap();
    let place = sealed(directory.path());
    let path = directory.path().join("00112233445566778899aabbccddeeff-0");
    let plain: Vec<u8> = (0..40_000u32).map(|number| (number % 251) as u8).collect();
    let write = || {
        let file = std::fs::File::options().create(true).truncate(true).read(true).write(true).clone();
        let name = path.file_name().unwrap().to_str().unwrap();
        let mut writer = StoredWriter::named(file.open(&path).unwrap(), place.seal(), name).unwrap();
        std::io::Write::write_all(&mut writer, &plain).unwrap();
        writer.finish().unwrap()
    };
    let read = || StoredFile::open(&path, place.seal()).and_then(|file| file.read_all());
    write();
    assert_eq!(read().unwrap(), plain);
    let sealed = std::fs::read(&path).unwrap();
    for octet in (0..sealed.len()).step_by(97).chain(0..32) {
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.write_all_at(&[sealed[octet] ^ 4], octet as u64).unwrap();
        assert!(read().is_err(), "octet {octet}");
        file.write_all_at(&[sealed[octet]], octet as u64).unwrap();
    }
    // Also where a chunk ends.
    for length in [0, 10, 24, 30, 24 + 16 * 1024 + 16, 24 + 2 * (16 * 1024 + 16), sealed.len() - 1] {
        std::fs::write(&path, &sealed[..length]).unwrap();
        assert!(read().is_err(), "cut to {length}");
    }
}

#[test]
fn any_range_of_a_sealed_file_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let place = sealed(directory.path());
    for size in [0usize, 1, 16_383, 16_384, 16_385, 3 * 16_384, 100_000] {
        let plain: Vec<u8> = (0..size).map(|number| (number % 251) as u8).collect();
        let mut writer = StoredWriter::new(tempfile::tempfile().unwrap(), place.seal()).unwrap();
        plain.chunks(1_000).for_each(|part| std::io::Write::write_all(&mut writer, part).unwrap());
        let file = writer.finish().unwrap();
        assert_eq!(file.size().unwrap(), size as u64);
        assert_eq!(file.read_all().unwrap(), plain);
        for (start, end) in [(0, size), (size / 3, size / 2), (size.saturating_sub(1), size)] {
            let mut part = vec![0; end - start];
            file.read_exact_at(&mut part, start as u64).unwrap();
            assert_eq!(part, plain[start..end]);
        }
        assert!(file.read_exact_at(&mut [0], size as u64).is_err());
        let mut all = Vec::new();
        std::io::Read::read_to_end(&mut StoredReader::new(file), &mut all).unwrap();
        assert_eq!(all, plain);
    }
}

/// A bit in every page of a database, one after the other.
#[test]
fn a_flipped_bit_of_a_database_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let place = sealed(directory.path());
    Home::open(&place).fill();
    let path = directory.path().join("accounts/1/account.sqlite");
    let whole = std::fs::read(&path).unwrap();
    for page in 0..whole.len() / 4096 {
        let octet = page * 4096 + page * 53 % 4096;
        let mut flipped = whole.clone();
        flipped[octet] ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        let account = Inspection::of(&place).account(AccountId(1));
        let damages = account.and_then(|account| account.verify());
        assert!(damages.as_ref().map_or(true, |damages| !damages.is_empty()), "page {page}: {damages:?}");
    }
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(Home::open(&place).contents(), expected());
}

/// More pages in one transaction than the cache holds: SQLite writes frames twice, and counts their checksums anew.
#[test]
fn a_transaction_that_outgrows_the_cache_is_whole() {
    use crate::db::{Database, Durability, Schema};
    static SCHEMA: Schema = Schema {
        name: "test",
        application_id: 0x7465_7374,
        migrations: &[
            "CREATE TABLE entry (id INTEGER PRIMARY KEY, text TEXT, number INTEGER); CREATE INDEX n ON entry (number)",
        ],
        durability: Durability::Everything,
    };
    let directory = tempfile::tempdir().unwrap();
    let place = sealed(directory.path());
    let database = Database::open(place.join("test.sqlite"), &SCHEMA).unwrap();
    database
        .write(|connection| {
            connection.pragma_update(None, "cache_size", 20)?;
            for id in 0..3_000 {
                connection
                    .execute("INSERT INTO entry VALUES (?1, hex(zeroblob(500)), ?1 * 7919 % 3000)", [id])?;
            }
            connection.execute("UPDATE entry SET number = number + 1, text = text || 'x'", [])?;
            Ok::<_, Error>(())
        })
        .unwrap();
    // As after a kill: the log is read anew from the disk.
    for suffix in ["", "-wal"] {
        let name = format!("test.sqlite{suffix}");
        std::fs::create_dir_all(directory.path().join("copy")).unwrap();
        std::fs::copy(directory.path().join(&name), directory.path().join("copy").join(&name)).unwrap();
    }
    drop(database);
    for suffix in ["", "-wal"] {
        let name = format!("test.sqlite{suffix}");
        std::fs::copy(directory.path().join("copy").join(&name), directory.path().join(&name)).unwrap();
    }
    let database = Database::open(place.join("test.sqlite"), &SCHEMA).unwrap();
    let sum: i64 = database
        .read(|connection| {
            Ok::<_, Error>(connection.query_row(
                "SELECT sum(number) FROM entry WHERE length(text) = 1001",
                [],
                |row| row.get(0),
            )?)
        })
        .unwrap();
    assert_eq!(sum, (1..=3_000).sum::<i64>());
    assert_eq!(database.damages().unwrap(), Vec::<String>::new());
}

/// A power cut while the log is copied into the database tears any page, the first one too.
#[test]
fn a_torn_first_page_is_mended_from_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let (from, to) = (directory.path().join("one"), directory.path().join("two"));
    for path in [&from, &to] {
        std::fs::create_dir(path).unwrap();
    }
    let home = Home::open(&sealed(&from));
    home.fill();
    let expected = home.contents();
    let copied = std::process::Command::new("cp").arg("-a").arg(from.join(".")).arg(&to).status().unwrap();
    assert!(copied.success());
    drop(home);
    let database = std::fs::File::options().write(true).open(to.join("accounts/1/account.sqlite")).unwrap();
    assert!(to.join("accounts/1/account.sqlite-wal").metadata().unwrap().len() > 4096);
    database.write_all_at(&[0xa5; 2048], 2048).unwrap();
    drop(database);
    let home = Home::open(&sealed(&to));
    assert_eq!(home.contents(), expected);
    assert_eq!(home.account.verify().unwrap(), Vec::<String>::new());
}

/// As `store export` does: it has a database open and reads nothing just now.
#[test]
fn a_database_that_another_program_reads_is_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    Home::open(&Place::from(directory.path())).fill();
    let path = directory.path().join("accounts/1/account.sqlite");
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let reader = rusqlite::Connection::open_with_flags(&path, flags).unwrap();
    let count = || reader.query_row("SELECT count(*) FROM blob", [], |row| row.get::<_, i64>(0)).unwrap();
    let before = count();
    let refused = seal(directory.path(), &secret(), &mut |_| {});
    assert!(matches!(refused, Err(SealError::Storage(Error::Temporary(_)))), "{refused:?}");
    assert_eq!(count(), before);
    drop(reader);
    seal(directory.path(), &secret(), &mut |_| {}).unwrap();
    assert_eq!(Home::open(&sealed(directory.path())).contents(), expected());
}

#[test]
fn a_file_that_accounts_share_stays_one() {
    let directory = tempfile::tempdir().unwrap();
    Home::open(&Place::from(directory.path())).fill();
    let inodes = || {
        let paths = octets_below(directory.path()).into_keys();
        let files = paths.filter(|path| path.to_string_lossy().contains("/blobs/"));
        let inodes: Vec<_> =
            files.map(|path| std::os::unix::fs::MetadataExt::ino(&path.metadata().unwrap())).collect();
        (inodes.len(), inodes.into_iter().collect::<std::collections::HashSet<_>>().len())
    };
    let before = inodes();
    assert!(before.1 < before.0, "{before:?}");
    seal(directory.path(), &secret(), &mut |_| {}).unwrap();
    assert_eq!(inodes(), before);
    assert_eq!(Home::open(&sealed(directory.path())).contents(), expected());
    unseal(directory.path(), &secret(), &mut |_| {}).unwrap();
    assert_eq!(inodes(), before);
    let hash = crate::hex::hex(&sha2_of(&message(300_000)));
    let named = |path: &PathBuf| path.to_string_lossy().contains(&format!("/blobs/{}/{hash}-", &hash[..2]));
    let names = octets_below(directory.path()).into_keys().filter(named).count();
    assert_eq!(names, 2, "by hash again, though the queue has it too");
    assert_eq!(Home::open(&Place::from(directory.path())).contents(), expected());
}

/// One message's file is gone, and one page of a database is torn: neither command begins.
#[test]
fn a_damaged_directory_is_not_converted_half_way() {
    let directory = tempfile::tempdir().unwrap();
    Home::open(&Place::from(directory.path())).fill();
    let file_of_queue = |directory: &Path| {
        let mut files = std::fs::read_dir(directory.join("queue")).unwrap();
        files.next().unwrap().unwrap().path()
    };
    let refused = |outcome: Result<(), SealError>, name: &str| match outcome {
        Err(SealError::Storage(Error::Corrupt(what))) => assert!(what.contains(name), "{what}"),
        other => panic!("{other:?}"),
    };
    let gone = file_of_queue(directory.path());
    let elsewhere = directory.path().join("elsewhere");
    std::fs::rename(&gone, &elsewhere).unwrap();
    refused(seal(directory.path(), &secret(), &mut |_| {}), gone.file_name().unwrap().to_str().unwrap());
    assert!(Envelope::of(directory.path()).unwrap().is_none());
    std::fs::rename(&elsewhere, &gone).unwrap();
    seal(directory.path(), &secret(), &mut |_| {}).unwrap();

    let torn = directory.path().join("accounts/2/account.sqlite");
    let whole = std::fs::read(&torn).unwrap();
    let mut octets = whole.clone();
    octets[5000] ^= 1;
    std::fs::write(&torn, octets).unwrap();
    refused(unseal(directory.path(), &secret(), &mut |_| {}), "accounts/2/account.sqlite");
    assert_eq!(Envelope::of(directory.path()).unwrap().unwrap().phase(), Phase::Sealed);
    std::fs::write(&torn, whole).unwrap();
    unseal(directory.path(), &secret(), &mut |_| {}).unwrap();
    assert_eq!(Home::open(&Place::from(directory.path())).contents(), expected());
}
