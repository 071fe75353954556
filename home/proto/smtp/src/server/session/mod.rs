//! The session: state, limits and the verbs that a shell calls.
//!
//! A shell feeds [`Session::handle_input`], [`Session::handle_timeout`] and [`Session::handle_tls`], and calls
//! [`Session::poll_output`] until it says [`Output::Wait`]. An [`Event`] that is a question stops the session
//! (further input is kept, not read) until the host gives the verdict by the method the event names; so PIPELINING
//! works with answers that take their time. The shell should not read from the peer meanwhile: that bounds the
//! buffer to one read.
//!
//! | phase | input is | leaves by |
//! |---|---|---|
//! | `Commands` | command lines | AUTH → `Authenticating`; STARTTLS → `Handshake`; a question → `Asked`; QUIT → `Closing` |
//! | `Asked` | kept | the verdict → `Commands`, `Data`, `Chunk` or `Authenticating` |
//! | `Authenticating` | one response a line | success, failure or `*` → `Commands`; a question → `Asked` |
//! | `Chunk` | so many octets of the message | the last of them → `Commands`, or `Asked` after `LAST` |
//! | `Data` | message | CRLF `.` CRLF → `Asked`, or → `Commands` when it was refused while it came |
//! | `Handshake` | dropped (RFC 3207 §4.2) | `handle_tls` → `Commands`, all else forgotten |
//! | `Closing` | dropped | |
//!
//! A transaction begins with an accepted MAIL and ends with the message's verdict, RSET, HELO, EHLO, STARTTLS or
//! the end of the session; every end but the verdict is told by [`Event::Abort`].

mod authentication;
mod chunks;
mod config;
mod data;
mod envelope;
mod greeting;
mod lines;
mod output;
mod tls;

use std::{collections::VecDeque, sync::Arc, time::Instant};

use postern_sasl::{ChannelBindings, Exchange};

pub use authentication::AuthVerdict;
pub use config::{FutureRelease, Limits, Role, SessionConfig, Timeouts};
pub use envelope::{BodyType, Envelope};
pub use output::{Event, Output};

use super::{
    command::{
        Chunk,
        dsn::Ret,
        parameters::{Hold, RcptParameters},
        path::{ForwardPath, ReversePath},
    },
    refusal::Refusal,
    reply::Reply,
};
use chunks::{Chunked, IncomingChunk};
use data::Incoming;

/// The server's side of one connection.
#[derive(Debug)]
pub struct Session {
    config: Arc<SessionConfig>,
    client: Client,
    transaction: Option<Envelope>,
    /// What has come of its message by BDAT.
    chunked: Option<Chunked>,
    phase: Phase,

    /// What came and is not consumed.
    input: Vec<u8>,
    /// The line at the start of `input` is too long and is dropped up to its CRLF.
    skipping_line: bool,

    events: VecDeque<Event>,
    replies: Vec<u8>,

    errors: usize,
    authentication_failures: usize,
    /// Octets of chunks that were refused.
    dropped_octets: u64,
    /// Commands that led to nothing since the last message.
    idle_commands: usize,

    /// Since when the session waits for the client; set when it first waits.
    waiting_since: Option<Instant>,
}

/// What is known of the client; forgotten at the TLS handshake.
#[derive(Debug, Default)]
struct Client {
    helo: Option<Helo>,
    transport: Transport,
    bindings: ChannelBindings,
    user: Option<String>,
}

#[derive(Debug)]
struct Helo {
    name: String,
    /// EHLO, not HELO.
    extended: bool,
}

/// Whether octets are readable on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// In clear.
    #[default]
    Clear,
    /// Under TLS.
    Tls,
}

#[derive(Debug)]
enum Phase {
    Commands,
    Asked(Asked),
    Authenticating(Exchange),
    Data(Incoming),
    Chunk(IncomingChunk),
    Handshake(Handshake),
    Closing,
}

/// The question the host has been asked.
#[derive(Debug)]
enum Asked {
    Mail(Envelope),
    Recipient(ForwardPath),
    Data,
    FirstChunk(Chunk),
    Message,
    Password(Exchange),
    ScramKeys(Exchange),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handshake {
    Due,
    Begun,
}

impl Session {
    /// Begins with the greeting (RFC 5321 §3.1).
    pub fn new(config: Arc<SessionConfig>, transport: Transport) -> Session {
        let mut session = Session {
            client: Client { transport, ..Client::default() },
            config,
            transaction: None,
            chunked: None,
            phase: Phase::Commands,
            input: Vec::new(),
            skipping_line: false,
            events: VecDeque::new(),
            replies: Vec::new(),
            errors: 0,
            authentication_failures: 0,
            dropped_octets: 0,
            idle_commands: 0,
            waiting_since: None,
        };
        session.greet();
        session
    }

    /// Takes octets from the client, any number, cut anywhere.
    pub fn handle_input(&mut self, input: &[u8], _now: Instant) {
        match self.phase {
            Phase::Handshake(_) | Phase::Closing => return,
            Phase::Data(_) | Phase::Chunk(_) => self.waiting_since = None,
            Phase::Commands | Phase::Asked(_) | Phase::Authenticating(_) => {}
        }
        self.input.extend_from_slice(input);
        self.process();
    }

    /// Takes note that the deadline has passed (RFC 5321 §4.5.3.2).
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.close_with(&Refusal::Timeout);
        }
    }

    /// Takes note that TLS is up: everything learnt in clear is forgotten (RFC 3207 §4.2).
    pub fn handle_tls(&mut self, _now: Instant) {
        self.client = Client { transport: Transport::Tls, ..Client::default() };
        self.input.clear();
        self.waiting_since = None;
        self.phase = Phase::Commands;
    }

    /// Takes note of what binds an exchange to this TLS connection; said again after each handshake.
    pub fn bind_channel(&mut self, bindings: ChannelBindings) {
        self.client.bindings = bindings;
    }

    /// Takes note that the server goes down.
    pub fn handle_shutdown(&mut self, _now: Instant) {
        if !matches!(self.phase, Phase::Closing) {
            self.close_with(&Refusal::Shutdown);
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self, now: Instant) -> Output {
        if let Some(event) = self.events.pop_front() {
            return Output::Event(event);
        }
        if !self.replies.is_empty() {
            return Output::Send(std::mem::take(&mut self.replies));
        }
        match &mut self.phase {
            Phase::Closing => Output::Close,
            Phase::Handshake(handshake @ Handshake::Due) => {
                *handshake = Handshake::Begun;
                Output::StartTls
            }
            _ => {
                self.begin_waiting(now);
                Output::Wait { deadline: self.deadline() }
            }
        }
    }

    /// The argument of HELO or EHLO; empty before either.
    pub fn helo(&self) -> &str {
        self.client.helo.as_ref().map_or("", |helo| helo.name.as_str())
    }

    /// Whether the client said EHLO.
    pub fn is_extended(&self) -> bool {
        self.client.helo.as_ref().is_some_and(|helo| helo.extended)
    }

    /// Whether TLS is up.
    pub fn transport(&self) -> Transport {
        self.client.transport
    }

    /// The login name that was proved.
    pub fn user(&self) -> Option<&str> {
        self.client.user.as_deref()
    }

    /// The transaction's envelope, from the accepted MAIL to the message's verdict.
    pub fn envelope(&self) -> Option<&Envelope> {
        self.transaction.as_ref()
    }

    /// Works through the input until it is used up or a question is open.
    fn process(&mut self) {
        loop {
            let progressed = match self.phase {
                Phase::Commands | Phase::Authenticating(_) => self.take_line(),
                Phase::Data(_) => self.take_data(),
                Phase::Chunk(_) => self.take_chunk(),
                Phase::Asked(_) | Phase::Handshake(_) | Phase::Closing => false,
            };
            if !progressed {
                return;
            }
        }
    }

    fn reply(&mut self, reply: &Reply) {
        self.replies.extend_from_slice(reply.to_string().as_bytes());
    }

    fn accept(&mut self, code: u16, enhanced_status: &'static str, text: &str) {
        self.reply(&Reply::new(code, enhanced_status, text));
    }

    /// Says no, and closes after too many times.
    fn refuse(&mut self, refusal: &Refusal) {
        self.reply(&refusal.reply());
        if refusal.closes() {
            return self.close();
        }
        self.errors += 1;
        if self.errors > self.config.limits.errors {
            self.close_with(&Refusal::TooManyErrors);
        }
    }

    fn close_with(&mut self, refusal: &Refusal) {
        self.reply(&refusal.reply());
        self.close();
    }

    fn close(&mut self) {
        self.abort_transaction();
        self.input = Vec::new();
        self.phase = Phase::Closing;
    }

    fn abort_transaction(&mut self) {
        self.chunked = None;
        if self.transaction.take().is_some() {
            self.events.push_back(Event::Abort);
        }
    }

    fn ask(&mut self, event: Event, asked: Asked) {
        self.phase = Phase::Asked(asked);
        self.events.push_back(event);
    }

    /// The open question, where `expected` picks it; verdicts nobody asked for are ignored.
    fn take_asked<T>(&mut self, expected: impl FnOnce(Asked) -> Result<T, Asked>) -> Option<T> {
        match std::mem::replace(&mut self.phase, Phase::Commands) {
            Phase::Asked(asked) => match expected(asked) {
                Ok(found) => Some(found),
                Err(other) => {
                    self.phase = Phase::Asked(other);
                    None
                }
            },
            other => {
                self.phase = other;
                None
            }
        }
    }

    fn begin_waiting(&mut self, now: Instant) {
        self.waiting_since.get_or_insert(now);
        if let Phase::Data(incoming) = &mut self.phase {
            incoming.began.get_or_insert(now);
        }
        if let Some(chunked) = &mut self.chunked {
            chunked.began.get_or_insert(now);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let timeouts = &self.config.timeouts;
        let since = self.waiting_since?;
        let (patience, began) = match &self.phase {
            Phase::Closing => return None,
            Phase::Data(incoming) => (timeouts.data_block, incoming.began),
            Phase::Chunk(_) => (timeouts.data_block, self.message_began()),
            _ => (timeouts.command, self.message_began()),
        };
        let silence = since + patience;
        Some(began.map_or(silence, |began| silence.min(began + timeouts.message)))
    }

    /// When the wait for the message that comes in chunks began, if one does: a trickle of them ends too.
    fn message_began(&self) -> Option<Instant> {
        self.chunked.as_ref().and_then(|chunked| chunked.began)
    }
}
