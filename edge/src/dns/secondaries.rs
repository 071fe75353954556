//! The secondary name servers: their keys, and what is known of each.
//!
//! In: the list that home pushed; what transfers, answers and failures show. Out: the key of a name, and the status that
//! home and the operator see. A trouble is logged when it begins, not each time that it is met, and a refusal not more often
//! than every [`SAY_EVERY`].

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use postern_shared::secondary::{
    SecondariesHeld, Secondary, SecondaryList, SecondaryStatus, SecondaryZone, Transferred,
};
use postern_shared::zone::is_older;
use tokio::sync::watch;

use super::key_use::KeyUse;
use super::tsig::Key;
use super::zones::ZoneSet;
use super::{message, unix_seconds};

/// How often the log says of one secondary that it is refused.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// The secondaries, shared with whoever changes them; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct SharedSecondaries(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    list: watch::Sender<Arc<SecondaryList>>,
    known: Mutex<BTreeMap<String, Known>>,
}

impl Default for Inner {
    fn default() -> Self {
        Self { list: watch::Sender::new(Arc::default()), known: Mutex::default() }
    }
}

/// What is known of one secondary.
#[derive(Debug, Default)]
struct Known {
    keys: KeyUse,
    error: Option<String>,
    /// When the log last said that it is refused.
    said: Option<Instant>,
    zones: BTreeMap<String, KnownZone>,
}

#[derive(Debug, Default)]
struct KnownZone {
    serials: BTreeMap<SocketAddr, u32>,
    errors: BTreeMap<SocketAddr, String>,
    transfer: Option<Transferred>,
}

/// Whose key it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyOf {
    /// The key.
    pub key: Key,
    /// The secondary.
    pub secondary: String,
}

impl SharedSecondaries {
    /// The secondaries of this moment.
    pub fn current(&self) -> Arc<SecondaryList> {
        self.0.list.borrow().clone()
    }

    /// The list as it changes.
    pub fn subscribe(&self) -> watch::Receiver<Arc<SecondaryList>> {
        self.0.list.subscribe()
    }

    /// These, and no others, from now on; what is known of the others, and of addresses that they no longer have, is
    /// forgotten.
    pub fn replace(&self, list: SecondaryList) {
        self.known().retain(|name, known| {
            let listed = list.secondaries.iter().find(|secondary| secondary.name == *name);
            listed.inspect(|listed| known.keep_only(&listed.addresses)).is_some()
        });
        self.0.list.send_replace(Arc::new(list));
    }

    /// The key with a name in wire form and lower case.
    pub fn key(&self, name: &[u8]) -> Option<KeyOf> {
        let list = self.current();
        let mut all = list.secondaries.iter().flat_map(|one| one.keys.iter().map(move |key| (one, key)));
        let (secondary, key) = all.find(|(_, key)| message::from_text(&key.name).as_deref() == Some(name))?;
        Some(KeyOf { key: Key::new(name, key.secret.expose()), secondary: secondary.name.clone() })
    }

    /// Whether a secondary may have the zone of this apex.
    pub fn may_have(&self, secondary: &str, origin: &str) -> bool {
        let is_it = |one: &&Secondary| one.name == secondary;
        self.current().secondaries.iter().find(is_it).is_some_and(|one| one.may_have(trimmed(origin)))
    }

    /// The secondary at this address; where several share it, the one that is claimed.
    pub fn at(&self, address: IpAddr, claimed: Option<&str>) -> Option<String> {
        let has = |one: &&Secondary| one.addresses.iter().any(|own| own.ip() == address.to_canonical());
        let list = self.current();
        let mut there = list.secondaries.iter().filter(has);
        let is_claimed = |one: &&Secondary| claimed == Some(&one.name);
        let found = there.clone().find(is_claimed).or_else(|| there.next());
        found.map(|one| one.name.clone())
    }

    /// A secondary has asked something under this key, at `now`, in seconds since 1970.
    pub fn has_asked(&self, secondary: &str, address: IpAddr, key: &[u8], now: u64) {
        let name = message::to_text(key);
        self.change(secondary, |known| known.keys.has_asked(address, name, now));
    }

    /// A secondary has answered a NOTIFY under this key.
    pub fn has_answered(&self, secondary: &str, address: IpAddr, key: &str) {
        self.change(secondary, |known| known.keys.has_answered(address, key.to_owned()));
    }

    /// A secondary got what it asked for.
    pub fn was_served(&self, secondary: &str) {
        self.change(secondary, |known| known.error = None);
    }

    /// What a secondary asked for was refused.
    pub fn was_refused(&self, secondary: &str, why: String) {
        self.change(secondary, |known| {
            if known.error.as_ref() != Some(&why) && known.may_be_told(Instant::now()) {
                tracing::warn!(secondary, why, "a transfer is refused");
            }
            known.error = Some(why);
        });
    }

    /// A zone has been transferred.
    pub fn has_taken(&self, secondary: &str, origin: &str, transfer: Transferred) {
        tracing::info!(secondary, origin, serial = transfer.serial, kind = ?transfer.kind, "zone transferred");
        self.change_zone(secondary, origin, |zone| zone.transfer = Some(transfer));
    }

    /// A secondary serves this serial at one of its addresses.
    pub fn serves(&self, secondary: &str, origin: &str, address: SocketAddr, serial: u32) {
        self.change_zone(secondary, origin, |zone| {
            zone.serials.insert(address, serial);
        });
    }

    /// What is wrong with a zone at one address of a secondary; `None` where nothing is.
    pub fn has_trouble(&self, secondary: &str, origin: &str, address: SocketAddr, trouble: Option<String>) {
        self.change_zone(secondary, origin, |zone| match trouble {
            Some(trouble) => {
                if zone.errors.get(&address) != Some(&trouble) {
                    tracing::warn!(secondary, origin, %address, trouble, "a secondary does not follow");
                }
                zone.errors.insert(address, trouble);
            }
            None => drop(zone.errors.remove(&address)),
        });
    }

    /// What home and the operator are told.
    pub fn status(&self, zones: &ZoneSet) -> SecondariesHeld {
        let (list, known) = (self.current(), self.known());
        let none = Known::default();
        let status = |one: &Secondary| one.status(known.get(&one.name).unwrap_or(&none), zones);
        SecondariesHeld {
            revision: list.revision.clone(),
            secondaries: list.secondaries.iter().map(status).collect(),
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Only of those on the list, and of their addresses on it: what arrives late of one that is gone is not kept.
    fn change(&self, secondary: &str, change: impl FnOnce(&mut Known)) {
        let mut known = self.known();
        if let Some(listed) = self.current().secondaries.iter().find(|one| one.name == secondary) {
            let known = known.entry(secondary.to_owned()).or_default();
            change(known);
            known.keep_only(&listed.addresses);
        }
    }

    fn change_zone(&self, secondary: &str, origin: &str, change: impl FnOnce(&mut KnownZone)) {
        self.change(secondary, |known| change(known.zones.entry(trimmed(origin).to_owned()).or_default()));
    }
}

impl Known {
    /// Forgets what other addresses served and lacked.
    fn keep_only(&mut self, addresses: &[SocketAddr]) {
        for zone in self.zones.values_mut() {
            zone.serials.retain(|address, _| addresses.contains(address));
            zone.errors.retain(|address, _| addresses.contains(address));
        }
    }

    /// Whether the log may say that it is refused; it then has.
    fn may_be_told(&mut self, now: Instant) -> bool {
        let is_due = self.said.is_none_or(|said| now.saturating_duration_since(said) >= SAY_EVERY);
        if is_due {
            self.said = Some(now);
        }
        is_due
    }
}

trait Status {
    fn status(&self, known: &Known, zones: &ZoneSet) -> SecondaryStatus;
}

impl Status for Secondary {
    fn status(&self, known: &Known, zones: &ZoneSet) -> SecondaryStatus {
        let zones = zones.iter().filter_map(|zone| {
            let origin = zone.origin.to_string();
            let origin = trimmed(&origin);
            self.may_have(origin).then(|| status_of(origin, zone.serial, known.zones.get(origin)))
        });
        SecondaryStatus {
            name: self.name.clone(),
            key: known.keys.agreed(&self.addresses, unix_seconds()).map(str::to_owned),
            error: known.error.clone(),
            zones: zones.collect(),
        }
    }
}

fn status_of(origin: &str, wanted: u32, known: Option<&KnownZone>) -> SecondaryZone {
    let serials = known.into_iter().flat_map(|known| known.serials.values().copied());
    SecondaryZone {
        origin: origin.to_owned(),
        wanted,
        serial: serials.reduce(|one, other| if is_older(other, one) { other } else { one }),
        transfer: known.and_then(|known| known.transfer.clone()),
        error: known.and_then(|known| known.errors.values().next().cloned()),
    }
}

fn trimmed(origin: &str) -> &str {
    origin.trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_no_longer_listed_holds_nothing_up() {
        let [old, new] = ["192.0.2.3:53", "192.0.2.4:53"].map(|text| text.parse::<SocketAddr>().unwrap());
        let list = |address| SecondaryList {
            revision: "1".to_owned(),
            secondaries: vec![Secondary {
                name: "ns3".to_owned(),
                addresses: vec![address],
                zones: None,
                keys: Vec::new(),
            }],
        };
        let shared = SharedSecondaries::default();
        shared.replace(list(old));
        shared.serves("ns3", "example.org", old, 7);
        shared.has_trouble("ns3", "example.org", old, Some("it does not answer".to_owned()));
        shared.replace(list(new));
        shared.serves("ns3", "example.org", new, 9);
        // A question that was under way when the list changed.
        shared.serves("ns3", "example.org", old, 7);
        let known = shared.known();
        let status = status_of("example.org", 9, known["ns3"].zones.get("example.org"));
        assert_eq!((status.serial, status.error), (Some(9), None));
    }

    #[test]
    fn a_refusal_is_told_once_a_minute_however_often_its_words_change() {
        let (mut known, start) = (Known::default(), Instant::now());
        let told = (0..600).filter(|tenth| known.may_be_told(start + Duration::from_millis(tenth * 100)));
        assert_eq!(told.collect::<Vec<_>>(), [0]);
        assert!(known.may_be_told(start + SAY_EVERY));
    }
}
