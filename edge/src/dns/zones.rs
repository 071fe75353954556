//! Zones as they are served: sorted and indexed once, when home pushes them.
//!
//! In: a [`Zone`] from home. Out: a [`ServedZone`] whose names stand in canonical order (RFC 4034 §6.1) with every empty
//! non-terminal present (RFC 4592 §2.2.2), RRSIGs filed with the RRset that they cover, and the SOA of negative answers
//! ready (RFC 2308 §3). Refused: what [`Zone::records`] refuses. A [`ZoneSet`] is immutable; a change makes a new one.

use std::collections::BTreeMap;
use std::sync::Arc;

use hickory_proto::rr::{LowerName, Name, RData, Record, RecordType};
use postern_shared::zone::{Zone, ZoneError};

/// The zones that this server answers for, by apex.
#[derive(Debug, Clone, Default)]
pub struct ZoneSet {
    zones: BTreeMap<LowerName, Arc<ServedZone>>,
}

/// One zone, indexed.
#[derive(Debug)]
pub struct ServedZone {
    /// The apex.
    pub origin: LowerName,
    /// The serial number.
    pub serial: u32,
    /// [`Zone::digest`] of the zone.
    pub digest: String,
    nodes: BTreeMap<LowerName, Node>,
    negative_soa: Vec<Record>,
}

/// What exists at one name. Empty for an empty non-terminal.
#[derive(Debug, Default)]
pub struct Node {
    rrsets: BTreeMap<RecordType, RrSet>,
}

/// The records of one name and type, and the RRSIGs that cover them.
#[derive(Debug, Default)]
pub struct RrSet {
    /// The records.
    pub records: Vec<Record>,
    /// Their RRSIGs.
    pub signatures: Vec<Record>,
}

impl ZoneSet {
    /// The same zones with `zone` added or replaced.
    pub fn with(&self, zone: Arc<ServedZone>) -> Self {
        let mut zones = self.zones.clone();
        zones.insert(zone.origin.clone(), zone);
        Self { zones }
    }

    /// The same zones without the one at `origin`.
    pub fn without(&self, origin: &LowerName) -> Self {
        let mut zones = self.zones.clone();
        zones.remove(origin);
        Self { zones }
    }

    /// The zone with apex `origin`.
    pub fn get(&self, origin: &LowerName) -> Option<&Arc<ServedZone>> {
        self.zones.get(origin)
    }

    /// The zone with the longest apex that `name` is at or below.
    pub fn find(&self, name: &LowerName) -> Option<&Arc<ServedZone>> {
        ancestors(name).find_map(|apex| self.zones.get(&apex))
    }

    /// All zones, by apex.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ServedZone>> {
        self.zones.values()
    }
}

impl ServedZone {
    /// Checks and indexes a zone.
    ///
    /// # Errors
    /// What makes it unservable.
    pub fn new(zone: &Zone) -> Result<Self, ZoneError> {
        let records = zone.records()?;
        let origin = LowerName::from(zone.origin()?);
        let mut nodes: BTreeMap<LowerName, Node> = BTreeMap::new();
        for (record, wire) in records.into_iter().zip(&zone.records) {
            let name = LowerName::from(&record.name);
            add_empty_non_terminals(&mut nodes, &name, &origin);
            nodes.entry(name).or_default().add(record, &wire.rdata);
        }
        let negative_soa = negative_soa(&nodes, &origin);
        Ok(Self { origin, serial: zone.serial, digest: zone.digest(), nodes, negative_soa })
    }

    /// What exists at `name`.
    pub fn node(&self, name: &LowerName) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// The names of the zone that `name` is at or below, from the apex downwards, `name` itself last.
    pub fn path_to(&self, name: &LowerName) -> Vec<LowerName> {
        let mut path: Vec<LowerName> =
            ancestors(name).take_while(|ancestor| self.origin.zone_of(ancestor)).collect();
        path.reverse();
        path
    }

    /// The longest existing name that `name` is at or below (RFC 4592 §3.3.1).
    pub fn closest_encloser(&self, name: &LowerName) -> LowerName {
        ancestors(name)
            .find(|ancestor| self.nodes.contains_key(ancestor))
            .unwrap_or_else(|| self.origin.clone())
    }

    /// The SOA, with the TTL of negative answers, and its RRSIGs after it.
    pub fn negative_soa(&self) -> &[Record] {
        &self.negative_soa
    }

    /// The NSEC RRset at `name` or the last one before it in canonical order: it matches or covers `name`.
    pub fn nsec_for(&self, name: &LowerName) -> Option<&RrSet> {
        self.nodes.range(..=name.clone()).rev().find_map(|(_, node)| node.rrset(RecordType::NSEC))
    }
}

impl Node {
    /// The RRset of one type. Signatures that cover nothing are no RRset.
    pub fn rrset(&self, record_type: RecordType) -> Option<&RrSet> {
        self.rrsets.get(&record_type).filter(|rrset| !rrset.records.is_empty())
    }

    /// The RRset with the lowest type number.
    pub fn first_rrset(&self) -> Option<&RrSet> {
        self.rrsets.values().find(|rrset| !rrset.records.is_empty())
    }

    fn add(&mut self, record: Record, rdata: &[u8]) {
        match covered_type(record.record_type(), rdata) {
            Some(covered) => self.rrsets.entry(covered).or_default().signatures.push(record),
            None => self.rrsets.entry(record.record_type()).or_default().records.push(record),
        }
    }
}

/// RFC 4034 §3.1.1: an RRSIG's RDATA begins with the type that it covers.
fn covered_type(record_type: RecordType, rdata: &[u8]) -> Option<RecordType> {
    let octets = rdata.first_chunk::<2>().filter(|_| record_type == RecordType::RRSIG)?;
    Some(RecordType::from(u16::from_be_bytes(*octets)))
}

fn add_empty_non_terminals(nodes: &mut BTreeMap<LowerName, Node>, name: &LowerName, origin: &LowerName) {
    for ancestor in ancestors(name).skip(1).take_while(|ancestor| origin.zone_of(ancestor)) {
        nodes.entry(ancestor).or_default();
    }
}

/// RFC 2308 §3: the TTL is the lesser of the SOA's own and its MINIMUM field.
fn negative_soa(nodes: &BTreeMap<LowerName, Node>, origin: &LowerName) -> Vec<Record> {
    let Some(rrset) = nodes.get(origin).and_then(|node| node.rrset(RecordType::SOA)) else {
        return Vec::new();
    };
    let ttl = rrset.records.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
        _ => None,
    });
    let mut records = [rrset.records.as_slice(), rrset.signatures.as_slice()].concat();
    for record in &mut records {
        record.ttl = ttl.unwrap_or(record.ttl);
    }
    records
}

/// `name` and every name above it, up to and including the root.
fn ancestors(name: &LowerName) -> impl Iterator<Item = LowerName> + use<> {
    std::iter::successors(Some(name.clone()), |name| (!name.is_root()).then(|| name.base_name()))
}

/// `*` under `parent`, where that is no longer than a name may be.
pub fn wildcard_under(parent: &LowerName) -> Option<LowerName> {
    Name::from(parent).prepend_label("*").ok().map(LowerName::from)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, NS, SOA, TXT};

    pub(crate) fn name(text: &str) -> LowerName {
        LowerName::from(Name::from_ascii(text).unwrap())
    }

    fn target(text: &str, origin: &str) -> Name {
        Name::from_ascii(if text.ends_with('.') { text.to_owned() } else { format!("{text}.{origin}") })
            .unwrap()
    }

    /// A zone with one of everything that an answer can be made from.
    pub(crate) fn sample_zone(origin: &str, serial: u32) -> Zone {
        let at = |label: &str, rdata: RData| {
            let owner =
                if label.is_empty() { Name::from_ascii(origin).unwrap() } else { target(label, origin) };
            Record::from_rdata(owner, 600, rdata)
        };
        let host = |label: &str| target(label, origin);
        let records = [
            at("", RData::SOA(SOA::new(host("ns1"), host("hostmaster"), serial, 3600, 600, 86400, 300))),
            at("", RData::NS(NS(host("ns1")))),
            at("", RData::NS(NS(host("ns2")))),
            at("", RData::MX(MX::new(10, host("mail")))),
            at("", RData::TXT(TXT::new(vec!["v=spf1 mx -all".to_owned()]))),
            at("ns1", RData::A(A::new(192, 0, 2, 1))),
            at("ns2", RData::A(A::new(192, 0, 2, 1))),
            at("mail", RData::A(A::new(192, 0, 2, 1))),
            at("mail", RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))),
            at("www", RData::CNAME(CNAME(host("mail")))),
            at("away", RData::CNAME(CNAME(host("elsewhere.test.")))),
            at("loop1", RData::CNAME(CNAME(host("loop2")))),
            at("loop2", RData::CNAME(CNAME(host("loop1")))),
            at("dangling", RData::CNAME(CNAME(host("missing")))),
            at("*.wild", RData::TXT(TXT::new(vec!["any".to_owned()]))),
            at("deep.below.here", RData::A(A::new(192, 0, 2, 3))),
            at("sub", RData::NS(NS(host("ns.sub")))),
            at("ns.sub", RData::A(A::new(192, 0, 2, 4))),
            at("long", RData::TXT(TXT::new(vec!["x".repeat(250); 10]))),
        ];
        Zone::from_records(&Name::from_ascii(origin).unwrap(), &records).unwrap()
    }

    #[test]
    fn empty_non_terminals_exist_and_neighbours_do_not() {
        let zone = ServedZone::new(&sample_zone("home.example.", 1)).unwrap();
        for there in ["below.here", "here", "deep.below.here", "wild"] {
            assert!(zone.node(&name(&format!("{there}.home.example."))).is_some(), "{there}");
        }
        assert!(zone.node(&name("example.")).is_none());
        assert_eq!(
            zone.closest_encloser(&name("a.b.below.here.home.example.")),
            name("below.here.home.example.")
        );
        assert_eq!(zone.closest_encloser(&name("nothing.home.example.")), name("home.example."));
    }

    #[test]
    fn the_longest_apex_wins() {
        let set = ["example.", "home.example."].into_iter().fold(ZoneSet::default(), |set, origin| {
            set.with(Arc::new(ServedZone::new(&sample_zone(origin, 1)).unwrap()))
        });
        assert_eq!(set.find(&name("a.home.example.")).unwrap().origin, name("home.example."));
        assert_eq!(set.find(&name("ahome.example.")).unwrap().origin, name("example."));
        assert!(set.find(&name("test.")).is_none());
        assert!(set.without(&name("example.")).find(&name("ahome.example.")).is_none());
    }

    #[test]
    fn negative_answers_live_no_longer_than_minimum() {
        let zone = ServedZone::new(&sample_zone("home.example.", 1)).unwrap();
        assert_eq!(zone.negative_soa().iter().map(|record| record.ttl).collect::<Vec<_>>(), [300]);
    }
}
