//! What certificates need of the zones: the keys that TLS clients will meet, the authorities that may issue, and the
//! answers to an authority's challenges.

use hickory_proto::rr::Record;
use postern_message::address::DomainName;
use postern_shared::zone::ZoneError;

use super::{caa, challenge, name, tlsa};

/// All of it, for every zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Issuance {
    /// The mail host, and the SHA-256 digests of the public keys that it shows, will show, and has just shown.
    pub host: Option<(DomainName, Vec<[u8; 32]>)>,
    /// Who may issue certificates; without any, the zones say nothing of it.
    pub issuers: Vec<Issuer>,
    /// What an authority looks for at this moment.
    pub challenges: Vec<Challenge>,
}

/// An account of a certificate authority (RFC 8659 §4.2, RFC 8657 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// The name by which the authority knows itself.
    pub authority: String,
    /// The account's URL.
    pub account: String,
}

/// The answer to a dns-01 challenge (RFC 8555 §8.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The name that is proven, without a wildcard's asterisk.
    pub name: DomainName,
    /// The digest of the key authorization, in base64url.
    pub digest: String,
}

impl Issuance {
    /// What the zone of one domain has of it; `domains` are all that have zones here.
    pub fn of(&self, domain: &DomainName, domains: &[&DomainName]) -> Issuance {
        let is_here = |name: &DomainName| zone_of(name, domains) == Some(domain);
        Issuance {
            host: self.host.clone().filter(|(host, _)| is_here(host)),
            issuers: self.issuers.clone(),
            challenges: self
                .challenges
                .iter()
                .filter(|challenge| is_here(&challenge.name))
                .cloned()
                .collect(),
        }
    }

    /// The records of one domain's part.
    ///
    /// # Errors
    /// [`ZoneError::Name`] where a name grows too long, or the authority's is none.
    pub fn records(&self, domain: &DomainName) -> Result<Vec<Record>, ZoneError> {
        let mut records = tlsa::records(self)?;
        records.extend(caa::records(&name(domain.as_str())?, self)?);
        records.extend(challenge::records(self)?);
        Ok(records)
    }
}

/// The domain whose zone holds a name: the longest that it lies within.
pub fn zone_of<'a>(name: &DomainName, domains: &[&'a DomainName]) -> Option<&'a DomainName> {
    let holders = domains.iter().copied().filter(|domain| name.is_within(domain));
    holders.max_by_key(|domain| domain.labels().count())
}
