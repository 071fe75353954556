//! Cares for all certificates while the program runs.
//!
//! In: notices of the directory, the zones and the time, wishes of the operator. Out: certificates that are shown, what the
//! zones shall say, the report. It asks each set's [`Life`](super::life::Life) what is to be done, does it, and keeps that
//! it was done before it asks again; so a home that is killed goes on where it was. One order is under way at a time.
//!
//! Challenges are kept nowhere: after a restart the zones are made without them.

mod order;
mod wish;

use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::RData;
use postern_message::address::DomainName;
use postern_store::directory::Directory;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::book::{Book, BookError, Entry, Material};
use super::key::{self, KeyId};
use super::life::{Moment, Policy, Stage, Step};
use super::names::{self, NameSet, Role, Wildcard};
use super::publication::{Publication, holds};
use super::report::{self, Circumstances, Origin, Report};
use crate::config;
use crate::hostname::Hostname;
use crate::link::{Link, seconds_now};
use crate::tls::{Better, Tls};
use crate::zone::clock::{Evidence, judge};
use crate::zone::issuance::{Challenge, Issuance, Issuer, zone_of};
use crate::zone::{self, TLSA_TTL};

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
        book.sets.retain(|id, _| look.sets.iter().any(|set| set.id() == id));
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
            let is_published = self.observe(set, &look).await;
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

    /// Looks at the served zones of a set's names: whether they are as home wants them; and notes the keys that the world
    /// sees.
    async fn observe(&mut self, set: &NameSet, look: &Look) -> bool {
        let mut domains: Vec<DomainName> =
            set.names.iter().filter_map(|name| self.zone_of(name, look)).collect();
        domains.sort();
        domains.dedup();
        let (publication, wanted) = (self.publication.clone(), self.parts.issuance.borrow().clone());
        let all = look.domains.clone();
        let work = tokio::task::spawn_blocking(move || {
            let served: Vec<_> = domains.iter().map(|domain| publication.served(domain)).collect();
            let all: Vec<&DomainName> = all.iter().collect();
            let is_published = !domains.is_empty()
                && domains.iter().zip(&served).all(|(domain, served)| {
                    let records = wanted.of(domain, &all).records(domain).unwrap_or_default();
                    served.as_ref().is_some_and(|served| holds(served, &records))
                });
            (is_published, served.into_iter().flatten().flatten().collect::<Vec<_>>())
        });
        let (is_published, served) = work.await.unwrap_or_default();
        if set.role == Role::Host && look.clock.is_ok() {
            let seen = served_keys(&served, &look.host);
            self.note_seen(set, &seen, look.now).await;
        }
        is_published
    }

    async fn note_seen(&mut self, set: &NameSet, seen: &[KeyId], now: u64) {
        let Some(entry) = self.book.sets.get(set.id()) else { return };
        let mut life = entry.life.clone();
        life.seen(seen, now);
        // What was not kept is seen again.
        if life != entry.life {
            let _ = self.change(set, |entry| entry.life = life).await;
        }
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

    /// Shows every certificate that there is.
    fn show(&self, look: &Look) {
        let mut better = Better::default();
        for set in &look.sets {
            let Some(shown) = self.book.sets.get(set.id()).and_then(Entry::shown).map(Arc::new) else {
                continue;
            };
            let is_host = set.role == Role::Host;
            if is_host && self.parts.tls.has_files() {
                continue;
            }
            if is_host {
                better.host = Some(shown.clone());
            }
            better.by_name.extend(set.names.iter().map(|name| (name.clone(), shown.clone())));
        }
        self.parts.tls.show(better);
    }

    /// Tells the zones what they shall say.
    fn publish(&self, look: &Look) {
        let host = look.sets.iter().find(|set| set.role == Role::Host);
        let keys = host.map(|set| self.host_keys(set, look)).unwrap_or_default();
        let issuance = Issuance {
            host: Some((look.host.clone(), keys)).filter(|(_, keys)| !keys.is_empty()),
            issuers: self.issuers(),
            challenges: self.challenges.clone(),
        };
        self.parts.issuance.send_if_modified(|before| {
            let is_new = *before != issuance;
            *before = issuance;
            is_new
        });
    }

    /// While a key is still to be made the zones say nothing of the others, so that no record set is ever without the one
    /// that comes next.
    fn host_keys(&self, set: &NameSet, look: &Look) -> Vec<[u8; 32]> {
        let policy = self.policy(set, look);
        let life = self.book.sets.get(set.id()).map(|entry| entry.life.clone()).unwrap_or_default();
        if policy.tlsa_ttl.is_none()
            || (policy.stage.is_some() && life.next.is_none() && life.present.is_none())
        {
            return Vec::new();
        }
        let keys = if self.parts.tls.has_files() {
            look.fallback.into_iter().collect()
        } else {
            life.keys(policy.fallback)
        };
        keys.iter().map(|key| key.0).collect()
    }

    fn issuers(&self) -> Vec<Issuer> {
        let production = self.parts.config.directory();
        let staging = self.parts.config.staging().filter(|_| self.stage() == Some(Stage::Staging));
        let accounts = production.into_iter().chain(staging).filter_map(|url| self.book.accounts.get(url));
        let issuer = |account: &super::book::Account| {
            Some(Issuer { authority: account.authorities.first()?.clone(), account: account.url.clone()? })
        };
        let mut issuers: Vec<Issuer> = accounts.filter_map(issuer).collect();
        issuers.dedup();
        issuers
    }

    fn tell(&self, look: &Look) {
        let describe = |set: &NameSet| {
            let is_host = set.role == Role::Host;
            let (fallback, origin) = match (is_host, self.parts.tls.has_files()) {
                (true, true) => (self.parts.tls.fallback(), Origin::Files),
                (true, false) => (self.parts.tls.fallback(), Origin::SelfSigned),
                (false, _) => (None, Origin::None),
            };
            let circumstances = Circumstances {
                set,
                policy: self.policy(set, look),
                fallback,
                origin,
                hindrance: self.hindrance(set, look),
            };
            report::describe(&self.book, circumstances)
        };
        let certificates = look.sets.iter().map(describe).collect();
        self.parts
            .report
            .send_replace(Report { certificates, troubles: self.trouble.iter().cloned().collect() });
    }

    /// Why nothing is ordered for a set, in words.
    fn hindrance(&self, set: &NameSet, look: &Look) -> Option<String> {
        if set.role == Role::Host && self.parts.tls.has_files() {
            return Some("the files of the section `[tls]` are yours to renew".to_owned());
        }
        if self.parts.config.directory().is_none() {
            return Some("nothing: `directory` in the section `[acme]` is \"off\"".to_owned());
        }
        if let Some(foreign) = set.names.iter().find(|name| self.zone_of(name, look).is_none()) {
            return Some(format!(
                "nothing: the DNS of {foreign} is not served by this home. Get the certificate elsewhere, and name it in the \
                 section `[tls]` or bring it here: `postern-home cert import`"
            ));
        }
        look.clock.clone().err().map(|doubt| format!("the clock is set, since {doubt}"))
    }
}

/// The keys of the mail host that a zone's TLSA records name.
fn served_keys(served: &[hickory_proto::rr::Record], host: &DomainName) -> Vec<KeyId> {
    let owner = format!("_25._tcp.{host}.");
    let records = served.iter().filter(|record| record.name.to_ascii().eq_ignore_ascii_case(&owner));
    let keys = records.filter_map(|record| match &record.data {
        RData::TLSA(tlsa) => <[u8; 32]>::try_from(tlsa.cert_data.as_slice()).ok().map(KeyId),
        _ => None,
    });
    keys.collect()
}

/// A number from 0 to 1.
fn chance() -> f64 {
    let mut octets = [0; 4];
    // Without chance all homes come back at the same moment, which is no harm to this one.
    let _ = aws_lc_rs::rand::fill(&mut octets);
    f64::from(u32::from_be_bytes(octets)) / f64::from(u32::MAX)
}
