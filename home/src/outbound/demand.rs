//! What the owner of a destination demands of the connection: TLS, and with whom.
//!
//! In: the domain, its mail hosts with what DNSSEC says of them. Out: a [`Demand`] for each host. Refused: a host whose TLSA
//! records cannot be found out, since an attacker would like nothing better (RFC 7672 §2.1.2).
//!
//! | the host | demand |
//! |---|---|
//! | MX record and address are secure, or the alias that leads to the address, and it has TLSA records | TLS with the server that they name |
//! | the same, and none of them can be used | as below, and TLS in any case (RFC 7672 §2.2) |
//! | else, and the domain's MTA-STS policy enforces, and names it | TLS 1.2 or newer, with a certificate for it that an authority vouches for (RFC 8461 §4) |
//! | the policy enforces, and does not name it | not to be used |
//! | else | none: TLS where it is offered (RFC 7435) |
//! | it is a relay of the operator's | TLS with a certificate for its name that an authority vouches for |
//!
//! A sender who requires TLS (REQUIRETLS, RFC 8689 §4.2.1) gets what the first two rows say, or TLS with a server that an authority
//! vouches for where the MX record is secure; else the host is not to be used. One who says `TLS-Required: No` gets the last row.
//!
//! DANE comes first: who publishes it means it, and it says which certificate (RFC 8461 §2).

pub mod policies;
pub mod policy;

use std::sync::Arc;

use hickory_resolver::proto::rr::rdata::TLSA;
use postern_store::queue::TlsWish;
use rustls::ClientConfig;

use self::policies::Policies;
use self::policy::{Mode, Policy};
use super::route::Host;
use crate::resolver::Resolver;
use crate::tls::{opportunistic_client, peer};

/// What one host has to fulfil.
#[derive(Debug, Clone)]
pub enum Demand {
    /// Nothing.
    Nothing,
    /// TLS with the server that this configuration accepts.
    Tls {
        /// Who demands it.
        by: By,
        /// With whom.
        peer: Peer,
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
    /// The login that is said there.
    Relay,
    /// The sender, by REQUIRETLS.
    Sender,
}

impl By {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dane => "DANE",
            Self::MtaSts => "MTA-STS",
            Self::Relay => "the login",
            Self::Sender => "the sender",
        }
    }
}

/// Whom a configuration accepts; equal ones accept the same servers of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// Who shows a certificate that these records describe, under one of these names where they ask for one.
    Recorded {
        /// In an order of their own.
        records: Vec<TLSA>,
        /// The host's and the domain's.
        names: Vec<String>,
    },
    /// For whose name an authority vouches.
    Vouched,
    /// Whoever is there.
    Anybody,
}

/// Finds out what is demanded of connections to hosts.
pub enum Demands {
    /// To those of one domain.
    OfDomain(Box<OfDomain>),
    /// To a relay.
    OfRelay,
}

/// The demands of one domain.
pub struct OfDomain {
    domain: String,
    resolver: Resolver,
    policy: Option<Policy>,
    wish: TlsWish,
}

impl Demands {
    /// Looks up the policy of a domain (A-labels, lower case).
    pub async fn of(domain: &str, wish: TlsWish, resolver: &Resolver, policies: &Policies) -> Self {
        let policy = policies.of(domain).await;
        let domain = domain.to_owned();
        Self::OfDomain(Box::new(OfDomain { domain, resolver: resolver.clone(), policy, wish }))
    }

    /// What is demanded of this host.
    pub async fn on(&self, host: &Host) -> Demand {
        match self {
            Self::OfDomain(of_domain) => of_domain.on(host).await,
            Self::OfRelay => by_authorities(By::Relay),
        }
    }
}

impl OfDomain {
    /// By its own side, and by the sender (RFC 8689 §4.2).
    async fn on(&self, host: &Host) -> Demand {
        match self.wish {
            TlsWish::NotRequired => Demand::Nothing,
            TlsWish::Unsaid => self.of_destination(host).await,
            TlsWish::Required => match self.of_destination(host).await {
                Demand::Nothing => self.of_sender(host),
                demand => demand,
            },
        }
    }

    /// That an authority vouches for the server of which DNSSEC says that it is the domain's.
    fn of_sender(&self, host: &Host) -> Demand {
        if host.tlsa_bases.is_empty() {
            let domain = &self.domain;
            return Demand::Unusable(format!(
                "the sender requires TLS with a verified server, and neither DNSSEC nor MTA-STS says that it is {domain}'s"
            ));
        }
        by_authorities(By::Sender)
    }

    async fn of_destination(&self, host: &Host) -> Demand {
        match self.records(host).await {
            Err(unknown) => Demand::Unusable(unknown),
            Ok(records) if records.is_empty() => self.by_policy(&host.name),
            Ok(records) => self.by_records(host, &records),
        }
    }

    /// The records at the first of the host's names that has some.
    async fn records(&self, host: &Host) -> Result<Vec<TLSA>, String> {
        for base in &host.tlsa_bases {
            let found = self.resolver.tlsa(&format!("_25._tcp.{base}")).await;
            let found = found.map_err(|error| format!("its TLSA records cannot be found out: {error}"))?;
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }

    /// Records of which none can be used vouch for nobody, so that the policy's word counts (RFC 8461 §2 lets DANE win where
    /// it validates).
    fn by_records(&self, host: &Host, records: &[TLSA]) -> Demand {
        let mut names = host.tlsa_bases.clone();
        names.extend([host.name.clone(), self.domain.clone()]);
        if let Some(config) = peer::by_dane(records, &names) {
            let mut records = records.to_vec();
            records.sort_by_cached_key(ToString::to_string);
            return Demand::Tls { by: By::Dane, peer: Peer::Recorded { records, names }, config };
        }
        match self.by_policy(&host.name) {
            Demand::Nothing if self.wish == TlsWish::Required => self.of_sender(host),
            Demand::Nothing => {
                Demand::Tls { by: By::Dane, peer: Peer::Anybody, config: opportunistic_client() }
            }
            demand => demand,
        }
    }

    fn by_policy(&self, host: &str) -> Demand {
        let Some(policy) = self.policy.as_ref().filter(|policy| policy.mode == Mode::Enforce) else {
            return Demand::Nothing;
        };
        if !policy.names(host) {
            return Demand::Unusable(format!("the MTA-STS policy of {} does not name it", self.domain));
        }
        by_authorities(By::MtaSts)
    }
}

/// TLS with a server that an authority vouches for.
fn by_authorities(by: By) -> Demand {
    match peer::by_authorities() {
        Some(config) => Demand::Tls { by, peer: Peer::Vouched, config },
        None => Demand::Unusable(
            "its certificate cannot be judged: this machine has no root certificates \
             (on Debian: `apt install ca-certificates`)"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::rdata::tlsa::{CertUsage, Matching, Selector};

    use super::*;
    use crate::resolver::Dnssec;

    fn demands(policy: Option<&str>) -> OfDomain {
        let resolver = Resolver::new(&["127.0.0.1:53".parse().unwrap()], Dnssec::Off).unwrap();
        let policy = policy.map(|text| Policy::parse(text).unwrap());
        OfDomain { domain: "far.example".to_owned(), resolver, policy, wish: TlsWish::Unsaid }
    }

    fn by(demand: Demand) -> Option<By> {
        match demand {
            Demand::Tls { by, .. } => Some(by),
            Demand::Nothing | Demand::Unusable(_) => None,
        }
    }

    /// Records of an authority's usage mean nothing for mail, and so must not take the policy's place.
    #[test]
    fn records_that_cannot_be_used_leave_the_policy_in_force() {
        let unusable = [TLSA::new(CertUsage::PkixEe, Selector::Spki, Matching::Sha256, vec![0; 32])];
        let host = |name: &str| Host {
            name: name.to_owned(),
            tlsa_bases: vec![name.to_owned()],
            addresses: vec!["192.0.2.1".parse().unwrap()],
        };
        let enforced = demands(Some("version: STSv1\nmode: enforce\nmx: mx.far.example\nmax_age: 86400\n"));
        let named = enforced.by_records(&host("mx.far.example"), &unusable);
        assert_ne!(by(named), Some(By::Dane), "any certificate would do");
        let unnamed = enforced.by_records(&host("mx.evil.example"), &unusable);
        assert!(matches!(&unnamed, Demand::Unusable(why) if why.contains("does not name it")), "{unnamed:?}");
        // Without a policy the records still ask for TLS.
        assert_eq!(by(demands(None).by_records(&host("mx.far.example"), &unusable)), Some(By::Dane));
    }

    #[test]
    fn a_sender_who_requires_tls_gets_a_verified_server_or_none() {
        let careful = OfDomain { wish: TlsWish::Required, ..demands(None) };
        let host = |tlsa_bases: &[&str]| Host {
            name: "mx.far.example".to_owned(),
            tlsa_bases: tlsa_bases.iter().map(|name| (*name).to_owned()).collect(),
            addresses: vec!["192.0.2.1".parse().unwrap()],
        };
        assert!(matches!(careful.of_sender(&host(&[])), Demand::Unusable(_)), "anybody may have said so");
        let unusable = [TLSA::new(CertUsage::PkixEe, Selector::Spki, Matching::Sha256, vec![0; 32])];
        let demand = careful.by_records(&host(&["mx.far.example"]), &unusable);
        assert_ne!(by(demand), Some(By::Dane), "any certificate would do");
    }
}
