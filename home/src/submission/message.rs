//! A complete message: its author checked, completed, signed, queued.

use aws_lc_rs::rand;
use jiff::Timestamp;
use postern_message::{
    address::{DomainName, EmailAddress},
    authres, date, header,
    header::HeaderField,
    received::{Client, Protocol, Received},
};
use postern_smtp::server::{self, Envelope, Refusal};
use postern_store::{
    StagedMessage,
    directory::User,
    journal::{Event, StoryId},
    queue::{Content, Deadline, NewMessage, NewRecipient, Ret, Submitted, Wishes},
};
use tokio::task::spawn_blocking;
use tracing::error;

use super::{Parts, author, held, precedence, session::SubmissionHost};
use crate::{
    config::ClientReceived,
    dkim,
    smtp::{
        failure,
        incoming::{Incoming, compose},
        session::SmtpSession,
        story,
        tls_wish::tls_wish,
    },
};

use std::sync::Arc;

/// Takes the message to the queue; `Ok` only when it is durable there.
pub(super) async fn accept(
    host: &SubmissionHost,
    session: &SmtpSession,
    incoming: Incoming,
) -> Result<String, Refusal> {
    let envelope = session.core.envelope().ok_or(Refusal::Temporary)?;
    let user = host.user.as_ref().ok_or(Refusal::AuthenticationRequired)?;
    let outgoing = Outgoing {
        parts: host.parts.clone(),
        hostname: host.hostname.clone(),
        user: user.clone(),
        not_before: host.not_before,
        deadline: host.deadline,
        envelope: envelope.clone(),
        recipients: host.recipients.clone(),
        received: received(host, session, envelope),
        story: host.teller.story().clone(),
    };
    let staged = incoming.finish()?;
    spawn_blocking(move || outgoing.run(staged)).await.map_err(|lost| failure::refusal_of_lost_task(&lost))?
}

/// With the client's name and address only where the operator wishes it (see the parent module).
fn received(host: &SubmissionHost, session: &SmtpSession, envelope: &Envelope) -> String {
    let (helo, client) = match host.parts.policy.client_received {
        ClientReceived::Strip => ("submission", None),
        ClientReceived::Keep => (session.core.helo(), Some(Client { address: host.client, name: None })),
    };
    let field = Received {
        helo,
        client,
        tls: session.tls.as_ref().map(|tls| (tls.version.as_str(), tls.cipher.as_str())),
        by: host.hostname.as_str(),
        protocol: Protocol { extended: true, tls: true, authenticated: true, smtp_utf8: envelope.smtp_utf8 },
        id: host.teller.story().as_str(),
        recipient: None,
        time: Timestamp::now(),
    };
    field.to_string()
}

/// What the blocking half needs.
struct Outgoing {
    parts: Arc<Parts>,
    hostname: DomainName,
    user: User,
    not_before: Option<Timestamp>,
    deadline: Option<Deadline>,
    envelope: Envelope,
    recipients: Vec<NewRecipient>,
    received: String,
    story: StoryId,
}

impl Outgoing {
    fn run(self, staged: StagedMessage) -> Result<String, Refusal> {
        let (author, tls, precedence) = {
            let octets = staged.bytes().map_err(|error| failure::refusal(&error))?;
            self.parts.journal.tell(&self.story, story::received(&octets));
            let own = |address: &EmailAddress| self.parts.directory.may_send_as(self.user.account, address);
            let precedence = precedence::of(&octets, self.recipients.len());
            (author::check(&octets, own)?, tls_wish(&self.envelope, &octets), precedence)
        };
        let staged = self.without_private_fields(staged)?;
        let prepend = self.prepend(&author, &staged)?;
        let message = NewMessage {
            reverse_path: self.envelope.reverse_path.address().cloned(),
            recipients: self.recipients,
            sender: Some(self.user.account),
            forwarder: None,
            prepend,
            content: Content::Staged(&staged),
            smtp_utf8: self.envelope.smtp_utf8,
            envelope_id: self.envelope.envelope_id,
            ret: self.envelope.ret.map_or(Ret::Unsaid, ret),
            wishes: Wishes { not_before: self.not_before, tls, precedence, deadline: self.deadline },
            story: self.story.clone(),
        };
        let recipients = message.recipients.iter().map(|to| to.forward_path.to_string()).collect();
        let allowance = self.parts.policy.allowance();
        let submitted =
            self.parts.queue.submit(message, allowance).map_err(|error| failure::refusal(&error))?;
        let queued = |queue_id| Event::Queued { queue_id, recipients, not_before: self.not_before };
        match submitted {
            Submitted::Queued(id) => {
                self.parts.journal.tell(&self.story, queued(id));
                Ok(format!("queued as {id}"))
            }
            Submitted::Held { id, reason, also } => {
                self.parts.journal.tell(&self.story, queued(id));
                held::tell(&self.parts, &self.user, &reason, also.into_iter().chain([id]));
                Ok(format!("queued as {id}, and held until the owner of this server has looked at it"))
            }
            Submitted::Full => Err(Refusal::AccountHeld),
        }
    }

    /// The message itself where nothing must go, else a copy without what must.
    fn without_private_fields(&self, staged: StagedMessage) -> Result<StagedMessage, Refusal> {
        let octets = staged.bytes().map_err(|error| failure::refusal(&error))?;
        if !header::fields(&octets).any(|field| self.must_go(&field)) {
            drop(octets);
            return Ok(staged);
        }
        compose(&self.parts.store, b"", &octets, |field| self.must_go(field))
    }

    fn must_go(&self, field: &HeaderField<'_>) -> bool {
        field.is("Bcc")
            || field.is("Resent-Bcc")
            || field.is("Return-Path")
            || authres::is_forged(field.name, field.value, self.hostname.as_str())
    }

    /// Signatures, trace, and the fields that were missing; the signatures cover the last.
    fn prepend(&self, author: &EmailAddress, staged: &StagedMessage) -> Result<Vec<u8>, Refusal> {
        let octets = staged.bytes().map_err(|error| failure::refusal(&error))?;
        let added = missing_fields(&octets, author.domain())?;
        if let Some(field) = header::find(added.as_bytes(), "Message-ID") {
            let message_id = field.text().into_owned();
            self.parts.journal.tell(&self.story, Event::Named { message_id });
        }
        let keys = self.parts.directory.dkim_signing_keys(author.domain());
        let signatures = dkim::sign(&keys, &[added.as_bytes(), &octets]).map_err(|cause| {
            error!(%cause, "cannot sign");
            Refusal::Temporary
        })?;
        Ok([&signatures, self.received.as_bytes(), added.as_bytes()].concat())
    }
}

fn ret(asked: server::Ret) -> Ret {
    match asked {
        server::Ret::Full => Ret::Full,
        server::Ret::Headers => Ret::Headers,
    }
}

/// `Date` and `Message-ID`, where the message has none (RFC 6409 §8.2, §8.3).
fn missing_fields(message: &[u8], domain: &DomainName) -> Result<String, Refusal> {
    let mut added = String::new();
    if header::find(message, "Date").is_none() {
        added.push_str(&format!("Date: {}\r\n", date::format(Timestamp::now())));
    }
    if header::find(message, "Message-ID").is_none() {
        added.push_str(&format!("Message-ID: <{}@{domain}>\r\n", unique()?));
    }
    Ok(added)
}

/// 128 random bits in hexadecimal.
fn unique() -> Result<String, Refusal> {
    let mut octets = [0; 16];
    rand::fill(&mut octets).map_err(|_| Refusal::Temporary)?;
    Ok(format!("{:032x}", u128::from_be_bytes(octets)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_added() {
        let domain = DomainName::parse("home.example").expect("domain");
        let added = |message: &str| missing_fields(message.as_bytes(), &domain).expect("random");
        assert_eq!(added("date: x\r\nmessage-id: <y>\r\n\r\n"), "");
        let both = added("From: ana@home.example\r\n\r\n");
        assert!(
            both.starts_with("Date: ")
                && both.contains("\r\nMessage-ID: <")
                && both.ends_with("@home.example>\r\n")
        );
        assert_ne!(both, added("From: ana@home.example\r\n\r\n"));
    }
}
