//! Keeps the edge's zones as they should be.
//!
//! In: notices that the directory or the edge's addresses changed, and the time. Out: the signed zones of all domains,
//! handed to the link, which brings them to the edge however long that takes, and a [`Report`] of them. While no edge is
//! known there are no addresses, and so no zones. A domain for which there is no zone to hand over keeps what the edge has
//! of it, and holds nobody else up.
//!
//! The zones are looked at once a minute, and every few seconds while something is wrong or a new key is on its way, so that a clock that is set
//! right or a disk that is emptied has its effect at once. Zones that are the same as before are not handed over again.

use std::time::Duration;

use jiff::Timestamp;
use postern_message::address::DomainName;
use postern_shared::secondary::SecondariesHeld;
use postern_store::directory::{Directory, DkimStage};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::clock::{Evidence, judge, timestamp};
use super::presentation::name_text;
use super::renew::{self, Moment, RenewError, Signed};
use super::roll::Step;
use super::secondary;
use super::sign::Validity;
use super::{Facts, Household, Sources, own, roll, text};
use crate::config::Dkim;
use crate::dkim::{self, ladder::Sight};
use crate::link::{DeclaredZones, EdgeAddresses, EdgeZones, Link, seconds_now};

/// How often zones are looked at that are well.
const ROUND: Duration = Duration::from_secs(60);
/// How often they are looked at while something is wrong.
const RETRY: Duration = Duration::from_secs(5);

/// How the zones are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Each zone that was handed over.
    pub zones: Vec<ZoneReport>,
    /// What keeps zones from being renewed or whole, in sentences.
    pub troubles: Vec<String>,
}

/// How one zone is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneReport {
    /// The domain.
    pub domain: DomainName,
    /// The serial.
    pub serial: u32,
    /// When it was signed.
    pub signed: Timestamp,
    /// Until when its signatures count.
    pub expires: Timestamp,
}

/// The publishing task.
pub struct Publisher {
    /// What the zones are made of, and who takes them to the edge.
    pub sources: Sources,
    /// How long a key signs mail.
    pub dkim: Dkim,
    /// Where the reports go.
    pub report: watch::Sender<Report>,
}

impl Publisher {
    /// Publishes until the program stops.
    pub async fn run(mut self) {
        let mut changes = self.sources.directory.subscribe();
        let mut addresses = self.sources.link.edge_addresses();
        let (link, directory) = (self.sources.link.clone(), self.sources.directory.clone());
        let mut handed_over = None;
        loop {
            let pause = match known_addresses(&mut addresses) {
                Some(edge) => self.round(edge, &mut handed_over).await,
                None => ROUND,
            };
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                changed = addresses.changed() => if changed.is_err() { return },
                changed = self.sources.issuance.changed() => if changed.is_err() { return },
                () = follow_secondaries(&link, &directory) => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Looks once; says how soon to look again.
    async fn round(&mut self, edge: EdgeAddresses, handed_over: &mut Option<DeclaredZones>) -> Duration {
        self.sources.issuance.mark_unchanged();
        let household = Household { edge: Some(edge), ..self.sources.household() };
        let served = self.sources.link.edge_zones();
        let held = self.sources.link.secondaries().unwrap_or_default();
        let lifetime = self.dkim.lifetime().map(|lifetime| lifetime.as_secs());
        let work =
            tokio::task::spawn_blocking(move || look(&household, &served, &held, lifetime, seconds_now()));
        let (declared, report, pause) = match work.await {
            Ok(outcome) => {
                let pause = outcome.pause();
                (Some(outcome.declared), outcome.report, pause)
            }
            Err(error) => (None, failed(error), RETRY),
        };
        self.tell(report);
        look_after_secondaries(&self.sources.link, &self.sources.directory).await;
        if let Some(declared) = declared.filter(|declared| handed_over.as_ref() != Some(declared)) {
            self.sources.link.declare_zones(declared.clone()).await;
            *handed_over = Some(declared);
        }
        pause
    }

    /// Logs a trouble when it begins, not each time that it is met.
    fn tell(&self, report: Report) {
        let before = self.report.send_replace(report.clone());
        for trouble in report.troubles.iter().filter(|trouble| !before.troubles.contains(trouble)) {
            tracing::error!(%trouble, "zones are not as they should be");
        }
    }
}

/// Retires keys as soon as the edge says that newer ones are used; does not end.
async fn follow_secondaries(link: &Link, directory: &Directory) {
    loop {
        link.edge_was_asked().await;
        look_after_secondaries(link, directory).await;
    }
}

/// Hands the list of secondaries over, without the keys whose time is over.
async fn look_after_secondaries(link: &Link, directory: &Directory) {
    let (directory, held) = (directory.clone(), link.secondaries());
    let work = tokio::task::spawn_blocking(move || {
        secondary::retire_keys(&directory, &directory.secondaries()?, &held.unwrap_or_default())?;
        directory.secondaries()
    });
    match work.await {
        Ok(Ok(secondaries)) => link.set_secondaries(secondary::list(&secondaries)).await,
        Ok(Err(error)) => tracing::error!(%error, "the secondary name servers cannot be read"),
        Err(error) => tracing::error!(%error, "the secondary name servers could not be looked at"),
    }
}

fn failed(error: impl std::fmt::Display) -> Report {
    Report { zones: Vec::new(), troubles: vec![format!("The zones could not be looked at: {error}.")] }
}

/// What a look at all zones came to.
#[derive(Default)]
struct Outcome {
    /// The zones to hand over.
    declared: DeclaredZones,
    report: Report,
    /// The domains whose new key the world is learning: what the name servers serve is asked for often.
    introduced: Vec<DomainName>,
}

/// The edge's addresses as they are now, if there are any.
fn known_addresses(addresses: &mut watch::Receiver<Option<EdgeAddresses>>) -> Option<EdgeAddresses> {
    addresses.borrow_and_update().clone().filter(|edge| !edge.public.is_empty())
}

/// Looks at the zones of all domains whose DNS is here.
fn look(
    household: &Household,
    served: &EdgeZones,
    held: &SecondariesHeld,
    lifetime: Option<u64>,
    now: u64,
) -> Outcome {
    let directory = &household.directory;
    let snapshot = directory.snapshot();
    let domains: Vec<&DomainName> = snapshot.served_domains().collect();
    let newest = domains.iter().filter_map(|domain| renew::kept(directory, domain).ok().flatten());
    let newest_signature = newest.map(|kept| kept.signed_at).max();
    let clock = judge(Evidence { now, edge: served.time(), newest_signature });
    let mut outcome = Outcome::default();
    outcome.report.troubles.extend(clock.err().map(|doubt| {
        format!("Zones are not signed anew, since {doubt}. Set this machine's clock; the kept zones are served on.")
    }));
    for domain in domains {
        let moment = Moment { now, clock, served: served.serial(domain) };
        let facts = household.facts(domain).map_err(RenewError::from);
        let renewed = facts.and_then(|facts| {
            outcome.name_left_out(&facts)?;
            let signed = renew::zone(directory, &facts, moment)?;
            if clock.is_ok() {
                let secondaries: Vec<&str> = facts.secondaries.iter().map(|one| one.name.as_str()).collect();
                let everywhere = roll::everywhere(domain, &signed.zone, served, &secondaries, held);
                if let Some(event) = roll::served(&signed.zone, everywhere) {
                    roll::take(directory, domain, event, now)?;
                }
                let sight = Sight { now, served: everywhere, lifetime };
                dkim::follow(directory, domain, &facts.dkim_keys, sight)?;
            }
            let is_introduced = matches!(roll::current(directory, domain)?, Some(Step::Introducing { .. }));
            if is_introduced || facts.dkim_keys.iter().any(|key| key.stage == DkimStage::Announced) {
                outcome.introduced.push(domain.clone());
            }
            Ok(signed)
        });
        outcome.add(domain, renewed, || renew::kept(directory, domain));
    }
    outcome.name_malformed_issuers(household);
    outcome
}

impl Outcome {
    fn pause(&self) -> Duration {
        let is_quiet = self.report.troubles.is_empty() && self.introduced.is_empty();
        if is_quiet { ROUND } else { RETRY }
    }

    /// Names the operator's records that are not in the zone.
    fn name_left_out(&mut self, facts: &Facts) -> Result<(), RenewError> {
        for own in &facts.unreadable {
            self.report.troubles.push(format!(
                "Your record {} {} is left out of the zone of {}, since what is kept of it makes no sense: see `postern-home \
                 dns record list {2}`, remove it, and add it again.",
                own.owner.escape_debug(),
                own::mnemonic(own),
                facts.domain
            ));
        }
        for (record, clash) in own::left_out(facts)? {
            let (owner, record_type) = (name_text(&record.name), text::mnemonic(record.record_type()));
            self.report.troubles.push(format!(
                "Your record {owner} {record_type} is left out of the zone of {}: {clash}.",
                facts.domain
            ));
        }
        Ok(())
    }

    fn name_malformed_issuers(&mut self, household: &Household) {
        let malformed = household.issuance.issuers.iter().filter_map(|issuer| issuer.check().err());
        self.report.troubles.extend(
            malformed
                .map(|malformed| format!("The zones do not say who may issue certificates: {malformed}.")),
        );
    }

    /// Takes the zone, or else the kept one, or else leaves what the edge has.
    fn add(
        &mut self,
        domain: &DomainName,
        renewed: Result<Signed, RenewError>,
        kept: impl FnOnce() -> Result<Option<Signed>, RenewError>,
    ) {
        let zone = renewed.map(Some).or_else(|error| {
            if !matches!(error, RenewError::Clock(_)) {
                self.report.troubles.push(format!("The zone of {domain} cannot be renewed: {error}."));
            }
            kept()
        });
        match zone {
            Ok(Some(Signed { zone, signed_at })) => {
                self.report.zones.push(ZoneReport {
                    domain: domain.clone(),
                    serial: zone.serial,
                    signed: timestamp(signed_at),
                    expires: timestamp(Validity::from(signed_at).expiration),
                });
                self.declared.zones.push(zone);
            }
            Ok(None) | Err(_) => self.declared.untouched.push(domain.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
