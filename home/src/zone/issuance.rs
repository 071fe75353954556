//! What certificates need of the zones: the keys that TLS clients will meet, the authorities that may issue, and the
//! answers to an authority's challenges.

use hickory_proto::rr::{Name, Record};
use postern_message::address::DomainName;
use postern_shared::zone::ZoneError;

use super::{caa, challenge, name, tlsa};

/// The longest URL of an account that is published, in octets.
const MOST_OCTETS: usize = 1024;
/// Characters of a malformed one that are shown.
const MOST_SHOWN: usize = 100;

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
    /// [`ZoneError::Name`] where a name grows too long.
    pub fn records(&self, domain: &DomainName) -> Result<Vec<Record>, ZoneError> {
        let mut records = tlsa::records(self)?;
        records.extend(caa::records(&name(domain.as_str())?, &self.issuers));
        records.extend(challenge::records(self)?);
        Ok(records)
    }
}

/// An account that no CAA record can name, by what the authority has said of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedIssuer {
    /// RFC 8659 §4.2: issuer-domain-name.
    #[error("the certificate authority calls itself `{0}`, which is no host name")]
    Authority(String),
    /// RFC 8659 §4.2: value; RFC 8657 §3: a URI.
    #[error("the certificate authority calls home's account `{0}`, which is no URL for a CAA record")]
    Account(String),
}

impl Issuer {
    /// The authority's name, where a record can name the account.
    ///
    /// # Errors
    /// [`MalformedIssuer`].
    pub fn check(&self) -> Result<Name, MalformedIssuer> {
        let shown = |text: &str| text.escape_debug().take(MOST_SHOWN).collect();
        let is_value = |octet: u8| matches!(octet, 0x21..=0x3a | 0x3c..=0x7e);
        if self.account.is_empty() || self.account.len() > MOST_OCTETS || !self.account.bytes().all(is_value)
        {
            return Err(MalformedIssuer::Account(shown(&self.account)));
        }
        let malformed = || MalformedIssuer::Authority(shown(&self.authority));
        let authority: DomainName = self.authority.parse().map_err(|_| malformed())?;
        Name::from_ascii(authority.as_str()).map_err(|_| malformed())
    }
}

/// The domain whose zone holds a name: the longest that it lies within.
pub fn zone_of<'a>(name: &DomainName, domains: &[&'a DomainName]) -> Option<&'a DomainName> {
    let holders = domains.iter().copied().filter(|domain| name.is_within(domain));
    holders.max_by_key(|domain| domain.labels().count())
}
