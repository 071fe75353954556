//! What the parent zone shall have of a domain, for a person to carry to the registrar.
//!
//! In: the signed zone. Out: [`Wanted`], which can be held against what the parent has, and [`Registrar`], the same in the
//! spellings that registrars' forms ask for: name servers, their addresses (glue), DS records as a line of a zone file and
//! as separate fields, and the key itself for those who make the DS record of it (RFC 4034 §2, §5).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::dnssec::rdata::{CDS, DNSKEY, DNSSECRData, DS};
use hickory_proto::dnssec::{DigestType, PublicKey, Verifier};
use hickory_proto::rr::{Name, RData, Record};
use postern_message::address::DomainName;
use postern_shared::zone::Zone;
use postern_store::directory::Directory;
use serde::{Deserialize, Serialize};

use super::key::AtParent;
use super::renew::RenewError;
use super::{name, presentation, roll, text};

/// The only protocol of a DNSKEY (RFC 4034 §2.1.2).
const DNSSEC_PROTOCOL: u8 = 3;

/// What the parent zone shall have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The domain.
    pub domain: Name,
    /// Its name servers.
    pub name_servers: BTreeSet<Name>,
    /// The addresses of those that lie in the domain: without them nobody could find the way in.
    pub glue: BTreeMap<Name, BTreeSet<IpAddr>>,
    /// The keys that sign: DS records may vouch for any of them.
    pub keys: Vec<DNSKEY>,
    /// Those among them that DS records shall vouch for.
    pub vouched: Vec<DNSKEY>,
}

/// What to enter at the registrar's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registrar {
    /// The name servers.
    pub name_servers: Vec<String>,
    /// Addresses of name servers inside the domain.
    pub glue: Vec<GlueHost>,
    /// The keys.
    pub keys: Vec<RegistrarKey>,
}

/// A host object, child name server or personal name server, as registrars call it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlueHost {
    /// The name.
    pub host: String,
    /// The addresses, IPv4 first.
    pub addresses: Vec<IpAddr>,
}

/// A DS record in every spelling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrarKey {
    /// The whole record as a line of a zone file.
    pub line: String,
    /// The key tag (RFC 4034 Appendix B).
    pub key_tag: u16,
    /// The number of the algorithm.
    pub algorithm: u8,
    /// Its name.
    pub algorithm_name: String,
    /// The number of the digest type.
    pub digest_type: u8,
    /// Its name.
    pub digest_type_name: String,
    /// The digest in hexadecimal.
    pub digest: String,
    /// The flags of the key: 257 is a secure entry point.
    pub flags: u16,
    /// The protocol of the key, always 3.
    pub protocol: u8,
    /// The public key in base64.
    pub public_key: String,
}

/// The data of the DS records that shall stand in the parent zone, one for each key (RFC 4034 §5.3).
///
/// # Errors
/// [`RenewError::Directory`] for a domain that is not here, [`RenewError::Sign`] for a key that cannot be used.
pub fn ds(directory: &Directory, domain: &DomainName) -> Result<Vec<String>, RenewError> {
    let origin = name(domain.as_str())?;
    let keys = roll::keys(directory, domain)?;
    let wanted = keys.iter().filter(|key| key.at_parent == AtParent::Wanted);
    wanted.map(|key| Ok(key.ds(&origin)?.to_string())).collect()
}

/// What the parent shall have of this signed zone.
///
/// # Errors
/// [`RenewError::Zone`] where the zone is not servable.
pub fn wanted(zone: &Zone) -> Result<Wanted, RenewError> {
    let (domain, records) = (zone.origin()?, zone.records()?);
    let at_apex = || records.iter().filter(|record| record.name == domain);
    let name_servers: BTreeSet<Name> = at_apex()
        .filter_map(|record| match &record.data {
            RData::NS(ns) => Some(ns.0.clone()),
            _ => None,
        })
        .collect();
    let keys = at_apex().filter_map(|record| match &record.data {
        RData::DNSSEC(DNSSECRData::DNSKEY(key)) if key.secure_entry_point() => Some(key.clone()),
        _ => None,
    });
    let keys: Vec<DNSKEY> = keys.collect();
    let asked = at_apex().filter_map(|record| match &record.data {
        RData::DNSSEC(DNSSECRData::CDS(cds)) => Some(ds_of(cds)),
        _ => None,
    });
    let asked: Vec<DS> = asked.flatten().collect();
    let is_asked = |key: &&DNSKEY| asked.iter().any(|ds| ds.covers(&domain, key).unwrap_or(false));
    let vouched = keys.iter().filter(is_asked).cloned().collect();
    let glue = name_servers.iter().filter(|host| domain.zone_of(host));
    let glue = glue.map(|host| (host.clone(), addresses(&records, host))).collect();
    Ok(Wanted { keys, vouched, glue, name_servers, domain })
}

/// The DS record that a CDS record asks for (RFC 7344 §3.1).
fn ds_of(cds: &CDS) -> Option<DS> {
    Some(DS::new(cds.key_tag(), cds.algorithm()?, cds.digest_type(), cds.digest().to_vec()))
}

fn addresses(records: &[Record], host: &Name) -> BTreeSet<IpAddr> {
    let of_host = records.iter().filter(|record| record.name == *host);
    of_host
        .filter_map(|record| match &record.data {
            RData::A(v4) => Some(IpAddr::V4(v4.0)),
            RData::AAAA(v6) => Some(IpAddr::V6(v6.0)),
            _ => None,
        })
        .collect()
}

impl Wanted {
    /// The same for a person to enter.
    pub fn registrar(&self) -> Registrar {
        let glue = self.glue.iter().map(|(host, addresses)| GlueHost {
            host: text::host(host),
            addresses: addresses.iter().copied().collect(),
        });
        Registrar {
            name_servers: self.name_servers.iter().map(text::host).collect(),
            glue: glue.collect(),
            keys: self.vouched.iter().filter_map(|key| self.registrar_key(key)).collect(),
        }
    }

    /// Whether a DS record vouches for one of the keys. A digest of a type that cannot be computed here is believed, where
    /// the rest fits.
    pub fn has_key_of(&self, ds: &DS) -> bool {
        self.keys.iter().any(|key| self.is_of(ds, key))
    }

    /// The DS records that are missing where the parent has these: of the keys that it shall vouch for, and does not.
    pub fn lacking(&self, held: &[DS]) -> Vec<String> {
        let lacks = |key: &&DNSKEY| !held.iter().any(|ds| self.is_of(ds, key));
        let lacking = self.vouched.iter().filter(lacks).filter_map(|key| self.registrar_key(key));
        lacking.map(|key| key.line).collect()
    }

    fn is_of(&self, ds: &DS, key: &DNSKEY) -> bool {
        let is_named =
            key.calculate_key_tag().is_ok_and(|tag| tag == ds.key_tag()) && key.algorithm() == ds.algorithm();
        is_named && ds.covers(&self.domain, key).unwrap_or(true)
    }

    fn registrar_key(&self, key: &DNSKEY) -> Option<RegistrarKey> {
        let digest_type = DigestType::SHA256;
        let digest = key.to_digest(&self.domain, digest_type).ok()?;
        let algorithm = key.public_key().algorithm();
        let ds = DS::new(key.calculate_key_tag().ok()?, algorithm, digest_type, digest.as_ref().to_vec());
        Some(RegistrarKey {
            line: format!("{}. IN DS {ds}", text::host(&self.domain)),
            key_tag: ds.key_tag(),
            algorithm: algorithm.into(),
            algorithm_name: algorithm.as_str().to_owned(),
            digest_type: digest_type.into(),
            digest_type_name: "SHA-256".to_owned(),
            digest: presentation::hexadecimal(ds.digest()).to_ascii_uppercase(),
            flags: key.flags(),
            protocol: DNSSEC_PROTOCOL,
            public_key: STANDARD.encode(key.public_key().public_bytes()),
        })
    }
}
