//! Which TSIG keys a secondary uses, by what each of its addresses has shown: pure.
//!
//! In: the key of each question that was believed and of each NOTIFY that was answered, with the address. Out: the key that
//! all of its addresses use, so that home can end those before it. Nothing counts that was not proven with a key.
//!
//! | an address | shows |
//! |---|---|
//! | has asked with a key in the last [`REMEMBERED`] seconds | that key, whatever it answers to NOTIFY |
//! | is on the list, and has only answered NOTIFY | the key of that |
//! | is on the list, and has done neither | nothing: no key is agreed on yet |

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// Seconds for which a question counts: a secondary asks at least once an hour, as the SOA tells it.
const REMEMBERED: u64 = 2 * 86_400;

/// Addresses from which questions are remembered; the one that is longest silent is forgotten.
const MOST: usize = 64;

/// What one secondary has shown.
#[derive(Debug, Default)]
pub struct KeyUse {
    asked: BTreeMap<IpAddr, Asked>,
    answered: BTreeMap<IpAddr, String>,
}

#[derive(Debug)]
struct Asked {
    key: String,
    at: u64,
}

impl KeyUse {
    /// A question was believed; `now` is in seconds since 1970.
    pub fn has_asked(&mut self, address: IpAddr, key: String, now: u64) {
        let address = address.to_canonical();
        if self.asked.len() >= MOST && !self.asked.contains_key(&address) {
            let silent = self.asked.iter().min_by_key(|(_, asked)| asked.at).map(|(address, _)| *address);
            silent.map(|silent| self.asked.remove(&silent));
        }
        self.asked.insert(address, Asked { key, at: now });
    }

    /// A NOTIFY under this key was answered under it.
    pub fn has_answered(&mut self, address: IpAddr, key: String) {
        self.answered.insert(address.to_canonical(), key);
    }

    /// The key that every address uses, and with which at least one has asked.
    pub fn agreed(&self, listed: &[SocketAddr], now: u64) -> Option<&str> {
        let recent = |asked: &&Asked| now.saturating_sub(asked.at) < REMEMBERED;
        let mut asked = self.asked.values().filter(recent).map(|asked| asked.key.as_str());
        let key = asked.next()?;
        let shows = |address: &SocketAddr| {
            let address = address.ip().to_canonical();
            let asked = self.asked.get(&address).filter(recent).map(|asked| &asked.key);
            asked.or_else(|| self.answered.get(&address)).is_some_and(|shown| shown == key)
        };
        (asked.all(|other| other == key) && listed.iter().all(shows)).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn listed() -> [SocketAddr; 2] {
        ["192.0.2.3:53", "[2001:db8::3]:53"].map(|text| text.parse().unwrap())
    }

    #[test]
    fn a_key_is_agreed_on_when_every_address_has_shown_it() {
        let mut keys = KeyUse::default();
        keys.has_asked(ip("192.0.2.3"), "k2".to_owned(), NOW);
        assert_eq!(keys.agreed(&listed(), NOW), None, "the other address has shown nothing");
        keys.has_answered(ip("2001:db8::3"), "k1".to_owned());
        assert_eq!(keys.agreed(&listed(), NOW), None, "the other address knows the former key only");
        keys.has_answered(ip("2001:db8::3"), "k2".to_owned());
        assert_eq!(keys.agreed(&listed(), NOW), Some("k2"));
    }

    #[test]
    fn who_asks_with_the_former_key_holds_it_until_it_is_long_silent() {
        let mut keys = KeyUse::default();
        for address in listed() {
            keys.has_asked(address.ip(), "k2".to_owned(), NOW);
        }
        keys.has_asked(ip("198.51.100.7"), "k1".to_owned(), NOW);
        assert_eq!(keys.agreed(&listed(), NOW), None, "an address that is not on the list needs it");
        keys.has_asked(listed()[0].ip(), "k2".to_owned(), NOW + REMEMBERED);
        keys.has_asked(listed()[1].ip(), "k2".to_owned(), NOW + REMEMBERED);
        assert_eq!(keys.agreed(&listed(), NOW + REMEMBERED), Some("k2"));
        keys.has_answered(listed()[0].ip(), "k2".to_owned());
        keys.has_asked(listed()[0].ip(), "k1".to_owned(), NOW + REMEMBERED);
        assert_eq!(
            keys.agreed(&listed(), NOW + REMEMBERED),
            None,
            "its questions count more than its answers"
        );
    }

    #[test]
    fn answers_alone_agree_on_nothing_and_memory_is_bounded() {
        let mut keys = KeyUse::default();
        for address in listed() {
            keys.has_answered(address.ip(), "k2".to_owned());
        }
        assert_eq!(keys.agreed(&listed(), NOW), None, "nobody has transferred with it");
        for number in 0..2 * MOST as u64 {
            keys.has_asked(IpAddr::from([198, 51, 100, number as u8]), "k1".to_owned(), NOW + number);
        }
        assert_eq!(keys.asked.len(), MOST);
    }
}
