//! AUTHENTICATE (RFC 9051 §6.2.2) with an initial response (RFC 4959); the mechanisms are in `postern-sasl`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use postern_sasl::{Exchange, Failure, Mechanism, Question, Step};

use super::login;
use crate::parser::{Parser, Result};
use crate::request::{Answer, Request};
use crate::response::Completion;
use crate::session::core::Core;
use crate::session::task::{Input, Progress, Task, refused};

/// The mechanism's name, and perhaps the first response, still in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticate {
    /// As the client wrote it, in upper case.
    pub mechanism: String,
    /// In base64; `=` stands for an empty one (RFC 4959 §3).
    pub initial_response: Option<Vec<u8>>,
}

impl Authenticate {
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Authenticate> {
        parser.space()?;
        let mechanism = parser.keyword()?;
        let initial_response = match parser.eat(b' ') {
            true => Some(parser.take_while(is_base64, "Expected base64")?.to_vec()),
            false => None,
        };
        Ok(Authenticate { mechanism, initial_response })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("AUTHENTICATE {}", self.mechanism).as_bytes());
        if let Some(response) = &self.initial_response {
            out.push(b' ');
            out.extend_from_slice(response);
        }
    }

    pub(super) fn into_task(self) -> Box<dyn Task> {
        Box::new(Authentication { command: self, exchange: None, login: String::new() })
    }
}

/// An exchange under way.
#[derive(Debug)]
struct Authentication {
    command: Authenticate,
    exchange: Option<Exchange>,
    login: String,
}

impl Task for Authentication {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start => self.start(core),
            Input::Line(line) if line == b"*" => Completion::bad("Authentication cancelled").into(),
            Input::Line(line) => self.respond(core, &line),
            Input::Answer(Answer::Verdict(verdict)) => {
                self.go_on(core, |exchange| exchange.password_verdict(verdict))
            }
            Input::Answer(Answer::ScramKeys { credentials, nonce }) => {
                self.go_on(core, |exchange| exchange.scram_credentials(credentials, &nonce))
            }
            Input::Answer(Answer::FailureCounted) => login::failed(core),
            Input::Answer(Answer::Done) => login::accepted(core, &self.login),
            other => refused(other),
        }
    }
}

impl Authentication {
    fn start(&mut self, core: &mut Core) -> Progress {
        let Some(mechanism) = Mechanism::from_name(&self.command.mechanism, &core.config.bindings) else {
            return Completion::no("CANNOT", "Unsupported authentication mechanism").into();
        };
        let exchange = self.exchange.insert(Exchange::new(mechanism, &core.config.bindings));
        let begin = exchange.begin();
        match self.command.initial_response.take() {
            None => self.step(core, Ok(begin)),
            Some(response) if response == b"=" => self.go_on(core, |exchange| exchange.respond(b"")),
            Some(response) => self.respond(core, &response),
        }
    }

    fn respond(&mut self, core: &mut Core, line: &[u8]) -> Progress {
        match BASE64.decode(line) {
            Ok(response) => self.go_on(core, |exchange| exchange.respond(&response)),
            Err(_) => Completion::bad("Invalid base64").into(),
        }
    }

    fn go_on(
        &mut self,
        core: &mut Core,
        act: impl FnOnce(&mut Exchange) -> std::result::Result<Step, Failure>,
    ) -> Progress {
        let step = self.exchange.as_mut().map_or(Err(Failure::OutOfOrder), act);
        self.step(core, step)
    }

    fn step(&mut self, core: &mut Core, step: std::result::Result<Step, Failure>) -> Progress {
        match step {
            Ok(Step::Challenge(challenge)) => {
                core.output.extend_from_slice(format!("+ {}\r\n", BASE64.encode(challenge)).as_bytes());
                Progress::Line
            }
            Ok(Step::Question(Question::Password { login, password })) => {
                Progress::Ask(Request::VerifyPassword { login, password })
            }
            Ok(Step::Question(Question::ScramKeys { login })) => Progress::Ask(Request::ScramKeys { login }),
            Ok(Step::Success { login }) => {
                self.login.clone_from(&login);
                Progress::Ask(Request::OpenAccount { login })
            }
            Err(_) => login::rejected(),
        }
    }
}

fn is_base64(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/' | b'=')
}
