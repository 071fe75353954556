//! Whether the world can see what home has published.
//!
//! In: the zones as they were signed last, and what the edge says that it serves. Out: the records that are served, or
//! nothing while the edge does not serve the newest zone.

use hickory_proto::rr::Record;
use postern_message::address::DomainName;
use postern_store::directory::Directory;

use crate::link::{Link, LinkState};
use crate::zone::renew;

/// Looks at the zones.
#[derive(Clone)]
pub struct Publication {
    directory: Directory,
    link: Link,
}

impl Publication {
    /// Takes both ends.
    pub fn new(directory: Directory, link: Link) -> Self {
        Self { directory, link }
    }

    /// The records of a domain's zone, if the edge serves the newest one and is heard. Blocks on the disk.
    pub fn served(&self, domain: &DomainName) -> Option<Vec<Record>> {
        let status = self.link.status();
        let zone = renew::kept(&self.directory, domain).ok()??.zone;
        let is_served = status.zones.iter().any(|pushed| {
            pushed.accepted
                && pushed.serial == zone.serial
                && pushed.origin.eq_ignore_ascii_case(&zone.origin)
        });
        (status.state == LinkState::Connected && is_served).then(|| zone.records().ok()).flatten()
    }
}

/// Whether all wanted records are among the served ones; TTLs aside.
pub fn holds(served: &[Record], wanted: &[Record]) -> bool {
    wanted
        .iter()
        .all(|wanted| served.iter().any(|record| record.name == wanted.name && record.data == wanted.data))
}
