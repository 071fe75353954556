//! Looks at the certificates and zones of all domains, and keeps what that means.
//!
//! In: time, and notices that the directory changed. Out: each domain's [`Presence`] on the web, in the directory and as
//! [`Seen`] for whoever asks. The disk is written when something changes, and once an hour: see [`Standing::differs`].
//!
//! What the senders are told changes here first, then in the zone, which is built from the directory: so nobody learns of a
//! policy before it can be fetched (RFC 8461 §8.1).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::RData;
use jiff::Timestamp;
use postern_message::address::DomainName;
use postern_store::directory::Directory;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::evidence::{Evidence, ZoneSeen};
use super::policy::{Mode, Policy};
use super::standing::{Judgement, Standing};
use crate::hostname::Hostname;
use crate::link::{EdgeZones, Link, seconds_now};
use crate::tls::{Flaw, Tls};
use crate::web::WebName;
use crate::zone::clock::{self, timestamp};
use crate::zone::renew;

/// How often is looked while all is known.
const ROUND: Duration = Duration::from_secs(30);
/// How often is looked while something is not.
const RETRY: Duration = Duration::from_secs(2);

/// What is kept of a domain on the web.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// The names below the domain for which home has a certificate that strangers believe: these are published.
    pub certified: BTreeSet<WebName>,
    /// How its policy stands.
    pub standing: Standing,
}

impl Presence {
    /// What is kept of a domain; nothing where there is nothing, or what a later program has written.
    pub fn kept(directory: &Directory, domain: &DomainName) -> Self {
        let kept = directory.web_presence(domain).ok().flatten();
        kept.and_then(|kept| serde_json::from_slice(&kept).ok()).unwrap_or_default()
    }

    /// The policy, where senders can fetch it.
    pub fn policy(&self, mail_host: &DomainName) -> Option<Policy> {
        let policy = Policy { mode: self.standing.mode, mx: mail_host.clone() };
        self.certified.contains(&WebName::MtaSts).then_some(policy)
    }
}

/// All domains as they were seen last.
pub type Seen = Arc<BTreeMap<DomainName, DomainSeen>>;

/// One domain as it was seen last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainSeen {
    /// What is kept.
    pub presence: Presence,
    /// What the look found.
    pub judgement: Judgement,
}

/// How a domain's policy is, for the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The domain.
    pub domain: DomainName,
    /// What senders are told; absent where they find no policy.
    pub mode: Option<Mode>,
    /// Since when.
    pub since: Timestamp,
    /// What is awaited.
    pub awaited: Option<String>,
}

impl Report {
    /// The mode, or that there is none.
    pub fn in_short(&self) -> String {
        self.mode.map_or("none".to_owned(), |mode| mode.to_string())
    }
}

impl Display for Report {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self { domain, mode, since, awaited } = self;
        match mode {
            Some(mode) => write!(formatter, "{domain}, {mode} since {}", since.strftime("%Y-%m-%d"))?,
            None => write!(formatter, "{domain}, not announced")?,
        }
        awaited.iter().try_for_each(|awaited| write!(formatter, "; {awaited}"))
    }
}

/// The watching task.
pub struct Watcher {
    /// The domains, and what is kept of them.
    pub directory: Directory,
    /// The mail host.
    pub hostname: Hostname,
    /// The certificates.
    pub tls: Tls,
    /// What the edge serves, and its clock.
    pub link: Link,
    /// Whether the world reaches home's web service.
    pub is_reached: bool,
    /// How long all must be right before senders are told to insist.
    pub enforce_after: Option<Duration>,
    /// Where what is seen goes.
    pub seen: watch::Sender<Seen>,
}

impl Watcher {
    /// Looks until the program stops.
    pub async fn run(self) {
        let watcher = Arc::new(self);
        let mut changes = watcher.directory.subscribe();
        loop {
            let looking = watcher.clone();
            let seen = tokio::task::spawn_blocking(move || looking.look()).await.unwrap_or_default();
            let is_known = seen.values().all(|domain| !matches!(domain.judgement, Judgement::Unproven(_)));
            watcher.seen.send_replace(Arc::new(seen));
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(if is_known { ROUND } else { RETRY }) => {}
            }
        }
    }

    fn look(&self) -> BTreeMap<DomainName, DomainSeen> {
        let (edge, mail_host) = (self.link.edge_zones(), self.hostname.current());
        let now = believed(seconds_now(), &edge);
        let snapshot = self.directory.snapshot();
        let see = |domain: &DomainName| {
            let kept = Presence::kept(&self.directory, domain);
            let seen = match now {
                Ok(now) => self.see(domain, &mail_host, &edge, now, &kept),
                Err(why) => {
                    DomainSeen { presence: kept.clone(), judgement: Judgement::Unproven(why.to_owned()) }
                }
            };
            (domain.clone(), self.remember(domain, kept, seen))
        };
        snapshot.domains().map(see).collect()
    }

    fn see(
        &self,
        domain: &DomainName,
        mail_host: &DomainName,
        edge: &EdgeZones,
        now: u64,
        kept: &Presence,
    ) -> DomainSeen {
        let proof = |name: &WebName| self.tls.proof(&name.below(domain), now);
        let is_certified = |name: &WebName| match proof(name) {
            Ok(_) => true,
            Err(Flaw::NoRoots) => kept.certified.contains(name),
            Err(_) => false,
        };
        let certified =
            WebName::ALL.into_iter().filter(|name| self.is_reached && is_certified(name)).collect();
        let evidence = Evidence {
            mail_host: mail_host.clone(),
            mail: self.tls.proof(mail_host, now),
            policy_host: WebName::MtaSts.below(domain),
            policy: proof(&WebName::MtaSts),
            zone: zone_seen(&self.directory, domain),
            served: edge.serial(domain),
        };
        let judgement = if self.is_reached { evidence.judge(now) } else { unreached() };
        let standing = self.standing(domain, kept).look(Some(now), &judgement, self.enforce_after);
        DomainSeen { presence: Presence { certified, standing }, judgement }
    }

    /// The standing in memory is up to an hour newer than the kept one.
    fn standing(&self, domain: &DomainName, kept: &Presence) -> Standing {
        self.seen.borrow().get(domain).map_or(kept.standing, |seen| seen.presence.standing)
    }

    fn remember(&self, domain: &DomainName, kept: Presence, seen: DomainSeen) -> DomainSeen {
        let (before, after) = (kept.standing.mode, seen.presence.standing.mode);
        if before != after {
            tracing::warn!(%domain, mode = %after, found = ?seen.judgement, "the MTA-STS policy changes its mode");
        }
        if kept.certified == seen.presence.certified && !seen.presence.standing.differs(kept.standing) {
            return seen;
        }
        let octets = serde_json::to_vec(&seen.presence).unwrap_or_default();
        match self.directory.keep_web_presence(domain, octets) {
            Ok(()) => seen,
            // Nothing is told that would be forgotten.
            Err(error) => DomainSeen {
                presence: kept,
                judgement: Judgement::Unproven(format!("it cannot be kept: {error}")),
            },
        }
    }
}

fn unreached() -> Judgement {
    Judgement::Wrong("the world does not reach home's web service: see `listen.https`".to_owned())
}

/// The time, where this machine's clock and the edge's agree on it.
fn believed(now: u64, edge: &EdgeZones) -> Result<u64, &'static str> {
    let evidence = clock::Evidence { now, edge: edge.time(), newest_signature: None };
    match (edge.time(), clock::judge(evidence)) {
        (None, _) => Err("the edge is not heard"),
        (Some(_), Err(_)) => Err("this machine's clock is in doubt"),
        (Some(_), Ok(())) => Ok(now),
    }
}

fn zone_seen(directory: &Directory, domain: &DomainName) -> Option<ZoneSeen> {
    let kept = renew::kept(directory, domain).ok().flatten()?;
    let records = kept.zone.records().ok()?;
    let apex = kept.zone.origin.trim_end_matches('.');
    let hosts = records.iter().filter_map(|record| match &record.data {
        RData::MX(mx) if record.name.to_ascii().trim_end_matches('.') == apex => Some(mx.exchange.to_ascii()),
        _ => None,
    });
    // A host that is no domain name (the root, of a null MX) is none that could be meant.
    let mx = hosts.map(|host| DomainName::parse(&host)).collect::<Result<_, _>>().unwrap_or_default();
    Some(ZoneSeen { serial: kept.zone.serial, mx })
}

impl DomainSeen {
    /// Before the first look after a start.
    pub fn kept(directory: &Directory, domain: &DomainName) -> Self {
        let judgement = Judgement::Unproven("home has just started".to_owned());
        Self { presence: Presence::kept(directory, domain), judgement }
    }

    /// For the operator.
    pub fn report(&self, domain: &DomainName, enforce_after: Option<Duration>) -> Report {
        let Presence { certified, standing } = &self.presence;
        Report {
            domain: domain.clone(),
            mode: certified.contains(&WebName::MtaSts).then_some(standing.mode),
            since: timestamp(standing.since),
            awaited: standing.awaited(&self.judgement, enforce_after),
        }
    }
}

/// All domains as they were kept.
pub fn kept(directory: &Directory) -> Seen {
    let snapshot = directory.snapshot();
    Arc::new(snapshot.domains().map(|domain| (domain.clone(), DomainSeen::kept(directory, domain))).collect())
}
