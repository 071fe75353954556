//! What changes from one version of a zone to the next, as IXFR tells it, kept for as long as it is shorter than the zone.
//!
//! In: a zone and the one after it. Out: the records that went and those that came, and a [`History`] of such differences without
//! a gap. Bounded: the differences of a zone are together no longer than the zone, since a secondary further behind is
//! served sooner with the whole (RFC 1995 §5), and at most [`MOST`].

use std::collections::HashSet;
use std::sync::Arc;

use super::name::WireName;
use super::rrset::Rr;
use super::zones::ServedZone;

/// Differences that are kept of one zone.
const MOST: usize = 64;

/// One record of a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Item<'z> {
    /// The owner name.
    pub owner: WireName<'z>,
    /// The type.
    pub record_type: u16,
    /// The rest.
    pub rr: &'z Rr,
}

/// A record that outlives its zone.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    owner: Box<[u8]>,
    record_type: u16,
    rr: Rr,
}

/// The way from one serial to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The serial before.
    pub from: u32,
    old_soa: Kept,
    removed: Vec<Kept>,
    new_soa: Kept,
    added: Vec<Kept>,
    octets: usize,
}

/// The last differences up to a zone, the oldest first; each begins where the one before ends.
#[derive(Debug, Clone, Default)]
pub struct History(Vec<Arc<Difference>>);

impl Item<'_> {
    /// Octets on the wire, uncompressed.
    pub fn octets(&self) -> usize {
        self.owner.octets().len() + 10 + self.rr.rdata.len()
    }

    fn keep(&self) -> Kept {
        Kept { owner: self.owner.octets().into(), record_type: self.record_type, rr: self.rr.clone() }
    }
}

impl Kept {
    fn item(&self) -> Item<'_> {
        let owner = WireName::read(&self.owner).expect("made from a whole name");
        Item { owner, record_type: self.record_type, rr: &self.rr }
    }
}

impl Difference {
    /// What changes from `old` to `new`.
    pub fn between(old: &ServedZone, new: &ServedZone) -> Self {
        let (before, after): (HashSet<Item<'_>>, HashSet<Item<'_>>) =
            (old.body().collect(), new.body().collect());
        let only = |zone: &ServedZone, other: &HashSet<Item<'_>>| {
            zone.body().filter(|item| !other.contains(item)).map(|item| item.keep()).collect::<Vec<_>>()
        };
        let (removed, added) = (only(old, &after), only(new, &before));
        let (old_soa, new_soa) = (old.soa().keep(), new.soa().keep());
        let all = removed.iter().chain(&added).chain([&old_soa, &new_soa]);
        let octets = all.map(|kept| kept.item().octets()).sum();
        Self { from: old.serial, old_soa, removed, new_soa, added, octets }
    }

    /// RFC 1995 §4: the old SOA, what went, the new SOA, what came.
    pub fn items(&self) -> impl Iterator<Item = Item<'_>> {
        let gone = std::iter::once(&self.old_soa).chain(&self.removed);
        gone.chain(std::iter::once(&self.new_soa)).chain(&self.added).map(Kept::item)
    }
}

impl History {
    /// The history of `new`, of which `old` with the history `self` was the version before.
    pub fn followed(&self, old: &ServedZone, new: &ServedZone) -> Self {
        if old.serial == new.serial {
            // Nobody can ask for what lies between; the differences before lead to what was there.
            return if old.digest == new.digest { self.clone() } else { Self::default() };
        }
        let mut differences = self.0.clone();
        differences.push(Arc::new(Difference::between(old, new)));
        let room = new.octets();
        let mut total = 0;
        let fitting = differences.iter().rev().take(MOST).take_while(|difference| {
            total += difference.octets;
            total <= room
        });
        let kept = fitting.count();
        Self(differences.split_off(differences.len() - kept))
    }

    /// The differences that lead from a serial to the zone; `None` where they are not known.
    pub fn since(&self, serial: u32) -> Option<&[Arc<Difference>]> {
        // The last one, should a serial have come twice.
        let first = self.0.iter().rposition(|difference| difference.from == serial)?;
        self.0.get(first..)
    }
}
