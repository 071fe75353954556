//! Disks that are full, out of inodes or read-only, bits that flip, and migrations that are killed.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use postern_store::account::{AccountId, Append, Detail, Flags, UidSet};
use postern_store::{Error, Store, Timestamp};

use super::disk::{Disk, must};
use super::{Record, deliver, kill_at_each, subjects};

/// A full disk, or one without inodes: deliveries are refused, and go on in the same open store when there is room again.
fn fills_and_goes_on(disk: &Disk, fill: impl Fn(&Path)) {
    let state = disk.mounted.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let store = Store::open(state.as_path()).unwrap();
    let mut record = Record::default();
    deliver(&store, "before").unwrap();
    record.hear("delivered before");
    let filler = disk.mounted.path().join("filler");
    std::fs::create_dir(&filler).unwrap();
    fill(&filler);
    // Every third of these has a file of its own.
    let refused = (0..2_000).find_map(|number| {
        let name = format!("filling-{number}");
        match deliver(&store, &name) {
            Ok(_) => record.hear(&format!("delivered {name}")),
            Err(error) => return Some(error),
        }
        None
    });
    let refused = refused.expect("the disk was not full");
    assert!(matches!(refused, Error::DiskFull(_) | Error::Temporary(_)), "{refused:?}");
    let account = store.account(AccountId(1)).unwrap();
    assert!(subjects(&account).len() >= record.messages.len(), "what is there can be read");
    std::fs::remove_dir_all(&filler).unwrap();
    for number in 0..20 {
        let name = format!("after-{number}");
        deliver(&store, &name).unwrap_or_else(|error| panic!("{name}: {error}"));
        record.hear(&format!("delivered {name}"));
    }
    drop((account, store));
    record.check(&state);
}

#[test]
fn on_a_full_disk_deliveries_are_refused_until_there_is_room() {
    fills_and_goes_on(&Disk::new(), |filler| {
        let mut file = std::fs::File::create(filler.join("file")).unwrap();
        let _ = std::io::copy(&mut std::io::repeat(b'x'), &mut file);
        // A little room is left, in which some deliveries end and others do not.
        let length = file.metadata().unwrap().len();
        file.set_len(length - 3 * 1024 * 1024).unwrap();
    });
}

#[test]
fn without_inodes_deliveries_are_refused_until_there_are_some() {
    fills_and_goes_on(&Disk::with_inodes(256), |filler| {
        let made =
            (0..1_000).take_while(|number| std::fs::write(filler.join(number.to_string()), "").is_ok());
        let made = made.count();
        assert!((10..1_000).contains(&made), "{made} files");
        (0..4).for_each(|number| std::fs::remove_file(filler.join(number.to_string())).unwrap());
    });
}

/// ext4 makes itself read-only after an error of its own (`errors=remount-ro`).
#[test]
fn on_a_disk_that_becomes_read_only_mail_is_read_and_none_is_taken() {
    let mut disk = Disk::new();
    let mut record = Record::default();
    let store = Store::open(disk.mounted.path()).unwrap();
    for number in 0..20 {
        deliver(&store, &format!("before-{number}")).unwrap();
        record.hear(&format!("delivered before-{number}"));
    }
    disk.become_read_only();
    for number in 0..3 {
        let refused = deliver(&store, &format!("refused-{number}")).unwrap_err();
        assert!(matches!(refused, Error::Temporary(_)), "{refused:?}");
    }
    assert_eq!(subjects(&store.account(AccountId(1)).unwrap()).len(), 20);
    drop(store);
    disk.power_on();
    record.check(disk.mounted.path());
}

/// The account as the second schema had it.
fn make_old(directory: &Path) {
    let store = Store::open(directory).unwrap();
    for step in 0..4 {
        deliver(&store, &format!("old-{step}")).unwrap();
    }
    drop(store);
    let database = rusqlite::Connection::open(directory.join("accounts/1/account.sqlite")).unwrap();
    let back = "DROP TABLE email_columns; DROP TABLE acl; DROP TABLE annotation; DROP INDEX removed_kept; ALTER TABLE removed DROP COLUMN kept_since;
        CREATE INDEX removed_moment ON removed (removed_at); DROP TABLE email_fields; PRAGMA user_version = 2;";
    database.execute_batch(back).unwrap();
}

/// The migration from the second schema is killed at each of its writes and flushes; the next start ends it.
#[test]
fn killed_at_every_write_of_a_migration_an_account_is_whole() {
    let mut directories = Vec::new();
    let mut kills = 0;
    for call in ["pwrite64", "fsync,fdatasync"] {
        kills += kill_at_each("make", call, || {
            let directory = tempfile::tempdir().unwrap();
            make_old(directory.path());
            let path = directory.path().to_owned();
            directories.push(directory);
            path
        });
    }
    assert!(kills > 5, "only {kills} kills");
    for directory in &directories {
        let store = Store::open(directory.path()).unwrap();
        assert_eq!(subjects(&store.account(AccountId(1)).unwrap()).len(), 4);
        // These need what the third to the eighth schema brought.
        deliver(&store, "new").unwrap();
        let account = store.account(AccountId(1)).unwrap();
        account.purge_removed(Timestamp::now(), Duration::ZERO).unwrap();
        account.annotate(None, AccountId(1), vec![("/private/note".to_owned(), Some(Vec::new()))]).unwrap();
        assert!(account.shared_with(AccountId(2)).unwrap().is_empty());
    }
}

/// What is read of a message is what came, or `verify` says that it is not.
fn is_right_or_named(directory: &Path) -> bool {
    let store = Store::open(directory).unwrap();
    let Ok(account) = store.account(AccountId(1)) else { return true };
    let is_whole = account.verify().is_ok_and(|damages| damages.is_empty());
    let mut right = 0;
    for mailbox in account.mailboxes().unwrap_or_default() {
        for message in account.messages(mailbox.id, &UidSet::all(), Detail::Summary).flatten() {
            let octets = account.read_blob(message.email.blob, 0..u64::MAX);
            right +=
                usize::from(octets.is_ok_and(|octets| FLIPPED.into_iter().any(|size| noise(size) == octets)));
        }
    }
    let _ = account.index_all();
    let _ = account.find_text(postern_store::search::Field::Text, "flipped");
    right == FLIPPED.len() || !is_whole
}

/// Octets of messages; the last two have files of their own.
const FLIPPED: [usize; 4] = [3_000, 30_000, 100_000, 150_000];

/// A message that is stored as it came, since compressing does not shorten it: nothing but its hash tells a flipped bit.
fn noise(size: usize) -> Vec<u8> {
    let mut state = size as u64;
    let mut message = b"Subject: flipped\r\n\r\n".to_vec();
    message.extend((0..size).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    }));
    message
}

fn copy(from: &Path, to: &Path) {
    must(Command::new("cp").arg("-a").arg(from).arg(to));
}

/// The indexer may hold an account for a moment longer than the store; its logs go with the last who has it open.
fn await_closed(account: &Path) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let logs = ["account.sqlite-wal", "search-1.sqlite-wal"].map(|name| account.join(name));
    while logs.iter().any(|log| log.exists()) {
        assert!(Instant::now() < deadline, "somebody keeps the account open");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Bits are flipped in each kind of file, in many places: nothing panics, and no wrong octets pass for right ones.
#[test]
fn flipped_bits_are_named_or_do_no_harm() {
    let whole = tempfile::tempdir().unwrap();
    let store = Store::open(whole.path()).unwrap();
    let account = store.account(AccountId(1)).unwrap();
    let inbox = account.mailbox_named("INBOX").unwrap().id;
    for size in FLIPPED {
        let mut staging = store.stage();
        staging.write(&noise(size)).unwrap();
        let message = Arc::new(staging.finish().unwrap());
        let append = Append { message, flags: Flags::default(), internal_date: Timestamp::UNIX_EPOCH };
        account.append(inbox, vec![append]).unwrap();
    }
    account.index_all().unwrap();
    drop(account);
    drop(store);
    let account = whole.path().join("accounts/1");
    await_closed(&account);
    let prefixes = std::fs::read_dir(account.join("blobs")).unwrap();
    let blobs = prefixes.flat_map(|prefix| std::fs::read_dir(prefix.unwrap().path()).unwrap());
    let mut files: Vec<_> = blobs.map(|blob| blob.unwrap().path()).collect();
    assert!(!files.is_empty(), "no message has a file");
    files.extend(["account.sqlite", "search-1.sqlite"].map(|name| account.join(name)));
    for file in files {
        let length = std::fs::metadata(&file).unwrap().len();
        for place in 0..12 {
            let damaged = tempfile::tempdir().unwrap();
            copy(&whole.path().join("accounts"), damaged.path());
            let file = damaged.path().join(file.strip_prefix(whole.path()).unwrap());
            let mut octets = std::fs::read(&file).unwrap();
            // Spread over the file, with the first octets, where headers are.
            let at = if place < 4 { place * 13 % length } else { place * (length / 12) + place % 7 };
            octets[usize::try_from(at.min(length - 1)).unwrap()] ^= 1 << (place % 8);
            std::fs::write(&file, octets).unwrap();
            assert!(is_right_or_named(damaged.path()), "{} at {at}", file.display());
        }
    }
}
