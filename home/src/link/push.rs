//! Brings the edge's zones, port map, bans and secondary name servers to what they should be.
//!
//! In: what home declares, the edge while it is heard. Out: signed `PUT` and `DELETE` requests, and a [`Report`]. A round
//! asks the edge what it has and changes what differs, by digest or revision; there is a round whenever the zones or the
//! bans change, whenever the edge comes alive, and every [`ROUND`], so that an edge that lost its state is filled again.

mod protection;
mod secondaries;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use postern_message::address::DomainName;
use postern_shared::control::{Status, ZoneStatus, zone_path};
use postern_shared::http::{Method, Request};
use postern_shared::secondary::{SecondariesHeld, SecondaryList};
use postern_shared::zone::Zone;
use tokio::sync::{Notify, watch};

use super::client::{ControlClient, ControlError};
use super::signed::{Signer, seconds_now};
use super::{LinkError, Protection, ZonePush};
use crate::bans::Book;

/// How often the edge is asked while nothing changes.
const ROUND: Duration = Duration::from_secs(30);

/// Public addresses of an edge that are believed; home publishes them in its zones.
const MOST_ADDRESSES: usize = 16;

/// The pause after the first failed round; it doubles up to [`ROUND`].
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// What the last round found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Whether the edge answered.
    pub is_reached: bool,
    /// The edge's addresses, once it has said them.
    pub public_addresses: Vec<IpAddr>,
    /// The declared zones.
    pub zones: Vec<ZonePush>,
    /// What the edge forwards and keeps out, once it has said it.
    pub protection: Option<Protection>,
    /// How the secondary name servers are, once the edge has said it.
    pub secondaries: Option<SecondariesHeld>,
    /// What the edge said when it was last asked.
    pub edge: EdgeZones,
    /// What went wrong, if something did.
    pub error: Option<String>,
}

/// What the edge has said of its zones and of the time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EdgeZones {
    clock: Option<(u64, Instant)>,
    zones: Vec<ZoneStatus>,
}

impl EdgeZones {
    fn new(status: &Status, heard: Instant) -> Self {
        Self { clock: status.time.map(|time| (time, heard)), zones: status.zones.clone() }
    }

    /// The edge's clock as it must stand now, in seconds since 1970, whatever this machine's clock did meanwhile; `None`
    /// before the edge has been heard.
    pub fn time(&self) -> Option<u64> {
        self.clock.map(|(time, heard)| time.saturating_add(heard.elapsed().as_secs()))
    }

    /// Takes note that the edge has this zone now.
    fn take(&mut self, zone: &Zone) {
        self.zones.retain(|held| !is_same_name(&held.origin, &zone.origin));
        self.zones.push(ZoneStatus {
            origin: zone.origin.clone(),
            serial: zone.serial,
            digest: zone.digest(),
        });
    }

    /// By how many seconds this machine's clock is ahead of the edge's; a second or two is the way there and back. 0 before
    /// the edge has been heard.
    pub fn clock_ahead(&self) -> i64 {
        let ahead = self.time().map_or(0, |edges| i128::from(seconds_now()) - i128::from(edges));
        ahead.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    /// The serial that the edge serves of a domain's zone.
    pub fn serial(&self, domain: &DomainName) -> Option<u32> {
        let zone = self.zones.iter().find(|zone| is_same_name(&zone.origin, domain.as_str()));
        zone.map(|zone| zone.serial)
    }
}

/// What the edge shall serve.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeclaredZones {
    /// The zones as they shall be.
    pub zones: Vec<Zone>,
    /// Domains of which home has no zone at this moment: what the edge has of them stays.
    pub untouched: Vec<DomainName>,
}

impl DeclaredZones {
    fn includes(&self, origin: &str) -> bool {
        let mut origins = self
            .zones
            .iter()
            .map(|zone| zone.origin.as_str())
            .chain(self.untouched.iter().map(DomainName::as_str));
        origins.any(|declared| is_same_name(declared, origin))
    }
}

/// The pushing side of the control protocol.
pub struct Pusher {
    /// Signs the requests.
    pub signer: Arc<Signer>,
    /// The edge, while it is heard.
    pub edge: watch::Receiver<Option<ControlClient>>,
    /// The declared zones; `None` until they are declared.
    pub zones: watch::Receiver<Option<DeclaredZones>>,
    /// The secondary name servers; `None` until they are declared.
    pub secondaries: watch::Receiver<Option<SecondaryList>>,
    /// What shall be forwarded: public TCP port to the port at home.
    pub forward: BTreeMap<u16, u16>,
    /// Who shall be banned.
    pub bans: watch::Receiver<Book>,
    /// A round is wanted now.
    pub wanted: Arc<Notify>,
    /// Where the reports go.
    pub report: watch::Sender<Report>,
}

impl Pusher {
    /// Works until the link is gone.
    pub async fn run(mut self) {
        let mut retry = FIRST_RETRY;
        loop {
            let edge = self.edge.borrow_and_update().clone();
            let zones = self.zones.borrow_and_update().clone();
            let bans = self.bans.borrow_and_update().clone();
            let secondaries = self.secondaries.borrow_and_update().clone();
            let pause = match edge {
                None => {
                    self.report.send_modify(|report| report.is_reached = false);
                    ROUND
                }
                Some(edge) => {
                    let report = self.round(&edge, zones.as_ref(), &bans, secondaries.as_ref()).await;
                    let is_well = report.error.is_none();
                    self.report.send_replace(report);
                    retry = if is_well { FIRST_RETRY } else { (retry * 2).min(ROUND) };
                    if is_well { ROUND } else { retry }
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wanted.notified() => {}
                changed = self.edge.changed() => if changed.is_err() { return },
                changed = self.zones.changed() => if changed.is_err() { return },
                changed = self.secondaries.changed() => if changed.is_err() { return },
                Ok(()) = self.bans.changed() => {}
            }
        }
    }

    async fn round(
        &self,
        edge: &ControlClient,
        declared: Option<&DeclaredZones>,
        bans: &Book,
        secondaries: Option<&SecondaryList>,
    ) -> Report {
        let status = match edge.status().await {
            Ok(status) => status,
            Err(error) => {
                tracing::warn!(%error, "the edge's control server does not answer");
                let known = self.report.borrow().clone();
                return Report { is_reached: false, error: Some(error.to_string()), ..known };
            }
        };
        let (protection, error) = self.protect(edge, &status, bans).await;
        let told = self.bring_secondaries(edge, &status, secondaries).await;
        let error = error.or(told.err().map(|error| error.to_string()));
        let mut report = Report {
            is_reached: true,
            public_addresses: status.public_addresses.iter().copied().take(MOST_ADDRESSES).collect(),
            zones: Vec::new(),
            protection: Some(protection),
            error,
            secondaries: secondaries::believed(&status, secondaries),
            edge: EdgeZones::new(&status, Instant::now()),
        };
        let Some(declared) = declared else { return report };
        for zone in &declared.zones {
            let pushed = self.bring(edge, &status, zone).await.map_err(|error| error.to_string());
            if pushed.is_ok() {
                report.edge.take(zone);
            }
            report.zones.push(ZonePush {
                origin: zone.origin.clone(),
                serial: zone.serial,
                accepted: pushed.is_ok(),
                error: pushed.err(),
            });
        }
        let withdrawn =
            self.withdraw_others(edge, &status, declared).await.map_err(|error| error.to_string());
        let failed = report.zones.iter().find_map(|zone| zone.error.clone());
        Report { error: failed.or(withdrawn.err()).or(report.error), ..report }
    }

    /// Pushes a zone unless the edge serves it already.
    async fn bring(&self, edge: &ControlClient, status: &Status, zone: &Zone) -> Result<(), LinkError> {
        if status
            .zones
            .iter()
            .any(|held| is_same_name(&held.origin, &zone.origin) && held.digest == zone.digest())
        {
            return Ok(());
        }
        let request = Request::new(Method::PUT, zone_path(&zone.origin));
        let request = request.with_json(zone).map_err(ControlError::Request)?;
        self.send_signed(edge, request, status.last_counter).await?;
        tracing::info!(origin = %zone.origin, serial = zone.serial, "the edge has taken the zone");
        Ok(())
    }

    async fn withdraw_others(
        &self,
        edge: &ControlClient,
        status: &Status,
        declared: &DeclaredZones,
    ) -> Result<(), LinkError> {
        for held in status.zones.iter().filter(|held| !declared.includes(&held.origin)) {
            let request = Request::new(Method::DELETE, zone_path(&held.origin));
            self.send_signed(edge, request, status.last_counter).await?;
            tracing::info!(origin = %held.origin, "the edge has withdrawn the zone");
        }
        Ok(())
    }

    async fn send_signed(&self, edge: &ControlClient, request: Request, seen: u64) -> Result<(), LinkError> {
        self.signer.call(edge, request, seen).await.map(drop)
    }
}

/// RFC 4343: names compare without regard to case; the final dot is presentation.
fn is_same_name(one: &str, other: &str) -> bool {
    one.trim_end_matches('.').eq_ignore_ascii_case(other.trim_end_matches('.'))
}

#[cfg(test)]
mod tests;
