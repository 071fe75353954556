//! Cares for all certificates while the program runs.
//!
//! In: notices of the directory, the zones and the time, wishes of the operator. Out: certificates that are shown, what the
//! zones shall say, the report. It asks each set's [`Life`](super::life::Life) what is to be done, does it, and keeps that
//! it was done before it asks again; so a home that is killed goes on where it was. One order is under way at a time.
//!
//! Challenges are kept nowhere: after a restart the zones are made without them.

mod order;
mod sight;
mod tell;
mod wish;

use std::time::Duration;

use postern_message::address::DomainName;
use postern_store::directory::Directory;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::book::{Book, BookError, Entry, Material};
use super::key::{self, KeyId};
use super::life::{Moment, Policy, Stage, Step};
use super::names::{self, NameSet, Role, Wildcard};
use super::publication::Publication;
use super::report::Report;
use crate::config;
use crate::hostname::Hostname;
use crate::link::{Link, seconds_now};
use crate::tls::Tls;
use crate::zone::clock::{Evidence, judge};
use crate::zone::issuance::{Challenge, Issuance, zone_of};
use crate::zone::{self, EXPIRE, TLSA_TTL};

pub use wish::{Import, Wish, WishError, Wishes};

/// How often all is looked at while nothing is expected.
const ROUND: Duration = Duration::from_secs(60);
/// How often while something is.
const SOON: Duration = Duration::from_secs(2);

/// What the keeper works with.
pub struct Parts {
    /// The domains, and where the book is kept.
    pub directory: Directory,
    /// What the mail host is called.
    pub hostname: Hostname,
    /// Where certificates are shown.
    pub tls: Tls,
    /// The edge.
    pub link: Link,
    /// The authority.
    pub config: config::Acme,
    /// How the zones are.
    pub zones: watch::Receiver<zone::publish::Report>,
    /// Where the zones learn what certificates need.
    pub issuance: watch::Sender<Issuance>,
    /// Where the reports go.
    pub report: watch::Sender<Report>,
}

/// The task.
pub struct Keeper {
    parts: Parts,
    book: Book,
    publication: Publication,
    challenges: Vec<Challenge>,
    /// When the last order's answers were taken back, and of which set.
    withdrawn: Option<(String, Instant)>,
    /// What keeps the book from being kept, or the authority from being asked at all.
    trouble: Option<String>,
}

/// A look at the circumstances.
struct Look {
    now: u64,
    clock: Result<(), String>,
    host: DomainName,
    /// Those whose zones are made here.
    domains: Vec<DomainName>,
    sets: Vec<NameSet>,
    fallback: Option<KeyId>,
}

impl Keeper {
    /// Reads what is kept, and shows the certificates that are there.
    ///
    /// # Errors
    /// When what is kept cannot be read.
    pub fn open(parts: Parts) -> Result<Self, BookError> {
        let book = Book::open(&parts.directory)?;
        let publication = Publication::new(parts.directory.clone(), parts.link.clone());
        let keeper =
            Self { parts, book, publication, challenges: Vec::new(), withdrawn: None, trouble: None };
        let look = keeper.look();
        keeper.show(&look);
        // Before the first zone is built: one without these records would be published otherwise.
        keeper.publish(&look);
        Ok(keeper)
    }

    /// Works until the program stops.
    pub async fn run(mut self, mut wishes: mpsc::Receiver<Wish>) {
        let mut changes = self.parts.directory.subscribe();
        let mut links = self.parts.link.watch_status();
        loop {
            let pause = self.round().await;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = changes.changed() => if changed.is_err() { return },
                changed = self.parts.zones.changed() => if changed.is_err() { return },
                Ok(()) = links.changed(), if pause <= SOON => tokio::time::sleep(SOON / 4).await,
                wish = wishes.recv() => match wish {
                    Some(wish) => self.fulfil(wish).await,
                    None => return,
                },
            }
        }
    }

    /// Does what is to be done for every set; tells how long nothing will be.
    async fn round(&mut self) -> Duration {
        let look = self.look();
        if let Err(error) = self.adopt(&look).await {
            self.trouble = Some(format!("What is kept of certificates cannot be changed: {error}."));
        }
        let mut pause = ROUND;
        for set in look.sets.clone() {
            pause = pause.min(self.care(&set).await);
        }
        let look = self.look();
        self.publish(&look);
        self.tell(&look);
        pause
    }

    fn look(&self) -> Look {
        let snapshot = self.parts.directory.snapshot();
        let now = seconds_now();
        let newest = self.parts.zones.borrow().zones.iter().map(|zone| zone.signed.as_second()).max();
        let evidence = Evidence {
            now,
            edge: self.parts.link.edge_zones().time(),
            newest_signature: newest.and_then(|newest| u64::try_from(newest).ok()),
        };
        let host = self.parts.hostname.current();
        let all: Vec<&DomainName> = snapshot.domains().collect();
        let domains: Vec<DomainName> = snapshot.served_domains().cloned().collect();
        let wildcard = if self.parts.config.wildcard { Wildcard::Yes } else { Wildcard::No };
        Look {
            now,
            clock: judge(evidence).map_err(|doubt| doubt.to_string()),
            sets: names::all(&host, &all, wildcard),
            host,
            domains,
            fallback: self.parts.tls.fallback().map(|description| description.key),
        }
    }

    /// Brings the book's sets and times to what they must be.
    async fn adopt(&mut self, look: &Look) -> Result<(), BookError> {
        let mut book = self.book.clone();
        book.dismiss(&look.sets, look.clock.as_ref().ok().map(|()| look.now));
        for set in &look.sets {
            let entry = book.sets.entry(set.id().to_owned()).or_default();
            if entry.names != set.names {
                entry.change_names(set.names.clone(), look.now);
            }
            if look.clock.is_ok() {
                entry.life.settle(look.now);
            }
        }
        self.keep(book).await
    }

    /// Does one thing after another for a set, until nothing is to be done.
    async fn care(&mut self, set: &NameSet) -> Duration {
        loop {
            let look = self.look();
            self.publish(&look);
            let is_published = self.observe(set, &look).await.is_published;
            let policy = self.policy(set, &look);
            let moment = Moment { now: look.now, is_clock_right: look.clock.is_ok(), is_published };
            let Some(entry) = self.book.sets.get(set.id()) else { return ROUND };
            let step = entry.life.plan(&policy, &moment);
            if let Step::Rest(wake) = step {
                let waits = policy.stage.is_some() && !is_published;
                let until = wake.map_or(ROUND, |wake| Duration::from_secs(wake.saturating_sub(look.now)));
                return if waits { SOON } else { until.clamp(SOON, ROUND) };
            }
            if let Err(error) = self.carry_out(set, step, &look).await {
                tracing::error!(%error, set = set.id(), "certificates cannot be cared for");
                self.trouble = Some(format!("What is kept of certificates cannot be changed: {error}."));
                return SOON;
            }
            self.trouble = None;
        }
    }

    async fn carry_out(&mut self, set: &NameSet, step: Step, look: &Look) -> Result<(), BookError> {
        match step {
            Step::MakeKey => self.make_key(set).await,
            Step::Order(stage) => self.order(set, stage).await,
            Step::TakeUp => self.take_up(set, look).await,
            Step::Drop => self.change(set, |entry| entry.life.dropped()).await,
            Step::Forget(key) => self.change(set, |entry| entry.life.forgotten(key)).await,
            Step::AskSuggestion => self.ask_suggestion(set).await,
            Step::Rest(_) => Ok(()),
        }
    }

    async fn make_key(&mut self, set: &NameSet) -> Result<(), BookError> {
        let (id, pkcs8) = match key::generate() {
            Ok(made) => made,
            Err(error) => {
                let reason = format!("no key could be made: {error}");
                return self.fail(set, reason, None).await;
            }
        };
        self.change(set, |entry| {
            entry.keys.insert(id, Material { pkcs8, chain: None, imported: false });
            entry.life.key_made(id);
        })
        .await
    }

    async fn take_up(&mut self, set: &NameSet, look: &Look) -> Result<(), BookError> {
        let fallback = self.policy(set, look).fallback;
        self.change(set, |entry| entry.life.taken_up(fallback, look.now)).await?;
        self.show(look);
        tracing::info!(names = ?set.names, "certificate taken up");
        Ok(())
    }

    /// What holds for a set.
    fn policy(&self, set: &NameSet, look: &Look) -> Policy {
        let is_host = set.role == Role::Host;
        let is_ours = |name: &str| self.zone_of(name, look).is_some();
        let is_cared_for =
            !(is_host && self.parts.tls.has_files()) && set.names.iter().all(|name| is_ours(name));
        Policy {
            stage: self.stage().filter(|_| is_cared_for),
            tlsa_ttl: (is_host && is_ours(set.id())).then_some(TLSA_TTL.into()),
            zone_expire: EXPIRE.unsigned_abs().into(),
            fallback: look.fallback.filter(|_| is_host),
        }
    }

    /// The test service comes first, once for each authority.
    fn stage(&self) -> Option<Stage> {
        let directory = self.parts.config.directory()?;
        let is_proven = self.book.accounts.get(directory).is_some_and(|account| account.proven);
        let is_tried = self.parts.config.staging().is_some() && !is_proven;
        Some(if is_tried { Stage::Staging } else { Stage::Production })
    }

    /// The domain whose zone holds a name, wildcards included.
    fn zone_of(&self, name: &str, look: &Look) -> Option<DomainName> {
        let name = DomainName::parse(name.trim_start_matches("*.")).ok()?;
        zone_of(&name, &look.domains.iter().collect::<Vec<_>>()).cloned()
    }

    /// Changes one set, durably.
    async fn change(&mut self, set: &NameSet, change: impl FnOnce(&mut Entry)) -> Result<(), BookError> {
        let mut book = self.book.clone();
        let entry = book.sets.entry(set.id().to_owned()).or_default();
        change(entry);
        entry.sweep();
        self.keep(book).await
    }

    async fn keep(&mut self, book: Book) -> Result<(), BookError> {
        if book == self.book {
            return Ok(());
        }
        let directory = self.parts.directory.clone();
        let kept = tokio::task::spawn_blocking(move || book.keep(&directory).map(|()| book)).await;
        let stopped = |_| BookError::Stopped;
        self.book = kept.map_err(stopped)??;
        Ok(())
    }

    /// Notes that an order came to nothing.
    async fn fail(&mut self, set: &NameSet, reason: String, pause: Option<u64>) -> Result<(), BookError> {
        tracing::warn!(names = ?set.names, reason, "no certificate could be had");
        let (now, dice) = (seconds_now(), chance());
        self.change(set, |entry| entry.life.failed(reason, pause, now, dice)).await
    }
}

/// A number from 0 to 1.
fn chance() -> f64 {
    let mut octets = [0; 4];
    // Without chance all homes come back at the same moment, which is no harm to this one.
    let _ = aws_lc_rs::rand::fill(&mut octets);
    f64::from(u32::from_be_bytes(octets)) / f64::from(u32::MAX)
}
