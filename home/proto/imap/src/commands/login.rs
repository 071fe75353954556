//! LOGIN (RFC 9051 §6.2.3), and what happens at the end of any authentication.

use postern_sasl::{Password, Verdict};

use crate::parser::{Parser, Result};
use crate::request::{Answer, Request};
use crate::response::{Code, Completion, encode};
use crate::session::core::{Core, State};
use crate::session::task::{Input, Progress, Task, refused};

/// Longest login name or password, in octets.
const MAX_OCTETS: usize = 1024;

/// User name and password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// User name.
    pub login: String,
    /// Password.
    pub password: Password,
}

impl Login {
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Login> {
        parser.space()?;
        let login = parser.text_astring()?;
        parser.space()?;
        let password = Password::new(parser.text_astring()?);
        Ok(Login { login, password })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"LOGIN ");
        encode::astring(self.login.as_bytes(), out);
        out.push(b' ');
        encode::astring(self.password.expose().as_bytes(), out);
    }
}

impl Task for Login {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start if self.login.len().max(self.password.expose().len()) > MAX_OCTETS => rejected(),
            Input::Start => {
                let (login, password) = (self.login.clone(), self.password.clone());
                Progress::Ask(Request::VerifyPassword { login, password })
            }
            Input::Answer(Answer::Verdict(Verdict::Accepted)) => {
                Progress::Ask(Request::OpenAccount { login: self.login.clone() })
            }
            Input::Answer(Answer::Verdict(Verdict::Rejected)) => rejected(),
            Input::Answer(Answer::FailureCounted) => failed(core),
            Input::Answer(Answer::Done) => accepted(core, &self.login),
            other => refused(other),
        }
    }
}

/// The account is open: from now on the session is the user's.
pub(super) fn accepted(core: &mut Core, login: &str) -> Progress {
    core.state = State::Authenticated { login: login.to_owned() };
    let words = super::capability_words(&core.state, &core.config);
    Completion::ok("Logged in").with(Code::Capability(words)).into()
}

/// A failure is counted by the host, who answers after a while: guessing must be slow.
pub(super) fn rejected() -> Progress {
    Progress::Ask(Request::CountFailure)
}

/// The same words for an unknown user and a wrong password.
pub(super) fn failed(core: &mut Core) -> Progress {
    core.login_failures += 1;
    if core.login_failures >= core.config.max_login_failures {
        core.untagged("BYE Too many failed logins");
        core.closing = true;
    }
    Completion::no("AUTHENTICATIONFAILED", "Invalid credentials").into()
}
