//! One job from its beginning to its settlement: attempt, decide, write down.

use std::sync::Arc;

use jiff::Timestamp;
use postern_message::address::DomainName;
use postern_store::Store;
use postern_store::directory::{Directory, Snapshot};
use postern_store::journal::Journal;
use postern_store::queue::{DueRecipient, Job, Late, NewMessage, Queue, QueueId};
use rustls::ClientConfig;
use tokio::task::spawn_blocking;
use tokio::time::Duration;

use super::attempt::Attempt;
use super::body::Body;
use super::by_relay;
use super::demand::policies::Policies;
use super::idle::IdleConnections;
use super::next::{self, Next, Way};
use super::report::{self, Addressee, Case};
use super::verdict::{Closing, Decision, Times, Told, Verdict, close};
use super::way_out::{Gate, WayOut};
use super::{Settings, chance, local, story};
use crate::hostname::Hostname;
use crate::inner::Network;
use crate::relay::warm_up::Came;
use crate::relay::{Relays, distrust};
use crate::reputation::rates::{Fate, Tally};
use crate::resolver::Resolver;

/// After a failure of the database.
pub const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(5);

/// What delivery works with.
#[derive(Clone)]
pub struct Parts {
    /// What is to be delivered.
    pub queue: Arc<Queue>,
    /// Where it is told what became of it.
    pub journal: Journal,
    /// Where local mail goes.
    pub store: Store,
    /// Who is local.
    pub directory: Directory,
    /// Finds the servers of others.
    pub resolver: Resolver,
    /// What other domains demand.
    pub policies: Arc<Policies>,
    /// Our name in EHLO and in reports.
    pub hostname: Hostname,
    /// For STARTTLS where nothing is demanded; accepts any certificate.
    pub tls: Arc<ClientConfig>,
    /// Where connections to other servers are made.
    pub network: Network,
    /// Servers that send for us.
    pub relays: Relays,
    /// What destinations take.
    pub tally: Tally,
    /// Connections that the next message may use.
    pub idle: IdleConnections,
}

/// What the loop learns from a job.
pub struct Ended {
    /// The message.
    pub message: QueueId,
    /// The destination.
    pub domain: String,
    /// What was learnt of the destination.
    pub contact: Contact,
}

/// Whether the destination can be talked to.
pub enum Contact {
    /// It answered.
    Reached,
    /// No host of it answered; the reason names the last one.
    NotReached(String),
    /// The job did not get that far.
    Unknown,
}

/// One job: attempt, decide, settle.
pub async fn run(parts: Parts, settings: Arc<Settings>, job: Job, gate: Gate) -> Ended {
    let (message, domain) = (job.message, job.domain.clone());
    let attempted = if is_late(&job, Timestamp::now()) {
        Some((vec![too_late()], Contact::Unknown))
    } else if is_local(&parts.directory.snapshot(), &domain) {
        Some(deliver_locally(&parts, &job).await)
    } else {
        deliver_through(&parts, &settings, &job, &gate).await
    };
    let Some((verdicts, contact)) = attempted else {
        return Ended { message, domain, contact: Contact::Unknown };
    };
    // The attempt stands, so it is this that is tried again: another attempt would make duplicates.
    while let Err(error) = settle(&parts, &settings, job.clone(), verdicts.clone()).await {
        tracing::error!(queue_id = %message, %error, "an attempt could not be written down; trying again");
        tokio::time::sleep(PAUSE_AFTER_ERROR).await;
    }
    Ended { message, domain, contact }
}

/// Whether it is to go back instead of being tried once more.
fn is_late(job: &Job, now: Timestamp) -> bool {
    job.envelope.wishes.deadline.and_then(|deadline| deadline.late(now)) == Some(Late::Returned)
}

/// `None` where there is no way out, or none any more after no server could be reached: the recipients then wait as
/// they did, since it was not the destination that failed.
async fn deliver_through(
    parts: &Parts,
    settings: &Settings,
    job: &Job,
    gate: &Gate,
) -> Option<(Vec<Verdict>, Contact)> {
    let (way, changes) = (gate.current().ok()?, gate.changes());
    let (verdicts, contact) = deliver_remotely(parts, settings, job, &way).await;
    let is_cut_off = gate.current().is_err() || gate.changes() != changes;
    let our_fault = matches!(contact, Contact::NotReached(_)) && is_cut_off;
    (!our_fault).then_some((verdicts, contact))
}

async fn deliver_locally(parts: &Parts, job: &Job) -> (Vec<Verdict>, Contact) {
    let (parts, job) = (parts.clone(), job.clone());
    let delivered = blocking(move || {
        let content = parts.queue.content(job.message)?;
        Ok(content.map(|content| local::deliver(&parts, &job, content)))
    });
    match delivered.await {
        Ok(verdicts) => (verdicts.unwrap_or_default(), Contact::Reached),
        Err(error) => {
            tracing::error!(%error, "queued content cannot be read");
            (vec![unreadable()], Contact::Unknown)
        }
    }
}

async fn deliver_remotely(
    parts: &Parts,
    settings: &Settings,
    job: &Job,
    way: &WayOut,
) -> (Vec<Verdict>, Contact) {
    let Next { client, hosts, demands, by } = match next::of(parts, settings, job, way).await {
        Ok(next) => next,
        Err(none) => return (vec![Verdict::from(none)], Contact::Unknown),
    };
    let (queue, message) = (parts.queue.clone(), job.message);
    let opened = blocking(move || Ok(queue.content(message)?.map(Body::open).transpose()?)).await;
    let mut body = match opened {
        Ok(Some(body)) => body,
        // The operator has dropped it.
        Ok(None) => return (Vec::new(), Contact::Unknown),
        Err(error) => {
            tracing::error!(queue_id = %message, %error, "queued content cannot be read");
            return (vec![unreadable()], Contact::Unknown);
        }
    };
    let attempt = client.attempt(job, &mut body, &hosts, &demands, |address| way.source(address)).await;
    let (verdicts, contact) = match attempt {
        Attempt::Verdicts(verdicts) => (verdicts, Contact::Reached),
        Attempt::Unreachable { status, reason } => {
            (vec![Verdict::deferred(status, reason.clone())], Contact::NotReached(reason))
        }
    };
    match by {
        Way::Relay => (verdicts, contact),
        Way::Direct(receiver) => weigh(parts, job, receiver, verdicts, contact).await,
    }
}

/// What a destination says of the edge's address itself decides which way its mail goes from now on; what it refused for that
/// reason is tried that way at once.
async fn weigh(
    parts: &Parts,
    job: &Job,
    receiver: Option<&'static str>,
    verdicts: Vec<Verdict>,
    contact: Contact,
) -> (Vec<Verdict>, Contact) {
    verdicts.iter().filter_map(fate).for_each(|fate| parts.tally.count(&job.domain, fate));
    let distrust = verdicts.iter().find_map(|verdict| {
        let is_refusal = matches!(verdict.decision, Decision::Failed | Decision::Deferred);
        let words = distrust::recognised(verdict.text()).filter(|_| is_refusal)?;
        Some((words.provider, verdict.text().to_owned()))
    });
    let is_taken = verdicts.iter().any(Verdict::is_delivered);
    if let (Some(receiver), Contact::Reached) = (receiver, &contact) {
        let came = match (&distrust, is_taken) {
            (Some(_), _) => Came::Distrusted,
            (None, true) => Came::Taken,
            (None, false) => Came::Refused,
        };
        let relays = parts.relays.clone();
        // A lost note is one message more or less in a plan.
        let _ = spawn_blocking(move || relays.note_direct(receiver, came, Timestamp::now())).await;
    }
    let (relays, domain) = (parts.relays.clone(), job.domain.clone());
    let Some((provider, reply)) = distrust else {
        if is_taken {
            let _ = spawn_blocking(move || relays.forget_distrust(&domain)).await;
        }
        return (verdicts, contact);
    };
    tracing::warn!(domain, provider, reply, "a destination distrusts the edge's address");
    let noted =
        spawn_blocking(move || relays.note_distrust(&domain, provider, &reply, Timestamp::now())).await;
    let now_by_relay = by_relay::of(&parts.relays, &parts.directory, &parts.resolver, job).await;
    if noted.is_err() || now_by_relay.is_none() {
        return (verdicts, contact);
    }
    let by_relay = |verdict: Verdict| match distrust::recognised(verdict.text()) {
        Some(_) => Verdict { decision: Decision::NextTransaction, ..verdict },
        None => verdict,
    };
    (verdicts.into_iter().map(by_relay).collect(), Contact::Unknown)
}

fn fate(verdict: &Verdict) -> Option<Fate> {
    match verdict.decision {
        Decision::Delivered | Decision::PassedOn | Decision::Relayed => Some(Fate::Taken),
        Decision::Deferred => Some(Fate::Deferred),
        Decision::Failed => Some(Fate::Refused),
        Decision::NextTransaction => None,
    }
}

/// On a message whose time is over (RFC 3463 §3.5).
fn too_late() -> Verdict {
    Verdict::local(Decision::Failed, "5.4.7", "it could not be delivered in the time that its sender set")
}

fn unreadable() -> Verdict {
    Verdict::deferred("4.3.0", "the queued message cannot be read at present")
}

/// A recipient with what was decided about it.
struct Decided<'a> {
    recipient: &'a DueRecipient,
    verdict: &'a Verdict,
    closing: Closing,
}

impl<'a> Decided<'a> {
    fn case(&self) -> Option<Case<'a>> {
        Some(Case { recipient: self.recipient, verdict: self.verdict, told: self.closing.report? })
    }
}

/// Writes the attempt down with its reports.
async fn settle(
    parts: &Parts,
    settings: &Arc<Settings>,
    job: Job,
    verdicts: Vec<Verdict>,
) -> postern_store::Result<()> {
    let (parts, settings) = (parts.clone(), settings.clone());
    blocking(move || {
        let decided = decide(&job, &verdicts, &settings);
        decided.iter().for_each(|decided| log(&job, decided));
        let cases: Vec<Case<'_>> = decided.iter().filter_map(Decided::case).collect();
        let host = parts.hostname.current();
        let addressee = Addressee::of(&parts.directory, &job);
        let compose = |to| report::compose(&parts.queue, &job, to, &cases, &host, &settings.retry);
        let reports = addressee.as_ref().map(compose).unwrap_or_default();
        let given_up = cases.iter().any(|case| case.told == Told::Failed);
        if given_up && reports.is_empty() {
            tracing::warn!(queue_id = %job.message, domain = job.domain, "given up, and there is nobody to tell");
        }
        let messages: Vec<NewMessage<'_>> =
            addressee.iter().flat_map(|to| reports.iter().map(|report| report::message(&job, to, report))).collect();
        let settlements = decided.iter().map(|decided| decided.closing.settlement.clone()).collect();
        let settled = parts.queue.settle(job.message, settlements, messages)?;
        story::tell(&parts.journal, &job, decided.iter().map(|one| (one.recipient, one.verdict, &one.closing)));
        if let Some(addressee) = &addressee {
            story::tell_reports(&parts.journal, &job, addressee.to(), &cases, &settled.reports);
        }
        Ok(())
    })
    .await
}

/// A single verdict holds for all recipients; without any, nothing is decided.
fn decide<'a>(job: &'a Job, verdicts: &'a [Verdict], settings: &Settings) -> Vec<Decided<'a>> {
    let (now, policy, times) = (Timestamp::now(), &settings.retry, Times::of(&job.envelope));
    let verdict_of = |index| match verdicts {
        [only] => Some(only),
        several => several.get(index),
    };
    let decide = |(index, recipient): (usize, &'a DueRecipient)| {
        let verdict = verdict_of(index)?;
        let closing = close(recipient, verdict, policy, times, now, chance::number());
        Some(Decided { recipient, verdict, closing })
    };
    job.recipients.iter().enumerate().filter_map(decide).collect()
}

fn log(job: &Job, decided: &Decided<'_>) {
    tracing::info!(
        queue_id = %job.message,
        forward_path = %decided.recipient.forward_path,
        decision = ?decided.verdict.decision,
        outcome = ?decided.closing.settlement.outcome,
        status = decided.verdict.status,
        host = decided.verdict.host,
        reply = decided.verdict.text(),
        "delivery attempt"
    );
}

/// Whether the directory has this domain.
pub fn is_local(directory: &Snapshot, domain: &str) -> bool {
    DomainName::parse(domain).is_ok_and(|domain| directory.is_local(&domain))
}

/// Runs what blocks; a panic in it becomes an error.
pub async fn blocking<T: Send + 'static>(
    operation: impl FnOnce() -> postern_store::Result<T> + Send + 'static,
) -> postern_store::Result<T> {
    let failed = |error: tokio::task::JoinError| Err(postern_store::Error::Fault(error.to_string()));
    spawn_blocking(operation).await.unwrap_or_else(failed)
}
