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
use postern_store::directory::{Directory, DirectoryError, OwnRecord};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::evidence::{Evidence, ZoneSeen};
use super::policy::{Mode, Policy};
use super::standing::{Clock, Judgement, Standing};
use crate::hostname::Hostname;
use crate::link::{EdgeZones, Link, seconds_now};
use crate::tls::{Flaw, Life, Tls};
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
    /// The mail host that the standing is of; that of a program which did not keep it is believed to be the present one.
    #[serde(default)]
    pub mail_host: Option<DomainName>,
}

impl Presence {
    /// What is kept of a domain; a beginning where there is nothing, or what is not understood.
    ///
    /// # Errors
    /// [`DirectoryError::Storage`] when the database cannot be read: what is kept may be there all the same.
    pub fn kept(directory: &Directory, domain: &DomainName) -> Result<Self, DirectoryError> {
        let kept = directory.web_presence(domain)?;
        Ok(kept.and_then(|kept| serde_json::from_slice(&kept).ok()).unwrap_or_default())
    }

    /// The policy, where senders can fetch it.
    pub fn policy(&self, mail_host: &DomainName) -> Option<Policy> {
        let policy = Policy { mode: self.standing_of(mail_host).mode, mx: mail_host.clone() };
        self.certified.contains(&WebName::MtaSts).then_some(policy)
    }

    /// How the policy stands that names this mail host.
    fn standing_of(&self, mail_host: &DomainName) -> Standing {
        let is_meant = self.mail_host.as_ref().is_none_or(|known| known == mail_host);
        if is_meant { self.standing } else { self.standing.anew() }
    }

    /// The names that are published after a look. That of the policy stays in spite of a flaw while senders may remember a
    /// policy by which they insist: they are to learn of the next one once the flaw is mended.
    fn certified_after(&self, now: u64, proof: impl Fn(WebName) -> Result<Life, Flaw>) -> BTreeSet<WebName> {
        let stays = |name: &WebName| self.certified.contains(name);
        let is_awaited = |name: &WebName| *name == WebName::MtaSts && self.standing.is_remembered(now);
        let is_published = |name: &WebName| match proof(*name) {
            Ok(_) => true,
            Err(Flaw::NoRoots) => stays(name),
            Err(_) => stays(name) && is_awaited(name),
        };
        WebName::ALL.into_iter().filter(is_published).collect()
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
        let now = seconds_now();
        let time = clock::agreed(now, edge.time()).map_err(|why| (now, why));
        let snapshot = self.directory.snapshot();
        let see = |domain: &DomainName| (domain.clone(), self.look_at(domain, &mail_host, &edge, time));
        snapshot.domains().map(see).collect()
    }

    fn look_at(
        &self,
        domain: &DomainName,
        mail_host: &DomainName,
        edge: &EdgeZones,
        time: Time,
    ) -> DomainSeen {
        let before = self.seen.borrow().get(domain).cloned();
        let found = Presence::kept(&self.directory, domain).and_then(|kept| {
            // The standing in memory is up to an hour newer than the kept one.
            let presence = before.as_ref().map_or(&kept, |before| &before.presence).clone();
            Ok((self.see(domain, mail_host, edge, time, presence)?, kept))
        });
        match found {
            Ok((seen, kept)) => self.remember(domain, kept, seen),
            // Nothing is concluded from what cannot be read, and nothing is written over it.
            Err(error) => DomainSeen {
                presence: before.map(|before| before.presence).unwrap_or_default(),
                judgement: Judgement::Unproven(format!("what is kept of it cannot be read: {error}")),
            },
        }
    }

    fn see(
        &self,
        domain: &DomainName,
        mail_host: &DomainName,
        edge: &EdgeZones,
        time: Time,
        before: Presence,
    ) -> Result<DomainSeen, DirectoryError> {
        let (Ok(now) | Err((now, _))) = time;
        let proof = |name: WebName| self.tls.proof(&name.below(domain), now);
        let evidence = Evidence {
            mail_host: mail_host.clone(),
            mail: self.tls.proof(mail_host, now),
            policy_host: WebName::MtaSts.below(domain),
            policy: proof(WebName::MtaSts),
            zone: zone_seen(&self.directory, domain),
            served: edge.serial(domain),
            own: own_names(&self.directory.own_records(domain)?, domain),
        };
        let judgement = match time {
            _ if !self.is_reached => unreached(),
            Ok(now) => evidence.judge(now),
            Err((now, why)) => evidence.judge_in_doubt(now, why),
        };
        let clock = time.map_or_else(|(now, _)| Clock::Doubted(now), Clock::Believed);
        let standing = before.standing_of(mail_host).look(clock, &judgement, self.enforce_after);
        let certified = match time {
            _ if !self.is_reached => BTreeSet::new(),
            Ok(now) => Presence { standing, ..before }.certified_after(now, proof),
            Err(_) => before.certified,
        };
        let presence = Presence { certified, standing, mail_host: Some(mail_host.clone()) };
        Ok(DomainSeen { presence, judgement })
    }

    fn remember(&self, domain: &DomainName, kept: Presence, seen: DomainSeen) -> DomainSeen {
        let (before, after) = (kept.standing.mode, seen.presence.standing.mode);
        if before != after {
            tracing::warn!(%domain, mode = %after, found = ?seen.judgement, "the MTA-STS policy changes its mode");
        }
        let is_same =
            (&kept.certified, &kept.mail_host) == (&seen.presence.certified, &seen.presence.mail_host);
        if is_same && !seen.presence.standing.differs(kept.standing) {
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

/// The time of a look, or what this machine's clock says and why that is in doubt.
type Time = Result<u64, (u64, &'static str)>;

fn unreached() -> Judgement {
    Judgement::Wrong("the world does not reach home's web service: see `listen.https`".to_owned())
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

/// The names of a policy that records of the operator's stand at.
fn own_names(own: &[OwnRecord], domain: &DomainName) -> Vec<String> {
    let names = [format!("_mta-sts.{domain}"), WebName::MtaSts.below(domain).to_string()];
    let is_there = |name: &String| own.iter().any(|own| own.owner.trim_end_matches('.') == name);
    names.into_iter().filter(is_there).collect()
}

impl DomainSeen {
    /// Before the first look after a start; `None` where what is kept cannot be read.
    fn kept(directory: &Directory, domain: &DomainName) -> Option<Self> {
        let judgement = Judgement::Unproven("home has just started".to_owned());
        Some(Self { presence: Presence::kept(directory, domain).ok()?, judgement })
    }

    /// For the operator.
    pub fn report(&self, domain: &DomainName, enforce_after: Option<Duration>) -> Report {
        let Presence { certified, standing, .. } = &self.presence;
        Report {
            domain: domain.clone(),
            mode: certified.contains(&WebName::MtaSts).then_some(standing.mode),
            since: timestamp(standing.since),
            awaited: standing.awaited(&self.judgement, enforce_after),
        }
    }
}

/// All domains as they were kept, as far as that can be read.
pub fn kept(directory: &Directory) -> Seen {
    let snapshot = directory.snapshot();
    let seen = |domain: &DomainName| Some((domain.clone(), DomainSeen::kept(directory, domain)?));
    Arc::new(snapshot.domains().filter_map(seen).collect())
}

#[cfg(test)]
mod tests {
    use super::super::standing::LASTING;
    use super::*;

    const NOW: u64 = 1_800_000_000;
    const DAY: u64 = 86_400;

    fn name(text: &str) -> DomainName {
        text.parse().expect("a name")
    }

    /// A policy in enforce.
    fn enforced() -> Presence {
        let after = Some(Duration::ZERO);
        let standing = Standing::default().look(Clock::Believed(NOW), &Judgement::Right, after);
        assert_eq!(standing.mode, Mode::Enforce);
        Presence {
            certified: [WebName::MtaSts, WebName::Autoconfig].into(),
            standing,
            mail_host: Some(name("mail.home.example")),
        }
    }

    #[test]
    fn another_mail_host_has_not_been_proven() {
        let presence = enforced();
        let mode = |host: &str| presence.policy(&name(host)).map(|policy| policy.mode);
        assert_eq!(mode("mail.home.example"), Some(Mode::Enforce));
        assert_eq!(mode("mx.home.example"), Some(Mode::Testing));
        let of_before = Presence { mail_host: None, ..presence.clone() };
        assert_eq!(of_before.policy(&name("mx.home.example")).map(|policy| policy.mode), Some(Mode::Enforce));
    }

    #[test]
    fn a_policy_by_which_senders_insist_is_announced_until_they_have_learned_of_another() {
        let before = enforced();
        let wrong = |_| Err(Flaw::Untrusted);
        let kept: BTreeSet<WebName> = [WebName::MtaSts].into();
        assert_eq!(before.certified_after(NOW, wrong), kept, "and autoconfig goes at once");
        let judgement = Judgement::Wrong("the certificate is another".to_owned());
        let looks = (1..=2).map(|look| Clock::Believed(NOW + look * LASTING.as_secs()));
        let standing = looks.fold(before.standing, |standing, clock| standing.look(clock, &judgement, None));
        let testing = Presence { standing, ..before };
        assert_eq!(testing.standing.mode, Mode::Testing);
        assert_eq!(testing.certified_after(NOW + 13 * DAY, wrong), kept);
        assert_eq!(testing.certified_after(NOW + 15 * DAY, wrong), BTreeSet::new(), "nobody remembers");
        let never = Presence { standing: Standing::default(), ..testing };
        assert_eq!(never.certified_after(NOW, wrong), BTreeSet::new());
    }

    #[test]
    fn records_of_the_operators_at_the_policys_names_are_told() {
        let own =
            |owner: &str| OwnRecord { owner: owner.to_owned(), record_type: 16, ttl: 300, rdata: Vec::new() };
        let domain = name("home.example");
        assert_eq!(own_names(&[own("www.home.example.")], &domain), Vec::<String>::new());
        assert_eq!(own_names(&[own("_mta-sts.home.example.")], &domain), ["_mta-sts.home.example"]);
        assert_eq!(own_names(&[own("mta-sts.home.example.")], &domain), ["mta-sts.home.example"]);
    }
}
