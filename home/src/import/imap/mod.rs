//! Mail brought in from another server by IMAP, while the daemon runs.
//!
//! In: a server, a login there, the account of one user. Out: its messages in mailboxes of the same names and uses, with
//! octets, flags, keywords and dates of receipt, and a [`Report`]. Nothing is changed at the server. Refused: a server that cannot show
//! who it is. What is done is kept ([`done`]): the same import again fetches only what is new, also after a crash, and brings
//! nothing in twice.
//!
//! Data flows through the files in this order: [`connection`] speaks, [`value`] reads what comes back, [`mailboxes`] says what is moved
//! where, [`fetch`] moves one mailbox, and here some connections do that side by side. A connection that breaks is made
//! again; Gmail, for one, cuts those that have fetched enough for a day. The servers of the world are reached
//! from home's own line, not through the tunnel.

mod connection;
mod done;
mod fetch;
mod mailboxes;
mod value;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use postern_store::Store;
use postern_store::account::Account;
use rustls::ClientConfig;
use serde::{Deserialize, Serialize};

use super::intake::Intake;
use super::{Imported, Report};
use connection::{Connection, Trouble};
use done::Done;
use fetch::{Mover, Survey};
use mailboxes::Mailbox;

pub use connection::{Secret, Security, Server};

/// Connections that are made anew without a message in between.
const ATTEMPTS: u32 = 6;
/// Before the second attempt; twice as long before each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// How soon a stop is seen in a pause.
const STEP: Duration = Duration::from_millis(100);

/// What is to be moved, and how.
#[derive(Debug)]
pub struct Order {
    /// From where.
    pub server: Server,
    /// Connections at once; at least one.
    pub connections: usize,
    /// Whether anything is changed.
    pub effect: Effect,
}

/// Whether messages are brought in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// They are.
    Done,
    /// They are counted.
    Counted,
}

/// How far an import is; all of it may be read while it runs.
#[derive(Debug, Default)]
pub struct Progress {
    messages: AtomicU64,
    octets: AtomicU64,
    messages_in_all: AtomicU64,
    octets_in_all: AtomicU64,
    is_stopped: AtomicBool,
}

/// [`Progress`] at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Messages that were fetched.
    pub messages: u64,
    /// Their octets.
    pub octets: u64,
    /// Messages that there were to fetch; grows while the mailboxes are looked at.
    pub messages_in_all: u64,
    /// Their octets.
    pub octets_in_all: u64,
}

impl Progress {
    /// How far it is now.
    pub fn extent(&self) -> Extent {
        Extent {
            messages: self.messages.load(Relaxed),
            octets: self.octets.load(Relaxed),
            messages_in_all: self.messages_in_all.load(Relaxed),
            octets_in_all: self.octets_in_all.load(Relaxed),
        }
    }

    /// Has the import end after the messages that are under way.
    pub fn stop(&self) {
        self.is_stopped.store(true, Relaxed);
    }

    fn go_on(&self) -> Result<(), Trouble> {
        if self.is_stopped.load(Relaxed) { Err(Trouble::Stopped) } else { Ok(()) }
    }

    fn behind(&self, messages: u64, octets: u64) {
        self.messages.fetch_add(messages, Relaxed);
        self.octets.fetch_add(octets, Relaxed);
    }

    /// Waits, unless it is stopped.
    fn pause(&self, time: Duration) -> Result<(), Trouble> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.go_on()?;
            std::thread::sleep(STEP);
        }
        self.go_on()
    }
}

/// Moves the mail. Blocks until all is done, and ends early with what was done until then.
///
/// # Errors
/// Whole sentences for the person: the server cannot be reached, does not let in, or the state directory cannot be written.
pub fn import(
    order: &Order,
    tls: &Arc<ClientConfig>,
    store: &Store,
    account: &Account,
    state_dir: &Path,
    progress: &Progress,
) -> Result<Report, String> {
    let Server { host, port, login, .. } = &order.server;
    let at = |trouble: Trouble| format!("{host}:{port}: {trouble}.");
    let done = Done::open(state_dir, account.id(), host, login)
        .map_err(|error| format!("what was brought in before cannot be read: {error}."))?;
    let mut first = Connection::open(&order.server, tls).map_err(at)?;
    let is_gmail = first.can("X-GM-EXT-1");
    let found = mailboxes::list(&mut first, is_gmail).map_err(at)?;
    let mover = Mover { store, done: &done, progress, is_gmail };
    let import = Import { order, tls, account, mover, report: Mutex::default() };
    let work = found.into_iter().map(|mailbox| (mailbox, None)).collect();
    let surveyed = import.side_by_side(Some(first), work, Import::survey);
    if order.effect == Effect::Done {
        import.side_by_side(None, surveyed, Import::bring);
    }
    let mut report = import.report.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.mailboxes.sort_by(|one, other| one.mailbox.cmp(&other.mailbox));
    Ok(report)
}

/// A mailbox, and what of it is still to come.
type Work = (Mailbox, Option<Survey>);

struct Import<'a> {
    order: &'a Order,
    tls: &'a Arc<ClientConfig>,
    account: &'a Account,
    mover: Mover<'a>,
    report: Mutex<Report>,
}

impl Import<'_> {
    /// Has each mailbox dealt with on one of the connections; gives back those that went well.
    fn side_by_side(
        &self,
        mut first: Option<Connection>,
        work: VecDeque<Work>,
        deal: fn(&Self, &mut Option<Connection>, &mut Work) -> Result<(), Trouble>,
    ) -> VecDeque<Work> {
        let workers = self.order.connections.clamp(1, work.len().max(1));
        let (work, dealt) = (Mutex::new(work), Mutex::new(VecDeque::new()));
        let next = || work.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        std::thread::scope(|scope| {
            for _ in 0..workers {
                let mut connection = first.take();
                let (next, dealt) = (&next, &dealt);
                scope.spawn(move || {
                    while let Some(mut one) = next() {
                        match self.patiently(&mut connection, &mut one, deal) {
                            Ok(()) => dealt.lock().unwrap_or_else(PoisonError::into_inner).push_back(one),
                            Err(trouble) => self.lose(format!("{}: {trouble}", one.0.name)),
                        }
                    }
                });
            }
        });
        dealt.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on after a connection broke, as long as that leads anywhere.
    fn patiently(
        &self,
        connection: &mut Option<Connection>,
        work: &mut Work,
        deal: fn(&Self, &mut Option<Connection>, &mut Work) -> Result<(), Trouble>,
    ) -> Result<(), Trouble> {
        let (mut attempt, mut pause) = (1, FIRST_PAUSE);
        loop {
            self.mover.progress.go_on()?;
            let left = work.1.as_ref().map(|survey| survey.new.len());
            match deal(self, connection, work) {
                Err(Trouble::Lost(error)) => {
                    *connection = None;
                    if work.1.as_ref().map(|survey| survey.new.len()) != left {
                        (attempt, pause) = (1, FIRST_PAUSE);
                    }
                    if attempt == ATTEMPTS {
                        return Err(Trouble::Lost(error));
                    }
                    tracing::info!(%error, mailbox = work.0.name, attempt, "import: connection lost");
                    self.mover.progress.pause(pause)?;
                    (attempt, pause) = (attempt + 1, pause * 2);
                }
                outcome => return outcome,
            }
        }
    }

    fn connected<'c>(&self, connection: &'c mut Option<Connection>) -> Result<&'c mut Connection, Trouble> {
        match connection {
            Some(connection) => Ok(connection),
            None => Ok(connection.insert(Connection::open(&self.order.server, self.tls)?)),
        }
    }

    fn survey(&self, connection: &mut Option<Connection>, work: &mut Work) -> Result<(), Trouble> {
        let survey = fetch::survey(self.connected(connection)?, &work.0, self.mover.done)?;
        self.mover.progress.messages_in_all.fetch_add(survey.new.len() as u64, Relaxed);
        self.mover.progress.octets_in_all.fetch_add(survey.octets(), Relaxed);
        if self.order.effect == Effect::Counted {
            let (messages, present) = (survey.new.len() as u64, survey.behind);
            self.add(Report {
                mailboxes: vec![Imported { mailbox: work.0.name.clone(), messages, present }],
                lost: Vec::new(),
            });
        }
        work.1 = Some(survey);
        Ok(())
    }

    fn bring(&self, connection: &mut Option<Connection>, work: &mut Work) -> Result<(), Trouble> {
        let (mailbox, Some(survey)) = work else { return Ok(()) };
        let mut intake = Intake::new(self.account);
        intake.prepare(&mailbox.place)?;
        let outcome = self.mover.bring(self.connected(connection)?, mailbox, survey, &mut intake);
        self.add(intake.into_report());
        outcome
    }

    fn add(&self, more: Report) {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).add(more);
    }

    fn lose(&self, what: String) {
        self.add(Report { mailboxes: Vec::new(), lost: vec![what] });
    }
}
