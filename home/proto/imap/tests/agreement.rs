//! Two clients on one mailbox never disagree: a model of a client that knows nothing but what it is told ends with the
//! server's state, however the commands of two of them interleave; and one that comes back after a lost connection is
//! told by QRESYNC what it missed, if it kept to RFC 7162 §6.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use postern_imap::request::{
    Access, Answer, Changes, FlagChange, Flagged, MailboxId, Refusal, Replaced, Request, Snapshot, Stored,
};
use postern_imap::types::{Arrival, DateTime, Flag, Message};
use postern_imap::{Config, Output, Session};
use postern_sasl::Verdict;
use proptest::prelude::*;

/// The mailbox, too simple to be wrong: by UID the flags and when they changed, and what is gone.
#[derive(Debug, Default)]
struct Server {
    mod_seq: u64,
    uid_next: u32,
    messages: BTreeMap<u32, (u64, Vec<Flag>)>,
    gone: Vec<(u64, u32)>,
    /// What goes at the end of the REPLACE that runs; one command runs at a time here.
    replaced: Option<u32>,
}

impl Server {
    fn new() -> Server {
        Server { mod_seq: 1, uid_next: 1, ..Server::default() }
    }

    fn deliver(&mut self) -> u32 {
        self.mod_seq += 1;
        let uid = self.uid_next;
        self.uid_next += 1;
        self.messages.insert(uid, (self.mod_seq, Vec::new()));
        uid
    }

    fn flagged(&self, uid: u32) -> Option<Flagged> {
        let (mod_seq, flags) = self.messages.get(&uid)?;
        Some(Flagged { uid, mod_seq: *mod_seq, flags: flags.clone() })
    }

    fn answer(&mut self, request: Request) -> Answer {
        match request {
            Request::VerifyPassword { .. } => Answer::Verdict(Verdict::Accepted),
            Request::AppendBegin { replaces, .. } => self.begin(replaces),
            Request::OpenAccount { .. } | Request::AppendData(_) | Request::AppendAbort => Answer::Done,
            Request::Open(..) => Answer::Opened(Snapshot {
                mailbox: MailboxId { account: 1, mailbox: 1 },
                object_id: "M1".to_owned(),
                uid_validity: 1,
                uid_next: self.uid_next,
                mod_seq: self.mod_seq,
                uids: self.messages.keys().copied().collect(),
                recent_from: u32::MAX,
                first_unseen: None,
                keywords: Vec::new(),
                access: Access::ReadWrite,
                permanent_flags: Vec::new(),
                new_keywords: false,
            }),
            Request::Changes { since, .. } => Answer::Changes(self.changes(since)),
            Request::Messages { uids, .. } => {
                let found = uids.iter().filter_map(|uid| self.message(*uid)).collect();
                Answer::Messages { found, answered: uids.len() }
            }
            Request::StoreFlags { uids, change, flags, .. } => {
                Answer::Stored(self.store(&uids, change, &flags))
            }
            Request::Expunge { uids, .. } => Answer::Expunged(self.expunge(uids.as_deref())),
            Request::AppendCommit { .. } => self.commit(),
            _ => Answer::Refused(Refusal::Fault),
        }
    }

    fn begin(&mut self, replaces: Option<Replaced>) -> Answer {
        self.replaced = replaces.map(|replaced| replaced.uid);
        match self.replaced.is_none_or(|uid| self.messages.contains_key(&uid)) {
            true => Answer::Done,
            false => Answer::Refused(Refusal::Expunged),
        }
    }

    fn commit(&mut self) -> Answer {
        let uid = self.deliver();
        if let Some(old) = self.replaced.take() {
            self.messages.remove(&old);
            self.gone.push((self.mod_seq, old));
        }
        Answer::Appended { uid_validity: 1, uids: vec![uid] }
    }

    fn changes(&self, since: u64) -> Changes {
        let changed = self.messages.keys().filter_map(|uid| self.flagged(*uid));
        let mut expunged: Vec<u32> =
            self.gone.iter().filter(|(mod_seq, _)| *mod_seq > since).map(|(_, uid)| *uid).collect();
        expunged.sort_unstable();
        Changes {
            mod_seq: self.mod_seq,
            changed: changed.filter(|message| message.mod_seq > since).collect(),
            expunged,
        }
    }

    fn message(&self, uid: u32) -> Option<Message> {
        let (mod_seq, flags) = self.messages.get(&uid)?;
        let date = DateTime { seconds: 0, zone_minutes: 0 };
        Some(Message {
            uid,
            mod_seq: *mod_seq,
            flags: flags.clone(),
            arrival: Some(Arrival { internal_date: date, save_date: date, size: 1 }),
            envelope: None,
            structure: None::<Arc<_>>,
            object_ids: None,
            preview: None,
            header: None,
            octets: None,
        })
    }

    fn store(&mut self, uids: &[u32], change: FlagChange, flags: &[Flag]) -> Stored {
        self.mod_seq += 1;
        for uid in uids {
            let Some((mod_seq, held)) = self.messages.get_mut(uid) else { continue };
            let mut wanted: Vec<Flag> = match change {
                FlagChange::Replace => flags.to_vec(),
                FlagChange::Add => held.iter().chain(flags).cloned().collect(),
                FlagChange::Remove => held.iter().filter(|flag| !flags.contains(flag)).cloned().collect(),
            };
            wanted.sort_by_key(|flag| flag.name().into_owned());
            wanted.dedup();
            if wanted != *held {
                (*mod_seq, *held) = (self.mod_seq, wanted);
            }
        }
        Stored { messages: uids.iter().filter_map(|uid| self.flagged(*uid)).collect(), modified: Vec::new() }
    }

    fn expunge(&mut self, uids: Option<&[u32]>) -> Vec<u32> {
        self.mod_seq += 1;
        let goes = |uid: &u32, flags: &[Flag]| {
            flags.contains(&Flag::Deleted) && uids.is_none_or(|uids| uids.contains(uid))
        };
        let gone: Vec<u32> =
            self.messages.iter().filter(|(uid, (_, flags))| goes(uid, flags)).map(|(uid, _)| *uid).collect();
        for uid in &gone {
            self.messages.remove(uid);
            self.gone.push((self.mod_seq, *uid));
        }
        gone
    }

    fn flags(&self) -> BTreeMap<u32, String> {
        self.messages.iter().map(|(uid, (_, flags))| (*uid, words(flags))).collect()
    }
}

fn words(flags: &[Flag]) -> String {
    let mut names: Vec<String> = flags.iter().map(|flag| flag.name().into_owned()).collect();
    names.sort();
    names.join(" ")
}

/// What the client says that is told between commands.
const NOTIFY: &str = "NOTIFY SET (SELECTED-DELAYED (MessageNew (FLAGS) MessageExpunge FlagChange))";

/// What a client has enabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    CondStore,
    QResync,
    Rev2,
    /// NOTIFY with SELECTED-DELAYED: told between commands, but for removals.
    Notified,
}

/// A client's memory: for each sequence number UID and flags, as far as it was told.
struct Client {
    kind: Kind,
    session: Session,
    memory: Vec<(Option<u32>, Option<String>)>,
    /// RFC 7162 §6: what it would say at SELECT (QRESYNC ...).
    mod_seq: u64,
    /// Numbers in the tagged and untagged responses of the command that runs.
    seen_mod_seq: u64,
    told_highest: Option<u64>,
    /// Whether EXPUNGE and VANISHED are forbidden now (RFC 9051 §7.5.1).
    by_sequence: bool,
    idling: bool,
    tag: u32,
}

impl Client {
    fn new(kind: Kind, server: &mut Server) -> Client {
        let mut client = Client {
            kind,
            session: Session::new(Config::default(), Instant::now()),
            memory: Vec::new(),
            mod_seq: 0,
            seen_mod_seq: 0,
            told_highest: None,
            by_sequence: false,
            idling: false,
            tag: 0,
        };
        client.enter(server, None);
        client
    }

    /// A lost connection, and another one: with QRESYNC the memory is kept, by UID.
    fn reconnect(&mut self, server: &mut Server) {
        let keeps = self.kind == Kind::QResync && self.memory.iter().all(|(uid, _)| uid.is_some());
        self.session = Session::new(Config::default(), Instant::now());
        self.idling = false;
        let since = self.mod_seq;
        if keeps {
            self.enter(server, Some(since));
        } else {
            self.memory.clear();
            self.enter(server, None);
        }
    }

    fn enter(&mut self, server: &mut Server, since: Option<u64>) {
        self.command(server, "LOGIN ana secret");
        match self.kind {
            Kind::Plain => {}
            Kind::CondStore => self.command(server, "ENABLE CONDSTORE"),
            Kind::QResync => self.command(server, "ENABLE QRESYNC"),
            Kind::Rev2 => self.command(server, "ENABLE IMAP4rev2"),
            Kind::Notified => self.command(server, NOTIFY),
        }
        match since {
            Some(since) => self.resync(server, since),
            None => {
                self.command(server, "SELECT INBOX");
                self.learn(server);
            }
        }
    }

    /// What a client does that was away: VANISHED (EARLIER) and FETCH apply to its UIDs, EXISTS tells of new ones.
    fn resync(&mut self, server: &mut Server, since: u64) {
        let old: BTreeMap<u32, Option<String>> =
            self.memory.drain(..).filter_map(|(uid, flags)| Some((uid?, flags))).collect();
        let mut kept = old;
        let known = kept.keys().last().copied().unwrap_or(0);
        let command = format!("SELECT INBOX (QRESYNC (1 {since}))");
        let lines = self.lines(server, &command);
        for line in &lines {
            if let Some(set) = line.strip_prefix("* VANISHED (EARLIER) ") {
                expand(set).into_iter().for_each(|uid| {
                    kept.remove(&uid);
                });
            } else if let Some(Fetched { uid, flags, .. }) = fetched(line) {
                kept.insert(uid.expect("QRESYNC tells UIDs"), flags);
            }
        }
        let exists =
            lines.iter().find_map(|line| line.strip_prefix("* ")?.strip_suffix(" EXISTS")?.parse().ok());
        let exists: usize = exists.expect("EXISTS");
        assert!(kept.len() <= exists, "{kept:?} of {exists} since {since}, known to {known}");
        self.memory = kept.into_iter().map(|(uid, flags)| (Some(uid), flags)).collect();
        self.memory.resize(exists, (None, None));
        for line in &lines {
            self.note_mod_seq(line);
        }
        self.settle_mod_seq();
        self.learn(server);
    }

    /// Asks for what it does not know: UIDs and flags of new messages.
    fn learn(&mut self, server: &mut Server) {
        if self.memory.iter().any(|(uid, flags)| uid.is_none() || flags.is_none()) {
            self.command(server, "FETCH 1:* (UID FLAGS)");
        }
    }

    /// Of what it changes without wanting to hear the result, it must ask again.
    fn forget_silent(&mut self, command: &str, number: usize) {
        if command.contains("UID STORE 3:5 +FLAGS.SILENT") {
            let changed = |uid: &Option<u32>| uid.is_some_and(|uid| (3..=5).contains(&uid));
            self.memory.iter_mut().filter(|(uid, _)| changed(uid)).for_each(|(_, flags)| *flags = None);
        } else if command.contains(".SILENT") {
            self.memory.iter_mut().skip(number - 1).take(1).for_each(|(_, flags)| *flags = None);
        }
    }

    fn command(&mut self, server: &mut Server, command: &str) {
        let word = command.split(' ').next().unwrap_or_default();
        self.by_sequence = ["FETCH", "STORE", "SEARCH"].contains(&word);
        for line in self.lines(server, command) {
            self.apply(&line);
        }
        self.settle_mod_seq();
    }

    fn lines(&mut self, server: &mut Server, command: &str) -> Vec<String> {
        self.tag += 1;
        let line = match command {
            "DONE" => "DONE\r\n".to_owned(),
            command => format!("a{} {command}\r\n", self.tag),
        };
        self.session.handle_input(line.as_bytes(), Instant::now());
        self.pump(server)
    }

    fn pump(&mut self, server: &mut Server) -> Vec<String> {
        let mut output = Vec::new();
        loop {
            match self.session.poll() {
                Output::Send(octets) => output.extend(octets),
                Output::Request(request) => {
                    let answer = server.answer(request);
                    self.session.handle_answer(answer);
                }
                Output::Wait { .. } => break,
                Output::Close => panic!("closed: {}", output.escape_ascii()),
            }
        }
        let text = String::from_utf8(output).expect("text");
        assert!(!text.contains(" BAD "), "{text}");
        text.lines().map(str::to_owned).collect()
    }

    /// The account has changed by another hand; a client in IDLE hears of it at once.
    fn notice(&mut self, server: &mut Server) {
        self.session.handle_change();
        if self.idling || self.kind == Kind::Notified {
            self.by_sequence = !self.idling;
            for line in self.pump(server) {
                self.apply(&line);
            }
            self.settle_mod_seq();
        }
    }

    fn apply(&mut self, line: &str) {
        self.note_mod_seq(line);
        let Some(rest) = line.strip_prefix("* ") else { return };
        if let Some(exists) = rest.strip_suffix(" EXISTS") {
            let exists: usize = exists.parse().expect("a number");
            assert!(exists >= self.memory.len(), "EXISTS never shrinks: {line}");
            self.memory.resize(exists, (None, None));
        } else if let Some(sequence) = rest.strip_suffix(" EXPUNGE") {
            assert!(!self.by_sequence && self.kind != Kind::QResync, "{line}");
            let sequence: usize = sequence.parse().expect("a number");
            self.memory.remove(sequence - 1);
        } else if let Some(set) = rest.strip_prefix("VANISHED ") {
            assert!(!self.by_sequence && self.kind == Kind::QResync, "{line}");
            for uid in expand(set) {
                let at = self.memory.iter().position(|(held, _)| *held == Some(uid));
                // A message whose UID it has not asked for yet: it only counts.
                let at = at.or_else(|| self.memory.iter().position(|(held, _)| held.is_none()));
                self.memory
                    .remove(at.expect("RFC 7162 §3.2.10.2: only what the client was told of vanishes"));
            }
        } else if let Some(Fetched { sequence, uid, flags, .. }) = fetched(line) {
            let entry = self.memory.get_mut(sequence - 1).expect("FETCH of what EXISTS");
            if let (Some(held), Some(told)) = (entry.0, uid) {
                assert_eq!(held, told, "{line}");
            }
            entry.0 = uid.or(entry.0);
            entry.1 = flags.or(entry.1.take());
        }
    }

    fn note_mod_seq(&mut self, line: &str) {
        if let Some((_, rest)) = line.split_once("[HIGHESTMODSEQ ") {
            self.told_highest = rest.split(']').next().and_then(|number| number.parse().ok());
        }
        if let Some(Fetched { mod_seq: Some(mod_seq), .. }) = fetched(line) {
            self.seen_mod_seq = self.seen_mod_seq.max(mod_seq);
        }
    }

    /// RFC 7162 §6: what the server said last counts, else the largest of what came.
    fn settle_mod_seq(&mut self) {
        let seen = std::mem::take(&mut self.seen_mod_seq);
        self.mod_seq = self.told_highest.take().unwrap_or(self.mod_seq.max(seen));
    }

    fn holds(&self) -> BTreeMap<u32, String> {
        self.memory.iter().filter_map(|(uid, flags)| Some(((*uid)?, flags.clone()?))).collect()
    }
}

/// A FETCH response.
struct Fetched {
    sequence: usize,
    uid: Option<u32>,
    flags: Option<String>,
    mod_seq: Option<u64>,
}

fn fetched(line: &str) -> Option<Fetched> {
    let (sequence, items) = line.strip_prefix("* ")?.split_once(" FETCH (")?;
    let after = |label: &str| items.split_once(label).map(|(_, rest)| rest);
    let number = |text: &str| text.split([' ', ')']).next().and_then(|digits| digits.parse::<u64>().ok());
    let flags = after("FLAGS (").and_then(|rest| rest.split(')').next()).map(|list| {
        let mut names: Vec<&str> = list.split_whitespace().collect();
        names.sort_unstable();
        names.join(" ")
    });
    Some(Fetched {
        sequence: sequence.parse().ok()?,
        uid: after("UID ").and_then(number).map(|uid| uid as u32),
        flags,
        mod_seq: after("MODSEQ (").and_then(number),
    })
}

fn expand(set: &str) -> Vec<u32> {
    let range = |part: &str| {
        let (first, last) = part.split_once(':').unwrap_or((part, part));
        first.parse::<u32>().expect("a UID")..=last.parse().expect("a UID")
    };
    set.split(',').flat_map(range).collect()
}

#[derive(Debug, Clone)]
enum Step {
    Deliver,
    /// A command of a client; `{}` stands for a number that it may use.
    Command(usize, &'static str, usize),
    Idle(usize),
    Reconnect(usize),
}

const COMMANDS: [&str; 16] = [
    "NOOP",
    "FETCH {} FLAGS",
    "FETCH 1:* (UID FLAGS)",
    "UID FETCH 1:* FLAGS",
    "STORE {} +FLAGS (\\Deleted)",
    "STORE {} +FLAGS.SILENT (\\Seen)",
    "STORE {} -FLAGS (\\Seen)",
    "UID STORE 1:4 +FLAGS (\\Flagged)",
    "UID STORE 3:5 +FLAGS.SILENT (\\Deleted)",
    "STORE 1:* FLAGS (\\Answered)",
    "EXPUNGE",
    "UID EXPUNGE 1:3",
    "APPEND INBOX {1+}\r\nx",
    "REPLACE {} INBOX {1+}\r\nx",
    "UID REPLACE 3 INBOX {1+}\r\nx",
    "NOOP",
];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Deliver),
        10 => (0usize..2, prop::sample::select(COMMANDS.to_vec()), 0usize..9)
            .prop_map(|(client, command, number)| Step::Command(client, command, number)),
        1 => (0usize..2).prop_map(Step::Idle),
        1 => (0usize..2).prop_map(Step::Reconnect),
    ]
}

struct World {
    server: Server,
    clients: Vec<Client>,
}

impl World {
    fn perform(&mut self, step: &Step) {
        let before = self.server.mod_seq;
        let actor = match *step {
            Step::Deliver => {
                self.server.deliver();
                None
            }
            Step::Command(at, command, number) => {
                self.command(at, command, number);
                Some(at)
            }
            Step::Idle(at) => {
                let word = if self.clients[at].idling { "DONE" } else { "IDLE" };
                self.clients[at].idling = !self.clients[at].idling;
                self.clients[at].command(&mut self.server, word);
                Some(at)
            }
            Step::Reconnect(at) => {
                self.clients[at].reconnect(&mut self.server);
                Some(at)
            }
        };
        if self.server.mod_seq != before {
            for at in (0..self.clients.len()).filter(|at| Some(*at) != actor) {
                self.clients[at].notice(&mut self.server);
            }
        }
    }

    fn command(&mut self, at: usize, command: &str, number: usize) {
        let client = &mut self.clients[at];
        if client.idling {
            client.idling = false;
            client.command(&mut self.server, "DONE");
        }
        let exists = client.memory.len();
        let needs_one = command.contains("{}") || command.contains("1:*");
        if exists == 0 && needs_one {
            return;
        }
        let number = number % exists.max(1) + 1;
        client.forget_silent(command, number);
        let command = command.replace("{}", &number.to_string());
        client.command(&mut self.server, &command);
        client.learn(&mut self.server);
    }

    fn settle(&mut self) {
        for client in &mut self.clients {
            if std::mem::take(&mut client.idling) {
                client.command(&mut self.server, "DONE");
            }
            client.command(&mut self.server, "NOOP");
            client.learn(&mut self.server);
            client.command(&mut self.server, "NOOP");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn all_clients_end_with_what_the_server_has(
        kinds in prop::collection::vec(
            prop::sample::select(vec![Kind::Plain, Kind::CondStore, Kind::QResync, Kind::Rev2, Kind::Notified]), 2),
        messages in 0usize..6,
        steps in prop::collection::vec(step(), 0..40),
    ) {
        let mut server = Server::new();
        (0..messages).for_each(|_| { server.deliver(); });
        let clients = kinds.iter().map(|kind| Client::new(*kind, &mut server)).collect();
        let mut world = World { server, clients };
        for step in &steps {
            world.perform(step);
        }
        world.settle();
        for client in &world.clients {
            prop_assert_eq!(client.holds(), world.server.flags(), "{:?}", client.kind);
            prop_assert_eq!(client.memory.len(), world.server.messages.len());
        }
    }
}
