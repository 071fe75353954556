//! What the owner of a destination demands of the connection: TLS, and with whom.
//!
//! In: the domain, its mail hosts with what DNSSEC says of them. Out: a [`Demand`] for each host. Refused: a host whose TLSA
//! records cannot be found out, since an attacker would like nothing better (RFC 7672 §2.1.2).
//!
//! | the host | demand |
//! |---|---|
//! | MX record and address are secure, and it has TLSA records | TLS with the server that they name, or with any where they cannot be used (RFC 7672 §2.2) |
//! | else, and the domain's MTA-STS policy enforces, and names it | TLS 1.2 or newer, with a certificate for it that an authority vouches for (RFC 8461 §4) |
//! | the policy enforces, and does not name it | not to be used |
//! | else | none: TLS where it is offered (RFC 7435) |
//!
//! DANE comes first: who publishes it means it, and it says which certificate (RFC 8461 §2).

pub mod policies;
pub mod policy;

use std::sync::Arc;

use hickory_resolver::proto::rr::rdata::TLSA;
use rustls::ClientConfig;

use self::policies::Policies;
use self::policy::{Mode, Policy};
use super::route::Host;
use crate::resolver::Resolver;
use crate::tls::peer;

/// What one host has to fulfil.
#[derive(Debug, Clone)]
pub enum Demand {
    /// Nothing.
    Nothing,
    /// TLS with the server that this configuration accepts.
    Tls {
        /// Who demands it.
        by: By,
        /// The configuration.
        config: Arc<ClientConfig>,
    },
    /// The host may not be used; a clause for people.
    Unusable(String),
}

/// Who demands TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The host's TLSA records.
    Dane,
    /// The domain's policy.
    MtaSts,
}

impl By {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dane => "DANE",
            Self::MtaSts => "MTA-STS",
        }
    }
}

/// Finds out what is demanded of connections to the hosts of one domain.
pub struct Demands {
    domain: String,
    resolver: Resolver,
    policy: Option<Policy>,
}

impl Demands {
    /// Looks up the policy of a domain (A-labels, lower case).
    pub async fn of(domain: &str, resolver: &Resolver, policies: &Policies) -> Self {
        let policy = policies.of(domain).await;
        Self { domain: domain.to_owned(), resolver: resolver.clone(), policy }
    }

    /// What is demanded of this host.
    pub async fn on(&self, host: &Host) -> Demand {
        if host.is_secure {
            match self.records(host).await {
                Ok(records) if records.is_empty() => {}
                Ok(records) => {
                    let names = [host.name.clone(), host.canonical.clone(), self.domain.clone()];
                    return Demand::Tls { by: By::Dane, config: peer::by_dane(&records, &names) };
                }
                Err(unknown) => return Demand::Unusable(unknown),
            }
        }
        self.by_policy(&host.name)
    }

    /// The records at the name that the host's aliases lead to, or at its own (RFC 7672 §2.2.2).
    async fn records(&self, host: &Host) -> Result<Vec<TLSA>, String> {
        for base in [&host.canonical, &host.name] {
            let found = self.resolver.tlsa(&format!("_25._tcp.{base}")).await;
            let found = found.map_err(|error| format!("its TLSA records cannot be found out: {error}"))?;
            if !found.is_empty() || host.canonical == host.name {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    fn by_policy(&self, host: &str) -> Demand {
        let Some(policy) = self.policy.as_ref().filter(|policy| policy.mode == Mode::Enforce) else {
            return Demand::Nothing;
        };
        if !policy.names(host) {
            return Demand::Unusable(format!("the MTA-STS policy of {} does not name it", self.domain));
        }
        match peer::by_authorities() {
            Some(config) => Demand::Tls { by: By::MtaSts, config },
            None => Demand::Unusable(
                "its certificate cannot be judged: this machine has no root certificates \
                 (on Debian: `apt install ca-certificates`)"
                    .to_owned(),
            ),
        }
    }
}
