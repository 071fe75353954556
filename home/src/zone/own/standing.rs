//! Which of the operator's records can stand beside Postern's, which take their place, and which cannot be there.
//!
//! In: the records that Postern makes, and the operator's. Out: the records of the zone, and those of the operator's that
//! are left out, each with the [`Clash`]. So a record that was fine when it was added, and stands where Postern has come to
//! publish something since, does not hold up the zone.
//!
//! | Postern has at the name | the operator's record |
//! |---|---|
//! | nothing of the type | stands |
//! | TXT | stands beside it; DMARC and TLS reporting take the place of Postern's; SPF joins Postern's at the domain itself; MTA-STS takes its place; DKIM cannot be |
//! | CAA | stands beside it; a critical one of an unknown kind cannot be (RFC 8659 §4.5) |
//! | SRV with the target `.`, a service that is not offered | takes its place |
//! | anything else of the type, or a CNAME; or the record is a CNAME | cannot be |
//!
//! Besides: no CNAME beside other data (RFC 2181 §10.1), none at the apex, no second policy of a kind (RFC 7208 §4.5, RFC
//! 7489 §6.6.3), no delegation over a name of Postern's or at a wildcard (RFC 4592 §4.2), nothing but addresses below a
//! delegation, DS only at one. The TTL of an RRset is the least that one of its records has (RFC 2181 §5.2).

use std::collections::BTreeMap;

use hickory_proto::rr::{LowerName, Name, RData, Record, RecordType};
use postern_shared::zone::rrsets::RrSets;

use crate::zone::spf::{self, SpfError};
use crate::zone::{caa, presentation, text};

/// Why a record cannot be in the zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Clash {
    /// Postern publishes this name and type.
    #[error(
        "Postern publishes `{0}` there itself, as the mail needs it; remove yours or choose another name"
    )]
    Managed(String),
    /// Name servers of the domain itself.
    #[error(
        "which servers answer for the domain is Postern's to say; write another name to delegate a part of it"
    )]
    NameServers,
    /// An SPF record that cannot join Postern's.
    #[error(transparent)]
    Spf(#[from] SpfError),
    /// RFC 8659 §4.5.
    #[error(
        "a critical CAA record with the unknown tag `{0}` forbids every authority to issue certificates, home's too: clear its flag (0 for 128)"
    )]
    Critical(String),
    /// A second policy of a kind.
    #[error(
        "there is another record that begins with `{0}`, and receivers take two for none: remove that first"
    )]
    Twice(&'static str),
    /// RFC 2181 §10.1.
    #[error("a CNAME cannot stand beside other records of the same name: remove those first, or this")]
    Cname,
    /// The apex has SOA and NS.
    #[error(
        "a CNAME cannot stand at the domain itself, which has other records: write the A and AAAA records of its target"
    )]
    CnameAtApex,
    /// A delegation that takes a name of Postern's away.
    #[error("it would hand `{0}` over to other servers, and Postern's records there would be gone")]
    Hides(String),
    /// Below a delegation.
    #[error("`{0}` is delegated to other servers, and nothing but their addresses can be here: add it there")]
    Hidden(String),
    /// A wildcard with NS.
    #[error("a wildcard cannot be delegated (RFC 4592): name what is")]
    Wildcard,
    /// DS belongs beside NS.
    #[error("a DS record belongs to a delegation: add the NS records of this name first")]
    NotDelegated,
    /// A server below its own delegation.
    #[error("`{0}` can be found by its address in this zone only: add an A or AAAA record of it first")]
    NoAddress(String),
}

/// A zone's records.
#[derive(Debug, Clone)]
pub struct Merged {
    /// What is published.
    pub records: Vec<Record>,
    /// What is not, and why.
    pub left_out: Vec<(Record, Clash)>,
}

/// How texts begin of which a name has one at most.
const POLICIES: [&str; 5] = [spf::VERSION, "v=DMARC1", "v=TLSRPTv1", "v=STSv1", "v=DKIM1"];
/// Those in which the operator's word counts more than Postern's.
const REPLACEABLE: [&str; 2] = ["v=DMARC1", "v=TLSRPTv1"];

/// Puts both together.
pub fn merge(apex: &Name, of_postern: Vec<Record>, own: Vec<Record>) -> Merged {
    let (mut records, left_out) = {
        let judge = Judge { apex, of_postern: RrSets::new(apex, &of_postern), own: RrSets::new(apex, &own) };
        let mut left_out = Vec::new();
        let mut standing = Vec::new();
        for record in &own {
            match judge.clash(record) {
                Some(clash) => left_out.push((record.clone(), clash)),
                None if joins(apex, record) => {}
                None => standing.push(record),
            }
        }
        let gives_way = |record: &&Record| !standing.iter().any(|own| replaces(own, record));
        let kept = of_postern.iter().filter(gives_way);
        let mut records: Vec<Record> = kept.cloned().collect();
        let is_new =
            |record: &&&Record| !of_postern.iter().any(|it| it.name == record.name && it.data == record.data);
        records.extend(standing.iter().filter(is_new).copied().cloned());
        (records, left_out)
    };
    level(&mut records);
    Merged { records, left_out }
}

/// The first server, of those in `added`, that is below its own delegation and has no address in `records`.
pub fn without_address(apex: &Name, added: &[Record], records: &[Record]) -> Option<(Record, Clash)> {
    let zone = RrSets::new(apex, records);
    let has_address = |name: &LowerName| {
        [RecordType::A, RecordType::AAAA].iter().any(|it| !zone.rrset(name, *it).is_empty())
    };
    added.iter().find_map(|record| match &record.data {
        RData::NS(server) if record.name.zone_of(&server.0) && !has_address(&LowerName::new(&server.0)) => {
            Some((record.clone(), Clash::NoAddress(presentation::name_text(&server.0))))
        }
        _ => None,
    })
}

/// Whether the operator's record is taken up into Postern's.
fn joins(apex: &Name, own: &Record) -> bool {
    own.name == *apex && policy(own) == Some(spf::VERSION)
}

/// Whether the operator's record takes the place of Postern's.
fn replaces(own: &Record, of_postern: &Record) -> bool {
    let is_there = own.name == of_postern.name && own.record_type() == of_postern.record_type();
    is_there
        && match &of_postern.data {
            RData::SRV(srv) => srv.target.is_root(),
            _ => policy(own).is_some_and(|it| REPLACEABLE.contains(&it) && policy(of_postern) == Some(it)),
        }
}

/// RFC 2181 §5.2.
fn level(records: &mut [Record]) {
    let mut least: BTreeMap<(LowerName, RecordType), u32> = BTreeMap::new();
    let key = |record: &Record| (LowerName::new(&record.name), record.record_type());
    for record in records.iter() {
        let ttl = least.entry(key(record)).or_insert(record.ttl);
        *ttl = record.ttl.min(*ttl);
    }
    for record in records {
        record.ttl = least.get(&key(record)).copied().unwrap_or(record.ttl);
    }
}

/// Both sides, by name and type.
struct Judge<'a> {
    apex: &'a Name,
    of_postern: RrSets<'a>,
    own: RrSets<'a>,
}

impl Judge<'_> {
    fn clash(&self, record: &Record) -> Option<Clash> {
        let name = LowerName::new(&record.name);
        self.beside_postern(record, &name)
            .or_else(|| self.beside_own(record, &name))
            .or_else(|| self.at_a_delegation(record, &name))
    }

    fn beside_postern(&self, record: &Record, name: &LowerName) -> Option<Clash> {
        let types = self.of_postern.types(name)?;
        let (is_apex, record_type) = (record.name == *self.apex, record.record_type());
        let cname = types.get(&RecordType::CNAME).and_then(|cname| cname.first());
        let first = types.values().next().and_then(|records| records.first());
        if record_type == RecordType::CNAME {
            return if is_apex { Some(Clash::CnameAtApex) } else { first.map(|it| managed(it)) };
        }
        if let Some(cname) = cname {
            return Some(managed(cname));
        }
        let same = types.get(&record_type)?;
        match record_type {
            RecordType::NS if is_apex => Some(Clash::NameServers),
            RecordType::CAA => caa::critical_unknown(record).map(|tag| Clash::Critical(tag.to_owned())),
            RecordType::TXT => {
                let policy = policy(record).filter(|it| !REPLACEABLE.contains(it))?;
                if joins(self.apex, record) {
                    return spf::text(record).and_then(|text| spf::terms(&text).err()).map(Clash::Spf);
                }
                let of_postern = same.iter().find(|it| self::policy(it) == Some(policy))?;
                Some(managed(of_postern))
            }
            _ => same.iter().find(|it| !replaces(record, it)).map(|it| managed(it)),
        }
    }

    fn beside_own(&self, record: &Record, name: &LowerName) -> Option<Clash> {
        let types = self.own.types(name)?;
        let cnames = types.get(&RecordType::CNAME).map_or(0, Vec::len);
        if record.record_type() == RecordType::CNAME && (types.len() > 1 || cnames > 1) {
            return Some(Clash::Cname);
        }
        let policy = policy(record)?;
        let texts = types.get(&RecordType::TXT)?;
        let is_again = texts.iter().filter(|it| self::policy(it) == Some(policy)).count() > 1;
        is_again.then_some(Clash::Twice(policy))
    }

    fn at_a_delegation(&self, record: &Record, name: &LowerName) -> Option<Clash> {
        let record_type = record.record_type();
        let ancestors = std::iter::successors(Some(name.base_name()), |name| Some(name.base_name()));
        let mut above = ancestors.take_while(|it| self.apex.zone_of(it) && **it != *self.apex);
        let is_address = matches!(record_type, RecordType::A | RecordType::AAAA);
        if let Some(cut) = above.find(|it| self.is_cut(it)) {
            return (!is_address).then(|| Clash::Hidden(presentation::name_text(&cut)));
        }
        match record_type {
            RecordType::NS if name.is_wildcard() => Some(Clash::Wildcard),
            RecordType::NS => {
                self.hidden_by(name).map(|hidden| Clash::Hides(presentation::name_text(hidden)))
            }
            RecordType::DS if !self.is_cut(name) => Some(Clash::NotDelegated),
            RecordType::DS => None,
            _ if self.is_cut(name) && !is_address => Some(Clash::Hidden(presentation::name_text(name))),
            _ => None,
        }
    }

    fn is_cut(&self, name: &LowerName) -> bool {
        !self.own.rrset(name, RecordType::NS).is_empty() && **name != *self.apex
    }

    /// The first name of Postern's at or below this one.
    fn hidden_by(&self, cut: &LowerName) -> Option<&LowerName> {
        self.of_postern.names().map(|(name, _)| name).find(|name| cut.zone_of(name))
    }
}

fn managed(record: &Record) -> Clash {
    let record_type = text::mnemonic(record.record_type());
    Clash::Managed(format!("{record_type} {}", text::rdata(&record.data)))
}

/// The kind of policy that a text states.
fn policy(record: &Record) -> Option<&'static str> {
    let RData::TXT(txt) = &record.data else { return None };
    let text = txt.txt_data.concat();
    POLICIES.into_iter().find(|policy| {
        let start = text.get(..policy.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(policy.as_bytes()))
    })
}
