//! The store is killed, and the disk fails under it, while a child process delivers: whatever the child had
//! acknowledged is there afterwards, once, with the right octets, and the account is whole.
//!
//! The child is this same test binary, started with `CHILD` set; it writes a line after each acknowledged step.
//! Faults at a certain system call come from `strace -e inject`; a power cut is a file system in a file that is shut down
//! without flushing its log, which needs root.

#![allow(clippy::unwrap_used, reason = "a test's helpers are tests too")]

mod disk;
mod faults;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use postern_store::account::{Account, AccountId, Detail, Expunge, Flags, Uid, UidSet};
use postern_store::seal::{self, Envelope, Secret};
use postern_store::{Delivery, Error, StagedMessage, Store, Timestamp};

use disk::Disk;

const CHILD: &str = "POSTERN_STORE_CRASH_CHILD";
const DIRECTORY: &str = "POSTERN_STORE_CRASH_DIRECTORY";

/// A message that can be told by its subject; every third is large enough for a file.
fn content(name: &str) -> Vec<u8> {
    let number: usize = name.bytes().map(usize::from).sum();
    let filling = if number.is_multiple_of(3) { 100_000 } else { 2_000 };
    let mut message = format!("Subject: {name}\r\n\r\n").into_bytes();
    message.resize(message.len() + filling, b'x');
    message
}

/// The store of a directory, through its seal if it has one.
fn open(directory: &Path) -> Store {
    match Envelope::of(directory).unwrap() {
        None => Store::open(directory).unwrap(),
        Some(envelope) => Store::open(envelope.unseal(directory, &secret()).unwrap()).unwrap(),
    }
}

fn secret() -> Secret {
    Secret::Key(vec![7; 32].into())
}

fn stage(store: &Store, name: &str) -> Result<Arc<StagedMessage>, Error> {
    let mut staging = store.stage();
    staging.write(&content(name))?;
    Ok(Arc::new(staging.finish()?))
}

fn deliver(store: &Store, name: &str) -> Result<Uid, Error> {
    let delivery = Delivery {
        account: AccountId(1),
        mailbox: None,
        flags: Flags::default(),
        internal_date: Timestamp::UNIX_EPOCH,
    };
    let answer = store.deliver(&stage(store, name)?, &[delivery]).remove(0);
    answer.map(|appended| appended.uid)
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// The child's part; does nothing where this is the parent.
#[test]
fn child() {
    let (Ok(script), Ok(directory)) = (std::env::var(CHILD), std::env::var(DIRECTORY)) else { return };
    // The test harness has begun a line.
    say("");
    if script == "seal" {
        return convert(Path::new(&directory));
    }
    let store = open(Path::new(&directory));
    match script.split_once(' ') {
        Some(("endless", round)) => endless(&store, round),
        Some(("steps", round)) => steps(&store, round),
        Some(("careless", _)) => careless(Path::new(&directory)),
        Some(("make", _)) => {
            store.account(AccountId(1)).unwrap();
            say("finished");
        }
        _ => panic!("unknown script {script}"),
    }
}

/// Seals what is there, and says how far it is.
fn convert(directory: &Path) {
    seal::seal(directory, &secret(), &mut |progress| say(&format!("progress {}", progress.done))).unwrap();
    say("finished");
}

/// Four threads deliver until they are killed.
fn endless(store: &Store, round: &str) {
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for number in 0.. {
                    let name = format!("{round}-{thread}-{number}");
                    deliver(store, &name).unwrap();
                    say(&format!("delivered {name}"));
                }
            });
        }
    });
}

/// What the store would be with `synchronous=NORMAL`: the control of the power cut.
fn careless(directory: &Path) {
    let database = rusqlite::Connection::open(directory.join("careless.sqlite")).unwrap();
    database.pragma_update(None, "journal_mode", "WAL").unwrap();
    database.pragma_update(None, "synchronous", "NORMAL").unwrap();
    database.execute_batch("CREATE TABLE message (number INTEGER)").unwrap();
    for number in 0.. {
        database.execute("INSERT INTO message VALUES (?1)", [number]).unwrap();
        say(&format!("delivered {number}"));
    }
}

/// A few steps of every kind; one that fails is said to have failed and the next one goes on.
fn steps(store: &Store, round: &str) {
    let account = loop {
        match store.account(AccountId(1)) {
            Ok(account) => break account,
            Err(error) => say(&format!("failed open {error}")),
        }
    };
    let inbox = account.mailbox_named("INBOX").unwrap().id;
    let trash = account.mailbox_named("Trash").unwrap().id;
    for step in 0..6 {
        let name = format!("{round}-{step}");
        match deliver(store, &name) {
            Ok(uid) => {
                say(&format!("delivered {name}"));
                if step == 1 {
                    move_and_expunge(&account, inbox, trash, uid, &name);
                }
            }
            Err(error) => say(&format!("failed {name} {error}")),
        }
    }
    say("finished");
}

fn move_and_expunge(
    account: &Account,
    inbox: postern_store::account::MailboxId,
    trash: postern_store::account::MailboxId,
    uid: Uid,
    name: &str,
) {
    // From here on the message may be gone or not until one of the two is acknowledged.
    say(&format!("removing {name}"));
    let moved = account.move_messages(inbox, &[uid].into_iter().collect(), trash);
    match moved.and_then(|_| account.expunge(trash, Expunge::Exactly(UidSet::all()))) {
        Ok(_) => say(&format!("removed {name}")),
        Err(error) => say(&format!("failed removal {error}")),
    }
}

/// What the child said about each message.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Said {
    Delivered,
    Removing,
    Removed,
}

#[derive(Default)]
struct Record {
    messages: BTreeMap<String, Said>,
    failures: usize,
    finished: bool,
}

impl Record {
    fn hear(&mut self, line: &str) {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("delivered", name) => drop(self.messages.insert(name.to_owned(), Said::Delivered)),
            ("removing", name) => drop(self.messages.insert(name.to_owned(), Said::Removing)),
            ("removed", name) => drop(self.messages.insert(name.to_owned(), Said::Removed)),
            ("failed", _) => self.failures += 1,
            ("finished", _) => self.finished = true,
            // The harness speaks too.
            _ => {}
        }
    }

    /// Opens the account and holds it against what was acknowledged.
    fn check(&self, directory: &Path) {
        let store = open(directory);
        let account = store.account(AccountId(1)).unwrap();
        assert_eq!(account.verify().unwrap(), Vec::<String>::new());
        let found = subjects(&account);
        for (name, said) in &self.messages {
            let copies = found.iter().filter(|found| *found == name).count();
            match said {
                Said::Delivered => assert_eq!(copies, 1, "{name} was acknowledged"),
                Said::Removing => assert!(copies <= 1, "{name} was being removed"),
                Said::Removed => assert_eq!(copies, 0, "{name} was removed"),
            }
        }
    }
}

/// The subjects of all messages, whose octets are checked on the way.
fn subjects(account: &Account) -> Vec<String> {
    let mut subjects = Vec::new();
    for mailbox in account.mailboxes().unwrap() {
        for message in account.messages(mailbox.id, &UidSet::all(), Detail::Structure) {
            let email = message.unwrap().email;
            let subject = email.structure.unwrap().envelope.subject.unwrap();
            let subject = String::from_utf8(subject).unwrap();
            assert_eq!(account.read_blob(email.blob, 0..u64::MAX).unwrap(), content(&subject));
            subjects.push(subject);
        }
    }
    subjects
}

/// A command that runs the child, by itself or below strace.
fn child_command(directory: &Path, script: &str, inject: Option<&str>) -> Command {
    let this = std::env::current_exe().unwrap();
    let mut command = match inject {
        None => Command::new(this),
        Some(inject) => {
            let call = inject.split(':').next().unwrap();
            let mut strace = Command::new("strace");
            strace.args(["-f", "-qq", "-o", "/dev/null", "-e"]).arg(format!("trace={call}"));
            strace.arg("-e").arg(format!("inject={inject}")).arg(this);
            strace
        }
    };
    command.args(["--exact", "child", "--nocapture", "--test-threads=1"]);
    command.env(CHILD, script).env(DIRECTORY, directory).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// Runs the script with a fault injected; adds what is said to the record.
fn run(directory: &Path, script: &str, inject: &str, record: &mut Record) {
    let output = child_command(directory, script, Some(inject)).output();
    let output = output.expect("strace is needed for this test (Debian package strace)");
    String::from_utf8_lossy(&output.stdout).lines().for_each(|line| record.hear(line));
}

#[test]
fn killed_at_any_time_nothing_acknowledged_is_lost() {
    killed_at_any_time(&tempfile::tempdir().unwrap());
}

#[test]
fn killed_at_any_time_nothing_sealed_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    seal::seal(directory.path(), &secret(), &mut |_| {}).unwrap();
    killed_at_any_time(&directory);
}

fn killed_at_any_time(directory: &tempfile::TempDir) {
    let mut record = Record::default();
    let mut round = 0u64;
    // On a busy machine a child may be killed before it has done anything; then there are more rounds.
    while round < 12 || (record.messages.len() <= 100 && round < 200) {
        let mut child = child_command(directory.path(), &format!("endless {round}"), None).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reader = std::thread::spawn(move || lines.map_while(Result::ok).collect::<Vec<String>>());
        // Spread over the time of opening, the first commits, and checkpoints of a grown log.
        std::thread::sleep(Duration::from_millis(20 + round * 37 % 300));
        child.kill().unwrap();
        child.wait().unwrap();
        reader.join().unwrap().iter().for_each(|line| record.hear(line));
        record.check(directory.path());
        round += 1;
    }
    assert!(record.messages.len() > 100, "only {} messages were delivered", record.messages.len());
}

/// What changes the disk, as sets for strace.
const CALLS: [&str; 5] = ["pwrite64", "fsync,fdatasync", "link,linkat", "unlink,unlinkat", "mkdir,mkdirat"];

/// Runs a script again and again, killed at its first call of this kind, its second, and so on until it finishes.
/// strace counts the calls of each thread by themselves. `directory` gives the place for each run.
fn kill_at_each(script: &str, call: &str, mut directory: impl FnMut() -> std::path::PathBuf) -> u32 {
    for number in 1..2000 {
        let (directory, mut record) = (directory(), Record::default());
        let inject = format!("{call}:signal=KILL:when={number}");
        run(&directory, &format!("{script} {number}"), &inject, &mut record);
        record.check(&directory);
        if record.finished {
            return number - 1;
        }
    }
    panic!("{script} did not finish before {call} was called 2000 times");
}

#[test]
fn killed_at_every_write_nothing_acknowledged_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    for call in CALLS {
        let kills = kill_at_each("steps", call, || {
            // The account is there before, and empty, so that the calls counted are those of the steps.
            let store = Store::open(directory.path()).unwrap();
            let account = store.account(AccountId(1)).unwrap();
            for name in ["INBOX", "Trash"] {
                let mailbox = account.mailbox_named(name).unwrap().id;
                account.expunge(mailbox, Expunge::Exactly(UidSet::all())).unwrap();
            }
            directory.path().to_owned()
        });
        assert!(kills > 0 || call.starts_with("mkdir"), "{call} was never called");
    }
}

#[test]
fn killed_at_every_write_of_its_making_an_account_is_whole() {
    let mut directories = Vec::new();
    for call in CALLS {
        kill_at_each("make", call, || {
            directories.push(tempfile::tempdir().unwrap());
            directories[directories.len() - 1].path().to_owned()
        });
    }
    assert!(directories.len() > 50, "only {} kills", directories.len());
}

/// A flush or a write that fails is answered as a failure; the store recovers by itself and goes on.
#[test]
fn after_an_error_of_the_disk_the_store_goes_on() {
    for inject in [
        "fsync,fdatasync:error=EIO:when=6",
        "fsync,fdatasync:error=EIO:when=7..9",
        "pwrite64:error=EIO:when=60..62",
        "pwrite64:error=ENOSPC:when=60..63",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let mut record = Record::default();
        run(directory.path(), "steps 0", inject, &mut record);
        assert!(record.finished, "{inject}: the child did not finish");
        assert!(record.failures > 0, "{inject}: nothing failed");
        assert!(record.messages.len() > 1, "{inject}: nothing worked afterwards");
        record.check(directory.path());
    }
}

/// Runs a script until it has said `lines` lines, and cuts the power under it.
fn run_until_power_cut(disk: &mut Disk, script: &str, lines: usize, record: &mut Record) {
    let mut child = child_command(disk.mounted.path(), script, None).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    said.by_ref().take(lines).for_each(|line| record.hear(&line));
    disk.cut_power();
    // Unlike under a real cut the program lives on, and a flush that was under way may be told that all is well: only
    // what was heard before counts.
    said.for_each(drop);
    child.kill().unwrap();
    child.wait().unwrap();
    disk.power_on();
}

#[test]
fn after_a_power_cut_nothing_acknowledged_is_lost() {
    after_a_power_cut(Disk::new());
}

#[test]
fn after_a_power_cut_nothing_sealed_is_lost() {
    let disk = Disk::new();
    seal::seal(disk.mounted.path(), &secret(), &mut |_| {}).unwrap();
    after_a_power_cut(disk);
}

fn after_a_power_cut(mut disk: Disk) {
    let mut record = Record::default();
    for round in 0..4 {
        run_until_power_cut(&mut disk, &format!("endless {round}"), 40 + 30 * round, &mut record);
        record.check(disk.mounted.path());
    }
    assert!(record.messages.len() > 100, "only {} messages were delivered", record.messages.len());
}

/// The power is cut at each word of its progress: what was delivered before is there when it has come to its end.
#[test]
fn after_power_cuts_while_it_is_sealed_nothing_is_lost() {
    let (mut disk, mut record) = (Disk::new(), Record::default());
    let store = Store::open(disk.mounted.path()).unwrap();
    for number in 0..12 {
        let name = format!("before-{number}");
        deliver(&store, &name).unwrap();
        record.hear(&format!("delivered {name}"));
    }
    drop(store);
    let mut cuts = 0;
    while !record.finished {
        // One line for the harness, and one more in each round.
        run_until_power_cut(&mut disk, "seal", 3 + cuts, &mut record);
        cuts += 1;
    }
    assert!(cuts > 3, "only {cuts} cuts");
    assert_eq!(Envelope::of(disk.mounted.path()).unwrap().unwrap().phase(), seal::Phase::Sealed);
    record.check(disk.mounted.path());
}

/// The same cut takes what SQLite says is committed, where it does not flush at each commit: the test above can fail.
#[test]
fn a_power_cut_takes_what_was_not_flushed() {
    let (mut disk, mut record) = (Disk::new(), Record::default());
    run_until_power_cut(&mut disk, "careless -", 200, &mut record);
    let database = rusqlite::Connection::open(disk.mounted.path().join("careless.sqlite")).unwrap();
    let kept =
        database.query_row("SELECT count(*) FROM message", [], |row| row.get::<_, usize>(0)).unwrap_or(0);
    assert!(kept < record.messages.len(), "{kept} of {} were kept", record.messages.len());
}
