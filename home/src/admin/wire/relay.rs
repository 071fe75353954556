//! Relays.

use postern_message::address::DomainName;
use serde::{Deserialize, Serialize};

use super::Password;
use crate::relay::book::{Relay, Security, Use};
use crate::relay::overflow::Diversion;
use crate::relay::warm_up::Plan;

/// Adds a relay, once it has taken the login.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AddRelay {
    /// What the operator calls it.
    pub name: String,
    /// Its host name.
    pub host: DomainName,
    /// Its port.
    pub port: u16,
    /// How TLS begins there.
    pub security: Security,
    /// The user name there.
    pub login: String,
    /// The password there.
    pub password: Password,
    /// What SPF records must include.
    pub spf: Option<DomainName>,
}

impl From<AddRelay> for Relay {
    fn from(added: AddRelay) -> Self {
        let AddRelay { name, host, port, security, login, password, spf } = added;
        Self { name, host, port, security, login, password, spf }
    }
}

/// A relay as it is shown: without its password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayListed {
    /// What the operator calls it.
    pub name: String,
    /// Its host name.
    pub host: DomainName,
    /// Its port.
    pub port: u16,
    /// How TLS begins there.
    pub security: Security,
    /// The user name there.
    pub login: String,
    /// What SPF records must include.
    pub spf: Option<DomainName>,
    /// The traffic that it is for.
    pub uses: Vec<Use>,
    /// The domains whose SPF record, as the world sees it, does not include it yet: their mail does not go by it before.
    #[serde(default)]
    pub waits_for_spf: Vec<DomainName>,
}

/// Uses a relay for some traffic from now on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UseRelay {
    /// The traffic.
    pub traffic: Use,
    /// The relay, or `direct` for none.
    pub relay: String,
}

/// Takes a destination back to direct delivery.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TakeBack {
    /// Its domain.
    pub destination: DomainName,
}

/// The destinations that distrust the edge's address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OverflowListed {
    /// The relay that carries their mail meanwhile; without one their mail waits or comes back.
    pub relay: Option<String>,
    /// The destinations.
    pub destinations: Vec<Diversion>,
    /// How much goes directly to large receivers today, where there is a plan for it.
    #[serde(default)]
    pub warm_up: Vec<Plan>,
}

/// Ends the warm-up for a receiver.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EndWarmUp {
    /// Its name in the table of receivers.
    pub receiver: String,
}
