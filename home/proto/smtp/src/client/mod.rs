//! The client side of an SMTP session, as a pure core.
//!
//! In: octets from the server, the passing of time, the outcome of the TLS handshake, envelopes and content. Out:
//! octets for the server ([`Session::take_output`]), the next time to wake ([`Session::deadline`]) and
//! [`Event`]s. No socket, no clock, no file: the shell owns those and calls in.
//!
//! | state | leaves on | to |
//! |---|---|---|
//! | greeting | 220 | ehlo |
//! | ehlo | 250, STARTTLS offered and wanted | starttls |
//! | ehlo | 250 without STARTTLS, which is required | closed |
//! | ehlo | 250 otherwise | ready; authenticating where there is a login |
//! | authenticating | 334 | authenticating |
//! | authenticating | 235, and the server has proved what the mechanism asks of it | ready |
//! | authenticating | other | closed |
//! | ehlo | 5yz (RFC 5321 §3.2) | helo |
//! | helo | 250 | ready |
//! | starttls | 220 | handshake ([`Event::StartTls`]) |
//! | starttls | other | ready, in clear; closed where TLS is required |
//! | handshake | [`Session::handle_tls_established`] | ehlo |
//! | ready | [`Session::send`] | envelope |
//! | envelope | 354 | content ([`Event::SendContent`]) |
//! | envelope | all recipients refused | resetting, or ready |
//! | content | [`Session::finish_content`] | verdict |
//! | verdict | any reply ([`Event::Finished`]) | ready |
//! | resetting | any reply | ready |
//! | ready | [`Session::quit`] | quitting |
//! | any | 421, other refusal, time-out, end of input | closed ([`Event::Closed`]) |
//!
//! Refused: replies beyond bounds, replies without a command, octets sent in clear behind the reply to STARTTLS
//! (RFC 3207 §5; they would be read as if they came under TLS); a login without TLS.
//!
//! Implements RFC 3030, RFC 5321 (§3.1–3.3, §4.1.1, §4.5.3.2), RFC 2920, RFC 3207, RFC 1870, RFC 6152, RFC 6531, RFC 3461,
//! RFC 4954, RFC 8314 §3.3 (TLS from the first octet), RFC 8689 §4.2.1, RFC 9422 (RCPTMAX, MAILMAX).
//! Deviates: see [`reply`] and [`envelope`].

pub mod reply;

pub mod capabilities;
pub mod timeouts;

mod authentication;
pub mod envelope;
mod transaction;

pub mod content;

#[cfg(test)]
mod transcripts;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use postern_sasl::client::{ClientExchange, Login};

use self::capabilities::{Capabilities, Transfer};
use self::content::ContentWriter;
use self::envelope::Envelope;
use self::reply::{Reply, ReplyParser};
pub use self::transaction::RecipientResult;
use self::transaction::{Step, Transaction};

/// Whether STARTTLS is used where the server offers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsUse {
    /// Used where offered; the message goes in clear where not.
    Opportunistic,
    /// Used; where it is not offered, or refused, there is no session.
    Required,
    /// Not used, as after a handshake that failed.
    Never,
    /// The connection was under TLS before the greeting.
    Implicit,
}

/// Something the shell has to do or to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Send what output there is, then do the TLS handshake, then [`Session::handle_tls_established`].
    StartTls,
    /// [`Session::send`] or [`Session::quit`] may be called.
    Ready,
    /// [`Session::push_content`] is to be called until the message is out, then [`Session::finish_content`].
    SendContent,
    /// The transaction is over; one result for each recipient, in the envelope's order.
    Finished(Vec<RecipientResult>),
    /// The session is over; the connection is to be closed.
    Closed(Closed),
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// After QUIT.
    Quit,
    /// The server does not want us, or not now: its greeting, or its reply to EHLO and HELO, or 421.
    Refused(Reply),
    /// TLS is required, and the server does not offer it, or refuses it with this reply.
    NoTls(Option<Reply>),
    /// The login is not taken, with this reply; without one, the server offers no mechanism that we speak.
    NotAuthenticated(Option<Reply>),
    /// The connection or the dialogue broke; the text is for people.
    Broken(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Handshake,
    Authenticating,
    Ready,
    Envelope,
    Content,
    Verdict,
    Resetting,
    Quitting,
    Closed,
}

/// One connection to a server.
#[derive(Debug)]
pub struct Session {
    host_name: String,
    tls_use: TlsUse,
    state: State,
    under_tls: bool,
    replies: ReplyParser,
    capabilities: Capabilities,
    /// Until it is used.
    login: Option<Login>,
    exchange: Option<ClientExchange>,
    transaction: Option<Transaction>,
    /// MAIL commands so far, whatever became of them.
    transactions: usize,
    content: ContentWriter,
    output: Vec<u8>,
    events: VecDeque<Event>,
    deadline: Instant,
}

impl Session {
    /// Begins at the moment the connection is made. `host_name` is the argument of EHLO.
    pub fn new(host_name: &str, tls_use: TlsUse, now: Instant) -> Self {
        Session {
            host_name: host_name.to_owned(),
            tls_use,
            state: State::Greeting,
            under_tls: tls_use == TlsUse::Implicit,
            replies: ReplyParser::default(),
            capabilities: Capabilities::default(),
            login: None,
            exchange: None,
            transaction: None,
            transactions: 0,
            content: ContentWriter::new(Transfer::Data),
            output: Vec::new(),
            events: VecDeque::new(),
            deadline: now + timeouts::GREETING,
        }
    }

    /// Logs in before [`Event::Ready`]; nothing is said of it before there is TLS.
    pub fn log_in(self, login: Login) -> Self {
        Session { login: Some(login), ..self }
    }

    /// Takes octets from the server.
    pub fn handle_input(&mut self, octets: &[u8], now: Instant) {
        self.replies.push(octets);
        while !matches!(self.state, State::Closed | State::Handshake) {
            match self.replies.next_reply() {
                Ok(Some(reply)) => self.handle_reply(reply, now),
                Ok(None) => return,
                Err(error) => self.break_off(&error.to_string()),
            }
        }
    }

    /// Takes the end of the server's stream, or the error that ended it.
    pub fn handle_end_of_input(&mut self, cause: &str) {
        match self.state {
            State::Quitting => self.close(Closed::Quit),
            State::Closed => {}
            _ => self.break_off(cause),
        }
    }

    /// Ends the session if [`Session::deadline`] has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now < self.deadline {
            return;
        }
        match self.state {
            State::Quitting => self.close(Closed::Quit),
            State::Closed => {}
            _ => self.break_off("the server did not answer in time"),
        }
    }

    /// The handshake that [`Event::StartTls`] asked for is done; everything known of the server is forgotten and
    /// asked again (RFC 3207 §4.2).
    pub fn handle_tls_established(&mut self, now: Instant) {
        if self.state != State::Handshake {
            return;
        }
        self.under_tls = true;
        self.replies.clear();
        self.capabilities = Capabilities::default();
        self.say_ehlo(now);
    }

    /// Begins a mail transaction after [`Event::Ready`]; in any other state every recipient is interrupted.
    pub fn send(&mut self, envelope: Envelope, now: Instant) {
        let recipients = envelope.recipients.len();
        if self.state != State::Ready {
            let result = RecipientResult::Interrupted("the session is not ready for a message".into());
            self.events.push_back(Event::Finished(vec![result; recipients]));
        } else if let Err(unsupported) = envelope.check(&self.capabilities) {
            let result = RecipientResult::Unsupported(unsupported);
            self.events.push_back(Event::Finished(vec![result; recipients]));
            self.events.push_back(Event::Ready);
        } else {
            self.state = State::Envelope;
            self.transaction = Some(Transaction::new(envelope, &self.capabilities));
            self.transactions += 1;
            self.continue_envelope(now);
        }
    }

    /// Takes the next chunk of content after [`Event::SendContent`]; the shell sends the output before it gives
    /// the next, so that no message is held whole.
    pub fn push_content(&mut self, content: &[u8], now: Instant) {
        if self.state == State::Content {
            let chunks = self.content.push(content, &mut self.output);
            if let Some(transaction) = &mut self.transaction {
                transaction.chunks_sent(chunks);
            }
            self.deadline = now + timeouts::DATA_BLOCK;
        }
    }

    /// Ends the content.
    pub fn finish_content(&mut self, now: Instant) {
        if self.state == State::Content {
            let content = std::mem::replace(&mut self.content, ContentWriter::new(Transfer::Data));
            let chunks = content.finish(&mut self.output);
            if let Some(transaction) = &mut self.transaction {
                transaction.chunks_sent(chunks);
            }
            self.await_verdict(now);
        }
    }

    /// Says QUIT after [`Event::Ready`].
    pub fn quit(&mut self, now: Instant) {
        if self.state == State::Ready {
            self.command("QUIT\r\n", State::Quitting, timeouts::QUIT, now);
        }
    }

    /// Takes the octets that are to be sent, which may be none.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Takes the next event.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Session::handle_timeout`] is due.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether the session runs under TLS.
    pub fn is_under_tls(&self) -> bool {
        self.under_tls
    }

    /// Whether the session is over.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Whether another message may be sent now, as far as the server has said (RFC 9422, MAILMAX).
    pub fn takes_another(&self) -> bool {
        let most = self.capabilities.transactions_max.unwrap_or(usize::MAX);
        self.state == State::Ready && self.transactions < most
    }

    /// Whether the server keeps to the time within which a message is to be delivered (RFC 2852).
    pub fn offers_deliver_by(&self) -> bool {
        self.capabilities.deliver_by.is_some()
    }

    /// Whether the server reports by itself (RFC 3461).
    pub fn offers_dsn(&self) -> bool {
        self.capabilities.dsn
    }

    fn handle_reply(&mut self, reply: Reply, now: Instant) {
        if reply.is_closing() && self.state != State::Quitting {
            return self.close(Closed::Refused(reply));
        }
        match self.state {
            State::Greeting if reply.code == 220 => self.say_ehlo(now),
            State::Ehlo if reply.is_positive() => self.after_ehlo(&reply, now),
            State::Ehlo if reply.is_permanent_failure() && self.lacks_tls() => {
                self.close(Closed::NoTls(Some(reply)));
            }
            State::Ehlo if reply.is_permanent_failure() => {
                let helo = format!("HELO {}\r\n", self.host_name);
                self.command(&helo, State::Helo, timeouts::COMMAND, now);
            }
            State::Helo if reply.is_positive() => self.become_ready(now),
            State::StartTls if reply.code == 220 => self.begin_handshake(now),
            State::StartTls if self.tls_use == TlsUse::Required => self.close(Closed::NoTls(Some(reply))),
            State::StartTls | State::Resetting => self.become_ready(now),
            State::Authenticating => self.handle_authentication_reply(reply, now),
            State::Envelope | State::Verdict => self.handle_transaction_reply(reply, now),
            State::Content => self.handle_reply_to_content(reply),
            State::Quitting => self.close(Closed::Quit),
            State::Greeting | State::Ehlo | State::Helo => self.close(Closed::Refused(reply)),
            State::Ready => self.break_off(&format!("the server said {reply} without being asked")),
            State::Handshake | State::Closed => {}
        }
    }

    fn say_ehlo(&mut self, now: Instant) {
        let ehlo = format!("EHLO {}\r\n", self.host_name);
        self.command(&ehlo, State::Ehlo, timeouts::COMMAND, now);
    }

    fn after_ehlo(&mut self, reply: &Reply, now: Instant) {
        self.capabilities = Capabilities::from_ehlo(reply);
        let wanted = self.tls_use != TlsUse::Never && !self.under_tls;
        if wanted && self.capabilities.starttls {
            self.command("STARTTLS\r\n", State::StartTls, timeouts::COMMAND, now);
        } else if self.lacks_tls() {
            self.close(Closed::NoTls(None));
        } else {
            self.become_ready(now);
        }
    }

    fn lacks_tls(&self) -> bool {
        self.tls_use == TlsUse::Required && !self.under_tls
    }

    fn begin_handshake(&mut self, now: Instant) {
        if !self.replies.is_empty() {
            return self.break_off("the server sent text in clear behind its reply to STARTTLS");
        }
        self.state = State::Handshake;
        self.deadline = now + timeouts::TLS_HANDSHAKE;
        self.events.push_back(Event::StartTls);
    }

    fn become_ready(&mut self, now: Instant) {
        if let Some(login) = self.login.take() {
            return self.begin_authentication(login, now);
        }
        self.state = State::Ready;
        self.deadline = now + timeouts::COMMAND;
        self.events.push_back(Event::Ready);
    }

    fn continue_envelope(&mut self, now: Instant) {
        if let Some(transaction) = &mut self.transaction {
            transaction.write_commands(&self.capabilities, &mut self.output);
            self.deadline = now + transaction.timeout();
        }
    }

    fn handle_transaction_reply(&mut self, reply: Reply, now: Instant) {
        let step = self.transaction.as_mut().and_then(|transaction| transaction.handle_reply(reply));
        match step {
            None => self.break_off("the server sent a reply to no command"),
            Some(Step::Wait) => self.continue_envelope(now),
            Some(Step::SendContent) => {
                let transfer = self.transaction.as_ref().map_or(Transfer::Data, Transaction::transfer);
                self.content = ContentWriter::new(transfer);
                self.state = State::Content;
                self.deadline = now + timeouts::DATA_BLOCK;
                self.events.push_back(Event::SendContent);
            }
            Some(Step::SendNothing) => {
                self.output.extend_from_slice(b".\r\n");
                self.await_verdict(now);
            }
            Some(Step::Reset) => {
                self.finish_transaction("the transaction was reset");
                self.command("RSET\r\n", State::Resetting, timeouts::COMMAND, now);
            }
            Some(Step::Done) => {
                self.finish_transaction("the transaction ended");
                self.become_ready(now);
            }
        }
    }

    fn await_verdict(&mut self, now: Instant) {
        self.state = State::Verdict;
        self.deadline = now + timeouts::DATA_TERMINATION;
        if let Some(transaction) = &mut self.transaction {
            transaction.content_sent();
        }
    }

    /// While content goes out only chunks are answered. One that is refused ends the connection, which is the shortest way
    /// out of a message that the server does not want.
    fn handle_reply_to_content(&mut self, reply: Reply) {
        let awaited = self.transaction.as_mut().filter(|transaction| transaction.awaits_chunk());
        match awaited {
            Some(transaction) if reply.is_positive() => {
                transaction.handle_reply(reply);
            }
            _ => self.handle_early_verdict(reply),
        }
    }

    /// A server that answers before the final period has lost track; its refusal counts, and the connection is
    /// given up. Success cannot count, as the server has not seen the whole message.
    fn handle_early_verdict(&mut self, reply: Reply) {
        if reply.is_positive() || reply.is_intermediate() {
            return self.break_off("the server answered before the message was complete");
        }
        self.close(Closed::Refused(reply));
    }

    fn finish_transaction(&mut self, reason: &str) {
        if let Some(transaction) = self.transaction.take() {
            let results = transaction.into_results(|| RecipientResult::Interrupted(reason.to_owned()));
            self.events.push_back(Event::Finished(results));
        }
    }

    fn break_off(&mut self, cause: &str) {
        let stage = match (self.state, &self.transaction) {
            (State::Greeting, _) => "before its greeting",
            (State::Ehlo | State::Helo, _) => "after EHLO",
            (State::StartTls | State::Handshake, _) => "during STARTTLS",
            (State::Authenticating, _) => "after AUTH",
            (State::Content, _) => "while the message was being sent",
            (_, Some(transaction)) => transaction.stage(),
            (_, None) => "between messages",
        };
        self.close(Closed::Broken(format!("{cause} ({stage})")));
    }

    fn close(&mut self, closed: Closed) {
        if let Some(transaction) = self.transaction.take() {
            let results = transaction.into_results(|| match &closed {
                Closed::Refused(reply) => RecipientResult::Refused(reply.clone()),
                Closed::Broken(cause) => RecipientResult::Interrupted(cause.clone()),
                Closed::Quit | Closed::NoTls(_) | Closed::NotAuthenticated(_) => {
                    RecipientResult::Interrupted("the session was ended".into())
                }
            });
            self.events.push_back(Event::Finished(results));
        }
        self.state = State::Closed;
        self.events.push_back(Event::Closed(closed));
    }

    fn command(&mut self, line: &str, next: State, timeout: Duration, now: Instant) {
        self.output.extend_from_slice(line.as_bytes());
        self.state = next;
        self.deadline = now + timeout;
    }
}
