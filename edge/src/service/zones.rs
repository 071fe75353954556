//! The zones that the edge serves, as home pushes and withdraws them.
//!
//! In: a zone and the path that it was pushed to. Out: the set that is served, after the zone is on the disk. Refused: a
//! zone that cannot be served, is another one's, goes back in serial, or fails [`zone_check`]; the one before stays.

use std::sync::Arc;

use hickory_proto::rr::{LowerName, Name};
use postern_shared::control::{Changed, ZoneStatus};
use postern_shared::zone::{Zone, is_older};
use tokio::task::block_in_place;

use super::{ChangeError, Service, seconds_now};
use crate::dns::ServedZone;
use crate::zone_check;

impl Service {
    /// Serves `zone` from now on; `origin` is the one of the call's path.
    ///
    /// # Errors
    /// See [`ChangeError`]; the zone before is then still being served.
    pub async fn put_zone(&self, origin: &str, zone: &Zone) -> Result<ZoneStatus, ChangeError> {
        let mut changes = self.changes.lock().await;
        let served = block_in_place(|| ServedZone::new(zone))?;
        if path_origin(origin).as_ref() != Some(&served.origin) {
            return Err(ChangeError::OtherZone);
        }
        let current = self.zones.current();
        let before = current.get(&served.origin).filter(|_| !changes.unbound.contains(&served.origin));
        if let Some(before) = before.filter(|before| is_older(served.serial, before.serial)) {
            return Err(ChangeError::OlderSerial { got: served.serial, served: before.serial });
        }
        block_in_place(|| {
            let before = before.and_then(|_| changes.state.zone(&zone.origin));
            zone_check::check(zone, before.as_ref(), seconds_now())
        })?;
        block_in_place(|| changes.state.save_zone(zone))?;
        changes.unbound.remove(&served.origin);
        let status = zone_status(&served);
        tracing::info!(origin = %status.origin, serial = status.serial, "zone taken from home");
        let served = block_in_place(|| match before {
            Some(before) => served.following(before),
            None => served,
        });
        self.zones.replace(current.with(Arc::new(served)));
        Ok(status)
    }

    /// Serves the zone at `origin` no longer.
    ///
    /// # Errors
    /// [`ChangeError::NotKept`]; the zone is then still being served.
    pub async fn delete_zone(&self, origin: &str) -> Result<Changed, ChangeError> {
        let changes = self.changes.lock().await;
        let current = self.zones.current();
        let Some(zone) = path_origin(origin).and_then(|name| current.get(&name)) else {
            return Ok(Changed { changed: false });
        };
        block_in_place(|| changes.state.remove_zone(&zone.origin.to_string()))?;
        tracing::info!(origin = %zone.origin, "zone removed by home");
        self.zones.replace(current.without(&zone.origin));
        Ok(Changed { changed: true })
    }

    pub(super) fn zone_statuses(&self) -> Vec<ZoneStatus> {
        self.zones.current().iter().map(|zone| zone_status(zone)).collect()
    }
}

fn zone_status(zone: &ServedZone) -> ZoneStatus {
    ZoneStatus { origin: zone.origin.to_string(), serial: zone.serial, digest: zone.digest.clone() }
}

fn path_origin(origin: &str) -> Option<LowerName> {
    let absolute = format!("{}.", origin.trim_end_matches('.'));
    Name::from_ascii(absolute).ok().map(LowerName::from)
}
