//! Keeps the edge's zones as they should be.
//!
//! In: notices that the directory or the edge's addresses changed. Out: the zones of all domains, handed to the link,
//! which brings them to the edge however long that takes. While no edge is known there are no addresses, and so no
//! zones.

use std::time::Duration;

use postern_message::address::DomainName;
use postern_shared::zone::{Zone, ZoneError};
use postern_store::directory::{Directory, DirectoryError};
use tokio::sync::watch;

use super::{Facts, build};
use crate::hostname::Hostname;
use crate::link::{EdgeAddresses, Link};

/// How long to wait before zones that could not be built are tried again.
const RETRY: Duration = Duration::from_secs(30);

/// Why a zone could not be built.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error("zone of {0}: {1}")]
    Zone(DomainName, ZoneError),
    #[error("zone of {0}: {1}")]
    Directory(DomainName, DirectoryError),
}

/// Publishes until the program stops. A zone that is not handed over is withdrawn, so all are handed over or none.
pub async fn run(directory: Directory, hostname: Hostname, link: Link) {
    let mut changes = directory.subscribe();
    let mut addresses = link.edge_addresses();
    loop {
        let mut retry = None;
        if let Some(edge) = known_addresses(&mut addresses) {
            match build_all(&directory, &hostname, edge).await {
                Some(zones) => link.set_zones(zones).await,
                None => retry = Some(RETRY),
            }
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            changed = addresses.changed() => if changed.is_err() { return },
            () = after(retry) => {}
        }
    }
}

async fn after(delay: Option<Duration>) {
    match delay {
        Some(delay) => tokio::time::sleep(delay).await,
        None => std::future::pending().await,
    }
}

/// All zones, or nothing when one of them cannot be built; the log says why.
async fn build_all(directory: &Directory, hostname: &Hostname, edge: EdgeAddresses) -> Option<Vec<Zone>> {
    let (directory, hostname) = (directory.clone(), hostname.current());
    let built = tokio::task::spawn_blocking(move || zones(&directory, &hostname, &edge)).await;
    match built {
        Ok(Ok(zones)) => return Some(zones),
        Ok(Err(error)) => tracing::error!(%error, "zones cannot be built; the edge keeps the old ones"),
        Err(error) => tracing::error!(%error, "zones cannot be built; the edge keeps the old ones"),
    }
    None
}

/// The edge's addresses as they are now, if there are any.
fn known_addresses(addresses: &mut watch::Receiver<Option<EdgeAddresses>>) -> Option<EdgeAddresses> {
    addresses.borrow_and_update().clone().filter(|edge| !edge.public.is_empty())
}

/// The zones of all domains.
fn zones(
    directory: &Directory,
    hostname: &DomainName,
    edge: &EdgeAddresses,
) -> Result<Vec<Zone>, PublishError> {
    let snapshot = directory.snapshot();
    let facts = |domain: &DomainName| Facts {
        domain: domain.clone(),
        hostname: hostname.clone(),
        addresses: edge.public.clone(),
        mail_addresses: edge.of_mail(),
        dkim_keys: snapshot.dkim_keys(domain).to_vec(),
    };
    snapshot.domains().map(|domain| zone(directory, &facts(domain))).collect()
}

/// One zone, with the serial that its records have or deserve.
fn zone(directory: &Directory, facts: &Facts) -> Result<Zone, PublishError> {
    let failed = |error| PublishError::Zone(facts.domain.clone(), error);
    let digest = build(facts, 0).map_err(failed)?.digest();
    let serial = directory
        .zone_serial(&facts.domain, &digest, now())
        .map_err(|error| PublishError::Directory(facts.domain.clone(), error))?;
    build(facts, serial).map_err(failed)
}

/// Seconds since 1970, as a serial (RFC 1982); it wraps in 2106.
fn now() -> u32 {
    jiff::Timestamp::now().as_second() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_stay_while_nothing_changes_and_grow_when_addresses_do() {
        let state_dir = tempfile::tempdir().expect("temporary directory");
        let directory = Directory::open(state_dir.path()).expect("opened");
        directory.add_domain(&"home.example".parse().expect("a domain")).expect("added");
        let hostname = "mail.home.example".parse().expect("a name");
        let edge = |public: &str| EdgeAddresses {
            public: vec![public.parse().expect("an address")],
            home_v4: [10, 118, 0, 2].into(),
            home_v6: "fd70:6f73:7465::2".parse().expect("an address"),
        };
        let zones = |public: &str| zones(&directory, &hostname, &edge(public)).expect("built");
        let first = zones("192.0.2.1");
        assert_eq!(first.len(), 1);
        assert_eq!(zones("192.0.2.1"), first);
        let moved = zones("192.0.2.2");
        assert!(moved[0].serial > first[0].serial);
    }
}
