//! The server's side of one connection.
//!
//! In: octets ([`Session::handle_input`]), moments ([`Session::handle_timeout`]), the end of the TLS handshake
//! ([`Session::handle_tls`]), answers to requests ([`Session::handle_answer`]). Out: [`Output`], by [`Session::poll`] until
//! it says `Wait` or `Close`.
//!
//! One command runs at a time; what a client sends ahead waits (PIPELINING, RFC 2449 §6.6). Output is given out in pieces of
//! about [`CHUNK`] octets before more is read or asked for, so a stalled reader costs bounded memory.
//!
//! | phase | leaves on | to |
//! |---|---|---|
//! | `Command` | a line | any other |
//! | `Exchange` | the client's response | `Asked`, `Exchange`, `Command` |
//! | `Asked` | the host's answer | as the command says |
//! | `Listing` | its last line | `Command` |
//! | `Handshake` | `handle_tls` | `Command`, all else forgotten (RFC 2595 §4) |
//!
//! The state of RFC 1939 is AUTHORIZATION while there is no `maildrop`, then TRANSACTION. UPDATE is the request that QUIT
//! makes; a session that ends in any other way changes nothing.

mod authorization;
pub(crate) mod fuzz;
mod transaction;

use std::time::{Duration, Instant};

use postern_sasl::{ChannelBindings, Exchange, Mechanism};

use crate::CHUNK;
use crate::command::{Command, MessageNumber};
use crate::lines::{Lines, TooLong};
use crate::maildrop::Maildrop;
use crate::multiline::Writer;
use crate::reply;
use crate::request::{Answer, Request};
use transaction::Listing;

/// A command (RFC 2449 §4 asks for 255 octets); long passwords and names fit too.
const MAX_COMMAND: usize = 4 * 1024;
/// A response of SASL in base64.
const MAX_RESPONSE: usize = postern_sasl::MAX_RESPONSE.div_ceil(3) * 4;
/// From the greeting to the login, however much is said meanwhile.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(3 * 60);
/// RFC 1939 §3: at least 10 minutes.
const AUTOLOGOUT: Duration = Duration::from_secs(10 * 60);
/// Lines that are no command, before the connection is closed.
const MAX_ERRORS: u32 = 20;

/// What the operator sets.
#[derive(Debug, Clone)]
pub struct Config {
    /// How the connection begins.
    pub transport: Transport,
    /// Wrong passwords before the connection is closed.
    pub max_login_failures: u32,
}

/// Whether octets are readable on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// In clear; STLS is offered, and nothing that needs a password.
    Clear,
    /// Under TLS.
    Tls,
}

/// What is to be done next.
#[derive(Debug)]
pub enum Output {
    /// Send these octets; then poll again.
    Send(Vec<u8>),
    /// Do this, and give the answer to [`Session::handle_answer`]; then poll again.
    Request(Request),
    /// Begin TLS, then call [`Session::handle_tls`].
    StartTls,
    /// Wait for input or the deadline.
    Wait {
        /// When to call [`Session::handle_timeout`].
        deadline: Instant,
    },
    /// Close the connection.
    Close,
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    config: Config,
    bindings: ChannelBindings,
    lines: Lines,
    phase: Phase,
    /// The name given by USER.
    user: Option<String>,
    maildrop: Option<Maildrop>,
    output: Vec<u8>,
    request: Option<Request>,
    closing: bool,
    login_failures: u32,
    errors: u32,
    began: Instant,
    last_input: Instant,
}

#[derive(Debug)]
enum Phase {
    Command,
    Exchange(Exchange),
    Asked(Asked),
    Listing(Listing),
    Handshake(Handshake),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handshake {
    Due,
    Begun,
}

/// What the host has been asked for.
#[derive(Debug)]
enum Asked {
    Password { login: String },
    Exchange(Exchange),
    Failure,
    Maildrop,
    Content(Retrieval),
    Update,
}

/// A message on its way to the client.
#[derive(Debug)]
struct Retrieval {
    message: MessageNumber,
    uid: u32,
    writer: Writer,
    /// Octets that were asked for so far.
    position: u64,
    size: u64,
    effect: Effect,
}

/// RETR reads a message; TOP looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Retrieves,
    Looks,
}

impl Session {
    /// A new connection; the greeting is the first output.
    pub fn new(config: Config, now: Instant) -> Session {
        let mut session = Session {
            config,
            bindings: ChannelBindings::default(),
            lines: Lines::default(),
            phase: Phase::Command,
            user: None,
            maildrop: None,
            output: Vec::new(),
            request: None,
            closing: false,
            login_failures: 0,
            errors: 0,
            began: now,
            last_input: now,
        };
        reply::ok("POP3 server ready", &mut session.output);
        session
    }

    /// Takes octets from the client.
    pub fn handle_input(&mut self, octets: &[u8], now: Instant) {
        self.last_input = now;
        if !matches!(self.phase, Phase::Handshake(_)) {
            self.lines.push(octets);
        }
    }

    /// Takes note that a deadline has passed. RFC 1939 §3: no UPDATE, and no word.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.deadline() <= now {
            self.closing = true;
        }
    }

    /// Takes note of what binds an exchange to this TLS connection; said again after the handshake.
    pub fn bind_channel(&mut self, bindings: ChannelBindings) {
        self.bindings = bindings;
    }

    /// Takes note that TLS is up.
    pub fn handle_tls(&mut self) {
        self.config.transport = Transport::Tls;
        self.lines.clear();
        self.user = None;
        self.phase = Phase::Command;
    }

    /// Takes note that the connection must end without UPDATE: the server goes down, or the maildrop was given to a later
    /// session since this one was silent.
    pub fn handle_end(&mut self) {
        self.closing = true;
    }

    /// Takes the answer to the request that was given out.
    pub fn handle_answer(&mut self, answer: Answer) {
        match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Asked(Asked::Password { login }) => self.password_answered(login, answer),
            Phase::Asked(Asked::Exchange(exchange)) => self.exchange_answered(exchange, answer),
            Phase::Asked(Asked::Failure) => self.failed(),
            Phase::Asked(Asked::Maildrop) => self.opened(answer),
            Phase::Asked(Asked::Content(retrieval)) => self.content(retrieval, answer),
            Phase::Asked(Asked::Update) => self.updated(answer),
            other => self.phase = other,
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Output {
        while self.output.len() < CHUNK && !self.closing {
            if let Some(request) = self.request.take() {
                return Output::Request(request);
            }
            if !self.advance() {
                break;
            }
        }
        if !self.output.is_empty() {
            return Output::Send(std::mem::take(&mut self.output));
        }
        if self.closing {
            return Output::Close;
        }
        if let Phase::Handshake(handshake @ Handshake::Due) = &mut self.phase {
            *handshake = Handshake::Begun;
            return Output::StartTls;
        }
        Output::Wait { deadline: self.deadline() }
    }

    fn deadline(&self) -> Instant {
        match self.maildrop {
            None => self.began + LOGIN_TIMEOUT,
            Some(_) => self.last_input + AUTOLOGOUT,
        }
    }

    /// Makes one step with what is there; tells whether there was one to make.
    fn advance(&mut self) -> bool {
        match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Command => match self.lines.next_line(MAX_COMMAND) {
                Ok(None) => return false,
                Ok(Some(line)) => self.command(&line),
                Err(TooLong) => self.error(&TooLong.to_string()),
            },
            Phase::Exchange(exchange) => match self.lines.next_line(MAX_RESPONSE) {
                Ok(None) => {
                    self.phase = Phase::Exchange(exchange);
                    return false;
                }
                Ok(Some(line)) => self.response(exchange, &line),
                Err(TooLong) => self.error(&TooLong.to_string()),
            },
            Phase::Listing(listing) => self.list(listing),
            waiting @ (Phase::Asked(_) | Phase::Handshake(_)) => {
                self.phase = waiting;
                return false;
            }
        }
        true
    }

    fn command(&mut self, line: &[u8]) {
        match Command::parse(line) {
            Ok(command) => match self.maildrop {
                None => self.authorization(command),
                Some(_) => self.transaction(command),
            },
            Err(error) => self.error(&error.to_string()),
        }
    }

    /// Whoever speaks another protocol is told so for a while only.
    fn error(&mut self, text: &str) {
        self.errors += 1;
        reply::err(text, &mut self.output);
        if self.errors >= MAX_ERRORS {
            self.closing = true;
        }
    }

    fn ask(&mut self, request: Request, asked: Asked) {
        self.request = Some(request);
        self.phase = Phase::Asked(asked);
    }

    fn goodbye(&mut self) {
        reply::ok("bye", &mut self.output);
        self.closing = true;
    }

    /// CAPA (RFC 2449 §5).
    fn capabilities(&mut self) {
        reply::ok("capabilities follow", &mut self.output);
        let mut words =
            vec!["TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER", "UTF8 USER"];
        let mechanisms: Vec<&str> = Mechanism::offered(&self.bindings).map(Mechanism::name).collect();
        let sasl = format!("SASL {}", mechanisms.join(" "));
        match self.config.transport {
            Transport::Clear => words.push("STLS"),
            Transport::Tls => words.extend(["USER", &sasl]),
        }
        words.push("IMPLEMENTATION Postern");
        words.iter().for_each(|word| reply::line(&[word], &mut self.output));
        self.output.extend_from_slice(crate::multiline::END);
    }
}
