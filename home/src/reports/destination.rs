//! Where a domain wants reports about it.
//!
//! In: an author's domain. Out: the domain whose policy covers it, that policy, and the addresses that reports may be sent to.
//! Refused: addresses of a domain that has not agreed to it (RFC 7489 §7.1): else anybody could have reports sent to anybody.
//! At most [`MAX_ADDRESSES`] are asked for, none but `mailto:`.

use mail_auth::common::parse::TxtRecordParser;
use mail_auth::dmarc::{Alignment, Dmarc, Policy as Wish, Psd, URI};
use postern_message::address::{DomainName, EmailAddress};
use postern_report::dmarc::{AlignmentMode, Disposition, Policy};

use crate::resolver::{Answer, Resolver};

/// Addresses of one domain that are written to.
const MAX_ADDRESSES: usize = 5;
/// Names of the author's domain and above that are looked at.
const MAX_LABELS: usize = 8;

/// The DNS did not answer; it may later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoAnswer;

/// The policy that covers a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// What it says, and where it is.
    pub(super) policy: Policy,
    rua: Vec<URI>,
}

/// An address that takes reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination {
    /// The address.
    pub(super) address: EmailAddress,
    /// Most octets of a message; 0 for no limit.
    pub(super) max_octets: usize,
}

/// Finds the policy: the domain's own, else that of the organization, which is the one nearest to the root.
pub(super) async fn policy(resolver: &Resolver, author: &DomainName) -> Result<Option<Found>, NoAnswer> {
    let mut organizational = None;
    let names = std::iter::successors(Some(author.clone()), parent);
    for (above, name) in names.take(MAX_LABELS).enumerate() {
        let Some(record) = record(resolver, &name).await? else { continue };
        let found = Found::new(name, &record);
        match above {
            0 => return Ok(Some(found)),
            _ if record.psd == Psd::Yes => break,
            _ => organizational = Some(found),
        }
    }
    Ok(organizational)
}

fn parent(name: &DomainName) -> Option<DomainName> {
    let (_, parent) = name.as_str().split_once('.')?;
    parent.contains('.').then(|| DomainName::parse(parent).ok()).flatten()
}

/// The one record of a name; where there are several, there is none (RFC 7489 §6.6.3).
async fn record(resolver: &Resolver, name: &DomainName) -> Result<Option<Dmarc>, NoAnswer> {
    let mut records = dmarc_texts(resolver, &format!("_dmarc.{name}")).await?.into_iter();
    Ok(records.next().filter(|_| records.next().is_none()))
}

async fn dmarc_texts(resolver: &Resolver, name: &str) -> Result<Vec<Dmarc>, NoAnswer> {
    match resolver.txt(name).await {
        Ok(Answer::Records(texts)) => Ok(texts.iter().filter_map(|text| Dmarc::parse(text).ok()).collect()),
        Ok(Answer::NoData | Answer::NoSuchName) => Ok(Vec::new()),
        Err(_) => Err(NoAnswer),
    }
}

impl Found {
    fn new(domain: DomainName, record: &Dmarc) -> Found {
        let policy = Policy {
            domain,
            adkim: mode(record.adkim),
            aspf: mode(record.aspf),
            p: disposition(record.p),
            sp: Some(disposition(record.sp)),
            np: Some(disposition(record.np)),
        };
        Found { policy, rua: record.rua.clone() }
    }

    /// The addresses that may be written to.
    pub(super) async fn destinations(&self, resolver: &Resolver) -> Result<Vec<Destination>, NoAnswer> {
        let mut destinations = Vec::new();
        for uri in self.rua.iter().take(MAX_ADDRESSES) {
            if let Some(destination) = Destination::of(uri) {
                destinations.extend(self.agreed(resolver, destination).await?);
            }
        }
        Ok(destinations)
    }

    /// RFC 7489 §7.1: a domain outside of this one has to agree, and may name other addresses of its own instead.
    async fn agreed(&self, resolver: &Resolver, asked: Destination) -> Result<Vec<Destination>, NoAnswer> {
        let (domain, host) = (&self.policy.domain, asked.address.domain().clone());
        if host.is_within(domain) {
            return Ok(vec![asked]);
        }
        let records = dmarc_texts(resolver, &format!("{domain}._report._dmarc.{host}")).await?;
        let Some(record) = records.first() else { return Ok(Vec::new()) };
        let instead: Vec<Destination> = record.rua.iter().filter_map(Destination::of).collect();
        Ok(match instead.iter().all(|instead| *instead.address.domain() == host) {
            true if instead.is_empty() => vec![asked],
            true => instead,
            false => Vec::new(),
        })
    }
}

impl Destination {
    fn of(uri: &URI) -> Option<Destination> {
        let address = EmailAddress::parse(&uri.uri).ok()?;
        Some(Destination { address, max_octets: uri.max_size })
    }
}

fn mode(alignment: Alignment) -> AlignmentMode {
    match alignment {
        Alignment::Relaxed => AlignmentMode::Relaxed,
        Alignment::Strict => AlignmentMode::Strict,
    }
}

fn disposition(wish: Wish) -> Disposition {
    match wish {
        Wish::None | Wish::Unspecified => Disposition::None,
        Wish::Quarantine => Disposition::Quarantine,
        Wish::Reject => Disposition::Reject,
    }
}
