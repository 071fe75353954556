//! What each server answers, beside what home publishes.
//!
//! In: the record sets that home publishes, and the answers of one server to the questions for them. Out: a [`Difference`]
//! with a [`View`] of every server: what is missing, different, or there beside home's own, and what a resolver will only
//! forget after a while. Refused: nothing; names that home does not publish are nobody's business here.
//!
//! A zone that home signs is compared exactly ([`Standard::Exact`]). What a person has copied to another provider's page
//! ([`Standard::Copied`]) may be written otherwise and mean the same: TTLs, texts cut at other places or with other spaces,
//! a preference, an alias in between; an SPF record may let others send too (RFC 7208 §4.5), and the DMARC policy is the
//! domain owner's to choose (RFC 7489 §6.3). Texts of other purposes beside home's are left alone.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;

use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use postern_message::address::DomainName;
use serde::{Deserialize, Serialize};

use super::delegation::State;
use super::parent::Fault;
use crate::zone::text;

/// Aliases that are followed in one answer.
const MOST_ALIASES: usize = 8;

/// What all servers say of a domain beside what home publishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The domain.
    pub domain: DomainName,
    /// The serial of home's zone; `None` where the domain's DNS is elsewhere.
    pub serial: Option<u32>,
    /// How things stand.
    pub state: State,
    /// Why the domain's own servers are not known, in sentences.
    pub trouble: Option<String>,
    /// What each server says: the domain's own, then the resolver that home uses.
    pub views: Vec<View>,
}

/// Why the domain's own servers are not known, in sentences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The parent zone names none.
    NotDelegated(String),
    /// The parent zone could not be asked.
    Unasked(String),
}

impl Difference {
    /// Whether every server that was asked has the DKIM records as home wants them.
    pub fn shows_dkim_keys(&self) -> bool {
        let is_key = |deviation: &Deviation| deviation.owner.contains("._domainkey.");
        let has_all = |view: &View| view.fault.is_none() && !view.deviations.iter().any(is_key);
        self.trouble.is_none() && !self.views.is_empty() && self.views.iter().all(has_all)
    }
}

/// What one server says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// The name server's name; `None` for the resolver.
    pub host: Option<String>,
    /// Its address.
    pub address: IpAddr,
    /// The serial that it has.
    pub serial: Option<u32>,
    /// How many record sets are as home publishes them.
    pub right: usize,
    /// Those that are not.
    pub deviations: Vec<Deviation>,
    /// Why its word does not count.
    pub fault: Option<Fault>,
}

/// A record set that is not as home publishes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deviation {
    /// How it deviates.
    pub kind: Kind,
    /// The name.
    pub owner: String,
    /// The type.
    #[serde(rename = "type")]
    pub record_type: String,
    /// What home publishes.
    pub here: Vec<String>,
    /// What the server has.
    pub there: Vec<String>,
    /// How long the server's answer may be kept, in seconds.
    pub ttl: Option<u32>,
    /// Whether mail suffers; what only makes life easier for programs is not needed.
    pub needed: bool,
}

/// How a record set deviates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The server has nothing.
    Missing,
    /// The server has something else.
    Different,
    /// The server has more.
    Extra,
}

/// How closely an answer is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standard {
    /// The same data.
    Exact,
    /// What a person has copied: the same meaning.
    Copied,
}

/// One record set that home publishes; none of its data where there shall be no such record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The name.
    pub owner: Name,
    /// The type.
    pub record_type: RecordType,
    /// The data.
    pub data: Vec<RData>,
}

/// The record sets to ask for: those of the records, and the address family that a host shall not have.
pub fn published<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<Published> {
    let mut sets: Vec<Published> = Vec::new();
    for record in records {
        let (owner, record_type) = (&record.name, record.record_type());
        match sets.iter_mut().find(|set| set.owner == *owner && set.record_type == record_type) {
            Some(set) => set.data.push(record.data.clone()),
            None => {
                sets.push(Published { owner: owner.clone(), record_type, data: vec![record.data.clone()] })
            }
        }
    }
    let absent: Vec<Published> = sets.iter().filter_map(|set| set.other_family(&sets)).collect();
    sets.extend(absent);
    sets
}

/// Compares one answer; `None` where it is right.
pub fn compare(set: &Published, answer: &Message, standard: Standard) -> Option<Deviation> {
    let answered = answered(answer, &set.owner, set.record_type);
    let there: Vec<&Record> = match standard {
        Standard::Exact => answered,
        Standard::Copied => answered.into_iter().filter(|record| set.concerns(&record.data)).collect(),
    };
    let kind = match standard {
        Standard::Exact => set.exact(&there),
        Standard::Copied => set.copied(&there),
    }?;
    Some(Deviation {
        kind,
        owner: set.owner.to_ascii(),
        record_type: text::mnemonic(set.record_type),
        here: set.data.iter().map(text::rdata).collect(),
        there: there.iter().map(|record| shown(record, set.record_type)).collect(),
        ttl: there.iter().map(|record| record.ttl).max(),
        needed: set.is_needed(),
    })
}

/// The records of this type, where need be at the end of aliases; an alias that leads out of the answer stands for itself.
fn answered<'a>(answer: &'a Message, owner: &Name, record_type: RecordType) -> Vec<&'a Record> {
    let (mut name, mut last_alias) = (owner, None);
    for _ in 0..MOST_ALIASES {
        let here = || answer.answers.iter().filter(|record| record.name == *name);
        let found: Vec<&Record> = here().filter(|record| record.record_type() == record_type).collect();
        if !found.is_empty() {
            return found;
        }
        let alias = here().find_map(|record| match &record.data {
            RData::CNAME(target) => Some((record, &target.0)),
            _ => None,
        });
        match alias {
            Some((record, target)) => (name, last_alias) = (target, Some(record)),
            None => break,
        }
    }
    last_alias.into_iter().collect()
}

fn shown(record: &Record, asked: RecordType) -> String {
    let data = text::rdata(&record.data);
    if record.record_type() == asked {
        data
    } else {
        format!("{} {data}", text::mnemonic(record.record_type()))
    }
}

impl Published {
    /// A host with addresses of one family only shall not have one of the other, which leads nowhere.
    fn other_family(&self, sets: &[Self]) -> Option<Self> {
        let other = match self.record_type {
            RecordType::A => RecordType::AAAA,
            RecordType::AAAA => RecordType::A,
            _ => return None,
        };
        let has_both = sets.iter().any(|set| set.owner == self.owner && set.record_type == other);
        (!has_both).then(|| Self { owner: self.owner.clone(), record_type: other, data: Vec::new() })
    }

    fn exact(&self, there: &[&Record]) -> Option<Kind> {
        let has = |data: &RData| there.iter().any(|record| record.data == *data);
        let of_home = |record: &&Record| self.data.contains(&record.data);
        let (has_all, has_nothing_else) = (self.data.iter().all(has), there.iter().all(of_home));
        Compared { has_all, has_nothing_else, there }.kind()
    }

    fn copied(&self, there: &[&Record]) -> Option<Kind> {
        let has = |data: &RData| there.iter().any(|record| means_the_same(data, &record.data));
        let of_home = |record: &&Record| self.data.iter().any(|data| means_the_same(data, &record.data));
        // Of two records of one purpose readers take neither (RFC 7208 §4.5, RFC 7489 §6.6.3).
        let is_doubled = self.record_type == RecordType::TXT && there.len() > self.data.len();
        let has_nothing_else = there.iter().all(of_home) && !is_doubled;
        Compared { has_all: self.data.iter().all(has), has_nothing_else, there }.kind()
    }

    /// Whether a record at this place is of this set's purpose.
    fn concerns(&self, data: &RData) -> bool {
        match (purpose(data), self.data.first().and_then(purpose)) {
            (Some(there), Some(here)) => there == here,
            _ => true,
        }
    }

    /// What receivers and senders look up; the rest is for programs that set themselves up.
    fn is_needed(&self) -> bool {
        match self.record_type {
            RecordType::A | RecordType::AAAA => true,
            RecordType::MX => {
                self.data.iter().any(|data| !matches!(data, RData::MX(mx) if mx.exchange.is_root()))
            }
            RecordType::TXT => {
                let needed =
                    |data| purpose(data).is_some_and(|it| ["v=spf1", "v=dkim1", "v=dmarc1"].contains(&&*it));
                self.data.iter().any(needed)
            }
            _ => false,
        }
    }
}

/// What a server's records are beside home's.
struct Compared<'a> {
    has_all: bool,
    has_nothing_else: bool,
    there: &'a [&'a Record],
}

impl Compared<'_> {
    fn kind(&self) -> Option<Kind> {
        match (self.has_all, self.has_nothing_else) {
            (true, true) => None,
            (true, false) => Some(Kind::Extra),
            (false, _) if self.there.is_empty() => Some(Kind::Missing),
            (false, _) => Some(Kind::Different),
        }
    }
}

/// The text of a TXT record, however it is cut.
fn joined(data: &RData) -> Option<String> {
    match data {
        RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
        _ => None,
    }
}

/// What a text is for: the version with which it begins, as in `v=spf1` and `v=DMARC1`.
fn purpose(data: &RData) -> Option<String> {
    let text = joined(data)?;
    let version = text.split([' ', ';']).next()?.trim();
    Some(version.to_ascii_lowercase())
}

fn means_the_same(here: &RData, there: &RData) -> bool {
    match (here, there) {
        (RData::MX(here), RData::MX(there)) => here.exchange == there.exchange,
        (RData::TXT(_), RData::TXT(_)) => {
            let (Some(wanted), Some(found)) = (joined(here), joined(there)) else { return false };
            match purpose(here).as_deref() {
                Some("v=spf1") => lets_the_same_send(&wanted, &found),
                Some("v=dmarc1") => is_dmarc(&found),
                _ => without_space(&wanted) == without_space(&found),
            }
        }
        _ => here == there,
    }
}

/// Whether every mechanism of `wanted` stands in `found` before its `all` (RFC 7208 §5.1).
fn lets_the_same_send(wanted: &str, found: &str) -> bool {
    let terms = |text: &str| -> BTreeSet<String> {
        let terms = text.split_whitespace().map(|term| term.trim_start_matches('+').to_ascii_lowercase());
        terms.take_while(|term| term.trim_start_matches(['-', '~', '?']) != "all").collect()
    };
    terms(wanted).is_subset(&terms(found))
}

fn is_dmarc(text: &str) -> bool {
    let policy = text.split(';').filter_map(|tag| tag.split_once('=')).find(|(tag, _)| tag.trim() == "p");
    let value = policy.map(|(_, value)| value.trim().to_ascii_lowercase());
    value.is_some_and(|value| ["none", "quarantine", "reject"].contains(&value.as_str()))
}

/// A list of tags (RFC 6376 §3.2), the spaces between which have no meaning.
fn without_space(text: &str) -> String {
    let text: String = text.chars().filter(|character| !character.is_whitespace()).collect();
    text.trim_end_matches(';').to_owned()
}

/// How the domain's own servers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Servers {
    /// All of them have what they shall have.
    Right,
    /// Not all of them, or that is not known yet.
    InDoubt,
}

impl View {
    /// How things stand at this server. What a resolver still keeps is waited for where the domain's own servers are right.
    fn state(&self, servers: Servers) -> State {
        match (&self.fault, &self.host) {
            (Some(Fault::NoRoute), _) => State::Right,
            (Some(_), _) => State::Todo,
            (None, _) if self.deviations.is_empty() => State::Right,
            (None, None) if servers == Servers::Right => State::Waiting,
            (None, _) => State::Todo,
        }
    }

    fn is_of_resolver(&self) -> bool {
        self.host.is_none()
    }
}

impl Difference {
    /// Puts the views together.
    pub fn new(domain: &DomainName, serial: Option<u32>, trouble: Option<Trouble>, views: Vec<View>) -> Self {
        let mut servers = views.iter().filter(|view| !view.is_of_resolver());
        let servers_are_right = servers.all(|view| view.state(Servers::InDoubt) == State::Right);
        let servers = if servers_are_right { Servers::Right } else { Servers::InDoubt };
        let is_unasked = !views.iter().any(|view| view.fault.is_none());
        let (state, trouble) = match trouble {
            Some(Trouble::NotDelegated(sentences)) => (State::Broken, Some(sentences)),
            Some(Trouble::Unasked(sentences)) => (State::Unknown, Some(sentences)),
            None if is_unasked => (State::Unknown, None),
            None => (views.iter().map(|view| view.state(servers)).max().unwrap_or(State::Unknown), None),
        };
        Self { domain: domain.clone(), serial, state, trouble, views }
    }

    /// What a person should hear of without asking: what is wrong at one of the domain's own servers, what mail needs and is
    /// missing there, and a resolver that refuses the answers.
    pub fn wrong(&self) -> Option<String> {
        let of_servers = self.views.iter().filter(|view| !view.is_of_resolver());
        let deviations = of_servers.flat_map(|view| &view.deviations);
        let wrong = deviations.filter(|it| it.needed || it.kind != Kind::Missing);
        let mut wrong: BTreeSet<String> = wrong
            .map(|it| format!("{} {} ({})", it.owner.trim_end_matches('.'), it.record_type, it.kind))
            .collect();
        wrong.extend(self.views.iter().filter_map(|view| match (&view.host, &view.fault) {
            (Some(host), Some(fault)) if *fault != Fault::NoRoute => Some(format!("{host} {fault}")),
            (None, Some(Fault::Refuses { code })) => {
                Some(format!("the resolver answers with an error: {code}"))
            }
            _ => None,
        }));
        wrong.extend(
            self.trouble
                .iter()
                .filter(|_| self.state == State::Broken)
                .map(|it| it.trim_end_matches('.').to_owned()),
        );
        (!wrong.is_empty()).then(|| wrong.into_iter().collect::<Vec<_>>().join(", "))
    }
}

impl Display for Kind {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Missing => "missing",
            Self::Different => "different",
            Self::Extra => "extra",
        })
    }
}

#[cfg(test)]
mod tests;
