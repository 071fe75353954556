//! Where the facts about zones come from, as they change while the program runs.

use std::sync::Arc;

use postern_store::directory::Directory;
use tokio::sync::watch;

use super::Household;
use super::issuance::Issuance;
use crate::config::ServiceKind;
use crate::hostname::Hostname;
use crate::link::Link;

/// The living things behind a [`Household`]; cheap to clone.
#[derive(Clone)]
pub struct Sources {
    /// The domains and what is kept of their zones.
    pub directory: Directory,
    /// What MX records point to.
    pub hostname: Hostname,
    /// The services that home listens for.
    pub offered: Arc<[ServiceKind]>,
    /// Knows the edge's addresses, and takes the zones there.
    pub link: Link,
    /// What certificates need of the zones.
    pub issuance: watch::Receiver<Issuance>,
}

impl Sources {
    /// How things are at this moment.
    pub fn household(&self) -> Household {
        Household {
            directory: self.directory.clone(),
            hostname: self.hostname.current(),
            edge: self.link.edge_addresses().borrow().clone(),
            offered: self.offered.clone(),
            issuance: self.issuance.borrow().clone(),
        }
    }
}
