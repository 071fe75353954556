//! AUTH (RFC 4954), offered to users under TLS only.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use postern_sasl::{Exchange, Failure, Mechanism, Question, ScramCredentials, Step, Verdict};
use zeroize::Zeroizing;

use super::{Asked, Event, Phase, Refusal, Role, Session, Transport};
use crate::server::reply::Reply;

/// Two questions, two answers in base64: what old mail programs and devices know instead of PLAIN.
const LOGIN: &str = "LOGIN";

/// The directory's word on a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthVerdict {
    /// It is this user's password.
    Accepted,
    /// It is not, or there is no such user.
    Rejected,
    /// Passwords cannot be checked now.
    Unavailable,
}

impl Session {
    pub(super) fn auth_command(&mut self, mechanism: &str, initial_response: Option<&str>) {
        let exchange = self.may_authenticate().and_then(|()| self.exchange(mechanism));
        let mut exchange = match exchange {
            Ok(exchange) => exchange,
            Err(refusal) => return self.refuse(&refusal),
        };
        let step = match initial_response.map(decode_initial) {
            None => Ok(exchange.begin()),
            Some(Some(response)) => exchange.respond(&response),
            Some(None) => Err(Failure::Malformed),
        };
        self.authentication_step(exchange, step);
    }

    fn may_authenticate(&self) -> Result<(), Refusal> {
        if self.config.role == Role::Mta {
            return Err(Refusal::NotOffered);
        }
        if self.client.transport == Transport::Clear {
            return Err(Refusal::TlsRequired);
        }
        if !self.is_extended() {
            return Err(Refusal::BadSequence("send EHLO first"));
        }
        if self.client.user.is_some() || self.transaction.is_some() {
            return Err(Refusal::BadSequence("AUTH is not allowed now"));
        }
        Ok(())
    }

    fn exchange(&self, name: &str) -> Result<Exchange, Refusal> {
        if name.eq_ignore_ascii_case(LOGIN) {
            return Ok(Exchange::login());
        }
        let bindings = &self.client.bindings;
        let mechanism = Mechanism::from_name(name, bindings).ok_or(Refusal::UnknownMechanism)?;
        Ok(Exchange::new(mechanism, bindings))
    }

    /// The mechanisms that are offered, the strongest first.
    pub(super) fn mechanisms(&self) -> String {
        let standard = Mechanism::offered(&self.client.bindings).map(Mechanism::name);
        standard.chain([LOGIN]).collect::<Vec<_>>().join(" ")
    }

    /// One line of the client within the exchange; `*` cancels (RFC 4954 §4).
    pub(super) fn authentication_response(&mut self, mut exchange: Exchange, line: &[u8]) {
        let step = match decode(line) {
            Some(response) => exchange.respond(&response),
            None => Err(Failure::Malformed),
        };
        self.authentication_step(exchange, step);
    }

    fn authentication_step(&mut self, exchange: Exchange, step: Result<Step, Failure>) {
        match step {
            Ok(Step::Challenge(challenge)) => {
                self.reply(&Reply::without_status(334, vec![BASE64.encode(challenge)]));
                self.phase = Phase::Authenticating(exchange);
            }
            Ok(Step::Question(Question::Password { login, password })) => {
                self.ask(Event::Password { login, password }, Asked::Password(exchange));
            }
            Ok(Step::Question(Question::ScramKeys { login })) => {
                self.ask(Event::ScramKeys { login }, Asked::ScramKeys(exchange));
            }
            Ok(Step::Success { login }) => {
                self.client.user = Some(login.clone());
                self.tell(Event::Authenticated { login });
                self.accept(235, "2.7.0", "authentication successful");
            }
            Err(failure) => self.authentication_failed(failure),
        }
    }

    fn authentication_failed(&mut self, failure: Failure) {
        self.tell(Event::AuthenticationFailed { failure });
        self.authentication_failures += 1;
        self.refuse(match failure {
            Failure::Rejected | Failure::AuthorizationIdentity => &Refusal::AuthenticationFailed,
            Failure::Malformed | Failure::ChannelBinding | Failure::OutOfOrder => {
                &Refusal::AuthenticationSyntax
            }
        });
        let closing = matches!(self.phase, Phase::Closing);
        if !closing && self.authentication_failures >= self.config.limits.authentication_failures {
            self.close_with(&Refusal::TooManyErrors);
        }
    }

    /// Answers [`Event::Password`].
    pub fn password_verdict(&mut self, verdict: AuthVerdict) {
        let asked = self.take_asked(|asked| match asked {
            Asked::Password(exchange) => Ok(exchange),
            other => Err(other),
        });
        let Some(mut exchange) = asked else { return };
        match verdict {
            AuthVerdict::Unavailable => self.refuse(&Refusal::AuthenticationUnavailable),
            AuthVerdict::Accepted => {
                let step = exchange.password_verdict(Verdict::Accepted);
                self.authentication_step(exchange, step);
            }
            AuthVerdict::Rejected => {
                let step = exchange.password_verdict(Verdict::Rejected);
                self.authentication_step(exchange, step);
            }
        }
        self.process();
    }

    /// Answers [`Event::ScramKeys`] with the user's keys (or decoys) and a fresh random nonce; `None` when they
    /// cannot be had now.
    pub fn scram_verdict(&mut self, keys: Option<(ScramCredentials, &str)>) {
        let asked = self.take_asked(|asked| match asked {
            Asked::ScramKeys(exchange) => Ok(exchange),
            other => Err(other),
        });
        let Some(mut exchange) = asked else { return };
        match keys {
            None => self.refuse(&Refusal::AuthenticationUnavailable),
            Some((credentials, nonce)) => {
                let step = exchange.scram_credentials(credentials, nonce);
                self.authentication_step(exchange, step);
            }
        }
        self.process();
    }
}

/// `=` is the empty response (RFC 4954 §4).
fn decode_initial(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    if text == "=" { Some(Zeroizing::default()) } else { decode(text.as_bytes()) }
}

fn decode(base64: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    BASE64.decode(base64).ok().map(Zeroizing::new)
}
