//! `store import` as a person uses it: killed in the middle, and with mail that Dovecot and Python wrote.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use postern_store::Inspection;
use postern_store::account::{Account, AccountId, Detail, UidSet};
use postern_store::directory::Directory;
use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_postern-home");
const ANA: &str = "ana@home.example";

/// A state directory with one user, and no daemon.
struct Home {
    directory: TempDir,
}

impl Home {
    fn new() -> Home {
        let directory = tempfile::tempdir().expect("a directory");
        let shown = directory.path().display();
        let config = format!(
            "state_dir = \"{shown}/state\"\nruntime_dir = \"{shown}/run\"\n[listen]\nsmtp = [\"127.0.0.1:0\"]\n[dns]\nresolver = [\"127.0.0.1:9\"]\n"
        );
        fs::write(directory.path().join("home.toml"), config).expect("written");
        fs::create_dir(directory.path().join("state")).expect("made");
        let users = Directory::open(directory.path().join("state").as_path()).expect("a directory of users");
        users.add_domain(&"home.example".parse().expect("a domain")).expect("added");
        users.add_user(&ANA.parse().expect("an address"), "a long pass phrase").expect("added");
        Home { directory }
    }

    fn command(&self, source: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(["store", "import", ANA]).arg(source).args(arguments);
        command.arg("--config").arg(self.directory.path().join("home.toml"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Imports, and gives how many messages came in, and how many were there.
    fn import(&self, source: &Path, arguments: &[&str]) -> (u64, u64) {
        let output = self.command(source, &[arguments, &["--json"]].concat()).output().expect("run");
        assert!(output.status.success(), "{}", text(&output));
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let sum = |field: &str| {
            let mailboxes = report["mailboxes"].as_array().expect("mailboxes").iter();
            mailboxes.map(|mailbox| mailbox[field].as_u64().expect("a number")).sum()
        };
        (sum("messages"), sum("present"))
    }

    fn account(&self) -> Option<Account> {
        let inspection = Inspection::of(self.directory.path().join("state").as_path());
        inspection.account(AccountId(1)).ok()
    }

    fn count(&self) -> u64 {
        let mailboxes = self.account().and_then(|account| account.mailboxes().ok()).unwrap_or_default();
        mailboxes.iter().map(|mailbox| u64::from(mailbox.messages)).sum()
    }

    /// Every message in short: mailbox, subject, flags, seconds.
    fn listed(&self) -> Vec<(String, String, String, i64)> {
        let account = self.account().expect("an account");
        let mut found = Vec::new();
        for mailbox in account.mailboxes().expect("listed") {
            for message in account.messages(mailbox.id, &UidSet::all(), Detail::Summary) {
                let message = message.expect("read");
                let octets = account.read_blob(message.email.blob, 0..u64::MAX).expect("read");
                let octets = String::from_utf8(octets).expect("text");
                assert!(!octets.replace("\r\n", "").contains('\n'), "lines end with CRLF: {octets:?}");
                let mut flags: Vec<String> = postern_store::account::SystemFlags::NAMES
                    .iter()
                    .filter(|(flag, _)| message.flags.system.contains(*flag))
                    .map(|(_, name)| (*name).to_owned())
                    .collect();
                flags.extend(message.flags.keywords.iter().map(|keyword| keyword.as_str().to_owned()));
                let date = message.email.internal_date.as_second();
                found.push((mailbox.name.clone(), octets, flags.join(" "), date));
            }
        }
        assert_eq!(account.verify().expect("checked"), Vec::<String>::new());
        found
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs until there are so many messages, and is killed then; false if it was done before.
fn kill_after(home: &Home, mut process: Child, messages: u64) -> bool {
    let deadline = Instant::now() + Duration::from_secs(30);
    while home.count() < messages {
        assert!(Instant::now() < deadline, "nothing is imported");
        if process.try_wait().expect("waited").is_some() {
            return false;
        }
    }
    process.kill().expect("killed");
    process.wait().expect("ended");
    true
}

fn maildir(messages: u64) -> TempDir {
    let source = tempfile::tempdir().expect("a directory");
    for folder in ["cur", "new", "tmp", ".Work/cur", ".Work/new"] {
        fs::create_dir_all(source.path().join(folder)).expect("made");
    }
    for number in 0..messages {
        let folder = if number % 3 == 0 { ".Work/cur" } else { "cur" };
        let filling = "a line of a letter\n".repeat(if number % 50 == 0 { 5_000 } else { 20 });
        let path = source.path().join(folder).join(format!("{number}.M1P1.host:2,S"));
        fs::write(path, format!("Subject: {number}\n\n{filling}")).expect("written");
    }
    source
}

#[test]
fn an_import_that_is_killed_again_and_again_loses_and_doubles_nothing() {
    const MESSAGES: u64 = 1_500;
    let (home, source) = (Home::new(), maildir(MESSAGES));
    let mut kills = 0;
    for goal in [1, 300, 700, 1_100] {
        let process = home.command(source.path(), &[]).spawn().expect("started");
        kills += u32::from(kill_after(&home, process, goal));
    }
    assert!(kills >= 2, "killed {kills} times only");
    let before = home.count();
    assert_eq!(home.import(source.path(), &["--dry-run"]), (MESSAGES - before, before));
    assert_eq!(home.count(), before, "only counted");
    assert_eq!(home.import(source.path(), &[]), (MESSAGES - before, before));
    let mut subjects: Vec<String> = home.listed().into_iter().map(|(_, octets, ..)| octets).collect();
    subjects.sort();
    subjects.dedup();
    assert_eq!((subjects.len() as u64, home.count()), (MESSAGES, MESSAGES));
    assert_eq!(home.import(source.path(), &[]), (0, MESSAGES));
}

#[test]
fn what_is_no_mail_and_who_is_no_user_is_told_in_one_line() {
    let home = Home::new();
    for (source, arguments) in [("/nonexistent", ["--form", "maildir"]), ("/proc", ["--form", "maildir"])] {
        let output = home.command(Path::new(source), &arguments).output().expect("run");
        assert_eq!((output.status.code(), text(&output).lines().count()), (Some(1), 1), "{}", text(&output));
    }
}

/// Runs a program that writes mail; the packages are in tests/debian-packages.txt.
fn run(program: &mut Command, input: &str) {
    use std::io::Write;
    let mut process = program.stdin(Stdio::piped()).spawn().expect("installed");
    process.stdin.take().expect("piped").write_all(input.as_bytes()).expect("written");
    assert!(process.wait().expect("ended").success(), "{program:?}");
}

/// Mail of Python's module `mailbox`: a Maildir with a folder, and an mbox.
const PYTHON: &str = r#"
import mailbox, os, sys
def fill(box, message_class):
    for number, flags in ((1, "S"), (2, "FR"), (3, "")):
        message = message_class(f"Subject: {number}\n\nFrom here to there.\n\nFrom now on.\n")
        if flags: message.set_flags(flags)
        yield message
root = sys.argv[1]
maildir = mailbox.Maildir(root + "/maildir")
for message in fill(maildir, mailbox.MaildirMessage):
    message.set_subdir("cur"); message.set_date(1700000000)
    maildir.add(message)
folder = maildir.add_folder("Work.2026")
message = mailbox.MaildirMessage("Subject: folder\n\nx\n"); message.set_date(1700000001); folder.add(message)
mbox = mailbox.mbox(root + "/mbox")
for message in fill(mbox, mailbox.mboxMessage):
    if "S" in message.get_flags(): message.set_flags("RO")
    if "F" in message.get_flags(): message.set_flags("FA")
    message.set_from("ana@home.example", (2023, 11, 14, 22, 13, 20, 1, 318, 0))
    mbox.add(message)
mbox.flush()
"#;

#[test]
fn mail_that_python_wrote_comes_in_with_flags_and_dates() {
    let source = tempfile::tempdir().expect("a directory");
    run(Command::new("python3").arg("-").arg(source.path()), PYTHON);
    let octets =
        |number: u32| format!("Subject: {number}\r\n\r\nFrom here to there.\r\n\r\nFrom now on.\r\n");
    let letter = |mailbox: &str, number, flags: &str| {
        (mailbox.to_owned(), octets(number), flags.to_owned(), 1_700_000_000)
    };
    let expected = |mailbox| {
        vec![letter(mailbox, 1, "\\Seen"), letter(mailbox, 2, "\\Answered \\Flagged"), letter(mailbox, 3, "")]
    };
    let home = Home::new();
    assert_eq!(home.import(&source.path().join("maildir"), &[]), (4, 0));
    let mut found = home.listed();
    let folder = found.pop().expect("a message");
    assert_eq!((folder.0.as_str(), folder.3), ("Work/2026", 1_700_000_001));
    found.sort();
    assert_eq!(found, expected("INBOX"));
    let home = Home::new();
    assert_eq!(home.import(&source.path().join("mbox"), &["--form", "mboxo", "--mailbox", "Old"]), (3, 0));
    assert_eq!(home.listed(), expected("Old"));
}

/// Dovecot's own tool on mail of a location, without a server.
struct Dovecot {
    directory: TempDir,
    location: String,
}

impl Dovecot {
    fn new(form: &str) -> Dovecot {
        let directory = tempfile::tempdir().expect("a directory");
        let shown = directory.path().display();
        let location = format!("{form}:{shown}/mail");
        let config = format!(
            "mail_location = {location}\nlog_path = {shown}/log\nbase_dir = {shown}\nssl = no\nmail_uid = nobody\nmail_gid = nogroup\n\
             first_valid_uid = 0\nfirst_valid_gid = 0\nmbox_write_locks = fcntl\nnamespace inbox {{\n inbox = yes\n separator = /\n}}\n"
        );
        fs::write(directory.path().join("dovecot.conf"), config).expect("written");
        // It refuses mail that belongs to root.
        std::os::unix::fs::chown(directory.path(), Some(65_534), Some(65_534)).expect("this test needs root");
        Dovecot { directory, location }
    }

    fn mail(&self) -> PathBuf {
        self.directory.path().join("mail")
    }

    fn doveadm(&self, arguments: &[&str], input: &str) {
        let mut command = Command::new("doveadm");
        command.arg("-c").arg(self.directory.path().join("dovecot.conf")).args(arguments);
        command
            .env("HOME", self.directory.path())
            .env("USER", "nobody")
            .env("TZ", "UTC")
            .stdout(Stdio::null());
        run(&mut command, input);
    }

    fn fill(&self) {
        let body = "\nFrom ana Tue Nov 14 22:13:20 2023\nis in the text.\n>From me\n";
        self.doveadm(&["mailbox", "create", "Grüße"], "");
        for (mailbox, number) in [("INBOX", 1), ("INBOX", 2), ("Grüße", 3)] {
            let letter = format!("Subject: {number}\nFrom: Ana <ana@home.example>\n{body}");
            self.doveadm(&["save", "-m", mailbox], &letter);
        }
        self.doveadm(&["flags", "add", "\\Seen \\Answered $Work", "mailbox", "INBOX", "subject", "2"], "");
    }

    fn check(&self) {
        let begun = jiff::Timestamp::now().as_second();
        self.fill();
        let home = Home::new();
        assert_eq!(home.import(&self.mail(), &[]), (3, 0), "{}", self.location);
        let octets = |number: u32| {
            format!(
                "Subject: {number}\r\nFrom: Ana <ana@home.example>\r\n\r\nFrom ana Tue Nov 14 22:13:20 2023\r\nis in the text.\r\n>From me\r\n"
            )
        };
        let found = home.listed();
        let expected = [("INBOX", 1, ""), ("INBOX", 2, "\\Answered \\Seen $Work"), ("Grüße", 3, "")];
        for ((mailbox, text, flags, date), (name, number, expected)) in found.iter().zip(expected) {
            assert_eq!(
                (mailbox.as_str(), text, flags.as_str()),
                (name, &octets(number), expected),
                "{}",
                self.location
            );
            assert!((begun..=begun + 60).contains(date), "{date} is not {begun}");
        }
    }
}

#[test]
fn a_maildir_that_dovecot_wrote_comes_in() {
    Dovecot::new("maildir").check();
}

#[test]
fn mbox_files_that_dovecot_wrote_come_in() {
    Dovecot::new("mbox").check();
}
