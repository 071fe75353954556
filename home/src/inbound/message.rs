//! A complete message: checked, given its trace fields, delivered.

use std::sync::Arc;

use jiff::Timestamp;
use postern_arc::Status;
use postern_message::{
    address::EmailAddress,
    authres::{self, AuthenticationResults},
    header::{HeaderField, find},
    received::{Client, Protocol, Received},
};
use postern_smtp::server::{Envelope, ForwardPath, Refusal, ReversePath, Transport};
use postern_store::{
    Delivery, StagedMessage, Store,
    account::{AccountId, Flags},
    directory::Route,
    journal::{Event, StoryId},
    queue::TlsWish,
};
use tokio::task::spawn_blocking;
use tracing::{error, info};

use super::{
    checks::header::{self, check_hops},
    session::InboundHost,
};
use crate::{
    auth::{
        self, Dmarc, Report, Submitter,
        iprev::{self, ReverseName},
    },
    forward::{self, Findings, Forwarder, Original},
    reports::{self, Intake, Provenance},
    smtp::{
        failure,
        incoming::{Incoming, compose},
        session::SmtpSession,
        story,
        tls_wish::tls_wish,
    },
};

/// Takes the message to the mailboxes; `Ok` only when it is durable in all of them.
pub(super) async fn accept(
    host: &InboundHost,
    session: &SmtpSession,
    incoming: Incoming,
) -> Result<String, Refusal> {
    let envelope = session.core.envelope().ok_or(Refusal::Temporary)?;
    let staged = incoming.finish()?;
    let octets = staged.bytes().map_err(|error| failure::refusal(&error))?;
    host.teller.tell(story::received(&octets));
    log_arrival(&octets);
    check_hops(&octets)?;
    check_way(host, &octets)?;
    let author = header::author(&octets)?;
    let (report, name) = authenticate(host, session, envelope, &octets, &author).await;
    reports::observe(&host.parts.observed, host.client, envelope, &author, &report);
    match &report.dmarc {
        Dmarc::Reject { domain } => return Err(Refusal::DmarcReject { domain: domain.clone() }),
        Dmarc::Defer { domain } => return Err(Refusal::DmarcUnknown { domain: domain.clone() }),
        Dmarc::Accept | Dmarc::Quarantine => {}
    }
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
        results: results(host, &report),
        received: received(host, session, envelope, &name),
        chain: report.chain.status.clone(),
        staged,
        reports: reports_for(host, envelope, author, report),
    };
    let outcome = spawn_blocking(move || delivery.run());
    let text = outcome.await.map_err(|lost| failure::refusal_of_lost_task(&lost))??;
    tell_delivered(host);
    Ok(text)
}

fn tell_delivered(host: &InboundHost) {
    let users = host.route.accounts.iter().filter_map(|account| host.parts.directory.user(*account));
    for user in users {
        host.teller.tell(Event::Delivered { user: user.address.to_string(), mailbox: None });
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

async fn authenticate(
    host: &InboundHost,
    session: &SmtpSession,
    envelope: &Envelope,
    octets: &[u8],
    author: &EmailAddress,
) -> (Report, ReverseName) {
    let reverse_path = envelope.reverse_path.to_string();
    let submitter = Submitter {
        address: host.client,
        helo: session.core.helo(),
        reverse_path: &reverse_path,
        hostname: host.hostname.as_str(),
        trusted_sealers: &host.parts.policy.trusted_sealers,
    };
    let (mut report, name) = tokio::join!(
        auth::check(&host.parts.resolver, submitter, octets, Some(author)),
        iprev::judge(&host.parts.resolver, host.client),
    );
    report.results.push(name.result(host.client));
    let results = report.results.iter().map(ToString::to_string).collect();
    host.teller.tell(Event::Authenticated { results });
    for result in &report.results {
        info!(%result, "authentication");
    }
    (report, name)
}

/// What was found, as a field.
fn results(host: &InboundHost, report: &Report) -> String {
    AuthenticationResults { authserv_id: host.hostname.as_str(), results: report.results.clone() }.to_string()
}

fn received(host: &InboundHost, session: &SmtpSession, envelope: &Envelope, name: &ReverseName) -> String {
    let received = Received {
        helo: session.core.helo(),
        client: Some(Client { address: host.client, name: name.confirmed() }),
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
fn reports_for(
    host: &InboundHost,
    envelope: &Envelope,
    author: EmailAddress,
    report: Report,
) -> Option<(Intake, Provenance)> {
    let provenance = Provenance { author: author.domain().clone(), results: report.results };
    reports::is_among(&envelope.forward_paths).then(|| (host.parts.reports.clone(), provenance))
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
    staged: StagedMessage,
    reports: Option<(Intake, Provenance)>,
}

impl FinalDelivery {
    /// Brings it to the mailboxes and then to the queue. One answer stands for all recipients, so a failure in one place
    /// fails the message, and those that have it already may get it twice when it comes again.
    fn run(self) -> Result<String, Refusal> {
        self.deliver()?;
        self.send_on()?;
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
        let delivery = |account: &AccountId| Delivery {
            account: *account,
            mailbox: None,
            flags: Flags::default(),
            internal_date,
        };
        let deliveries: Vec<Delivery> = self.route.accounts.iter().map(delivery).collect();
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

    fn must_go(&self, field: &HeaderField<'_>) -> bool {
        field.is("Return-Path") || authres::is_forged(field.name, field.value, &self.authserv_id)
    }
}
