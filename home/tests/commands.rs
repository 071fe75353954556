//! The daemon on a temporary directory with ports of the kernel's choice, and the command line that asks it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_postern-home");

/// A running daemon; killed when dropped, so that a failed test leaves nothing behind.
struct Daemon {
    process: Child,
    directory: TempDir,
}

impl Daemon {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        write_config(directory.path(), "");
        let process = start(directory.path());
        Self { process, directory }
    }

    /// Runs a command against this daemon, with a line on standard input.
    fn ask(&self, arguments: &[&str], input: &str) -> Output {
        command(&self.config(), arguments, input)
    }

    /// Runs a command that must succeed and answers in JSON.
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.ask(&[arguments, &["--json"]].concat(), "");
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// Runs a command that must fail; gives its exit code and its one line on standard error.
    fn refusal(&self, arguments: &[&str], input: &str) -> (i32, String) {
        let output = self.ask(arguments, input);
        let (code, message) = (output.status.code().expect("an exit code"), text(&output.stderr));
        assert_eq!(message.lines().count(), 1, "{message}");
        (code, message)
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("home.toml")
    }

    /// Ends the daemon as systemd would and waits for it.
    fn stop(mut self) -> (Option<i32>, TempDir) {
        let process = Pid::from_child(&self.process);
        kill_process(process, Signal::TERM).expect("signalled");
        let status = self.process.wait().expect("ended");
        let directory =
            std::mem::replace(&mut self.directory, tempfile::tempdir().expect("temporary directory"));
        (status.code(), directory)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn write_config(directory: &Path, extra: &str) {
    let shown = directory.display();
    let text = format!(
        "{extra}\nstate_dir = \"{shown}/state\"\nruntime_dir = \"{shown}/run\"\n\
         [listen]\nsmtp = [\"127.0.0.1:0\"]\nsubmissions = [\"127.0.0.1:0\"]\n\
         submission = [\"127.0.0.1:0\"]\nimaps = [\"127.0.0.1:0\"]\npop3s = [\"127.0.0.1:0\"]\nhttps = [\"127.0.0.1:0\"]\n\
         [dns]\nresolver = [\"127.0.0.1:9\"]\n"
    );
    std::fs::write(directory.join("home.toml"), text).expect("written");
}

/// Starts the daemon and waits for the log line that says it is ready.
fn start(directory: &Path) -> Child {
    let mut process = Command::new(PROGRAM)
        .args(["run", "--config"])
        .arg(directory.join("home.toml"))
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut log = BufReader::new(process.stderr.take().expect("piped")).lines();
    let ready = log.by_ref().map_while(Result::ok).find(|line| line.contains("ready"));
    assert!(ready.is_some(), "the daemon ended before it was ready");
    // Keeps reading, so that the daemon never waits for its log.
    std::thread::spawn(move || log.for_each(drop));
    process
}

fn command(config: &Path, arguments: &[&str], input: &str) -> Output {
    let mut process = Command::new(PROGRAM)
        .args(arguments)
        .arg("--config")
        .arg(config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    // A command that reads no input may have closed it.
    let _ = process.stdin.take().expect("piped").write_all(input.as_bytes());
    process.wait_with_output().expect("ended")
}

/// Asks again until it is so, for ten seconds at most.
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).trim_end().to_owned()
}

#[test]
fn domains_users_and_aliases_live_from_add_to_remove_and_through_a_restart() {
    let daemon = Daemon::start();
    assert_eq!(daemon.json(&["domain", "list"]), serde_json::json!([]));
    daemon.json(&["domain", "add", "Home.Example"]);
    let added = daemon.ask(&["user", "add", "ana@home.example"], "correct horse battery\n");
    assert_eq!(text(&added.stdout), "The user ana@home.example is here now.", "{}", text(&added.stderr));
    let password_file = daemon.directory.path().join("password");
    std::fs::write(&password_file, "another password\n").expect("written");
    let file = password_file.to_str().expect("UTF-8");
    assert!(daemon.ask(&["user", "add", "bo@home.example", "--password-file", file], "").status.success());
    daemon.json(&["alias", "add", "family@home.example", "ana@home.example", "bo@home.example"]);

    let domains = daemon.json(&["domain", "list"]);
    assert_eq!(domains[0]["name"], "home.example");
    assert_eq!(domains[0]["users"], 2);
    assert_eq!(domains[0]["dkim_selectors"], serde_json::json!(["r1", "e1"]));
    let table = text(&daemon.ask(&["alias", "list"], "").stdout);
    assert_eq!(
        table,
        "ALIAS                LEADS TO\nfamily@home.example  ana@home.example, bo@home.example"
    );

    let (code, directory) = daemon.stop();
    assert_eq!(code, Some(0), "a clean stop");
    let daemon = Daemon { process: start(directory.path()), directory };
    assert_eq!(daemon.json(&["user", "list"])[1]["address"], "bo@home.example");

    daemon.json(&["user", "remove", "bo@home.example"]);
    assert_eq!(daemon.json(&["alias", "list"])[0]["targets"], serde_json::json!(["ana@home.example"]));
    let (code, message) = daemon.refusal(&["domain", "remove", "home.example"], "");
    assert_eq!(code, 1);
    assert!(message.contains("still has 1 user(s)") && message.contains("--with-users"), "{message}");
    daemon.json(&["domain", "remove", "home.example", "--with-users", "--delete-mail"]);
    assert_eq!(daemon.json(&["user", "list"]), serde_json::json!([]));
}

#[test]
fn mailboxes_are_shared_by_words_and_by_letters() {
    let daemon = Daemon::start();
    assert!(daemon.ask(&["domain", "add", "home.example"], "").status.success());
    for user in ["ana@home.example", "bo@home.example"] {
        assert!(daemon.ask(&["user", "add", user], "correct horse battery\n").status.success());
    }
    let (sent, bo) = ("ana@home.example/Sent", "bo@home.example");
    let said = daemon.ask(&["mailbox", "share", sent, bo, "lookup", "read"], "");
    assert_eq!(text(&said.stdout), "bo@home.example may lookup read ana@home.example/Sent.");
    // What is not named is taken away.
    daemon.json(&["mailbox", "share", sent, bo, "lrs"]);
    daemon.json(&["mailbox", "share", "ana@home.example/INBOX", "anyone", "all"]);
    let table = text(&daemon.ask(&["mailbox", "shares", "ana@home.example"], "").stdout);
    assert_eq!(
        table,
        "MAILBOX                 USER             LETTERS        RIGHTS\n\
         ana@home.example/INBOX  anyone           lrswipkxteacd  all\n\
         ana@home.example/Sent   bo@home.example  lrs            lookup read write-seen"
    );
    daemon.json(&["mailbox", "unshare", sent, bo]);
    let shares = daemon.json(&["mailbox", "shares"]);
    assert_eq!(
        shares,
        serde_json::json!([{"owner": "ana@home.example", "mailbox": "INBOX", "with": "anyone", "rights": "lrswipkxteacd"}])
    );
    for (arguments, expected) in [
        (vec!["unshare", sent, bo], "is not shared with"),
        (vec!["share", "ana@home.example/Nowhere", bo, "lr"], "Nowhere"),
        (vec!["share", "cy@home.example/INBOX", bo, "lr"], "cy@home.example"),
        (vec!["share", sent, "cy@home.example", "lr"], "there is no user"),
        (vec!["share", sent, "ana@home.example", "lr"], "every right already"),
    ] {
        let (code, message) = daemon.refusal(&[&["mailbox"][..], &arguments].concat(), "");
        assert_eq!(code, 1, "{message}");
        assert!(message.contains(expected), "{message}");
    }
    let (code, _) = daemon.refusal(&["mailbox", "share", sent, bo, "reed-it"], "");
    assert_eq!(code, 2);
}

#[test]
fn status_shows_where_home_listens_and_what_is_missing() {
    let daemon = Daemon::start();
    let output = daemon.ask(&["status", "--json"], "");
    assert_eq!(output.status.code(), Some(3), "warnings");
    let status: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(status["link"]["state"], "unjoined");
    assert_eq!(status["listeners"].as_array().expect("a list").len(), 6);
    assert_eq!(status["queued"], 0);
    let warnings = status["warnings"].to_string();
    for expected in ["No edge is joined", "There is no domain", "self-signed"] {
        assert!(warnings.contains(expected), "{warnings}");
    }
    let fingerprint = status["certificate"]["fingerprint"].clone();
    daemon.json(&["domain", "add", "home.example"]);
    let for_people = || text(&daemon.ask(&["status"], "").stdout);
    assert!(for_people().starts_with("host name    mail.home.example\n"), "{}", for_people());
    let old_fingerprint = fingerprint.as_str().expect("text");
    eventually("the certificate follows the name", || !for_people().contains(old_fingerprint));
    assert_eq!(daemon.json(&["queue", "list"]), serde_json::json!([]));
}

#[test]
fn bad_input_is_refused_in_one_line_with_the_right_code() {
    let daemon = Daemon::start();
    daemon.json(&["domain", "add", "home.example"]);
    let cases: [(&[&str], &str, &str); 8] = [
        (&["domain", "add", "home.example"], "", "the domain home.example is here already."),
        (&["user", "add", "ana@other.example"], "a good password\n", "the domain other.example is not here"),
        (
            &["user", "add", "ana@home.example"],
            "short\n",
            "the password is too short: at least 8 characters.",
        ),
        (&["user", "passwd", "eve@home.example"], "a good password\n", "there is no user eve@home.example."),
        (&["user", "remove", "eve@home.example"], "", "there is no user eve@home.example."),
        (
            &["alias", "add", "a@home.example", "a@home.example"],
            "",
            "mail would go round in a circle: a@home.example -> a@home.example.",
        ),
        (&["queue", "show", "17"], "", "there is no message 17 in the queue"),
        (&["join"], "not a code\n", "join code"),
    ];
    for (arguments, input, expected) in cases {
        let (code, message) = daemon.refusal(arguments, input);
        assert_eq!(code, 1, "{arguments:?}: {message}");
        assert!(message.contains(expected), "{arguments:?}: {message}");
    }
    let (code, message) = daemon.refusal(&["user", "add", "no address"], "");
    assert_eq!(code, 2);
    assert!(message.starts_with("postern-home: invalid value 'no address' for"), "{message}");
    let (code, message) = daemon.refusal(&["user", "add", "ana@home.example"], "");
    assert_eq!(code, 2, "{message}");
}

#[test]
fn a_second_daemon_on_the_same_directory_is_refused() {
    let daemon = Daemon::start();
    let (code, message) = daemon.refusal(&["run"], "");
    assert_eq!(code, 1);
    assert!(message.contains("another postern-home uses this state directory (process "), "{message}");
}

/// The number of a schema stands in octets 60 to 63 of a database.
#[test]
fn a_database_of_a_newer_program_is_refused_in_one_line() {
    let (_, directory) = Daemon::start().stop();
    let file = directory.path().join("state/server.sqlite");
    let mut octets = std::fs::read(&file).expect("read");
    octets[60..64].copy_from_slice(&9_999_u32.to_be_bytes());
    std::fs::write(&file, octets).expect("written");
    let refused = command(&directory.path().join("home.toml"), &["run"], "");
    assert_eq!(refused.status.code(), Some(1));
    let refused = text(&refused.stderr);
    let told: Vec<&str> = refused.lines().filter(|line| line.contains("schema")).collect();
    assert!(
        matches!(told.as_slice(), [line] if line.contains("written by a newer version (schema 9999, this program knows up to")),
        "{refused}"
    );
}

#[test]
fn without_a_daemon_the_exit_code_says_so() {
    let directory = tempfile::tempdir().expect("temporary directory");
    write_config(directory.path(), "");
    let output = command(&directory.path().join("home.toml"), &["status"], "");
    assert_eq!(output.status.code(), Some(4));
    assert!(text(&output.stderr).contains("the daemon is not running"), "{}", text(&output.stderr));
}

#[test]
fn the_configuration_is_checked_without_a_daemon() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let config = directory.path().join("home.toml");
    let check = || command(&config, &["config", "check"], "");
    let missing = check();
    assert_eq!(missing.status.code(), Some(2));
    assert!(text(&missing.stderr).contains("there is no such file"));
    write_config(directory.path(), "hostnme = \"mail.home.example\"");
    let misspelt = check();
    assert_eq!(misspelt.status.code(), Some(2));
    assert!(text(&misspelt.stderr).contains("did you mean `hostname`?"), "{}", text(&misspelt.stderr));
    write_config(directory.path(), "hostname = \"mail.home.example\"");
    assert!(check().status.success());
    assert!(!directory.path().join("state").exists(), "checking changes nothing");
}

#[test]
fn completions_and_manual_pages_are_made() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let config = directory.path().join("none.toml");
    let script = command(&config, &["completions", "bash"], "");
    assert!(text(&script.stdout).contains("postern-home"));
    let made = command(&config, &["man", directory.path().to_str().expect("UTF-8")], "");
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert!(directory.path().join("postern-home-user-add.1").exists());
}

/// What home.toml says of the key, and the octets of all files in the state directory.
fn sealed_home(key: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("temporary directory");
    write_config(directory.path(), "");
    let config = directory.path().join("home.toml");
    drop_daemon(start(directory.path()), |_| {
        assert!(command(&config, &["domain", "add", "quincunx.example"], "").status.success());
    });
    let text = std::fs::read_to_string(&config).expect("read");
    std::fs::write(&config, format!("{text}[store]\nkey = \"{key}\"\n")).expect("written");
    (directory, config)
}

fn drop_daemon(mut process: Child, meanwhile: impl FnOnce(&Child)) {
    meanwhile(&process);
    kill_process(Pid::from_child(&process), Signal::TERM).expect("signalled");
    process.wait().expect("ended");
}

fn tells_of_the_domain(state_dir: &Path) -> bool {
    std::fs::read_dir(state_dir).expect("listed").any(|entry| {
        let path = entry.expect("an entry").path();
        let is_in = |octets: Vec<u8>| octets.windows(8).any(|octets| octets == b"quincunx");
        if path.is_dir() { tells_of_the_domain(&path) } else { is_in(std::fs::read(&path).expect("read")) }
    })
}

#[test]
fn a_home_is_sealed_with_a_key_in_a_file() {
    let keys = tempfile::tempdir().expect("temporary directory");
    let key = keys.path().join("store.key");
    let (directory, config) = sealed_home(&format!("file:{}", key.display()));
    let state_dir = directory.path().join("state");
    let refused = command(&config, &["run"], "");
    assert!(
        text(&refused.stderr).contains("`postern-home store seal` seals it"),
        "{}",
        text(&refused.stderr)
    );
    assert!(tells_of_the_domain(&state_dir));

    let sealed = command(&config, &["store", "seal"], "");
    assert!(text(&sealed.stdout).contains("Keep a copy of the key"), "{}", text(&sealed.stderr));
    assert!(!tells_of_the_domain(&state_dir));
    let status = command(&config, &["store", "seal", "--status", "--json"], "");
    assert_eq!(text(&status.stdout).replace(['\n', ' '], ""), r#"{"phase":"sealed","opened_by":"key"}"#);
    drop_daemon(start(directory.path()), |_| {
        let domains = command(&config, &["domain", "list"], "");
        assert!(text(&domains.stdout).contains("quincunx.example"), "{}", text(&domains.stderr));
        assert!(command(&config, &["store", "verify"], "").status.success());
        assert!(!tells_of_the_domain(&state_dir));
        assert!(command(&config, &["domain", "add", "other.quincunx.example"], "").status.success());
        let busy = command(&config, &["store", "unseal"], "");
        assert!(text(&busy.stderr).contains("another postern-home uses"), "{}", text(&busy.stderr));
    });

    let mut killed = start(directory.path());
    assert!(command(&config, &["domain", "add", "third.quincunx.example"], "").status.success());
    killed.kill().expect("killed");
    killed.wait().expect("ended");
    assert!(state_dir.join("server.sqlite-wal").metadata().expect("a log").len() > 0);
    assert!(!tells_of_the_domain(&state_dir));

    let new = keys.path().join("new.key");
    let right = std::fs::read(&key).expect("read");
    std::fs::write(&key, "another key, and long enough to be taken for one").expect("written");
    for arguments in [["run"].as_slice(), &["store", "verify"], &["store", "unseal"]] {
        let refused = command(&config, arguments, "");
        assert_eq!(refused.status.code(), Some(1));
        assert!(text(&refused.stderr).contains("does not open it. Nothing was touched."), "{arguments:?}");
        assert!(text(&refused.stderr).contains(&key.display().to_string()));
    }
    std::fs::write(&key, right).expect("written");
    let new_source = format!("file:{}", new.display());
    let changed = command(&config, &["store", "rekey", "--to", &new_source], "");
    assert!(changed.status.success(), "{}", text(&changed.stderr));
    assert_eq!(command(&config, &["store", "verify"], "").status.code(), Some(1));
    assert!(command(&config, &["store", "verify", "--key", &new_source], "").status.success());
    assert!(command(&config, &["store", "unseal", "--key", &new_source], "").status.success());
    assert!(tells_of_the_domain(&state_dir));
}

#[test]
fn a_home_that_is_locked_serves_nothing_until_the_passphrase_comes() {
    let (directory, config) = sealed_home("passphrase");
    let sealed = command(&config, &["store", "seal"], "correct horse\n");
    assert!(sealed.status.success(), "{}", text(&sealed.stderr));
    let mut process = Command::new(PROGRAM)
        .args(["run", "--config"])
        .arg(&config)
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut log = BufReader::new(process.stderr.take().expect("piped")).lines().map_while(Result::ok);
    assert!(log.any(|line| line.contains("the mail is locked")));
    let status = command(&config, &["status"], "");
    assert_eq!(status.status.code(), Some(1));
    assert!(text(&status.stderr).contains("the mail is locked, and nothing is served"));
    let wrong = command(&config, &["unlock"], "wrong horse\n");
    assert!(text(&wrong.stderr).contains("does not open it"), "{}", text(&wrong.stderr));
    assert!(command(&config, &["unlock"], "correct horse\n").status.success());
    assert!(log.any(|line| line.contains("ready")));
    drop_daemon(process, |_| {
        assert!(text(&command(&config, &["domain", "list"], "").stdout).contains("quincunx.example"));
        assert!(command(&config, &["unlock"], "whatever\n").status.success(), "it is open already");
        assert!(command(&config, &["store", "verify"], "correct horse\n").status.success());
    });
    // It stops while it is locked, too.
    let mut process = Command::new(PROGRAM)
        .args(["run", "--config"])
        .arg(&config)
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut log = BufReader::new(process.stderr.take().expect("piped")).lines().map_while(Result::ok);
    assert!(log.any(|line| line.contains("the mail is locked")));
    kill_process(Pid::from_child(&process), Signal::TERM).expect("signalled");
    assert_eq!(process.wait().expect("ended").code(), Some(0));
    drop(directory);
}

/// One account that cannot be opened: the others' lists are whole, and the command says whose is not.
#[test]
fn a_broken_account_is_named_and_hides_no_other() {
    let daemon = Daemon::start();
    assert!(daemon.ask(&["domain", "add", "home.example"], "").status.success());
    for user in ["ana@home.example", "bo@home.example", "cy@home.example"] {
        assert!(daemon.ask(&["user", "add", user], "correct horse battery\n").status.success());
    }
    daemon.json(&["mailbox", "share", "cy@home.example/INBOX", "ana@home.example", "lr"]);
    let (_, directory) = daemon.stop();
    let broken = directory.path().join("state/accounts/2");
    std::fs::create_dir_all(&broken).expect("made");
    std::fs::write(broken.join("account.sqlite"), [b'x'; 8192]).expect("written");
    let daemon = Daemon { process: start(directory.path()), directory };
    for (command, listed) in
        [(["mailbox", "shares"], "cy@home.example/INBOX"), (["quota", "list"], "cy@home.example")]
    {
        let output = daemon.ask(&command, "");
        let (told, complaint) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{complaint}");
        assert!(told.contains(listed), "{told}");
        assert!(complaint.contains("the account of bo@home.example cannot be read"), "{complaint}");
    }
}

/// What the kernel writes of a process that crashes would hold mail and the key to it.
#[test]
fn the_daemon_leaves_no_core_dump() {
    let daemon = Daemon::start();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.process.id())).expect("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a line");
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
}
