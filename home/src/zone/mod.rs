//! The DNS zone of each domain, built by home from its own state and served by the edge.
//!
//! * In: the domain, its DKIM keys, the host name, the addresses of the edge and of the mail host, a serial; for signing,
//!   keys and the time.
//! * Out: a [`Zone`] with everything that mail needs: SOA and NS with glue (secondaries too), the mail host's addresses,
//!   MX, SPF, DKIM, DMARC, TLS reporting, MTA-STS, the SRV records and host names by which mail programs find the services,
//!   the keys of TLS and who may certify them, and the operator's own records. One file for each record family; to add one,
//!   write its function and name it in `content`.
//! * Refused: what the zone type refuses. Without an address there is nothing to publish, so no zone is built then.
//! * RFC 1035 (SOA, NS, MX, TXT), RFC 7208 (SPF), RFC 6376 and RFC 8463 (DKIM), RFC 7489 (DMARC), RFC 6186 and RFC
//!   8314 §5.1 (SRV), RFC 7505 (null MX), RFC 8460 (TLS reporting), RFC 8461 (MTA-STS), RFC 6698 (TLSA), RFC 8659 and RFC 8657 (CAA), RFC 8555
//!   §8.4 (challenges).
//!
//! The same facts give the same records, so a digest tells whether anything changed. [`sign`] makes a signed zone of them,
//! [`renew`] says when, [`publish`] hands it over.

mod authority;

mod hosts;

mod autoconfig;
mod mx;
mod srv;

mod dkim;
mod dmarc;
mod mta_sts;
mod spf;
mod tls_rpt;

pub mod import;
pub mod own;

pub mod secondary;

mod caa;
mod challenge;
pub mod issuance;
mod tlsa;

pub mod key;
pub mod roll;
pub mod sign;

pub mod clock;
pub mod renew;

mod sources;

pub mod publish;

pub mod delegation;

pub mod master;
pub mod presentation;
pub mod text;

use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use postern_message::address::DomainName;
use postern_shared::zone::{Zone, ZoneError};
use postern_store::directory::{Directory, DirectoryError, DkimKey, OwnRecord, Secondary};

use crate::config::ServiceKind;
use crate::link::EdgeAddresses;
use crate::mta_sts::Presence;
use crate::relay;

use issuance::Issuance;

pub use authority::EXPIRE;
pub use challenge::TTL as CHALLENGE_TTL;
pub use sources::Sources;
pub use tlsa::TTL as TLSA_TTL;

/// Time to live of records that seldom change, in seconds.
const TTL: u32 = 3600;
/// Time to live of addresses, in seconds: the edge may move.
const ADDRESS_TTL: u32 = 300;
/// Octets in one character-string of a TXT record (RFC 1035 §3.3).
const CHARACTER_STRING_OCTETS: usize = 255;

/// All that the records of one zone depend on.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The domain, which is the zone's origin.
    pub domain: DomainName,
    /// The name of the mail host that MX and SRV point to; it may lie in another domain.
    pub hostname: DomainName,
    /// The edge's public addresses, at least one.
    pub addresses: Vec<IpAddr>,
    /// Where the mail host is found, and where its mail leaves from.
    pub mail_addresses: Vec<IpAddr>,
    /// The domain's DKIM keys.
    pub dkim_keys: Vec<Arc<DkimKey>>,
    /// The services that home listens for.
    pub offered: Arc<[ServiceKind]>,
    /// The records that the operator has added.
    pub own: Vec<OwnRecord>,
    /// Those among them that are kept but make no sense: the zone goes on without them.
    pub unreadable: Vec<OwnRecord>,
    /// What certificates need of this zone.
    pub issuance: Issuance,
    /// The names and the policy of the web service.
    pub presence: Presence,
    /// The secondary name servers that serve the domain.
    pub secondaries: Vec<Secondary>,
    /// The domains of relays that may send the domain's mail.
    pub relays: Vec<DomainName>,
}

/// What the zones of all domains have in common.
#[derive(Clone)]
pub struct Household {
    /// The domains, their keys and the operator's own records.
    pub directory: Directory,
    /// The name of the mail host.
    pub hostname: DomainName,
    /// The edge's addresses; none before the first join.
    pub edge: Option<EdgeAddresses>,
    /// The services that home listens for.
    pub offered: Arc<[ServiceKind]>,
    /// What certificates need of the zones.
    pub issuance: Issuance,
}

impl Household {
    /// The facts of one domain.
    ///
    /// # Errors
    /// [`DirectoryError::Storage`] when the database cannot be read.
    pub fn facts(&self, domain: &DomainName) -> Result<Facts, DirectoryError> {
        let snapshot = self.directory.snapshot();
        let domains: Vec<&DomainName> = snapshot.served_domains().collect();
        let (own, unreadable) = own::readable(domain, self.directory.own_records(domain)?);
        Ok(Facts {
            domain: domain.clone(),
            hostname: self.hostname.clone(),
            addresses: self.edge.as_ref().map(|edge| edge.public.clone()).unwrap_or_default(),
            mail_addresses: self.edge.as_ref().map(EdgeAddresses::of_mail).unwrap_or_default(),
            dkim_keys: self.directory.dkim_keys(domain),
            offered: self.offered.clone(),
            own,
            unreadable,
            issuance: if domains.contains(&domain) {
                self.issuance.of(domain, &domains)
            } else {
                Issuance::default()
            },
            presence: Presence::kept(&self.directory, domain)?,
            secondaries: self.secondaries(domain)?,
            relays: relay::spf_includes(&self.directory, domain)?,
        })
    }

    fn secondaries(&self, domain: &DomainName) -> Result<Vec<Secondary>, DirectoryError> {
        let all = self.directory.secondaries()?;
        Ok(all.into_iter().filter(|secondary| secondary.serves(domain)).collect())
    }
}

/// Builds the zone with this serial.
///
/// # Errors
/// [`ZoneError`] where a name grows too long under the domain.
pub fn build(facts: &Facts, serial: u32) -> Result<Zone, ZoneError> {
    Zone::from_records(&name(facts.domain.as_str())?, &records(facts, serial)?)
}

/// What the DNS of a domain that is hosted elsewhere shall have of it; nothing before the first join. Left out is what only
/// the name servers there can make, and what changes by itself: a TLSA record that stays when home renews its key would
/// keep mail away.
///
/// # Errors
/// [`ZoneError`] where a name grows too long under the domain.
pub fn for_elsewhere(facts: &Facts) -> Result<Vec<Record>, ZoneError> {
    if facts.mail_addresses.is_empty() {
        return Ok(Vec::new());
    }
    let apex = facts.apex()?;
    let is_theirs = |record: &Record| match record.record_type() {
        RecordType::NS => record.name == apex,
        record_type => record_type.is_dnssec() || record_type == RecordType::TLSA,
    };
    let records = own::merge(facts, content(facts)?)?.records;
    Ok(records.into_iter().filter(|record| !is_theirs(record)).collect())
}

/// Every record: Postern's, and the operator's as far as they can stand beside these.
fn records(facts: &Facts, serial: u32) -> Result<Vec<Record>, ZoneError> {
    Ok(own::merge(facts, families(facts, serial)?)?.records)
}

/// Postern's records, family by family.
fn families(facts: &Facts, serial: u32) -> Result<Vec<Record>, ZoneError> {
    let mut records = authority::records(facts, serial)?;
    records.extend(secondary::records(facts)?);
    records.extend(content(facts)?);
    Ok(records)
}

/// Every record but those of the zone itself, family by family.
fn content(facts: &Facts) -> Result<Vec<Record>, ZoneError> {
    let mut records = hosts::records(facts)?;
    records.extend(mx::records(facts)?);
    records.extend(srv::records(facts)?);
    records.extend(spf::records(facts)?);
    records.extend(dkim::records(facts)?);
    records.extend(dmarc::records(facts)?);
    records.extend(tls_rpt::records(facts)?);
    records.extend(mta_sts::records(facts)?);
    records.extend(autoconfig::records(facts)?);
    records.extend(facts.issuance.records(&facts.domain)?);
    records.extend(caa::beside_own(facts, &records)?);
    Ok(records)
}

impl Facts {
    /// Whether the operator has records at this name.
    fn has_own(&self, name: &Name) -> bool {
        self.own.iter().any(|own| own.owner == name.to_ascii())
    }

    /// The absolute name of `label` (which may have dots) below the domain.
    fn below(&self, label: &str) -> Result<Name, ZoneError> {
        name(&format!("{label}.{}", self.domain))
    }

    /// The domain itself as an absolute name.
    fn apex(&self) -> Result<Name, ZoneError> {
        name(self.domain.as_str())
    }

    /// A and AAAA records of a host at the edge.
    fn at_edge(&self, host: &Name) -> impl Iterator<Item = Record> {
        self.addresses.iter().map(|address| address_record(host, *address))
    }

    /// A and AAAA records of the mail host.
    fn at_home(&self, host: &Name) -> impl Iterator<Item = Record> {
        self.mail_addresses.iter().map(|address| address_record(host, *address))
    }
}

fn address_record(host: &Name, address: IpAddr) -> Record {
    let data = match address {
        IpAddr::V4(v4) => RData::A(v4.into()),
        IpAddr::V6(v6) => RData::AAAA(v6.into()),
    };
    Record::from_rdata(host.clone(), ADDRESS_TTL, data)
}

/// A TXT record, its text cut into character-strings.
fn txt(owner: Name, text: &str) -> Record {
    let strings = text.as_bytes().chunks(CHARACTER_STRING_OCTETS).collect();
    Record::from_rdata(owner, TTL, RData::TXT(TXT::from_bytes(strings)))
}

/// A domain or host as an absolute name.
pub(crate) fn name(text: &str) -> Result<Name, ZoneError> {
    let mut name = Name::from_ascii(text).map_err(|_| ZoneError::Name(text.to_owned()))?;
    name.set_fqdn(true);
    Ok(name)
}

#[cfg(test)]
mod tests;
