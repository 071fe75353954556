//! Runs the transcripts in `proto/imap/transcripts` against the core and a real store in a temporary directory.
//!
//! A transcript's lines:
//!
//! | line | meaning |
//! |---|---|
//! | `C: text` | the client sends the line; `{x.eml}` stands for the octets of `messages/x.eml` in braces |
//! | `L: x.eml` | the client sends the octets of the message |
//! | `S: text` | the server's next line; `…` stands for anything, `«x»` for something that later lines name so |
//! | `B: x.eml` | the server's next octets are the message |
//! | `C2:`, `S2:`, … | the same with a second connection, of the user who logs in there: `ana`, `bo` or `cy` |
//! | `Q: 10240` | the operator limits the account to so many octets, and INBOX to one message |
//! | `D: x.eml` | the message is delivered to INBOX by another hand |
//! | `Z: on`, `Z: off` | from here on the client compresses, and expects it; or not |
//! | `X:` | the server has closed the connection |
//! | `# text` | a remark |
//!
//! Every transcript runs with its input whole, and once more octet by octet: the answers must be the same.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use postern_imap::request::{Answer, Request};
use postern_imap::types::MailboxName;
use postern_imap::{Config, Output, Session};
use postern_sasl::Verdict;
use postern_store::account::{Account, AccountId, Append, Flags, Limits, QuotaRoot};
use postern_store::directory::Directory;
use postern_store::{Store, Timestamp};

mod rights;
mod watching;

use super::backend::Backend;

/// Ana, Bo and Cy of home.example, in this order; nobody changes it, so all tests share it.
static DIRECTORY: LazyLock<(Directory, tempfile::TempDir)> = LazyLock::new(|| {
    let state_dir = tempfile::tempdir().expect("a temporary directory");
    let directory = Directory::open(state_dir.path()).expect("a directory");
    let domain = "home.example".parse().expect("a domain");
    directory.add_domain(&domain).expect("added");
    for (number, name) in (1..).zip(["ana", "bo", "cy"]) {
        let address = format!("{name}@home.example").parse().expect("an address");
        let user = directory.add_user(&address, "a password for the tests").expect("added");
        assert_eq!(user.account, AccountId(number));
    }
    (directory, state_dir)
});

/// The account of who logs in by this name, before the domain.
fn account_of(login: &str) -> AccountId {
    let user = DIRECTORY.0.user_by_login(&format!("{login}@home.example"));
    user.map_or(AccountId(1), |user| user.account)
}

fn backend(store: &Store, account: AccountId) -> Backend {
    Backend::new(store.clone(), DIRECTORY.0.clone(), store.account(account).expect("an account"))
}

/// How the client's octets arrive.
#[derive(Clone, Copy)]
enum Arrival {
    Whole,
    Single,
}

struct World {
    store: Store,
    account: Account,
    connections: BTreeMap<u8, Connection>,
    /// What `«x»` stands for.
    named: BTreeMap<String, String>,
    arrival: Arrival,
    directory: tempfile::TempDir,
}

struct Connection {
    session: Session,
    backend: Option<Backend>,
    received: Vec<u8>,
    closed: bool,
    deflate: Option<(Compress, Decompress)>,
}

impl World {
    fn new(arrival: Arrival) -> World {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = Store::open(directory.path()).expect("a store");
        let account = store.account(AccountId(1)).expect("an account");
        World { store, account, connections: BTreeMap::new(), named: BTreeMap::new(), arrival, directory }
    }

    fn connection(&mut self, number: u8) -> &mut Connection {
        let config = Config { max_message: 10_000, ..Config::default() };
        self.connections.entry(number).or_insert_with(|| Connection {
            session: Session::new(config, Instant::now()),
            backend: None,
            received: Vec::new(),
            closed: false,
            deflate: None,
        })
    }

    fn send(&mut self, number: u8, octets: &[u8]) {
        self.connection(number);
        let octets = &self.connection(number).deflated(octets);
        let size = match self.arrival {
            Arrival::Whole => octets.len(),
            Arrival::Single => 1,
        };
        for piece in octets.chunks(size.max(1)) {
            self.connection(number).session.handle_input(piece, Instant::now());
            self.pump(number);
        }
        self.tell_others(number);
    }

    /// Other connections hear of changes only between their commands.
    fn tell_others(&mut self, but: u8) {
        let others: Vec<u8> = self.connections.keys().copied().filter(|number| *number != but).collect();
        for number in others {
            self.connection(number).session.handle_change();
            self.pump(number);
        }
    }

    fn pump(&mut self, number: u8) {
        let store = self.store.clone();
        let connection = self.connection(number);
        loop {
            match connection.session.poll() {
                Output::Send(octets) => connection.receive(octets),
                Output::Request(request) => connection.answer(request, &store),
                Output::Wait { .. } => return,
                Output::Close => {
                    connection.closed = true;
                    return;
                }
            }
        }
    }

    fn deliver(&mut self, octets: &[u8]) {
        let mut staging = self.store.stage();
        staging.write(octets).expect("staging");
        let message = Arc::new(staging.finish().expect("a message"));
        let inbox = self.account.mailbox_named("INBOX").expect("INBOX").id;
        let append = Append { message, flags: Flags::default(), internal_date: Timestamp::UNIX_EPOCH };
        self.account.append(inbox, vec![append]).expect("delivered");
        self.tell_others(0);
    }

    fn limit(&mut self, octets: u64) {
        let inbox = self.account.mailbox_named("INBOX").expect("INBOX").id;
        let limits = Limits { octets: Some(octets), messages: None };
        self.account.set_quota(QuotaRoot::Account, limits).expect("a limit");
        let limits = Limits { octets: None, messages: Some(1) };
        self.account.set_quota(QuotaRoot::Mailbox(inbox), limits).expect("a limit");
    }

    fn run_line(&mut self, line: &str) -> Result<(), String> {
        let (kind, text) = line.split_once(':').ok_or("not a transcript line")?;
        let text = text.strip_prefix(' ').unwrap_or(text);
        let (kind, number) = match kind.split_at(1) {
            (kind, "") => (kind, 1),
            (kind, number) => (kind, number.parse().map_err(|_| "not a connection's number")?),
        };
        let text = &with_named(text, &self.named);
        match kind {
            "C" => self.send(number, format!("{}\r\n", with_sizes(text)).as_bytes()),
            "L" => self.send(number, &message(text)),
            "D" => self.deliver(&message(text)),
            "Q" => self.limit(text.parse().map_err(|_| "not a number")?),
            "S" => return self.expect_line(number, &with_sizes(text)),
            "B" => return self.expect_octets(number, &message(text)),
            "Z" => self.connection(number).compress(text)?,
            "X" if self.connection(number).closed => {}
            "X" => return Err("still open".to_owned()),
            _ => return Err("not a transcript line".to_owned()),
        }
        Ok(())
    }

    fn expect_line(&mut self, number: u8, expected: &str) -> Result<(), String> {
        self.pump(number);
        let received = &mut self.connection(number).received;
        let end = received.windows(2).position(|pair| pair == b"\r\n");
        let end = end.ok_or_else(|| format!("no line came, only {}", received.escape_ascii()))?;
        let line: Vec<u8> = received.drain(..end + 2).collect();
        let line = String::from_utf8_lossy(line.get(..end).unwrap_or_default()).into_owned();
        if let Some((name, value)) = named(expected, &line) {
            self.named.insert(name, value);
            return Ok(());
        }
        if fits(expected, &line) { Ok(()) } else { Err(format!("got: {line}")) }
    }

    fn expect_octets(&mut self, number: u8, expected: &[u8]) -> Result<(), String> {
        let received = &mut self.connection(number).received;
        let found: Vec<u8> = received.drain(..expected.len().min(received.len())).collect();
        if found == expected { Ok(()) } else { Err(format!("got: {}", found.escape_ascii())) }
    }
}

impl Connection {
    fn compress(&mut self, text: &str) -> Result<(), String> {
        self.deflate = match text {
            "on" => Some((Compress::new(Compression::default(), false), Decompress::new(false))),
            "off" => None,
            _ => return Err("neither on nor off".to_owned()),
        };
        Ok(())
    }

    fn deflated(&mut self, octets: &[u8]) -> Vec<u8> {
        let Some((compress, _)) = &mut self.deflate else { return octets.to_vec() };
        let mut out = Vec::with_capacity(octets.len() + 1000);
        compress.compress_vec(octets, &mut out, FlushCompress::Sync).expect("deflated");
        out
    }

    fn receive(&mut self, octets: Vec<u8>) {
        let Some((_, decompress)) = &mut self.deflate else { return self.received.extend(octets) };
        let mut out = Vec::with_capacity(1 << 20);
        decompress.decompress_vec(&octets, &mut out, FlushDecompress::Sync).expect("a DEFLATE stream");
        self.received.extend(out);
    }

    fn answer(&mut self, request: Request, store: &Store) {
        let answer = match request {
            Request::VerifyPassword { password, .. } if password.expose() == "secret" => {
                Answer::Verdict(Verdict::Accepted)
            }
            Request::VerifyPassword { .. } => Answer::Verdict(Verdict::Rejected),
            Request::CloseAccount => {
                self.backend = None;
                Answer::Done
            }
            Request::CountFailure => Answer::FailureCounted,
            Request::OpenAccount { login } => {
                self.backend = Some(backend(store, account_of(&login)));
                Answer::Done
            }
            other => {
                let reads = matches!(other, Request::Changes { .. } | Request::Watch { .. });
                let answer = self.backend.as_mut().expect("logged in").answer(other);
                // What the watch of the account does in the host; it may tell of a change where there was none.
                if !reads {
                    self.session.handle_change();
                }
                answer
            }
        };
        self.session.handle_answer(answer);
    }
}

fn directory() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/proto/imap/transcripts"))
}

fn message(name: &str) -> Vec<u8> {
    let text = std::fs::read_to_string(directory().join("messages").join(name)).expect("a message");
    text.replace('\n', "\r\n").into_bytes()
}

/// Replaces `{x.eml}` by the number of its octets in braces; `{x.eml+}` likewise.
fn with_sizes(text: &str) -> String {
    let Some((before, rest)) = text.split_once('{') else {
        return text.to_owned();
    };
    match rest.split_once(".eml") {
        Some((name, after)) if !name.contains(['}', ' ']) => {
            format!("{before}{{{}{after}", message(&format!("{name}.eml")).len())
        }
        _ => text.to_owned(),
    }
}

/// Replaces each `«x»` that is known.
fn with_named(text: &str, named: &BTreeMap<String, String>) -> String {
    named.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("«{name}»"), value))
}

/// The name in an expected line, and what the line has there.
fn named(expected: &str, line: &str) -> Option<(String, String)> {
    let (before, rest) = expected.split_once('«')?;
    let (name, after) = rest.split_once('»')?;
    let value = line.strip_prefix(before)?.strip_suffix(after)?;
    Some((name.to_owned(), value.to_owned()))
}

/// Whether a line is as expected, `…` standing for anything.
fn fits(expected: &str, line: &str) -> bool {
    let Some((first, rest)) = expected.split_once('…') else {
        return expected == line;
    };
    let Some(mut line) = line.strip_prefix(first) else {
        return false;
    };
    let mut pieces: Vec<&str> = rest.split('…').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some((_, after)) = line.split_once(piece) else {
            return false;
        };
        line = after;
    }
    line.ends_with(last)
}

/// What went differently, each line with its number.
fn run(name: &str, arrival: Arrival) -> Vec<String> {
    let transcript = std::fs::read_to_string(directory().join(name)).expect("a transcript");
    let mut world = World::new(arrival);
    let mut failures = Vec::new();
    for (number, line) in (1..).zip(transcript.lines()) {
        if !line.trim().is_empty() && !line.starts_with('#') {
            let outcome = world.run_line(line);
            failures.extend(outcome.err().map(|problem| format!("{name}:{number}: {line}\n    {problem}")));
        }
    }
    for (number, connection) in &world.connections {
        if !connection.received.is_empty() {
            let rest = connection.received.escape_ascii();
            failures.push(format!("{name}: connection {number} has unexpected output {rest}"));
        }
    }
    failures
}

#[test]
fn transcripts() {
    let files = std::fs::read_dir(directory()).expect("the transcripts");
    let names = files.map(|file| file.expect("a file").file_name().into_string().expect("a name"));
    let names: Vec<String> = names.filter(|name| name.ends_with(".txt")).collect();
    let run_both = |name: &String| [run(name, Arrival::Whole), run(name, Arrival::Single)].concat();
    let failures: Vec<String> = names.iter().flat_map(run_both).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(names.len() >= 10, "only {} transcripts", names.len());
}

/// One message large enough for a file, then a step that fails: nothing may be left of it on the disk.
fn staged_after(failing: impl FnOnce(&Account) -> Request) -> usize {
    let world = World::new(Arrival::Whole);
    let mut backend = backend(&world.store, AccountId(1));
    world.account.create_mailbox("Box", None).expect("a mailbox");
    let staged =
        || std::fs::read_dir(world.directory.path().join("staging")).expect("the staging area").count();
    let mailbox = MailboxName::new("Box");
    let size = 8 * 1024 * 1024;
    for request in [
        Request::AppendBegin { mailbox, size, replaces: None },
        Request::AppendData(vec![b'x'; size as usize]),
    ] {
        assert!(matches!(backend.answer(request), Answer::Done));
    }
    assert_eq!(staged(), 1);
    assert!(matches!(backend.answer(failing(&world.account)), Answer::Refused(_)));
    staged()
}

#[test]
fn a_refused_append_leaves_nothing_staged() {
    let limited = |account: &Account| {
        let limits = Limits { octets: Some(1), messages: None };
        account.set_quota(QuotaRoot::Account, limits).expect("a limit");
    };
    let commit = |account: &Account| {
        limited(account);
        Request::AppendCommit { mailbox: MailboxName::new("Box"), flags: Vec::new(), internal_date: None }
    };
    assert_eq!(staged_after(commit), 0);
    let next = |account: &Account| {
        limited(account);
        Request::AppendNext { size: 1, flags: Vec::new(), internal_date: None }
    };
    assert_eq!(staged_after(next), 0);
    let begin =
        |_: &Account| Request::AppendBegin { mailbox: MailboxName::new("Gone"), size: 1, replaces: None };
    assert_eq!(staged_after(begin), 0);
}
