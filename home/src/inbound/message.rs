//! A complete message: checked, given its trace fields, delivered.

use std::sync::Arc;

use jiff::Timestamp;
use postern_message::{
    address::EmailAddress,
    authres::{self, AuthenticationResults},
    header::{HeaderField, find},
    received::{Client, Protocol, Received},
};
use postern_smtp::server::{Envelope, ForwardPath, Refusal, Transport};
use postern_store::{
    Delivery, StagedMessage, Store,
    account::{AccountId, Flags},
    journal::Event,
};
use tokio::task::spawn_blocking;
use tracing::info;

use super::{
    checks::header::{self, check_hops},
    session::InboundHost,
};
use crate::{
    auth::{
        self, Dmarc, Report, Submitter,
        iprev::{self, ReverseName},
    },
    reports::{self, Intake, Provenance},
    smtp::{
        failure,
        incoming::{Incoming, compose},
        session::SmtpSession,
        story,
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
    let author = header::author(&octets)?;
    let (report, name) = authenticate(host, session, envelope, &octets, &author).await;
    reports::observe(&host.parts.observed, host.client, envelope, &author, &report);
    match &report.dmarc {
        Dmarc::Reject { domain } => return Err(Refusal::DmarcReject { domain: domain.clone() }),
        Dmarc::Defer { domain } => return Err(Refusal::DmarcUnknown { domain: domain.clone() }),
        Dmarc::Accept | Dmarc::Quarantine => {}
    }
    drop(octets);
    let prefix = prefix(host, session, envelope, &report, &name);
    let delivery = FinalDelivery {
        store: host.parts.store.clone(),
        authserv_id: host.hostname.to_string(),
        accounts: host.accounts.clone(),
        prefix,
        staged,
        reports: reports_for(host, envelope, author, report),
    };
    let outcome = spawn_blocking(move || delivery.run());
    let text = outcome.await.map_err(|lost| failure::refusal_of_lost_task(&lost))??;
    tell_delivered(host);
    Ok(text)
}

fn tell_delivered(host: &InboundHost) {
    let users = host.accounts.iter().filter_map(|account| host.parts.directory.user(*account));
    for user in users {
        host.teller.tell(Event::Delivered { user: user.address.to_string(), mailbox: None });
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

/// Our own fields, on top of all others.
fn prefix(
    host: &InboundHost,
    session: &SmtpSession,
    envelope: &Envelope,
    report: &Report,
    name: &ReverseName,
) -> String {
    let results =
        AuthenticationResults { authserv_id: host.hostname.as_str(), results: report.results.clone() };
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
    format!("Return-Path: <{}>\r\n{results}{received}", envelope.reverse_path)
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
    authserv_id: String,
    accounts: Vec<AccountId>,
    prefix: String,
    staged: StagedMessage,
    reports: Option<(Intake, Provenance)>,
}

impl FinalDelivery {
    /// Writes the final form and delivers it. One answer stands for all recipients, so a failure in one account
    /// fails the message, and those that have it already may get it twice when it comes again.
    fn run(self) -> Result<String, Refusal> {
        let octets = self.staged.bytes().map_err(|error| failure::refusal(&error))?;
        let composed = compose(&self.store, self.prefix.as_bytes(), &octets, |field| self.must_go(field))?;
        drop(octets);
        let internal_date = Timestamp::now();
        let delivery = |account: &AccountId| Delivery {
            account: *account,
            mailbox: None,
            flags: Flags::default(),
            internal_date,
        };
        let deliveries: Vec<Delivery> = self.accounts.iter().map(delivery).collect();
        for outcome in self.store.deliver(&Arc::new(composed), &deliveries) {
            outcome.map_err(|error| failure::refusal(&error))?;
        }
        if let Some((intake, provenance)) = self.reports {
            intake.offer(self.staged, provenance);
        }
        Ok("delivered".to_owned())
    }

    fn must_go(&self, field: &HeaderField<'_>) -> bool {
        field.is("Return-Path") || authres::is_forged(field.name, field.value, &self.authserv_id)
    }
}
