//! Writes the sections of one message, with names compressed (RFC 1035 §4.1.4), never past a limit.
//!
//! In: RRsets with their owners. Out: octets behind the question that stands in the buffer already. Refused: an RRset that
//! would pass the limit; nothing of it is then written.

use hickory_proto::rr::RecordType;

use super::difference::Item;
use super::name::WireName;
use super::rrset::{Layout, Rr, RrSet};

/// Octets of a message's header.
pub const HEADER: usize = 12;

/// Names that are remembered to point to. What comes later is written out, which is longer and as right.
const REMEMBERED: usize = 32;

/// A pointer has 14 bits (RFC 1035 §4.1.4).
const POINTERS_REACH: usize = 0x3fff;

/// Which part of an RRset goes into the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The records.
    Records,
    /// The records and the RRSIGs that cover them.
    SignedRecords,
    /// The RRSIGs alone.
    Signatures,
}

/// Appends RRsets to a message.
pub struct Writer<'a> {
    message: &'a mut Vec<u8>,
    limit: usize,
    suffixes: [(&'a [u8], u16); REMEMBERED],
    remembered: usize,
}

impl<'a> Writer<'a> {
    /// Goes on behind the header and the question for `asked` that `message` holds, up to `limit` octets in all.
    pub fn new(message: &'a mut Vec<u8>, asked: WireName<'a>, limit: usize) -> Self {
        let mut writer = Self { message, limit, suffixes: [(&[], 0); REMEMBERED], remembered: 0 };
        writer.remember(asked, HEADER);
        writer
    }

    /// Appends a part of an RRset under `owner`; gives the number of records.
    ///
    /// # Errors
    /// [`Full`]; the message is then as before.
    pub fn put(&mut self, owner: WireName<'a>, rrset: &'a RrSet, part: Part) -> Result<u16, Full> {
        let (length, remembered) = (self.message.len(), self.remembered);
        let mut count = 0;
        if part != Part::Signatures {
            let layout = Layout::of(rrset.record_type);
            for record in &rrset.records {
                self.put_record(owner, rrset.record_type.into(), layout, record);
                count += 1;
            }
        }
        if part != Part::Records {
            for signature in &rrset.signatures {
                self.put_record(owner, RRSIG, Layout { prefix: 0, names: 0 }, signature);
                count += 1;
            }
        }
        if self.message.len() > self.limit {
            self.message.truncate(length);
            self.remembered = remembered;
            return Err(Full);
        }
        Ok(count)
    }

    /// Appends one record.
    ///
    /// # Errors
    /// [`Full`]; the message is then as before.
    pub fn put_item(&mut self, item: Item<'a>) -> Result<(), Full> {
        let (length, remembered) = (self.message.len(), self.remembered);
        let layout = Layout::of(RecordType::from(item.record_type));
        self.put_record(item.owner, item.record_type, layout, item.rr);
        if self.message.len() > self.limit {
            self.message.truncate(length);
            self.remembered = remembered;
            return Err(Full);
        }
        Ok(())
    }

    fn put_record(&mut self, owner: WireName<'a>, number: u16, layout: Layout, record: &'a Rr) {
        self.put_name(owner);
        let mut fixed = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        fixed[..2].copy_from_slice(&number.to_be_bytes());
        fixed[4..8].copy_from_slice(&record.ttl.to_be_bytes());
        self.message.extend_from_slice(&fixed);
        let start = self.message.len();
        self.put_rdata(layout, &record.rdata);
        let length = u16::try_from(self.message.len() - start).unwrap_or(u16::MAX);
        self.message[start - 2..start].copy_from_slice(&length.to_be_bytes());
    }

    fn put_rdata(&mut self, layout: Layout, rdata: &'a [u8]) {
        let (prefix, mut rest) = rdata.split_at_checked(layout.prefix).unwrap_or((rdata, &[]));
        self.message.extend_from_slice(prefix);
        for _ in 0..layout.names {
            let Some(name) = WireName::read(rest) else { break };
            self.put_name(name);
            rest = &rest[name.octets().len()..];
        }
        self.message.extend_from_slice(rest);
    }

    /// The labels that nothing before ends in, then a pointer to the rest.
    fn put_name(&mut self, name: WireName<'a>) {
        let octets = name.octets();
        let known =
            name.suffixes().find_map(|suffix| Some((octets.len() - suffix.len(), self.pointer_to(suffix)?)));
        let start = self.message.len();
        match known {
            Some((new, pointer)) => {
                self.message.extend_from_slice(&octets[..new]);
                self.message.extend_from_slice(&(0xc000 | pointer).to_be_bytes());
                self.remember_first(name, start, new);
            }
            None => {
                self.message.extend_from_slice(octets);
                self.remember(name, start);
            }
        }
    }

    fn pointer_to(&self, suffix: &[u8]) -> Option<u16> {
        let known = &self.suffixes[..self.remembered];
        known
            .iter()
            .find(|(other, _)| other.len() == suffix.len() && other.eq_ignore_ascii_case(suffix))
            .map(|(_, pointer)| *pointer)
    }

    fn remember(&mut self, name: WireName<'a>, start: usize) {
        self.remember_first(name, start, name.octets().len());
    }

    /// Remembers those suffixes of a name, written from `start` on, which begin in its first `new` octets.
    fn remember_first(&mut self, name: WireName<'a>, start: usize, new: usize) {
        let whole = name.octets().len();
        for suffix in name.suffixes().take_while(|suffix| whole - suffix.len() < new) {
            let offset = start + whole - suffix.len();
            let Some(place) = self.suffixes.get_mut(self.remembered).filter(|_| offset <= POINTERS_REACH)
            else {
                return;
            };
            *place = (suffix, offset as u16);
            self.remembered += 1;
        }
    }
}

/// The RRset does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// The number of the type RRSIG (RFC 4034 §3).
const RRSIG: u16 = 46;
