//! Takes reports out of mail that has been delivered.
//!
//! In: messages to the postmaster, after their 250, with the results of their checks. Out: rows in the store. Refused: what
//! is no report, a report about no domain of ours, one that is there already, and, where they come faster than they are read,
//! the rest: the mail itself is in the mailbox.
//!
//! Bounded: [`WAITING`] messages of at most [`MAX_OCTETS`].

use std::sync::Arc;

use jiff::Timestamp;
use postern_message::address::DomainName;
use postern_message::authres::MethodResult;
use postern_report::{MAX_PACKED, Report};
use postern_store::StagedMessage;
use postern_store::directory::{Directory, Snapshot};
use postern_store::reports::{Kept, Received, Reports};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::attachment::report_in;
use super::authenticity;

/// Messages that wait to be looked at.
const WAITING: usize = 8;
/// The largest message that is looked at: a report in Base64, and a long header.
const MAX_OCTETS: u64 = 2 * MAX_PACKED as u64;

/// Where messages are handed in; cheap to clone.
#[derive(Debug, Clone)]
pub struct Intake {
    arrivals: mpsc::Sender<Arrival>,
}

/// A delivered message.
#[derive(Debug)]
struct Arrival {
    message: StagedMessage,
    provenance: Provenance,
    received: Timestamp,
}

/// Who a message is from, and how that was proven.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// The domain in From.
    pub author: DomainName,
    /// What the checks found.
    pub results: Vec<MethodResult>,
}

impl Intake {
    /// Starts the task that reads; it ends when the last intake is gone.
    pub fn start(reports: Arc<Reports>, directory: Directory) -> Intake {
        let (arrivals, waiting) = mpsc::channel(WAITING);
        tokio::spawn(read_all(waiting, reports, directory));
        Intake { arrivals }
    }

    /// Hands in a message that may hold a report; never waits.
    pub fn offer(&self, message: StagedMessage, provenance: Provenance) {
        let arrival = Arrival { message, provenance, received: Timestamp::now() };
        if arrival.message.size() > MAX_OCTETS || self.arrivals.try_send(arrival).is_err() {
            tracing::info!("mail to the postmaster is not looked through for reports");
        }
    }
}

async fn read_all(mut waiting: mpsc::Receiver<Arrival>, reports: Arc<Reports>, directory: Directory) {
    while let Some(arrival) = waiting.recv().await {
        let (reports, snapshot) = (Arc::clone(&reports), directory.snapshot());
        let work = spawn_blocking(move || arrival.keep(&reports, &snapshot));
        if let Err(error) = work.await {
            tracing::error!(%error, "a task was lost");
        }
    }
}

impl Arrival {
    fn keep(self, reports: &Reports, snapshot: &Snapshot) {
        let octets = match self.message.bytes() {
            Ok(octets) => octets,
            Err(error) => return tracing::warn!(%error, "a message cannot be looked through for reports"),
        };
        let report = match report_in(&octets) {
            Ok(Some(report)) => report,
            Ok(None) => return,
            Err(refused) => return tracing::info!(%refused, "a report is left out"),
        };
        let sender = self.provenance.author;
        let standing = authenticity::standing(&report, &sender, &self.provenance.results);
        for domain in subjects(&report, snapshot) {
            let received = Received {
                domain: domain.clone(),
                sender: sender.clone(),
                standing,
                received: self.received,
                report: report.clone(),
            };
            match reports.keep(received) {
                Ok(Kept::New) => tracing::info!(%domain, %sender, ?standing, "report kept"),
                Ok(Kept::Again) => tracing::info!(%domain, %sender, "a report came again"),
                Err(error) => tracing::warn!(%domain, %error, "a report cannot be kept"),
            }
        }
    }
}

/// The domains of ours, and those below them, that the report is about; each once.
fn subjects(report: &Report, snapshot: &Snapshot) -> Vec<DomainName> {
    let mut named: Vec<&DomainName> = match report {
        Report::Aggregate(report) => vec![&report.policy.domain],
        Report::Tls(report) => report.policies.iter().map(|result| &result.policy.policy_domain).collect(),
    };
    named.sort_unstable();
    named.dedup();
    named.retain(|named| snapshot.domains().any(|domain| named.is_within(domain)));
    named.into_iter().cloned().collect()
}
