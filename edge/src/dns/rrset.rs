//! An RRset as it will be sent: RDATA in wire form, and where the names in it stand.
//!
//! In: records of a checked zone. Out: [`RrSet`], with the RRSIGs that cover it, and the names that additional data or a
//! chain leads to. RFC 3597 §4: only the names in types of RFC 1035 may be compressed.

use hickory_proto::rr::RecordType;

use super::name::WireName;

/// The records of one name and type, and the RRSIGs that cover them.
#[derive(Debug, Clone)]
pub struct RrSet {
    /// The type of the records.
    pub record_type: RecordType,
    /// The records.
    pub records: Vec<Rr>,
    /// Their RRSIGs.
    pub signatures: Vec<Rr>,
}

/// What a record has beside its owner and type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rr {
    /// Seconds.
    pub ttl: u32,
    /// RDATA in wire form, uncompressed.
    pub rdata: Box<[u8]>,
}

/// Where the compressible names of a type's RDATA stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Octets before the first of them.
    pub prefix: usize,
    /// How many follow one another; the rest is octets again.
    pub names: usize,
}

impl Layout {
    /// That of a type.
    pub fn of(record_type: RecordType) -> Self {
        let (prefix, names) = match record_type {
            RecordType::NS | RecordType::CNAME | RecordType::PTR => (0, 1),
            RecordType::MX => (2, 1),
            RecordType::SOA => (0, 2),
            _ => (0, 0),
        };
        Self { prefix, names }
    }
}

impl RrSet {
    /// An empty one.
    pub fn new(record_type: RecordType) -> Self {
        Self { record_type, records: Vec::new(), signatures: Vec::new() }
    }

    /// The hosts whose addresses an asker of these records needs next.
    pub fn hosts(&self) -> impl Iterator<Item = WireName<'_>> {
        let start = match self.record_type {
            RecordType::NS => Some(0),
            RecordType::MX => Some(2),
            RecordType::SRV => Some(6),
            _ => None,
        };
        self.records.iter().filter_map(move |record| WireName::read(record.rdata.get(start?..)?))
    }

    /// Where a CNAME leads.
    pub fn cname_target(&self) -> Option<WireName<'_>> {
        (self.record_type == RecordType::CNAME).then(|| WireName::read(&self.records.first()?.rdata))?
    }

    /// The same records and signatures with TTLs of at most `ttl` seconds.
    pub fn with_ttl_at_most(&self, ttl: u32) -> Self {
        let mut limited = self.clone();
        for record in limited.records.iter_mut().chain(&mut limited.signatures) {
            record.ttl = record.ttl.min(ttl);
        }
        limited
    }
}
