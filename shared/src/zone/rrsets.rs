//! A zone's records by name and type, and what of it the zone has authority over.
//!
//! In: decoded records of a zone that [`Zone::records`](super::Zone::records) has found servable. Out: its RRsets with
//! the names in canonical order (RFC 4034 §6.1) and the types by number, the NSEC chain that they deserve (RFC 4034 §4,
//! RFC 4035 §2.3), and which RRsets are to be signed (RFC 4035 §2.2). Refused: nothing.
//!
//! | a name is | signed there | in the NSEC chain |
//! |---|---|---|
//! | the apex or any other name of the zone | every RRset | yes |
//! | a delegation point | DS and NSEC; the NS records are the child's | yes |
//! | below a delegation point | nothing: it is glue | no |

use std::collections::BTreeMap;

use hickory_proto::dnssec::rdata::NSEC;
use hickory_proto::rr::{LowerName, Name, Record as DnsRecord, RecordType};

/// The RRsets of one zone.
#[derive(Debug)]
pub struct RrSets<'a> {
    origin: LowerName,
    names: BTreeMap<LowerName, Types<'a>>,
}

/// The RRsets of one name.
pub type Types<'a> = BTreeMap<RecordType, Vec<&'a DnsRecord>>;

/// Whose a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Authority {
    Zone,
    DelegationPoint,
    Child,
}

impl<'a> RrSets<'a> {
    /// Sorts records.
    pub fn new(origin: &Name, records: impl IntoIterator<Item = &'a DnsRecord>) -> Self {
        let mut names: BTreeMap<LowerName, Types<'a>> = BTreeMap::new();
        for record in records {
            let types = names.entry(LowerName::new(&record.name)).or_default();
            types.entry(record.record_type()).or_default().push(record);
        }
        Self { origin: LowerName::new(origin), names }
    }

    /// The names in canonical order, each with its RRsets.
    pub fn names(&self) -> impl Iterator<Item = (&LowerName, &Types<'a>)> {
        self.names.iter()
    }

    /// The RRsets of one name.
    pub fn types(&self, name: &LowerName) -> Option<&Types<'a>> {
        self.names.get(name)
    }

    /// Whether this is the zone's own name.
    pub fn is_apex(&self, name: &Name) -> bool {
        *name == *self.origin
    }

    /// The records of one name and type.
    pub fn rrset(&self, name: &LowerName, record_type: RecordType) -> &[&'a DnsRecord] {
        self.names.get(name).and_then(|types| types.get(&record_type)).map_or(&[], Vec::as_slice)
    }

    /// The records of one type at the apex.
    pub fn at_apex(&self, record_type: RecordType) -> &[&'a DnsRecord] {
        self.rrset(&self.origin, record_type)
    }

    /// Every RRset that is to be signed, in canonical order.
    pub fn signed(&self) -> impl Iterator<Item = (&LowerName, RecordType, &[&'a DnsRecord])> {
        self.names.iter().flat_map(|(name, types)| {
            let authority = self.authority(name);
            let of_zone = types.iter().filter(move |(record_type, _)| is_signed(authority, **record_type));
            of_zone.map(move |(record_type, records)| (name, *record_type, records.as_slice()))
        })
    }

    /// The NSEC records that the zone deserves: each owner, in canonical order, with the next one and its own types.
    pub fn nsec_chain(&self) -> Vec<(Name, NSEC)> {
        let owners: Vec<_> =
            self.names.iter().filter(|(name, _)| self.authority(name) != Authority::Child).collect();
        let next = owners.iter().cycle().skip(1);
        let link = |((owner, types), (next, _)): (&(&LowerName, &Types<'_>), &(&LowerName, &Types<'_>))| {
            let types =
                types.keys().copied().filter(|it| !matches!(it, RecordType::NSEC | RecordType::RRSIG));
            (Name::from(*owner), NSEC::new_cover_self(Name::from(*next), types))
        };
        owners.iter().zip(next).map(link).collect()
    }

    fn authority(&self, name: &LowerName) -> Authority {
        let is_cut = |name: &LowerName| {
            *name != self.origin
                && self.names.get(name).is_some_and(|types| types.contains_key(&RecordType::NS))
        };
        let above = std::iter::successors(Some(name.base_name()), |name| Some(name.base_name()));
        let mut within = above.take_while(|ancestor| self.origin.zone_of(ancestor));
        if within.any(|ancestor| is_cut(&ancestor)) {
            Authority::Child
        } else if is_cut(name) {
            Authority::DelegationPoint
        } else {
            Authority::Zone
        }
    }
}

fn is_signed(authority: Authority, record_type: RecordType) -> bool {
    match authority {
        Authority::Zone => record_type != RecordType::RRSIG,
        Authority::DelegationPoint => matches!(record_type, RecordType::DS | RecordType::NSEC),
        Authority::Child => false,
    }
}
