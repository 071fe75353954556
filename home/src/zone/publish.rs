//! Keeps the edge's zones as they should be.
//!
//! In: notices that the directory or the edge's addresses changed. Out: the zones of all domains, handed to the link,
//! which brings them to the edge however long that takes. While no edge is known there are no addresses, and so no
//! zones.

use std::net::IpAddr;

use postern_message::address::DomainName;
use postern_shared::zone::{Zone, ZoneError};
use postern_store::directory::{Directory, DirectoryError, Snapshot};
use tokio::sync::watch;

use super::{Facts, build};
use crate::hostname::Hostname;
use crate::link::{EdgeAddresses, Link};

/// Why a zone could not be built.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error(transparent)]
    Zone(#[from] ZoneError),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// Publishes until the program stops.
pub async fn run(directory: Directory, hostname: Hostname, link: Link) {
    let mut changes = directory.subscribe();
    let mut addresses = link.edge_addresses();
    loop {
        if let Some(public) = public_addresses(&mut addresses) {
            let (directory, hostname) = (directory.clone(), hostname.clone());
            let built =
                tokio::task::spawn_blocking(move || zones(&directory, &hostname.current(), &public)).await;
            link.set_zones(built.unwrap_or_default()).await;
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            changed = addresses.changed() => if changed.is_err() { return },
        }
    }
}

/// The edge's addresses as they are now, if there are any.
fn public_addresses(addresses: &mut watch::Receiver<Option<EdgeAddresses>>) -> Option<Vec<IpAddr>> {
    let known = addresses.borrow_and_update();
    known.as_ref().map(|addresses| addresses.public.clone()).filter(|public| !public.is_empty())
}

/// The zones of all domains. One that cannot be built is left out and named in the log.
fn zones(directory: &Directory, hostname: &DomainName, public: &[IpAddr]) -> Vec<Zone> {
    let snapshot = directory.snapshot();
    let built =
        snapshot.domains().map(|domain| (domain, zone(directory, &snapshot, domain, hostname, public)));
    built
        .filter_map(|(domain, zone)| match zone {
            Ok(zone) => Some(zone),
            Err(error) => {
                tracing::error!(%domain, %error, "zone cannot be built");
                None
            }
        })
        .collect()
}

fn zone(
    directory: &Directory,
    snapshot: &Snapshot,
    domain: &DomainName,
    hostname: &DomainName,
    public: &[IpAddr],
) -> Result<Zone, PublishError> {
    let facts = Facts {
        domain: domain.clone(),
        hostname: hostname.clone(),
        addresses: public.to_vec(),
        dkim_keys: snapshot.dkim_keys(domain).to_vec(),
    };
    let digest = build(&facts, 0)?.digest();
    let serial = directory.zone_serial(domain, &digest, now())?;
    Ok(build(&facts, serial)?)
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
        let address = |text: &str| vec![text.parse::<IpAddr>().expect("an address")];
        let first = zones(&directory, &hostname, &address("192.0.2.1"));
        assert_eq!(first.len(), 1);
        assert_eq!(zones(&directory, &hostname, &address("192.0.2.1")), first);
        let moved = zones(&directory, &hostname, &address("192.0.2.2"));
        assert!(moved[0].serial > first[0].serial);
    }
}
