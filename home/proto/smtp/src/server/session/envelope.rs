//! MAIL and RCPT: the envelope of a transaction (RFC 5321 §3.3, §4.1.1.2, §4.1.1.3).

use super::{Asked, Event, ForwardPath, RcptParameters, Refusal, Ret, ReversePath, Role, Session, Transport};
use crate::server::command::parameters::MailParameters;

/// How the client says the body is encoded (RFC 6152 §2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyType {
    /// Not said, or 7BIT.
    #[default]
    SevenBit,
    /// 8BITMIME.
    EightBitMime,
}

/// The envelope of the current transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The sender.
    pub reverse_path: ReversePath,
    /// The recipients that were accepted, in order.
    pub forward_paths: Vec<ForwardPath>,
    /// Octets announced by SIZE.
    pub size: Option<u64>,
    /// How the body is encoded.
    pub body: BodyType,
    /// Whether addresses and header may be UTF-8.
    pub smtp_utf8: bool,
    /// How much of the message a failure report returns, where the client said so.
    pub ret: Option<Ret>,
    /// The sender's own name for this submission, decoded.
    pub envelope_id: Option<String>,
    /// It may go under TLS to verified servers only (RFC 8689).
    pub require_tls: bool,
}

impl Session {
    pub(super) fn mail_command(&mut self, reverse_path: ReversePath, parameters: MailParameters) {
        if let Err(refusal) = self.may_begin_transaction(&parameters) {
            return self.refuse(&refusal);
        }
        let MailParameters { size, body, smtp_utf8, ret, envelope_id, hold, deliver_by, require_tls } =
            parameters;
        let event = Event::Mail { reverse_path: reverse_path.clone(), size, body, hold, deliver_by };
        let forward_paths = Vec::new();
        let envelope =
            Envelope { reverse_path, forward_paths, size, body, smtp_utf8, ret, envelope_id, require_tls };
        self.ask(event, Asked::Mail(envelope));
    }

    fn may_begin_transaction(&self, parameters: &MailParameters) -> Result<(), Refusal> {
        if self.client.helo.is_none() {
            return Err(Refusal::BadSequence("send EHLO first"));
        }
        if self.config.role == Role::Msa && self.client.user.is_none() {
            return Err(match self.client.transport {
                Transport::Clear => Refusal::TlsRequired,
                Transport::Tls => Refusal::AuthenticationRequired,
            });
        }
        if self.transaction.is_some() {
            return Err(Refusal::BadSequence("a transaction is open; send RSET first"));
        }
        if parameters.asks_for_dsn() && !self.offers_dsn() {
            return Err(Refusal::UnknownParameter);
        }
        if parameters.hold.is_some() && self.config.future_release.is_none() {
            return Err(Refusal::UnknownParameter);
        }
        if parameters.deliver_by.is_some() && self.config.role == Role::Mta {
            return Err(Refusal::UnknownParameter);
        }
        if parameters.deliver_by.is_some() && parameters.hold.is_some() {
            return Err(Refusal::Syntax("BY does not go with HOLDFOR and HOLDUNTIL here"));
        }
        // RFC 8689 §2: only where it was offered, which is under TLS.
        if parameters.require_tls && self.client.transport == Transport::Clear {
            return Err(Refusal::TlsRequired);
        }
        // RFC 1870 §6.1.
        if parameters.size.is_some_and(|size| size > self.config.limits.message_octets) {
            return Err(Refusal::MessageTooBig);
        }
        Ok(())
    }

    /// Answers [`Event::Mail`].
    pub fn mail_verdict(&mut self, verdict: Result<(), Refusal>) {
        let asked = self.take_asked(|asked| match asked {
            Asked::Mail(envelope) => Ok(envelope),
            other => Err(other),
        });
        let Some(envelope) = asked else { return };
        match verdict {
            Ok(()) => {
                self.transaction = Some(envelope);
                self.accept(250, "2.1.0", "sender ok");
            }
            Err(refusal) => self.refuse(&refusal),
        }
        self.process();
    }

    pub(super) fn rcpt_command(&mut self, forward_path: ForwardPath, parameters: RcptParameters) {
        match &self.transaction {
            _ if parameters.asks_for_dsn() && !self.offers_dsn() => self.refuse(&Refusal::UnknownParameter),
            None => self.refuse(&Refusal::BadSequence("send MAIL first")),
            Some(_) if self.chunked.is_some() => self.refuse(&Refusal::BadSequence("BDAT has begun")),
            Some(envelope) if envelope.forward_paths.len() >= self.config.limits.recipients => {
                self.refuse(&Refusal::TooManyRecipients);
            }
            // RFC 6531 §3.4: the addresses of a transaction are ASCII unless MAIL said otherwise.
            Some(envelope) if !envelope.smtp_utf8 && !forward_path.to_string().is_ascii() => {
                self.refuse(&Refusal::NeedsSmtpUtf8);
            }
            Some(_) => {
                let event = Event::Recipient { forward_path: forward_path.clone(), parameters };
                self.ask(event, Asked::Recipient(forward_path));
            }
        }
    }

    /// Answers [`Event::Recipient`].
    pub fn recipient_verdict(&mut self, verdict: Result<(), Refusal>) {
        let asked = self.take_asked(|asked| match asked {
            Asked::Recipient(forward_path) => Ok(forward_path),
            other => Err(other),
        });
        let (Some(forward_path), Some(envelope)) = (asked, self.transaction.as_mut()) else { return };
        match verdict {
            Ok(()) => {
                envelope.forward_paths.push(forward_path);
                self.accept(250, "2.1.5", "recipient ok");
            }
            Err(refusal) => self.refuse(&refusal),
        }
        self.process();
    }
}
