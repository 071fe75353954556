//! A complete message: checked, given its trace fields, delivered.

use std::sync::Arc;

use jiff::Timestamp;
use postern_arc::Status;
use postern_message::{
    authres::{self, AuthenticationResults},
    header::{HeaderField, find},
    received::{Client, Protocol, Received},
};
use postern_smtp::server::{Envelope, ForwardPath, Refusal, ReversePath, Transport};
use postern_store::{
    Delivery, StagedMessage, Store,
    account::{AccountId, Flags, MailboxId, SpecialUse},
    directory::Route,
    journal::{Event, StoryId},
    queue::TlsWish,
};
use tokio::task::spawn_blocking;
use tracing::{error, info};

use super::judgement::{self, Destination, Judged};
use super::session::InboundHost;
use crate::forward::{self, Findings, Forwarder, Original};
use crate::link::seconds_now;
use crate::reports::{self, Intake, Provenance};
use crate::smtp::{
    failure,
    incoming::{Incoming, compose},
    session::SmtpSession,
    story,
    tls_wish::tls_wish,
};

/// Takes the message to the mailboxes; `Ok` only when it is durable in all of them.
pub(super) async fn accept(
    host: &mut InboundHost,
    session: &SmtpSession,
    incoming: Incoming,
) -> Result<String, Refusal> {
    let envelope = session.core.envelope().ok_or(Refusal::Temporary)?;
    let staged = incoming.finish()?;
    let octets = staged.bytes().map_err(|error| failure::refusal(&error))?;
    host.teller.tell(story::received(&octets));
    log_arrival(&octets);
    check_way(host, &octets)?;
    let judged = judgement::judge(host, session, envelope, &octets).await?;
    let tls = tls_wish(envelope, &octets);
    drop(octets);
    let delivery = FinalDelivery {
        store: host.parts.store.clone(),
        forwarder: host.parts.forwarder.clone(),
        authserv_id: host.hostname.to_string(),
        route: host.route.clone(),
        reverse_path: envelope.reverse_path.clone(),
        smtp_utf8: envelope.smtp_utf8,
        tls,
        story: host.teller.story().clone(),
        results: results(host, &judged),
        received: received(host, session, envelope, &judged),
        chain: judged.report.chain.status.clone(),
        destination: judged.destination,
        staged,
        reports: reports_for(host, envelope, &judged),
    };
    let outcome = spawn_blocking(move || delivery.run());
    let text = outcome.await.map_err(|lost| failure::refusal_of_lost_task(&lost))??;
    if judged.is_welcome() {
        host.parts.regulars.welcome(judged.client.address, seconds_now());
    }
    tell_delivered(host, judged.destination);
    Ok(text)
}

fn tell_delivered(host: &InboundHost, destination: Destination) {
    let mailbox = match destination {
        Destination::Inbox => None,
        Destination::Junk => Some(SpecialUse::Junk.name().to_owned()),
    };
    let users = host.route.accounts.iter().filter_map(|account| host.parts.directory.user(*account));
    for user in users {
        host.teller.tell(Event::Delivered { user: user.address.to_string(), mailbox: mailbox.clone() });
    }
}

/// Refuses a message that one of its recipients has sent on before.
fn check_way(host: &InboundHost, message: &[u8]) -> Result<(), Refusal> {
    match host.route.outside.iter().any(|onward| forward::has_passed(message, &onward.by)) {
        true => Err(Refusal::Loop),
        false => Ok(()),
    }
}

/// The message's own id beside the session's, so that either finds the story in the log.
fn log_arrival(message: &[u8]) {
    let message_id = find(message, "Message-ID").map(|field| field.text().into_owned());
    info!(octets = message.len(), message_id = message_id.unwrap_or_default(), "message received");
}

/// What was found, as a field.
fn results(host: &InboundHost, judged: &Judged) -> String {
    let results = judged.report.results.clone();
    AuthenticationResults { authserv_id: host.hostname.as_str(), results }.to_string()
}

fn received(host: &InboundHost, session: &SmtpSession, envelope: &Envelope, judged: &Judged) -> String {
    let received = Received {
        helo: session.core.helo(),
        client: Some(Client { address: host.client, name: judged.client.name.confirmed() }),
        tls: session.tls.as_ref().map(|tls| (tls.version.as_str(), tls.cipher.as_str())),
        by: host.hostname.as_str(),
        protocol: Protocol {
            extended: session.core.is_extended(),
            tls: session.core.transport() == Transport::Tls,
            authenticated: false,
            smtp_utf8: envelope.smtp_utf8,
        },
        id: host.teller.story().as_str(),
        recipient: match envelope.forward_paths.as_slice() {
            [ForwardPath::Address(address)] => Some(address),
            _ => None,
        },
        time: Timestamp::now(),
    };
    received.to_string()
}

/// Where the message is handed to for the report that may be in it.
fn reports_for(host: &InboundHost, envelope: &Envelope, judged: &Judged) -> Option<(Intake, Provenance)> {
    let author = judged.author.as_ref().filter(|_| reports::is_among(&envelope.forward_paths))?;
    let provenance = Provenance { author: author.domain().clone(), results: judged.report.results.clone() };
    Some((host.parts.reports.clone(), provenance))
}

/// What the blocking half needs.
struct FinalDelivery {
    store: Store,
    forwarder: Forwarder,
    authserv_id: String,
    route: Route,
    reverse_path: ReversePath,
    smtp_utf8: bool,
    tls: TlsWish,
    story: StoryId,
    /// Our `Authentication-Results` field.
    results: String,
    /// Our `Received` field.
    received: String,
    chain: Status,
    destination: Destination,
    staged: StagedMessage,
    reports: Option<(Intake, Provenance)>,
}

impl FinalDelivery {
    /// Brings it to the mailboxes and then to the queue. One answer stands for all recipients, so a failure in one place
    /// fails the message, and those that have it already may get it twice when it comes again.
    fn run(self) -> Result<String, Refusal> {
        self.deliver()?;
        match self.destination {
            Destination::Inbox => self.send_on()?,
            // What is doubted here is not passed on to others.
            Destination::Junk => {}
        }
        if let Some((intake, provenance)) = self.reports {
            intake.offer(self.staged, provenance);
        }
        Ok("delivered".to_owned())
    }

    /// Our own fields stand on top of all others.
    fn deliver(&self) -> Result<(), Refusal> {
        if self.route.accounts.is_empty() {
            return Ok(());
        }
        let prefix = format!("Return-Path: <{}>\r\n{}{}", self.reverse_path, self.results, self.received);
        let composed = self.composed(prefix.as_bytes())?;
        let internal_date = Timestamp::now();
        let mut deliveries = Vec::with_capacity(self.route.accounts.len());
        for account in &self.route.accounts {
            let mailbox = self.mailbox(*account).map_err(|error| failure::refusal(&error))?;
            deliveries.push(Delivery { account: *account, mailbox, flags: Flags::default(), internal_date });
        }
        let outcomes = self.store.deliver(&Arc::new(composed), &deliveries);
        outcomes.into_iter().find_map(Result::err).map_or(Ok(()), |error| Err(failure::refusal(&error)))
    }

    fn send_on(&self) -> Result<(), Refusal> {
        if self.route.outside.is_empty() {
            return Ok(());
        }
        let results = self.results.split_once(':').map_or("", |(_, value)| value);
        let original = Original {
            reverse_path: self.reverse_path.address(),
            message: &self.composed(b"")?,
            received: &self.received,
            findings: Some(Findings { results, chain: &self.chain }),
            smtp_utf8: self.smtp_utf8,
            tls: self.tls,
            story: &self.story,
        };
        self.forwarder.send_on(&original, &self.route.outside).map_err(|error| match error {
            forward::Error::Store(error) => failure::refusal(&error),
            forward::Error::Sender(_) | forward::Error::Seal(_) => {
                error!(%error, "a message cannot be sent on");
                Refusal::Temporary
            }
        })
    }

    fn composed(&self, prefix: &[u8]) -> Result<StagedMessage, Refusal> {
        let octets = self.staged.bytes().map_err(|error| failure::refusal(&error))?;
        compose(&self.store, prefix, &octets, |field| self.must_go(field))
    }

    fn mailbox(&self, account: AccountId) -> postern_store::Result<Option<MailboxId>> {
        match self.destination {
            Destination::Inbox => Ok(None),
            Destination::Junk => self.store.account(account)?.mailbox_for(SpecialUse::Junk).map(Some),
        }
    }

    fn must_go(&self, field: &HeaderField<'_>) -> bool {
        field.is("Return-Path") || authres::is_forged(field.name, field.value, &self.authserv_id)
    }
}
