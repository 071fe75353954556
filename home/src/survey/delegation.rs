//! What the parent zone has of a domain, beside what it shall have.
//!
//! In: what home wants there, what each server of the parent zone has, and whether each name server that the parent names
//! answers for the domain. Out: a [`Delegation`]: findings with the next step for a person, and how things stand.
//! Refused: nothing; where no server of the parent could be asked, the state is [`State::Unknown`] and `trouble` says why.
//!
//! | a finding is said by | it is |
//! |---|---|
//! | every server of the parent that answers | to be mended at the registrar |
//! | some of them | waited for: a change spreads, or the registry's servers are not in step |

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;

use postern_message::address::DomainName;
use serde::{Deserialize, Serialize};

use super::parent::{Fault, Held};
use super::servers::Server;
use crate::zone::delegation::{Registrar, Wanted};
use crate::zone::roll::Vouches;
use crate::zone::text;

/// How a domain is delegated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegation {
    /// The domain.
    pub domain: DomainName,
    /// The zone above it.
    pub parent: Option<String>,
    /// How things stand.
    pub state: State,
    /// What to enter at the registrar's.
    pub registrar: Registrar,
    /// What is not as it shall be, the worst first.
    pub findings: Vec<Noted>,
    /// Why the parent could not be asked.
    pub trouble: Option<String>,
    /// Whether the parent zone is signed; only then a DS record has a meaning.
    pub parent_signed: bool,
    /// Whom the parent's DS records vouch for; `None` where no server of it answered.
    pub vouches: Option<Vouches>,
    /// How long resolvers may keep what the parent said before a change, in seconds.
    pub kept_seconds: u32,
    /// The parent's servers.
    pub parents: Vec<Asked>,
    /// The domain's servers, as the parent names them.
    pub servers: Vec<Asked>,
}

/// How things stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// All is as it shall be.
    Right,
    /// It is on its way.
    Waiting,
    /// Somebody has to do something; mail works.
    Todo,
    /// The world cannot use the domain, or a part of it cannot.
    Broken,
    /// Nobody could be asked.
    Unknown,
}

/// A server that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Its name.
    pub host: String,
    /// Its address.
    pub address: IpAddr,
    /// The serial of the domain's zone, where it has that.
    pub serial: Option<u32>,
    /// Why its word does not count.
    pub fault: Option<Fault>,
}

/// Something that is not as it shall be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Finding {
    /// The parent names no server at all.
    NotDelegated,
    /// The parent has a DS record of a key that the zone does not have.
    DsUnknown {
        /// Its data.
        ds: String,
        /// Whether another DS record fits; otherwise nobody who validates can use the domain.
        beside_right: bool,
    },
    /// A name server that the parent names does not answer for the domain.
    Lame {
        /// Its name.
        host: String,
        /// Its address.
        address: IpAddr,
        /// What it does instead.
        #[serde(flatten)]
        fault: Fault,
    },
    /// The parent does not name this server.
    NameServerMissing {
        /// The server.
        host: String,
    },
    /// The parent names a server that the zone does not name.
    NameServerExtra {
        /// The server.
        host: String,
    },
    /// The parent has another address than this for a server.
    GlueWrong {
        /// The server.
        host: String,
        /// What the parent has.
        address: IpAddr,
    },
    /// The parent lacks an address of a server.
    GlueMissing {
        /// The server.
        host: String,
        /// The address.
        address: IpAddr,
    },
    /// The parent has no DS record for any key of the zone.
    DsMissing,
    /// The parent has a DS record of the zone's former key only, which still signs.
    DsOutdated {
        /// The line that it shall have.
        ds: String,
    },
}

/// A finding, and who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// What.
    #[serde(flatten)]
    pub finding: Finding,
    /// How things stand with it.
    pub state: State,
    /// How many servers show it.
    pub shown_by: usize,
    /// Of how many that could tell.
    pub of: usize,
    /// What it is and what to do, in sentences.
    pub advice: String,
}

/// What a server of the parent zone has.
pub type Observed = (Server, Result<Held, Fault>);
/// The serial that a name server of the domain has.
pub type Serving = (Server, Result<u32, Fault>);

/// Holds what the parent has against what it shall have.
pub fn judge(
    domain: &DomainName,
    wanted: &Wanted,
    parent: &str,
    observed: &[Observed],
    serving: &[Serving],
) -> Delegation {
    let held: Vec<&Held> = observed.iter().filter_map(|(_, outcome)| outcome.as_ref().ok()).collect();
    let mut counts: BTreeMap<Finding, usize> = BTreeMap::new();
    for finding in held.iter().flat_map(|held| compare(wanted, held)) {
        *counts.entry(finding).or_default() += 1;
    }
    let mut findings: Vec<Noted> =
        counts.into_iter().map(|(finding, count)| Noted::new(finding, count, held.len(), parent)).collect();
    findings.extend(lame(serving).map(|finding| Noted::new(finding, 1, 1, parent)));
    findings.sort_by(|one, other| (other.state, &one.finding).cmp(&(one.state, &other.finding)));
    let trouble = held.is_empty().then(|| silent_parent(parent, observed));
    Delegation {
        domain: domain.clone(),
        parent: Some(parent.to_owned()),
        state: match trouble {
            Some(_) => State::Unknown,
            None => findings.iter().map(|noted| noted.state).max().unwrap_or(State::Right),
        },
        registrar: wanted.registrar(),
        findings,
        trouble,
        parent_signed: held.iter().any(|held| held.is_signed),
        vouches: vouches(wanted, &held),
        kept_seconds: held.iter().map(|held| held.ttl).max().unwrap_or(0),
        parents: observed.iter().map(|(server, outcome)| Asked::new(server, outcome, |_| None)).collect(),
        servers: serving
            .iter()
            .map(|(server, outcome)| Asked::new(server, outcome, |it| Some(*it)))
            .collect(),
    }
}

impl Delegation {
    /// One that could not be looked at.
    pub fn unknown(domain: &DomainName, wanted: &Wanted, trouble: String) -> Self {
        Self {
            domain: domain.clone(),
            parent: None,
            state: State::Unknown,
            registrar: wanted.registrar(),
            findings: Vec::new(),
            trouble: Some(trouble),
            parent_signed: false,
            vouches: None,
            kept_seconds: 0,
            parents: Vec::new(),
            servers: Vec::new(),
        }
    }
}

/// What one server of the parent has that is not as it shall be.
fn compare(wanted: &Wanted, held: &Held) -> BTreeSet<Finding> {
    if held.name_servers.is_empty() {
        return [Finding::NotDelegated].into();
    }
    let missing = wanted.name_servers.difference(&held.name_servers);
    let extra = held.name_servers.difference(&wanted.name_servers);
    let mut findings: BTreeSet<Finding> =
        missing.map(|host| Finding::NameServerMissing { host: text::host(host) }).collect();
    findings.extend(extra.map(|host| Finding::NameServerExtra { host: text::host(host) }));
    findings.extend(compare_glue(wanted, held));
    findings.extend(compare_ds(wanted, held));
    findings
}

/// Only hosts that the parent names can have glue.
fn compare_glue(wanted: &Wanted, held: &Held) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(glue) = &held.glue else { return findings };
    let none = BTreeSet::new();
    for (host, addresses) in wanted.glue.iter().filter(|(host, _)| held.name_servers.contains(host)) {
        let (there, host) = (glue.get(host).unwrap_or(&none), text::host(host));
        let missing = addresses.difference(there);
        let wrong = there.difference(addresses);
        findings
            .extend(missing.map(|address| Finding::GlueMissing { host: host.clone(), address: *address }));
        findings.extend(wrong.map(|address| Finding::GlueWrong { host: host.clone(), address: *address }));
    }
    findings
}

fn compare_ds(wanted: &Wanted, held: &Held) -> Vec<Finding> {
    let (right, unknown): (Vec<_>, Vec<_>) = held.ds.iter().partition(|ds| wanted.has_key_of(ds));
    let beside_right = !right.is_empty();
    let mut findings: Vec<Finding> =
        unknown.iter().map(|ds| Finding::DsUnknown { ds: ds.to_string(), beside_right }).collect();
    if held.ds.is_empty() && held.is_signed {
        findings.push(Finding::DsMissing);
    }
    if beside_right {
        findings.extend(wanted.lacking(&held.ds).into_iter().map(|ds| Finding::DsOutdated { ds }));
    }
    findings
}

/// Whom the servers of the parent vouch for, taken together.
fn vouches(wanted: &Wanted, held: &[&Held]) -> Option<Vouches> {
    let has_none = |held: &&&Held| held.ds.is_empty();
    let has_wanted = |held: &&&Held| !has_none(held) && wanted.lacking(&held.ds).is_empty();
    let are_wanted = held.iter().all(|held| has_none(&held)) || held.iter().all(|held| has_wanted(&held));
    (!held.is_empty()).then_some(if are_wanted { Vouches::Wanted } else { Vouches::Others })
}

fn lame(serving: &[Serving]) -> impl Iterator<Item = Finding> {
    serving.iter().filter_map(|(Server { host, address }, outcome)| match outcome {
        Ok(_) | Err(Fault::NoRoute) => None,
        Err(fault) => Some(Finding::Lame { host: text::host(host), address: *address, fault: fault.clone() }),
    })
}

/// Why nobody could be asked about the domain.
pub(super) fn silent_parent(parent: &str, observed: &[Observed]) -> String {
    let faults: BTreeSet<&Fault> =
        observed.iter().filter_map(|(_, outcome)| outcome.as_ref().err()).collect();
    if faults.contains(&Fault::Cache) {
        return format!(
            "What answers for the name servers of {parent} is not them: something on the way, often the internet provider's \
             router, answers port 53 from a cache of its own. Nothing can be said of the parent zone from here; turn that off \
             in the router (it may be called DNS redirection, DNS proxy or child protection), or look from another network: \
             `dig +norecurse @SERVER DOMAIN NS`."
        );
    }
    match faults.iter().find(|fault| ***fault != Fault::NoRoute).or(faults.first()) {
        Some(fault) => format!(
            "None of the name servers of {parent} could be asked; the first of them {fault}. Port 53, UDP and TCP, must be open \
             from this machine to the internet."
        ),
        None => format!("The resolver knows no name server of {parent} with an address."),
    }
}

impl Noted {
    fn new(finding: Finding, shown_by: usize, of: usize, parent: &str) -> Self {
        let state = if shown_by < of { State::Waiting } else { finding.state() };
        let mut advice = finding.advice(parent);
        if state == State::Waiting {
            advice += &format!(
                " Only {shown_by} of {of} servers of {parent} say so: a change is on its way, or they are not in step. Look \
                 again later."
            );
        }
        Self { finding, state, shown_by, of, advice }
    }
}

impl Asked {
    fn new<T>(server: &Server, outcome: &Result<T, Fault>, serial: impl Fn(&T) -> Option<u32>) -> Self {
        Self {
            host: text::host(&server.host),
            address: server.address,
            serial: outcome.as_ref().ok().and_then(serial),
            fault: outcome.as_ref().err().cloned(),
        }
    }
}

impl Finding {
    /// What it comes to where every server shows it.
    fn state(&self) -> State {
        match self {
            Self::NotDelegated | Self::DsUnknown { beside_right: false, .. } => State::Broken,
            _ => State::Todo,
        }
    }

    fn advice(&self, parent: &str) -> String {
        match self {
            Self::NotDelegated => format!(
                "{parent} names no name server for the domain, so nobody finds it. Register the domain, or give the \
                 registrar the name servers and their addresses."
            ),
            Self::NameServerMissing { host } => {
                format!("{parent} does not name {host}. Add it to the name servers at the registrar's.")
            }
            Self::NameServerExtra { host } => format!(
                "{parent} names {host}, which the zone does not name. Have it removed at the registrar's; until then a part \
                 of the world may get old answers or none."
            ),
            Self::GlueMissing { host, address } => format!(
                "{parent} does not have the address {address} of {host}. Enter it at the registrar's, where it is called \
                 glue, host object, child or personal name server."
            ),
            Self::GlueWrong { host, address } => format!(
                "{parent} has the address {address} for {host}, which is not where the name server is. Replace it at the \
                 registrar's, where it is called glue, host object, child or personal name server."
            ),
            Self::DsMissing => format!(
                "{parent} has no DS record of the domain, so nobody can check the zone's signatures. Mail works; give the \
                 registrar the DS record, so that nobody can forge the domain."
            ),
            Self::DsOutdated { ds } => format!(
                "The zone's key is being changed, and {parent} has no DS record of the new key yet. Put `{ds}` in the place of \
                 the one that is there; both keys sign until that is done and has spread."
            ),
            Self::DsUnknown { ds, beside_right: false } => format!(
                "{parent} has the DS record {ds} of a key that the zone does not have, and none of its own: everybody who \
                 validates refuses the domain, and mail is lost. Replace it at the registrar's now."
            ),
            Self::DsUnknown { ds, beside_right: true } => format!(
                "{parent} has the DS record {ds} of a key that the zone does not have, beside the right one. Have it removed, \
                 unless you are about to change keys."
            ),
            Self::Lame { host, address, fault } => format!(
                "{host}, at {address}, {fault}, although {parent} names it for the domain. Start or mend it, or have it removed."
            ),
        }
    }
}

impl Display for State {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Right => "right",
            Self::Waiting => "waiting",
            Self::Todo => "to do",
            Self::Broken => "broken",
            Self::Unknown => "unknown",
        })
    }
}

#[cfg(test)]
mod tests;
