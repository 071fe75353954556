//! Answers that DNSSEC vouches for (RFC 4035), checked here and believed of nobody.
//!
//! In: a name and a type. Out: the answer, whether it is secure, and the name at the end of its aliases. Refused: what ought to
//! be signed and is not, or not rightly; asking again later may help.
//!
//! Name servers that leave signatures out, as those of some home routers do, would make every signed domain unreachable. So
//! the root is asked for first: as long as its own answer does not validate, nothing is secure and nothing is refused, and
//! [`Validation::works`] says so. Where no answer comes, mail waits: who can hold answers up must not turn the checking off.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::{Proof, TrustAnchors};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::{Answer, SetupError, no_records, options};

/// Aliases that are followed, one after the other.
const ALIASES_MAX: usize = 8;
/// How long a failed look at the root counts.
const PROBE_AGAIN: Duration = Duration::from_secs(600);

/// An answer, and what DNSSEC says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven<T> {
    /// What the name system says.
    pub answer: Answer<T>,
    /// Whether signatures lead from the root to it.
    pub is_secure: bool,
    /// Whether they lead to the record at the name that was asked for, be it an alias that leads to what is not signed.
    pub begins_secure: bool,
    /// The name that has the records: where the aliases lead, or the name that was asked for.
    pub owner: Name,
}

/// A resolver that validates.
pub(super) struct Validation {
    inner: TokioResolver,
    root: Mutex<Root>,
}

/// What is known of the way to the root.
#[derive(Clone, Copy)]
enum Root {
    Unknown,
    Validates,
    Fails(Instant),
}

impl Validation {
    /// Validates from the keys in the file, or from the root's, which the program knows.
    pub(super) fn new(config: ResolverConfig, trust_anchor: Option<&Path>) -> Result<Self, SetupError> {
        let anchors = match trust_anchor {
            None => TrustAnchors::default(),
            Some(path) => TrustAnchors::from_file(path).map_err(|error| SetupError::TrustAnchor {
                path: path.display().to_string(),
                reason: error.to_string(),
            })?,
        };
        let inner = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options())
            .with_trust_anchor(Arc::new(anchors))
            .build()?;
        Ok(Self { inner, root: Mutex::new(Root::Unknown) })
    }

    /// Whether the name servers give what is needed to validate.
    ///
    /// # Errors
    /// No answer came; in words for people.
    pub(super) async fn works(&self) -> Result<bool, String> {
        let known = *self.root.lock().unwrap_or_else(PoisonError::into_inner);
        match known {
            Root::Validates => return Ok(true),
            Root::Fails(at) if at.elapsed() < PROBE_AGAIN => return Ok(false),
            Root::Fails(_) | Root::Unknown => {}
        }
        let found = match self.inner.lookup(Name::root(), RecordType::NS).await {
            Err(error) if is_silence(&error) => return Err(format!("DNSSEC cannot be checked: {error}")),
            Err(error) => Err(error.to_string()),
            Ok(lookup) => proven(Name::root(), lookup.answers(), RecordType::NS, |_| Some(())),
        };
        let works = matches!(found, Ok(Proven { is_secure: true, answer: Answer::Records(_), .. }));
        if !works {
            tracing::warn!(
                ?found,
                "the name servers that home asks do not let it check DNSSEC: mail to others goes out without DANE"
            );
        }
        let root = if works { Root::Validates } else { Root::Fails(Instant::now()) };
        *self.root.lock().unwrap_or_else(PoisonError::into_inner) = root;
        Ok(works)
    }

    /// Whether the last look at the root has failed.
    pub(super) fn has_failed(&self) -> bool {
        matches!(*self.root.lock().unwrap_or_else(PoisonError::into_inner), Root::Fails(_))
    }

    /// Asks. The error is for people.
    pub(super) async fn lookup<T>(
        &self,
        name: Name,
        record_type: RecordType,
        pick: impl Fn(&RData) -> Option<T>,
    ) -> Result<Proven<T>, String> {
        match self.inner.lookup(name.clone(), record_type).await {
            Ok(lookup) => proven(name, lookup.answers(), record_type, pick),
            Err(error) => self.absent(name, error).await,
        }
    }

    /// A denial that got through was validated, or is of a zone that is not signed. Which of both makes no difference to anyone
    /// who asks here, so it counts as not secure. It must be of the zone that has the name: that some other zone is not signed
    /// proves nothing, and hickory does not ask whose denial it is.
    async fn absent<T>(&self, owner: Name, error: NetError) -> Result<Proven<T>, String> {
        let denied = |answer, owner| Proven { answer, is_secure: false, begins_secure: false, owner };
        if let NetError::Dns(DnsError::Nsec { proof: Proof::Insecure, response, .. }) = &error {
            return Ok(denied(denial(response.response_code), owner));
        }
        let zone = denying_zone(&error);
        let answer = no_records(error).map_err(|error| error.to_string())?;
        match zone {
            Some(zone) => Ok(denied(answer, self.below(&zone, owner).await?)),
            // hickory has then asked for the name's own zone, and found it not signed.
            None => Ok(denied(answer, owner)),
        }
    }

    /// The name at the end of `owner`'s aliases as far as the zone, which must have that name.
    async fn below(&self, zone: &Name, mut owner: Name) -> Result<Name, String> {
        let foreign = || format!("it is denied by {zone}, which is another zone (DNSSEC)");
        for _ in 0..ALIASES_MAX {
            if zone.zone_of(&owner) {
                return Ok(owner);
            }
            let lookup = self.inner.lookup(owner.clone(), RecordType::CNAME).await.map_err(|_| foreign())?;
            let target = |data: &RData| match data {
                RData::CNAME(target) => Some(target.0.clone()),
                _ => None,
            };
            match proven(owner, lookup.answers(), RecordType::CNAME, target)?.answer {
                Answer::Records(targets) => owner = targets.into_iter().next().unwrap_or_default(),
                Answer::NoData | Answer::NoSuchName => break,
            }
        }
        Err(foreign())
    }
}

fn denial<T>(code: ResponseCode) -> Answer<T> {
    match code {
        ResponseCode::NXDomain => Answer::NoSuchName,
        _ => Answer::NoData,
    }
}

/// The zone in whose name records are denied; `None` where the denial names none.
fn denying_zone(error: &NetError) -> Option<Name> {
    let NetError::Dns(DnsError::NoRecordsFound(none)) = error else { return None };
    let of_soa = none.soa.as_ref().map(|soa| soa.name.clone());
    of_soa.or_else(|| Some(none.authorities.as_ref()?.first()?.name.clone()))
}

/// Whether nothing was heard of the name system itself: a time-out, a broken line, a name server that could not find out.
fn is_silence(error: &NetError) -> bool {
    matches!(
        error,
        NetError::Timeout
            | NetError::Io(_)
            | NetError::NoConnections
            | NetError::Busy
            | NetError::Dns(DnsError::ResponseCode(_))
    )
}

fn proven<T>(
    name: Name,
    records: &[Record],
    record_type: RecordType,
    pick: impl Fn(&RData) -> Option<T>,
) -> Result<Proven<T>, String> {
    let signed = || records.iter().filter(|record| record.record_type() != RecordType::RRSIG);
    if signed().any(|record| matches!(record.proof, Proof::Bogus | Proof::Indeterminate)) {
        return Err("its signatures do not validate (DNSSEC)".to_owned());
    }
    let is_secure = signed().all(|record| record.proof == Proof::Secure);
    let begins_secure = signed().any(|record| record.name == name && record.proof == Proof::Secure);
    let found = || signed().filter(|record| record.record_type() == record_type);
    let owner = found().next().map_or(name, |record| record.name.clone());
    let data: Vec<T> = found().filter_map(|record| pick(&record.data)).collect();
    let answer = if data.is_empty() { Answer::NoData } else { Answer::Records(data) };
    Ok(Proven { answer, is_secure, begins_secure, owner })
}
