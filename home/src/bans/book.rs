//! The bans as a value: what is banned since when, for how long, and why.
//!
//! In: bans, and the time of day in seconds since 1970. Out: those that hold. Refused: a ban where another holds longer,
//! and more than the edge takes.
//!
//! A clock that goes back does not lengthen a ban beyond its own time: what seems to begin in the future begins now. Only
//! a clock from before this program was written, as a Raspberry Pi starts with, changes nothing.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use ipnet::IpNet;
use postern_shared::bans::{Ban, BanList, MOST_BANS, MOST_REASON_OCTETS};
use serde::{Deserialize, Serialize};

use crate::zone::clock::WRITTEN;

/// One ban.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The network, canonical.
    pub network: IpNet,
    /// When it began, in seconds since 1970.
    pub since: u64,
    /// How long it lasts, in seconds; without end where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// Why.
    pub reason: String,
}

impl Entry {
    /// A ban that begins now; a long reason is cut.
    pub fn new(network: IpNet, now: u64, seconds: Option<u64>, reason: &str) -> Self {
        let end = reason.floor_char_boundary(MOST_REASON_OCTETS);
        let reason = reason.get(..end).unwrap_or_default().replace(char::is_control, " ");
        Self { network, since: now, seconds, reason }
    }

    /// When it ends, in seconds since 1970.
    pub fn until(&self) -> Option<u64> {
        self.seconds.map(|seconds| self.since.saturating_add(seconds))
    }

    fn holds(&self, now: u64) -> bool {
        self.until().is_none_or(|until| until > now)
    }
}

/// All bans, one for each network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Entry>", into = "Vec<Entry>")]
pub struct Book(BTreeMap<IpNet, Entry>);

/// The book is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{MOST_BANS} networks are banned, which is as many as the edge takes. Remove some, or ban wider prefixes"
)]
pub struct Full;

impl Book {
    /// Takes a ban, in the place of one of the same network.
    ///
    /// # Errors
    /// [`Full`].
    pub fn insert(&mut self, entry: Entry) -> Result<(), Full> {
        if self.0.len() >= MOST_BANS && !self.0.contains_key(&entry.network) {
            return Err(Full);
        }
        self.0.insert(entry.network, entry);
        Ok(())
    }

    /// Removes a ban; tells whether there was one.
    pub fn remove(&mut self, network: &IpNet) -> bool {
        self.0.remove(network).is_some()
    }

    /// Whether a network is banned at least until `until`, by itself or as a part of another.
    pub fn covers(&self, network: &IpNet, until: Option<u64>) -> bool {
        let lasts = |entry: &Entry| match (entry.until(), until) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(end), Some(until)) => end >= until,
        };
        self.0.values().any(|entry| entry.network.contains(network) && lasts(entry))
    }

    /// Drops what has ended, and lets begin now what would begin later; but not by a clock that cannot be right, or all
    /// would have ended as soon as it is.
    pub fn refresh(&mut self, now: u64) {
        if now >= WRITTEN {
            self.0.values_mut().for_each(|entry| entry.since = entry.since.min(now));
        }
        self.0.retain(|_, entry| entry.holds(now));
    }

    /// Those that hold at `now`, by network.
    pub fn current(&self, now: u64) -> impl Iterator<Item = &Entry> {
        self.0.values().filter(move |entry| entry.holds(now))
    }

    /// The list for the edge at `now`. Its revision changes with the bans, not with the time.
    pub fn list(&self, now: u64) -> BanList {
        let left = |entry: &Entry| entry.until().map(|until| until.saturating_sub(now)).min(entry.seconds);
        let bans = self.current(now).map(|entry| Ban {
            network: entry.network,
            seconds: left(entry),
            reason: entry.reason.clone(),
        });
        BanList { revision: self.revision(), bans: bans.collect() }
    }

    /// Names the content: equal books have equal revisions.
    pub fn revision(&self) -> String {
        let lines = self
            .0
            .values()
            .map(|Entry { network, since, seconds, .. }| format!("{network} {since} {seconds:?}\n"));
        let text: String = lines.collect();
        digest(&SHA256, text.as_bytes()).as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
    }
}

impl From<Vec<Entry>> for Book {
    fn from(entries: Vec<Entry>) -> Self {
        Self(entries.into_iter().map(|entry| (entry.network, entry)).collect())
    }
}

impl From<Book> for Vec<Entry> {
    fn from(book: Book) -> Self {
        book.0.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> IpNet {
        text.parse().expect("a network")
    }

    fn entry(text: &str, since: u64, seconds: Option<u64>) -> Entry {
        Entry::new(network(text), since, seconds, "guessing")
    }

    #[test]
    fn a_ban_ends_by_itself_and_the_revision_tells_changes_only() {
        let mut book = Book::default();
        book.insert(entry("203.0.113.7/32", 100, Some(60))).expect("room");
        book.insert(entry("2001:db8::/64", 100, None)).expect("room");
        let before = book.list(120);
        assert_eq!(before.bans[0].seconds, Some(40));
        assert_eq!(book.list(130).revision, before.revision);
        assert_eq!(book.list(160).bans.len(), 1);
        book.refresh(160);
        assert_ne!(book.revision(), before.revision);
        assert!(book.remove(&network("2001:db8::/64")) && !book.remove(&network("2001:db8::/64")));
    }

    #[test]
    fn a_clock_that_was_ahead_bans_nobody_for_years() {
        let mut book = Book::default();
        book.insert(entry("203.0.113.7/32", WRITTEN + 10_000_000, Some(60))).expect("room");
        book.refresh(WRITTEN + 100);
        assert_eq!(book.list(WRITTEN + 100).bans[0].seconds, Some(60));
        book.refresh(WRITTEN + 160);
        assert_eq!(book, Book::default());
    }

    #[test]
    fn a_start_in_1970_ends_no_ban() {
        let mut book = Book::default();
        book.insert(entry("203.0.113.7/32", WRITTEN + 100, Some(60))).expect("room");
        book.refresh(20);
        assert_eq!(book.list(20).bans[0].seconds, Some(60));
        book.refresh(WRITTEN + 130);
        assert_eq!(book.list(WRITTEN + 130).bans[0].seconds, Some(30));
    }

    #[test]
    fn a_longer_ban_of_a_wider_network_covers() {
        let mut book = Book::default();
        book.insert(entry("203.0.113.0/24", 100, Some(60))).expect("room");
        assert!(book.covers(&network("203.0.113.7/32"), Some(160)));
        assert!(!book.covers(&network("203.0.113.7/32"), Some(161)));
        assert!(!book.covers(&network("203.0.113.7/32"), None));
        assert!(!book.covers(&network("203.0.112.0/22"), Some(10)));
    }

    #[test]
    fn a_reason_is_one_printable_line_of_bounded_length() {
        let entry = Entry::new(network("203.0.113.7/32"), 0, None, &format!("a\nb\u{1b}{}", "é".repeat(200)));
        assert!(entry.reason.starts_with("a b é") && entry.reason.len() <= MOST_REASON_OCTETS);
    }
}
