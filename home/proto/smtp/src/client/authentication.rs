//! AUTH of the client (RFC 4954 §4): the line-wise part around the SASL exchange.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use postern_sasl::client::{ClientExchange, ClientMechanism, Login};
use zeroize::Zeroizing;

use super::reply::Reply;
use super::{Closed, Session, State, timeouts};

impl Session {
    pub(super) fn begin_authentication(&mut self, login: Login, now: Instant) {
        if !self.under_tls {
            return self.close(Closed::NoTls(None));
        }
        let offered = self.capabilities.mechanisms.iter().map(String::as_str);
        let Some(mechanism) = ClientMechanism::strongest(offered) else {
            return self.close(Closed::NotAuthenticated(None));
        };
        let mut exchange = ClientExchange::new(mechanism, login);
        let initial = exchange.initial();
        self.exchange = Some(exchange);
        let line = Zeroizing::new(match initial {
            Some(initial) => format!("AUTH {} {}\r\n", mechanism.name(), BASE64.encode(&*initial)),
            None => format!("AUTH {}\r\n", mechanism.name()),
        });
        self.command(&line, State::Authenticating, timeouts::COMMAND, now);
    }

    pub(super) fn handle_authentication_reply(&mut self, reply: Reply, now: Instant) {
        let Some(exchange) = &mut self.exchange else { return self.break_off("no login is under way") };
        match reply.code {
            235 if exchange.is_complete() => {
                self.exchange = None;
                self.become_ready(now);
            }
            235 => self.break_off("the server does not prove that it knows the password"),
            334 => self.answer_challenge(&reply, now),
            _ => self.close(Closed::NotAuthenticated(Some(reply))),
        }
    }

    fn answer_challenge(&mut self, reply: &Reply, now: Instant) {
        let challenge = reply.lines.first().and_then(|text| BASE64.decode(text.trim()).ok());
        let Some((challenge, exchange)) = challenge.zip(self.exchange.as_mut()) else {
            return self.break_off("the server's challenge is not in base64");
        };
        match exchange.respond(&challenge) {
            Ok(response) => {
                let line = Zeroizing::new(format!("{}\r\n", BASE64.encode(&*response)));
                self.command(&line, State::Authenticating, timeouts::COMMAND, now);
            }
            Err(failure) => self.break_off(&failure.to_string()),
        }
    }
}
