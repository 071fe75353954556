//! Judges a complete message: its header, who sent it, and what follows.
//!
//! In: the message as it came, the envelope, the client. Out: the results for the trace field, and which mailbox it goes to.
//! Refused: what a check refuses (`checks`), and what the author's domain wants refused.

use std::sync::Arc;

use postern_message::address::EmailAddress;
use postern_smtp::server::{Envelope, Refusal};
use postern_store::senders::Attempt;
use tokio::task::spawn_blocking;
use tracing::warn;

use super::checks::client::{Client, Relation};
use super::checks::{Verdict, greylist, header};
use super::session::InboundHost;
use crate::auth::{self, Dmarc, Proof, Report, Submitter};
use crate::config::Severity;
use crate::link::seconds_now;
use crate::net::client_network;
use crate::reports;
use crate::smtp::session::SmtpSession;

const SUSPICIOUS: &str = "neither SPF nor DKIM vouch for its author, whose domain wants it in Junk";

/// What a message came to that is not refused.
pub(super) struct Judged {
    /// Who wrote it, where the header was looked at.
    pub(super) author: Option<EmailAddress>,
    /// What authentication found.
    pub(super) report: Report,
    /// Who brought it.
    pub(super) client: Arc<Client>,
    /// Where it goes.
    pub(super) destination: Destination,
}

impl Judged {
    /// Whether its sender is to be known from now on: a stranger from the internet whose mail goes to the inbox.
    pub(super) fn is_welcome(&self) -> bool {
        self.destination == Destination::Inbox && self.client.relation != Relation::Near
    }
}

/// The mailbox of each recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Destination {
    /// INBOX.
    Inbox,
    /// The one with the special use `\Junk` (RFC 6154).
    Junk,
}

/// Judges a message.
///
/// # Errors
/// Why it is refused; the host has been told of every verdict.
pub(super) async fn judge(
    host: &mut InboundHost,
    session: &SmtpSession,
    envelope: &Envelope,
    octets: &[u8],
) -> Result<Judged, Refusal> {
    header::check_hops(octets)?;
    let author = author(host, octets)?;
    let client = host.client().await;
    let reverse_path = envelope.reverse_path.to_string();
    let submitter = Submitter {
        address: client.address,
        helo: session.core.helo(),
        reverse_path: &reverse_path,
        hostname: host.hostname.as_str(),
        trusted_sealers: &host.parts.policy.trusted_sealers,
    };
    let mut report = auth::check(&host.parts.resolver, submitter, octets, author.as_ref()).await;
    if let Some(author) = &author {
        reports::observe(&host.parts.observed, client.address, envelope, author, &report);
    }
    report.results.push(client.name.result(client.address));
    report.results.extend(client.listing.result());
    host.tell_results(&report.results);
    let destination = obey(host, &report.dmarc)?;
    greylist(host, &client, &report.proof, reverse_path).await?;
    Ok(Judged { author, report, client, destination })
}

fn author(host: &InboundHost, octets: &[u8]) -> Result<Option<EmailAddress>, Refusal> {
    let severity = host.parts.policy.header;
    if severity == Severity::Off {
        return Ok(None);
    }
    match header::author(octets) {
        Ok(author) => Ok(Some(author)),
        Err(refusal) => {
            let reason = "mail programs may understand it in different ways";
            host.heed(&Verdict::refuse("header", severity, refusal, reason))?;
            Ok(None)
        }
    }
}

/// What the author's domain wants, as far as the operator lets it.
fn obey(host: &InboundHost, wish: &Dmarc) -> Result<Destination, Refusal> {
    let severity = host.parts.policy.dmarc;
    let heed = |refusal, reason: &str| host.heed(&Verdict::refuse("dmarc", severity, refusal, reason));
    match wish {
        _ if severity == Severity::Off => {}
        Dmarc::Accept => {}
        Dmarc::Reject { domain } => {
            heed(
                Refusal::DmarcReject { domain: domain.clone() },
                "neither SPF nor DKIM vouch for its author",
            )?;
        }
        Dmarc::Defer { domain } => {
            heed(
                Refusal::DmarcUnknown { domain: domain.clone() },
                "the DNS does not say whether SPF or DKIM vouch for its author",
            )?;
        }
        Dmarc::Quarantine { domain } if severity == Severity::Refuse => {
            return quarantine(host, domain);
        }
        Dmarc::Quarantine { .. } => host.heed(&Verdict::note("dmarc", SUSPICIOUS))?,
    }
    Ok(Destination::Inbox)
}

/// It goes to the Junk mailboxes here and nowhere else: what this home doubts is not sent on under its own name. Where it has
/// none to go to, it is refused.
fn quarantine(host: &InboundHost, domain: &str) -> Result<Destination, Refusal> {
    if host.route.accounts.is_empty() && !host.route.outside.is_empty() {
        let refusal = Refusal::DmarcReject { domain: domain.to_owned() };
        let reason = "neither SPF nor DKIM vouch for its author, and it would be sent on to another server";
        host.heed(&Verdict::refuse("dmarc", Severity::Refuse, refusal, reason))?;
    }
    host.heed(&Verdict::note("dmarc", SUSPICIOUS))?;
    Ok(Destination::Junk)
}

/// Has a doubtful stranger come again.
async fn greylist(host: &InboundHost, client: &Client, proof: &Proof, sender: String) -> Result<(), Refusal> {
    let Some(wait) = host.parts.policy.greylist else { return Ok(()) };
    let signs = greylist::signs(client, proof);
    if signs.is_empty() || greylist::is_spared(client, proof) {
        return Ok(());
    }
    let (now, senders) = (seconds_now(), host.parts.regulars.senders().clone());
    let attempt =
        Attempt { network: client_network(client.address).to_string(), sender: sender.to_lowercase() };
    let noted = spawn_blocking(move || senders.attempt(attempt, now, greylist::MEMORY.as_secs())).await;
    let first =
        noted.map_err(|error| error.to_string()).and_then(|noted| noted.map_err(|error| error.to_string()));
    match first {
        Ok(first) => host.heed(&greylist::judge(wait, first, now, &signs)),
        Err(error) => {
            warn!(error, "an attempt cannot be noted, so nobody is greylisted");
            Ok(())
        }
    }
}
