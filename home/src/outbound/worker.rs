//! The event loop of delivery: what is due and may begin is begun, what has ended is taken note of.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use postern_store::directory::Snapshot;
use postern_store::queue::{Job, Lane, QueueId, Slots};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep_until, timeout};

use super::Settings;
use super::job::{self, Contact, Ended, PAUSE_AFTER_ERROR, Parts, blocking, is_local};
use super::schedule::{Moment, Schedule};
use super::way_out::{Gate, WayOut};

/// The loop looks at the queue at least this often, should the clock have been set.
const LONGEST_SLEEP: Duration = Duration::from_secs(300);
/// How long a stop waits for attempts that are under way.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// Delivers what is queued until it is told to stop.
pub struct Worker {
    parts: Parts,
    settings: Arc<Settings>,
    gate: Gate,
    schedule: Schedule,
    jobs: JoinSet<Ended>,
    started: HashSet<(tokio::task::Id, QueueId)>,
}

impl Worker {
    /// Makes a worker; [`Worker::run`] starts it.
    pub fn new(parts: Parts, settings: Settings, gate: Gate) -> Self {
        let schedule = Schedule::new(settings.concurrency);
        let settings = Arc::new(settings);
        Worker { parts, settings, gate, schedule, jobs: JoinSet::new(), started: HashSet::new() }
    }

    /// Delivers until `stop` becomes true; then ends what is under way, for at most 20 seconds. What has not ended by
    /// then waits in the queue as before.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let (mut changes, mut retries) = (self.parts.queue.changes(), self.parts.queue.retries());
        self.mend_clock_jump().await;
        let mut way = self.gate.current();
        while !*stop.borrow() {
            self.renew(&mut way);
            let sleep = self.start_due(&way).await;
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { break },
                _ = retries.changed() => self.schedule.forget_unreachable(),
                () = self.gate.other_than(&way) => {}
                Some(ended) = self.jobs.join_next_with_id(), if !self.jobs.is_empty() => self.end(ended).await,
                () = sleep_until(tokio::time::Instant::now() + sleep) => {}
                _ = stop.changed() => {}
            }
        }
        self.drain().await;
    }

    /// Takes up another way, whatever woke the loop: destinations have a fresh start, and attempts under way learn of it.
    fn renew(&mut self, way: &mut Result<WayOut, String>) {
        let current = self.gate.current();
        if current != *way {
            tracing::info!(open = current.is_ok(), "way to other servers changed");
            self.gate.count_change();
            self.schedule.forget_unreachable();
            self.parts.idle.end_all();
            *way = current;
        }
    }

    /// Starts what is due and may start; gives the time until there may be more.
    async fn start_due(&mut self, way: &Result<WayOut, String>) -> Duration {
        self.parts.queue.hold(way.as_ref().err().map(String::as_str));
        match self.due(way.as_ref().ok()).await {
            Ok((jobs, next)) => {
                for job in jobs {
                    self.start(job);
                }
                next
            }
            Err(error) => {
                tracing::error!(%error, "the queue cannot be read");
                PAUSE_AFTER_ERROR
            }
        }
    }

    async fn due(&self, way: Option<&WayOut>) -> postern_store::Result<(Vec<Job>, Duration)> {
        let now = Timestamp::now();
        let mut slots = Free {
            moment: Moment { schedule: self.schedule.clone(), now },
            local: self.parts.directory.snapshot(),
            remote: way.is_some(),
        };
        let (queue, limit) = (self.parts.queue.clone(), self.settings.recipients_per_transaction);
        let wake = self.schedule.next_wake(now);
        blocking(move || {
            let jobs = queue.due(now, limit, &mut slots)?;
            let next = queue.next_due(now)?.into_iter().chain(wake).min();
            Ok((jobs, next.map_or(LONGEST_SLEEP, |next| wait(now, next))))
        })
        .await
    }

    fn start(&mut self, job: Job) {
        self.schedule.begin(&job);
        let message = job.message;
        let run = job::run(self.parts.clone(), self.settings.clone(), job, self.gate.clone());
        let handle = self.jobs.spawn(run);
        self.started.insert((handle.id(), message));
    }

    async fn end(&mut self, ended: Result<(tokio::task::Id, Ended), tokio::task::JoinError>) {
        match ended {
            Ok((id, ended)) => {
                self.started.remove(&(id, ended.message));
                self.schedule.end(ended.message, &ended.domain);
                match ended.contact {
                    Contact::Reached => self.schedule.reached(&ended.domain),
                    Contact::NotReached(reason) => self.defer_destination(ended.domain, reason).await,
                    Contact::Unknown => {}
                }
            }
            Err(error) => {
                // A panic in a job must not block its destination for ever.
                tracing::error!(%error, "a delivery attempt broke off");
                let message = self.started.iter().find(|(id, _)| *id == error.id()).copied();
                if let Some((id, message)) = message {
                    self.started.remove(&(id, message));
                    self.schedule.end_everywhere(message);
                }
            }
        }
    }

    async fn defer_destination(&mut self, domain: String, reason: String) {
        let until = self.schedule.not_reached(&domain, Timestamp::now());
        let queue = self.parts.queue.clone();
        tracing::info!(domain, %until, reason, "destination deferred");
        let deferred = blocking(move || queue.defer_destination(&domain, until, &reason)).await;
        if let Err(error) = deferred {
            tracing::error!(%error, "the queue cannot be written");
        }
    }

    /// Next attempts beyond the longest wait were written while the clock was ahead.
    async fn mend_clock_jump(&self) {
        let now = Timestamp::now();
        let latest = self.settings.retry.latest_next_attempt(now);
        let queue = self.parts.queue.clone();
        match blocking(move || queue.clamp_next_attempts(now, latest)).await {
            Ok(0) => {}
            Ok(recipients) => tracing::warn!(recipients, "next attempts lay too far ahead; trying now"),
            Err(error) => tracing::error!(%error, "the queue cannot be written"),
        }
    }

    async fn drain(mut self) {
        let all = async { while self.jobs.join_next().await.is_some() {} };
        if timeout(STOP_TIMEOUT, all).await.is_err() {
            tracing::warn!(attempts = self.jobs.len(), "stopped in mid-attempt; the messages stay queued");
            self.jobs.shutdown().await;
        }
        self.parts.idle.end_all();
    }
}

/// The free slots at one moment.
struct Free {
    moment: Moment,
    local: Arc<Snapshot>,
    remote: bool,
}

impl Slots for Free {
    fn next_lane(&self, lanes: &[Lane]) -> Option<Lane> {
        self.moment.next_lane(lanes)
    }

    fn last_served(&self, lane: Lane) -> &str {
        self.moment.last_served(lane)
    }

    fn is_free(&self, lane: Lane, domain: &str) -> bool {
        (self.remote || is_local(&self.local, domain)) && self.moment.is_free(lane, domain)
    }

    fn is_busy(&self, message: QueueId, domain: &str) -> bool {
        self.moment.is_busy(message, domain)
    }

    fn begin(&mut self, job: &Job) {
        self.moment.begin(job);
    }
}

/// From now until then, at most [`LONGEST_SLEEP`].
fn wait(now: Timestamp, then: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or_default().min(LONGEST_SLEEP)
}
