//! AUTHORIZATION (RFC 1939 §4): who is there?
//!
//! In: USER and PASS, AUTH (RFC 5034), STLS (RFC 2595 §4), UTF8 (RFC 6856). Out: the maildrop, locked. Refused: names and
//! passwords in clear; a failure costs time and after some of them the connection, and looks the same for an unknown user.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use postern_sasl::{Exchange, Failure, Mechanism, Password, Question, Step, Verdict};

use super::{Asked, Handshake, Phase, Session, Transport};
use crate::command::Command;
use crate::maildrop::Maildrop;
use crate::reply::{self, Code};
use crate::request::{Answer, Refusal, Request};

const WRONG_STATE: &str = "log in first";

impl Session {
    pub(super) fn authorization(&mut self, command: Command) {
        match command {
            Command::User(name) => self.user(name),
            Command::Pass(password) => self.pass(password),
            Command::Auth { mechanism, initial_response } => self.auth(&mechanism, initial_response),
            Command::Stls => self.stls(),
            // Names, passwords and messages are UTF-8 in any case.
            Command::Utf8 => reply::ok("UTF-8 is spoken", &mut self.output),
            Command::Capa => self.capabilities(),
            Command::Quit => self.goodbye(),
            Command::Dele(_)
            | Command::List(_)
            | Command::Noop
            | Command::Retr(_)
            | Command::Rset
            | Command::Stat
            | Command::Top { .. }
            | Command::Uidl(_) => self.error(WRONG_STATE),
        }
    }

    /// RFC 8314 §3: no password in clear. The name is refused already, so that no client sends one.
    fn is_private(&mut self) -> bool {
        let is_private = self.config.transport == Transport::Tls;
        if !is_private {
            self.error("passwords are not taken before STLS");
        }
        is_private
    }

    fn user(&mut self, name: String) {
        if self.is_private() {
            self.user = Some(name);
            reply::ok("now the password", &mut self.output);
        }
    }

    fn pass(&mut self, password: Password) {
        match self.user.take() {
            Some(login) => {
                let asked = Asked::Password { login: login.clone() };
                self.ask(Request::VerifyPassword { login, password }, asked);
            }
            None => self.error("USER comes first"),
        }
    }

    /// RFC 6856 §2.1 lets a server refuse STLS after UTF8; it is taken, for the handshake forgets everything.
    fn stls(&mut self) {
        match self.config.transport {
            Transport::Tls => self.error("TLS is there already"),
            Transport::Clear => {
                reply::ok("begin TLS", &mut self.output);
                self.lines.clear();
                self.phase = Phase::Handshake(Handshake::Due);
            }
        }
    }

    fn auth(&mut self, mechanism: &str, initial_response: Option<Vec<u8>>) {
        if !self.is_private() {
            return;
        }
        let Some(mechanism) = Mechanism::from_name(mechanism, &self.bindings) else {
            return self.error("unknown mechanism");
        };
        let exchange = Exchange::new(mechanism, &self.bindings);
        match initial_response {
            None => {
                let begin = exchange.begin();
                self.step(exchange, Ok(begin));
            }
            // RFC 5034 §4: an empty one.
            Some(response) if response == b"=" => self.respond(exchange, b""),
            Some(response) => self.response(exchange, &response),
        }
    }

    /// A line of the client's within an exchange.
    pub(super) fn response(&mut self, exchange: Exchange, line: &[u8]) {
        match BASE64.decode(line) {
            _ if line == b"*" => reply::err("cancelled", &mut self.output),
            Ok(response) => self.respond(exchange, &response),
            Err(_) => self.error("expected base64"),
        }
    }

    fn respond(&mut self, mut exchange: Exchange, response: &[u8]) {
        let step = exchange.respond(response);
        self.step(exchange, step);
    }

    pub(super) fn exchange_answered(&mut self, mut exchange: Exchange, answer: Answer) {
        let step = match answer {
            Answer::Verdict(verdict) => exchange.password_verdict(verdict),
            Answer::ScramKeys { credentials, nonce } => exchange.scram_credentials(credentials, &nonce),
            other => return self.refused(other),
        };
        self.step(exchange, step);
    }

    fn step(&mut self, exchange: Exchange, step: Result<Step, Failure>) {
        match step {
            Ok(Step::Challenge(challenge)) => {
                reply::line(&["+ ", &BASE64.encode(challenge)], &mut self.output);
                self.phase = Phase::Exchange(exchange);
            }
            Ok(Step::Question(Question::Password { login, password })) => {
                self.ask(Request::VerifyPassword { login, password }, Asked::Exchange(exchange));
            }
            Ok(Step::Question(Question::ScramKeys { login })) => {
                self.ask(Request::ScramKeys { login }, Asked::Exchange(exchange));
            }
            Ok(Step::Success { login }) => self.ask(Request::Open { login }, Asked::Maildrop),
            Err(_) => self.ask(Request::CountFailure, Asked::Failure),
        }
    }

    pub(super) fn password_answered(&mut self, login: String, answer: Answer) {
        match answer {
            Answer::Verdict(Verdict::Accepted) => self.ask(Request::Open { login }, Asked::Maildrop),
            Answer::Verdict(Verdict::Rejected) => self.ask(Request::CountFailure, Asked::Failure),
            other => self.refused(other),
        }
    }

    /// The same words for an unknown user and a wrong password.
    pub(super) fn failed(&mut self) {
        self.login_failures += 1;
        reply::err_code(Code::Auth, "wrong name or password", &mut self.output);
        if self.login_failures >= self.config.max_login_failures {
            self.closing = true;
        }
    }

    pub(super) fn opened(&mut self, answer: Answer) {
        match answer {
            Answer::Opened(contents) => {
                let maildrop = self.maildrop.insert(Maildrop::new(contents));
                let (count, octets) = maildrop.total();
                reply::ok(&format!("{count} messages, {octets} octets"), &mut self.output);
            }
            other => self.refused(other),
        }
    }

    /// The end of a command on an answer that it did not hope for.
    pub(super) fn refused(&mut self, answer: Answer) {
        let refusal = if let Answer::Refused(refusal) = answer { refusal } else { Refusal::Fault };
        reply::refused(refusal, &mut self.output);
    }
}
