//! Looks from time to time, and remembers what it saw.
//!
//! In: the domains, the time, notices that the directory or the edge's addresses changed. Out: an [`Outlook`] for `status`,
//! kept in memory only: how each domain whose DNS is here is delegated, and how the records of each other one are
//! published. Refused: looking too often. A change is given [`SETTLING`] to arrive; two rounds are [`LEAST`] apart; what is
//! right is looked at again after an hour, what is not after one minute, two, four and so on up to an hour.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::{LowerName, Record, RecordType};
use jiff::Timestamp;
use postern_message::address::DomainName;
use postern_shared::zone::digest::ZONEMD;
use postern_shared::zone::rrsets::RrSets;
use postern_store::directory::DnsHosting;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::delegation::{Delegation, Noted, State};
use super::difference::{Difference, Standard, Trouble, published};
use super::run::{Subject, Surveyor};
use crate::dkim::{self, ladder::Sight};
use crate::link::seconds_now;
use crate::zone::clock::{Evidence, judge};
use crate::zone::delegation::{Wanted, wanted};
use crate::zone::renew::{self, RenewError};
use crate::zone::roll::{self, Event, Vouches};
use crate::zone::{Sources, for_elsewhere};

/// How long a change is left to reach the edge before the world is asked about it.
const SETTLING: Duration = Duration::from_secs(10);
/// The least time from one round to the next.
const LEAST: Duration = Duration::from_secs(20);
/// How soon something wrong is looked at again, the first time.
const SOON: Duration = Duration::from_secs(60);
/// How soon something right is.
const SELDOM: Duration = Duration::from_secs(3600);
/// How long resolvers may keep what another provider publishes, in seconds: people rarely choose more than a day.
const KEPT_ELSEWHERE: u32 = 86_400;
/// The longest that one domain may take.
const LIMIT: Duration = Duration::from_secs(25);

/// How the world sees each domain, where it was looked at.
pub type Outlook = BTreeMap<DomainName, Seen>;

/// How the world sees one domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The domain.
    pub domain: DomainName,
    /// Where its DNS is.
    pub dns: DnsHosting,
    /// When it was looked at.
    pub looked: Timestamp,
    /// How things stand.
    pub state: State,
    /// What a person should do, in sentences.
    pub warning: Option<String>,
}

/// Surveys of all domains; cheap to clone, and every clone shares what was seen.
#[derive(Clone)]
pub struct Survey {
    sources: Sources,
    surveyor: Surveyor,
    outlook: Arc<watch::Sender<Outlook>>,
}

impl Survey {
    /// One that has seen nothing yet.
    pub fn new(sources: Sources, surveyor: Surveyor) -> Self {
        Self { sources, surveyor, outlook: Arc::default() }
    }

    /// What was seen last of the domains that are here.
    pub fn outlook(&self) -> Vec<Seen> {
        let snapshot = self.sources.directory.snapshot();
        let is_current =
            |seen: &&Seen| snapshot.is_local(&seen.domain) && snapshot.dns_hosting(&seen.domain) == seen.dns;
        self.outlook.borrow().values().filter(is_current).cloned().collect()
    }

    /// Looks at the delegation of a domain now; `None` while it has no zone.
    ///
    /// # Errors
    /// [`RenewError`] where the zone cannot be read.
    pub async fn delegation(&self, domain: &DomainName) -> Result<Option<Delegation>, RenewError> {
        let (survey, name) = (self.clone(), domain.clone());
        let Some(wanted) = on_disk(move || survey.wanted(&name)).await? else { return Ok(None) };
        let looked = timeout(LIMIT, self.surveyor.delegation(domain, &wanted)).await;
        let delegation = looked.unwrap_or_else(|_| Delegation::unknown(domain, &wanted, too_slow()));
        let (survey, name, vouches) = (self.clone(), domain.clone(), delegation.vouches);
        let ttl = delegation.kept_seconds;
        on_disk(move || survey.tell_roll(&name, &wanted, vouches, ttl)).await?;
        self.remember(Seen::delegated(&delegation));
        Ok(Some(delegation))
    }

    /// Looks at the records of a domain now; `None` while there are none.
    ///
    /// # Errors
    /// [`RenewError`] where they cannot be read.
    pub async fn difference(&self, domain: &DomainName) -> Result<Option<Difference>, RenewError> {
        let (survey, name) = (self.clone(), domain.clone());
        let Some(subject) = on_disk(move || survey.subject(&name)).await? else { return Ok(None) };
        let (standard, serial) = (subject.standard, subject.serial);
        let looked = timeout(LIMIT, self.surveyor.difference(subject)).await;
        let difference = looked.unwrap_or_else(|_| {
            Difference::new(domain, serial, Some(Trouble::Unasked(too_slow())), Vec::new())
        });
        if standard == Standard::Copied {
            self.remember(Seen::published(&difference));
            let (survey, name, is_shown) = (self.clone(), domain.clone(), difference.shows_dkim_keys());
            on_disk(move || survey.tell_dkim(&name, is_shown.then_some(KEPT_ELSEWHERE))).await?;
        }
        Ok(Some(difference))
    }

    /// Looks at all domains, again and again, until the program stops.
    pub async fn watch(self) {
        let mut changes = self.sources.directory.subscribe();
        let mut addresses = self.sources.link.edge_addresses();
        let (mut next, mut pause) = (Instant::now() + SETTLING, SOON);
        loop {
            sleep_until(next).await;
            changes.mark_unchanged();
            addresses.mark_unchanged();
            let began = Instant::now();
            let all_right = self.look().await;
            pause = if all_right { SELDOM } else { pause };
            next = began + LEAST;
            tokio::select! {
                changed = changes.changed() => match changed {
                    Ok(()) => (next, pause) = (next.max(Instant::now() + SETTLING), SOON),
                    Err(_) => return,
                },
                changed = addresses.changed() => match changed {
                    Ok(()) => (next, pause) = (next.max(Instant::now() + SETTLING), SOON),
                    Err(_) => return,
                },
                () = sleep_until(began + pause) => pause = if all_right { SOON } else { (pause * 2).min(SELDOM) },
            }
        }
    }

    /// Looks at every domain once; says whether all is as it shall be.
    async fn look(&self) -> bool {
        let snapshot = self.sources.directory.snapshot();
        let mut all_right = true;
        for domain in snapshot.domains() {
            let state = match snapshot.dns_hosting(domain) {
                DnsHosting::Here => self.delegation(domain).await.map(|it| it.map(|it| it.state)),
                DnsHosting::External => self.difference(domain).await.map(|it| it.map(|it| it.state)),
            };
            match state {
                Ok(state) => all_right &= matches!(state, Some(State::Right)),
                Err(error) => {
                    tracing::warn!(%domain, %error, "what the world sees of a domain could not be looked at");
                    all_right = false;
                }
            }
        }
        all_right
    }

    /// Logs what is wrong when it begins, not each time that it is seen.
    fn remember(&self, seen: Seen) {
        self.outlook.send_modify(|outlook| {
            let (domain, warning) = (seen.domain.clone(), seen.warning.clone());
            let before = outlook.insert(domain.clone(), seen).and_then(|before| before.warning);
            if let Some(warning) = warning.filter(|warning| before.as_ref() != Some(warning)) {
                tracing::warn!(%domain, %warning, "the world does not see this domain as it should");
            }
        });
    }

    /// Tells a change of the domain's key what the parent has, where the clock may be believed and that was asked about the
    /// key that the parent shall vouch for now.
    fn tell_roll(
        &self,
        domain: &DomainName,
        wanted: &Wanted,
        vouches: Option<Vouches>,
        ttl: u32,
    ) -> Result<(), RenewError> {
        let directory = &self.sources.directory;
        let (Some(vouches), Some(_)) = (vouches, roll::current(directory, domain)?) else { return Ok(()) };
        let signed = renew::kept(directory, domain)?;
        let now = seconds_now();
        let evidence = Evidence {
            now,
            edge: self.sources.link.edge_zones().time(),
            newest_signature: signed.map(|signed| signed.signed_at),
        };
        if judge(evidence).is_err() || !roll::is_asked_for(directory, domain, &wanted.vouched)? {
            return Ok(());
        }
        roll::take(directory, domain, Event::Parent { vouches, ttl }, now)
    }

    /// Tells a change of DKIM keys what the servers of another provider have, where the clock may be believed.
    fn tell_dkim(&self, domain: &DomainName, served: Option<u32>) -> Result<(), RenewError> {
        let (now, edge) = (seconds_now(), self.sources.link.edge_zones().time());
        if judge(Evidence { now, edge, newest_signature: None }).is_err() {
            return Ok(());
        }
        let directory = &self.sources.directory;
        let sight = Sight { now, served, lifetime: None };
        Ok(dkim::follow(directory, domain, &directory.dkim_keys(domain), sight)?)
    }

    fn wanted(&self, domain: &DomainName) -> Result<Option<Wanted>, RenewError> {
        let kept = renew::kept(&self.sources.directory, domain)?;
        kept.map(|kept| wanted(&kept.zone)).transpose()
    }

    /// What to compare with the world: the signed zone, or what shall be published elsewhere.
    fn subject(&self, domain: &DomainName) -> Result<Option<Subject>, RenewError> {
        match self.sources.directory.snapshot().dns_hosting(domain) {
            DnsHosting::Here => self.own_zone(domain),
            DnsHosting::External => {
                let facts = self.sources.household().facts(domain)?;
                let records = for_elsewhere(&facts)?;
                let origin = crate::zone::name(domain.as_str())?;
                let (published, standard) = (published(&records), Standard::Copied);
                let subject = Subject { domain: domain.clone(), origin, serial: None, published, standard };
                Ok((!records.is_empty()).then_some(subject))
            }
        }
    }

    fn own_zone(&self, domain: &DomainName) -> Result<Option<Subject>, RenewError> {
        let Some(kept) = renew::kept(&self.sources.directory, domain)? else { return Ok(None) };
        let (origin, records) = (kept.zone.origin()?, kept.zone.records()?);
        let rrsets = RrSets::new(&origin, &records);
        let signed = rrsets.signed().filter(|(_, record_type, _)| is_compared(*record_type));
        let records = signed.flat_map(|(_, _, records): (&LowerName, _, &[&Record])| records.iter().copied());
        let published = published(records);
        let (serial, standard) = (Some(kept.zone.serial), Standard::Exact);
        Ok(Some(Subject { domain: domain.clone(), origin, serial, published, standard }))
    }
}

/// The serial stands for what changes with it.
fn is_compared(record_type: RecordType) -> bool {
    ![RecordType::SOA, RecordType::NSEC, ZONEMD].contains(&record_type)
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RenewError> + Send + 'static,
) -> Result<T, RenewError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(RenewError::Interrupted(error.to_string())))
}

fn too_slow() -> String {
    format!("The name servers did not answer within {} seconds.", LIMIT.as_secs())
}

impl Seen {
    fn delegated(delegation: &Delegation) -> Self {
        let Delegation { domain, state, findings, .. } = delegation;
        let worst = findings.first().filter(|noted: &&Noted| noted.state >= State::Todo);
        Self {
            domain: domain.clone(),
            dns: DnsHosting::Here,
            looked: Timestamp::now(),
            state: *state,
            warning: worst.map(|noted| {
                format!("{domain}: {} `postern-home dns delegation {domain}` says more.", noted.advice)
            }),
        }
    }

    fn published(difference: &Difference) -> Self {
        let Difference { domain, state, .. } = difference;
        Self {
            domain: domain.clone(),
            dns: DnsHosting::External,
            looked: Timestamp::now(),
            state: *state,
            warning: difference.wrong().map(|wrong| {
                format!(
                    "{domain}, whose DNS is elsewhere, is not published as it should be: {wrong}. `postern-home dns diff \
                     {domain}` says more."
                )
            }),
        }
    }
}
