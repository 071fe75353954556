//! The zones as they are served: sorted once, so that a question costs one binary search.
//!
//! In: a [`Zone`]. Out: a [`ServedZone`], whose nodes stand in canonical order (RFC 4034 §6.1), empty non-terminals
//! included (RFC 4592 §2.2.2), each with what an answer needs next: the cut above it, the NSEC that matches or covers it,
//! the wildcard under it. The name before an absent one leads to all of that too. Refused: what [`Zone::records`] refuses.
//! A [`ZoneSet`] is immutable; a change makes a new one.

use std::collections::BTreeMap;
use std::sync::Arc;

use hickory_proto::ProtoError;
use hickory_proto::rr::{LowerName, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::BinEncodable;
use postern_shared::zone::{Zone, ZoneError};

use super::difference::{History, Item};
use super::name::{Key, WireName, parent, wildcard_under};
use super::prepared::Prepared;
use super::rrset::{Rr, RrSet};

/// The zones that this server answers for, in the order of their apexes.
#[derive(Debug, Clone, Default)]
pub struct ZoneSet {
    zones: Vec<Arc<ServedZone>>,
}

/// One zone, sorted.
#[derive(Debug)]
pub struct ServedZone {
    /// The apex.
    pub origin: LowerName,
    /// The serial number.
    pub serial: u32,
    /// [`Zone::digest`] of the zone.
    pub digest: String,
    /// The key of the apex.
    key: Box<[u8]>,
    /// In the order of their keys; the apex is the first.
    nodes: Vec<Node>,
    negative_soa: RrSet,
    /// What stands in advance for the node of the same index.
    prepared: Vec<Option<Prepared>>,
    /// How it came to be from the versions before it.
    pub history: History,
}

/// Where a node stands in its zone.
pub type Index = usize;

/// What exists at one name. No RRsets for an empty non-terminal.
#[derive(Debug)]
pub struct Node {
    /// The key of the name without that of the apex.
    key: Box<[u8]>,
    /// The name in wire form.
    owner: Box<[u8]>,
    /// By type.
    rrsets: Vec<RrSet>,
    /// The node directly above; the apex is its own.
    parent: Index,
    /// The highest delegation at or above (RFC 1034 §4.2).
    pub cut: Option<Index>,
    /// The last NSEC at or before: it matches or covers the name, and every absent name up to the next node.
    pub nsec: Option<Index>,
    /// The wildcard directly below.
    pub wildcard: Option<Index>,
    /// The NSEC that matches or covers that wildcard's name.
    pub wildcard_nsec: Option<Index>,
}

/// What a search for a name comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The name is there.
    At(Index),
    /// It is not; the last name before it.
    After(Index),
}

impl ZoneSet {
    /// The same zones with `zone` added or replaced.
    pub fn with(&self, zone: Arc<ServedZone>) -> Self {
        let mut zones = self.without(&zone.origin).zones;
        let place = zones.partition_point(|other| other.key < zone.key);
        zones.insert(place, zone);
        Self { zones }
    }

    /// The same zones without the one at `origin`.
    pub fn without(&self, origin: &LowerName) -> Self {
        Self { zones: self.zones.iter().filter(|zone| zone.origin != *origin).cloned().collect() }
    }

    /// The zone with apex `origin`.
    pub fn get(&self, origin: &LowerName) -> Option<&Arc<ServedZone>> {
        self.zones.iter().find(|zone| zone.origin == *origin)
    }

    /// The zone whose apex has this key.
    pub fn at(&self, apex: &Key) -> Option<&Arc<ServedZone>> {
        let found = self.zones.binary_search_by(|zone| (*zone.key).cmp(apex.octets()));
        found.ok().and_then(|index| self.zones.get(index))
    }

    /// The zone that answers a question of a type for a name: that with the longest apex that the name is at or below;
    /// for DS at an apex, the parent's where it is served here too (RFC 4035 §3.1.4.1).
    pub fn find(&self, name: &Key, record_type: RecordType) -> Option<&ServedZone> {
        let mut enclosing = self.up_to(name).rev().filter(|zone| name.octets().starts_with(&zone.key));
        let zone = enclosing.next()?;
        let belongs_above = record_type == RecordType::DS && *zone.key == *name.octets();
        Some(if belongs_above { enclosing.next().unwrap_or(zone) } else { zone })
    }

    fn up_to(&self, name: &Key) -> impl DoubleEndedIterator<Item = &ServedZone> {
        let end = self.zones.partition_point(|zone| *zone.key <= *name.octets());
        self.zones.iter().take(end).map(Arc::as_ref)
    }

    /// All zones, by apex.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ServedZone>> {
        self.zones.iter()
    }
}

impl ServedZone {
    /// Checks and sorts a zone, and makes the usual answers in advance.
    ///
    /// # Errors
    /// What makes it unservable.
    pub fn new(zone: &Zone) -> Result<Self, ZoneError> {
        let records = zone.records()?;
        let origin = zone.origin()?;
        let key = key_of(&origin)?;
        let negative_soa = negative_soa(&records, zone);
        let mut nodes = gather(&key, &origin, records, zone)?;
        link(&mut nodes);
        let mut served = Self {
            origin: LowerName::from(&origin),
            serial: zone.serial,
            digest: zone.digest(),
            key,
            nodes,
            negative_soa,
            prepared: Vec::new(),
            history: History::default(),
        };
        served.prepared = (0..served.nodes.len()).map(|index| Prepared::new(&served, index)).collect();
        Ok(served)
    }

    /// The same zone as the one that follows `before`.
    pub fn following(self, before: &Self) -> Self {
        let history = before.history.followed(before, &self);
        Self { history, ..self }
    }

    /// The SOA record.
    pub fn soa(&self) -> Item<'_> {
        let mut items = self.items().filter(|item| item.record_type == u16::from(RecordType::SOA));
        items.next().expect("a zone without a SOA record is not servable")
    }

    /// Every record but the SOA, in canonical order of the names.
    pub fn body(&self) -> impl Iterator<Item = Item<'_>> {
        self.items().filter(|item| item.record_type != u16::from(RecordType::SOA))
    }

    /// Octets of all records on the wire, uncompressed.
    pub fn octets(&self) -> usize {
        self.items().map(|item| item.octets()).sum()
    }

    fn items(&self) -> impl Iterator<Item = Item<'_>> {
        self.nodes.iter().flat_map(Node::items)
    }

    /// The part of a name's key below this zone's apex; `None` where the name is outside.
    pub fn key_below<'k>(&self, name: &'k Key) -> Option<&'k [u8]> {
        name.octets().strip_prefix(&*self.key)
    }

    /// Looks for the name with a key below the apex.
    pub fn place(&self, key_below: &[u8]) -> Place {
        match self.nodes.binary_search_by(|node| (*node.key).cmp(key_below)) {
            Ok(index) => Place::At(index),
            // The apex, whose key is empty, stands before everything.
            Err(next) => Place::After(next.saturating_sub(1)),
        }
    }

    /// The node at an index that this zone gave.
    pub fn node(&self, index: Index) -> &Node {
        &self.nodes[index]
    }

    /// What was made in advance for the node at an index that this zone gave.
    pub fn prepared(&self, index: Index) -> Option<&Prepared> {
        self.prepared.get(index)?.as_ref()
    }

    /// The longest existing name above an absent one (RFC 4592 §3.3.1), which stands after the node at `before`: names
    /// below one name stand together, so that the one before is below that name too.
    pub fn closest_encloser(&self, before: Index, key_below: &[u8]) -> Index {
        let mut index = before;
        while !key_below.starts_with(&self.nodes[index].key) {
            index = self.nodes[index].parent;
        }
        index
    }

    /// The SOA and its RRSIGs with the TTL of negative answers (RFC 2308 §3).
    pub fn negative_soa(&self) -> &RrSet {
        &self.negative_soa
    }
}

impl Node {
    /// The name.
    pub fn owner(&self) -> WireName<'_> {
        WireName::read(&self.owner).expect("made from a whole name")
    }

    /// The RRset of one type. Signatures that cover nothing are no RRset.
    pub fn rrset(&self, record_type: RecordType) -> Option<&RrSet> {
        self.rrsets().find(|rrset| rrset.record_type == record_type)
    }

    /// Every record, signatures that cover nothing included.
    fn items(&self) -> impl Iterator<Item = Item<'_>> {
        let owner = self.owner();
        self.rrsets.iter().flat_map(move |rrset| {
            let item = move |number: u16| move |rr| Item { owner, record_type: number, rr };
            let signatures = rrset.signatures.iter().map(item(RecordType::RRSIG.into()));
            rrset.records.iter().map(item(rrset.record_type.into())).chain(signatures)
        })
    }

    /// All RRsets, by type.
    pub fn rrsets(&self) -> impl Iterator<Item = &RrSet> {
        self.rrsets.iter().filter(|rrset| !rrset.records.is_empty())
    }
}

/// All nodes in order, without links.
fn gather(apex: &[u8], origin: &Name, records: Vec<Record>, zone: &Zone) -> Result<Vec<Node>, ZoneError> {
    let mut nodes: BTreeMap<Box<[u8]>, Node> = BTreeMap::new();
    for (record, wire) in records.iter().zip(&zone.records) {
        let mut name = record.name.clone();
        let mut key = key_of(&name)?;
        add(nodes.entry(below(apex, &key)).or_insert(empty(&name)?), record, &wire.rdata);
        while name != *origin {
            (name, key) = (name.base_name(), parent(&key).into());
            nodes.entry(below(apex, &key)).or_insert(empty(&name)?);
        }
    }
    Ok(nodes.into_iter().map(|(key, node)| Node { key, ..node }).collect())
}

fn below(apex: &[u8], key: &[u8]) -> Box<[u8]> {
    key.strip_prefix(apex).unwrap_or_default().into()
}

fn empty(name: &Name) -> Result<Node, ZoneError> {
    Ok(Node {
        key: Box::default(),
        owner: wire(name)?.into(),
        rrsets: Vec::new(),
        parent: 0,
        cut: None,
        nsec: None,
        wildcard: None,
        wildcard_nsec: None,
    })
}

fn add(node: &mut Node, record: &Record, rdata: &[u8]) {
    let rr = Rr { ttl: record.ttl, rdata: rdata.into() };
    match covered_type(record.record_type(), rdata) {
        Some(covered) => rrset_mut(node, covered).signatures.push(rr),
        None => rrset_mut(node, record.record_type()).records.push(rr),
    }
}

fn rrset_mut(node: &mut Node, record_type: RecordType) -> &mut RrSet {
    let number = u16::from(record_type);
    let place = node.rrsets.partition_point(|rrset| u16::from(rrset.record_type) < number);
    if node.rrsets.get(place).is_none_or(|rrset| rrset.record_type != record_type) {
        node.rrsets.insert(place, RrSet::new(record_type));
    }
    &mut node.rrsets[place]
}

/// RFC 4034 §3.1.1: an RRSIG's RDATA begins with the type that it covers.
fn covered_type(record_type: RecordType, rdata: &[u8]) -> Option<RecordType> {
    let octets = rdata.first_chunk::<2>().filter(|_| record_type == RecordType::RRSIG)?;
    Some(RecordType::from(u16::from_be_bytes(*octets)))
}

/// Fills in the links, in order: what a link of one node says about those above is known when its turn comes.
fn link(nodes: &mut [Node]) {
    let find = |nodes: &[Node], key: &[u8]| nodes.binary_search_by(|node| (*node.key).cmp(key));
    let mut nsec = None;
    for index in 0..nodes.len() {
        let node = &nodes[index];
        if node.rrset(RecordType::NSEC).is_some() {
            nsec = Some(index);
        }
        let above = find(nodes, parent(&node.key)).unwrap_or(0);
        let is_cut = index > 0 && node.rrset(RecordType::NS).is_some();
        let cut = nodes[above].cut.filter(|_| index > 0).or(is_cut.then_some(index));
        let node = &mut nodes[index];
        (node.parent, node.cut, node.nsec) = (above, cut, nsec);
    }
    for index in 0..nodes.len() {
        let (wildcard, before) = match find(nodes, &wildcard_under(&nodes[index].key)) {
            Ok(there) => (Some(there), there),
            Err(next) => (None, next.saturating_sub(1)),
        };
        let wildcard_nsec = nodes[before].nsec;
        let node = &mut nodes[index];
        (node.wildcard, node.wildcard_nsec) = (wildcard, wildcard_nsec);
    }
}

/// RFC 2308 §3: the TTL is the lesser of the SOA's own and its MINIMUM field.
fn negative_soa(records: &[Record], zone: &Zone) -> RrSet {
    let mut soa = RrSet::new(RecordType::SOA);
    let mut ttl = 0;
    for (record, wire) in records.iter().zip(&zone.records) {
        let rr = || Rr { ttl: record.ttl, rdata: wire.rdata.clone().into() };
        if let RData::SOA(fields) = &record.data {
            ttl = record.ttl.min(fields.minimum);
            soa.records.push(rr());
        } else if covered_type(record.record_type(), &wire.rdata) == Some(RecordType::SOA) {
            soa.signatures.push(rr());
        }
    }
    soa.with_ttl_at_most(ttl)
}

fn wire(name: &Name) -> Result<Vec<u8>, ZoneError> {
    name.to_bytes().map_err(|_: ProtoError| ZoneError::Name(name.to_ascii()))
}

fn key_of(name: &Name) -> Result<Box<[u8]>, ZoneError> {
    let octets = wire(name)?;
    let name = WireName::read(&octets).ok_or_else(|| ZoneError::Name(name.to_ascii()))?;
    Ok(name.key().octets().into())
}

#[cfg(test)]
pub(crate) mod tests;
