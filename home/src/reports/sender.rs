//! Sends the reports that others ask for, once a day.
//!
//! In: what has been counted of the days that are over. Out: one message for each policy and address, signed by our first
//! domain, through the queue. Refused: reports above what an address takes.
//!
//! Reports leave in the first hours after midnight (UTC), each home at a minute of its own (RFC 8460 §4.1 has the reason:
//! not all at once). Where the DNS does not answer it is asked again, for [`GIVE_UP`] days. A report that goes out twice after a
//! crash has the same identifier, by which receivers know it.
//!
//! The reverse path is null, so nobody is told where a report is not taken; From is the postmaster, of the domain that
//! signs, so that DMARC is passed (RFC 7489 §7.2.1.1).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use postern_message::address::{DomainName, EmailAddress};
use postern_report::dmarc::Aggregate;
use postern_report::mail;
use postern_store::directory::Directory;
use postern_store::journal::StoryId;
use postern_store::queue::{Content, NewMessage, NewRecipient, Notify, Queue, Ret, Wishes};
use postern_store::reports::{Day, Kind, Reports};
use tokio::task::spawn_blocking;

use super::destination::{self, Destination, Found};
use crate::config;
use crate::dkim;
use crate::link::{Link, seconds_now};
use crate::outbound::chance;
use crate::resolver::Resolver;
use crate::zone::clock;

/// How often the sender looks whether something is due.
const EVERY: Duration = Duration::from_secs(600);
/// Seconds after midnight in which homes send.
const SPREAD: i64 = 4 * 3600;
/// Days after which a report that could not be sent is not sent any more.
const GIVE_UP: i64 = 3;

/// What reports are made with.
#[derive(Clone)]
pub struct Sender {
    /// What has been counted.
    pub reports: Arc<Reports>,
    /// Our domains and their keys.
    pub directory: Directory,
    /// Where reports go out.
    pub queue: Arc<Queue>,
    /// Where others say that they want some.
    pub resolver: Resolver,
    /// Which are sent.
    pub config: config::Reports,
}

impl Sender {
    /// Sends what is due, again and again, while the clock is believed.
    pub async fn run(self, link: Link) {
        loop {
            tokio::time::sleep(EVERY).await;
            match clock::agreed(seconds_now(), link.edge_zones().time()) {
                Ok(now) => self.send_due(clock::timestamp(now)).await,
                Err(doubt) => tracing::debug!(%doubt, "reports wait"),
            }
        }
    }

    /// Sends the reports of all days that are over, if this is the hour.
    pub async fn send_due(&self, now: Timestamp) {
        let today = Day::of(now);
        let Some(submitter) = self.directory.snapshot().first_domain().cloned() else { return };
        if now.as_second() < today.begin() + delay(&submitter) {
            return;
        }
        let observed =
            self.blocking(move |sender| sender.reports.observed_before(Kind::Aggregate, today)).await;
        let mut days: BTreeMap<Day, Vec<DomainName>> = BTreeMap::new();
        for (day, domain) in observed.unwrap_or_default() {
            days.entry(day).or_default().push(domain);
        }
        for (day, domains) in days {
            let is_late = today.begin() - day.begin() > GIVE_UP * Day::SECONDS;
            match self.config.dmarc && !is_late {
                true => self.report_day(&submitter, day, domains).await,
                false => self.settle(day, domains).await,
            }
        }
    }

    /// One report for each policy that covers some of the domains.
    async fn report_day(&self, submitter: &DomainName, day: Day, domains: Vec<DomainName>) {
        let mut covered: Vec<(Found, Vec<DomainName>)> = Vec::new();
        for domain in domains {
            match destination::policy(&self.resolver, &domain).await {
                Ok(Some(found)) => match covered.iter_mut().find(|(other, _)| *other == found) {
                    Some((_, domains)) => domains.push(domain),
                    None => covered.push((found, vec![domain])),
                },
                // It has ceased to ask.
                Ok(None) => self.settle(day, vec![domain]).await,
                Err(destination::NoAnswer) => tracing::info!(%domain, "a DMARC report waits for the DNS"),
            }
        }
        for (found, domains) in covered {
            self.report(submitter, day, found, domains).await;
        }
    }

    async fn report(&self, submitter: &DomainName, day: Day, found: Found, domains: Vec<DomainName>) {
        let Ok(destinations) = found.destinations(&self.resolver).await else { return };
        let (submitter, policy) = (submitter.clone(), found.policy);
        self.blocking(move |sender| {
            let mut records = Vec::new();
            for domain in &domains {
                records.extend(sender.reports.messages(day, domain)?);
            }
            let from = super::postmaster(&submitter);
            if let Some(from) = from.filter(|_| !records.is_empty()) {
                let report = Aggregate {
                    org_name: submitter.to_string(),
                    email: from.to_string(),
                    report_id: format!("{}.{}@{submitter}", day.begin(), policy.domain),
                    begin: day.begin(),
                    end: day.end(),
                    policy,
                    records,
                };
                sender.mail(&submitter, &from, &destinations, &report)?;
            }
            sender.reports.settle(Kind::Aggregate, day, domains)
        })
        .await;
    }

    /// Queues the report for each destination that takes a message of its size; blocks.
    fn mail(
        &self,
        submitter: &DomainName,
        from: &EmailAddress,
        destinations: &[Destination],
        report: &Aggregate,
    ) -> postern_store::Result<()> {
        let domain = &report.policy.domain;
        for Destination { address, max_octets } in destinations {
            let unique = chance::unique();
            let head = mail::Sender { submitter, from, date: Timestamp::now(), unique: &unique };
            let message = report.to_message(head, address);
            if (1..message.len()).contains(max_octets) {
                tracing::info!(%domain, to = %address, octets = message.len(), "a report is larger than its reader takes");
                continue;
            }
            match dkim::sign(&self.directory.dkim_signing_keys(submitter), &[&message]) {
                Ok(signatures) => self.enqueue(address, &message, signatures, &unique)?,
                // Unsigned it would not be believed.
                Err(error) => tracing::error!(%error, "a report is not sent"),
            }
            tracing::info!(%domain, to = %address, records = report.records.len(), "DMARC report queued");
        }
        Ok(())
    }

    fn enqueue(
        &self,
        to: &EmailAddress,
        message: &[u8],
        signatures: Vec<u8>,
        unique: &str,
    ) -> postern_store::Result<()> {
        let message = NewMessage {
            reverse_path: None,
            recipients: vec![NewRecipient { notify: Notify::NEVER, ..NewRecipient::new(to.clone()) }],
            sender: None,
            forwarder: None,
            prepend: signatures,
            content: Content::Bytes(message),
            smtp_utf8: !to.is_ascii(),
            envelope_id: None,
            ret: Ret::Headers,
            wishes: Wishes::default(),
            story: StoryId::of_our_own(unique),
        };
        self.queue.enqueue(message).map(drop)
    }

    async fn settle(&self, day: Day, domains: Vec<DomainName>) {
        self.blocking(move |sender| sender.reports.settle(Kind::Aggregate, day, domains)).await;
    }

    /// Runs what waits for the disk; an error is logged, and what it was about is tried again.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Sender) -> postern_store::Result<T> + Send + 'static,
    ) -> Option<T> {
        let sender = self.clone();
        match spawn_blocking(move || operation(&sender)).await {
            Ok(Ok(value)) => Some(value),
            Ok(Err(error)) => {
                tracing::warn!(%error, "reports wait for the disk");
                None
            }
            Err(error) => {
                tracing::error!(%error, "a task was lost");
                None
            }
        }
    }
}

/// The same seconds after midnight every day, others for other homes.
fn delay(submitter: &DomainName) -> i64 {
    let hash = submitter.as_str().bytes().fold(0_i64, |hash, octet| (hash * 31 + i64::from(octet)) % SPREAD);
    hash.rem_euclid(SPREAD)
}
