//! Relays (smarthosts): servers that take home's mail for others, after a login, and send it on from their own addresses.
//!
//! In: relays with their credentials and what each is for, from the operator; what destinations say of the edge's address,
//! from delivery. Out: the relay that a message goes by, or none; the SPF mechanisms that the domains must publish before.
//! Refused: a relay that does not take the login, one without TLS, a name that is taken.
//!
//! | file | holds |
//! |---|---|
//! | [`book`] | the relays, and which traffic is for which: pure |
//! | [`providers`] | the relays that are known by name: a table |
//! | [`distrust`] | the replies by which large receivers say that they distrust an address: a table |
//! | [`overflow`] | the destinations that have said so, and until when their mail goes by the relay: pure |
//! | [`receivers`] | whose mail server is whose: a table |
//! | [`warm_up`] | how much goes directly to large receivers while the address is young: pure |
//!
//! Everything is kept in the directory, which is sealed with the mail; the credentials are shown by no command.
//!
//! Mail for relays leaves through the tunnel like all other, so that its source is the edge's address wherever home is, and
//! a home without a tunnel sends nothing.

pub mod book;
pub mod providers;

pub mod distrust;
pub mod overflow;

pub mod receivers;
pub mod warm_up;

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use postern_message::address::DomainName;
use postern_store::directory::{Directory, DirectoryError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use book::{Book, BookError, Relay, Traffic};
use overflow::{Diversion, Overflow};
use warm_up::{Came, Plan, WarmUp};

/// The names under which the directory keeps them.
const BOOK: &str = "relays";
const OVERFLOW: &str = "relay-overflow";
const WARM_UP: &str = "relay-warm-up";

/// The relays of this home; clones share them. Changing blocks on the disk, look-ups do not.
#[derive(Clone)]
pub struct Relays {
    directory: Directory,
    shared: Arc<RwLock<State>>,
}

#[derive(Default)]
struct State {
    book: Book,
    overflow: Overflow,
    warm_up: WarmUp,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// It cannot be.
    #[error(transparent)]
    Book(#[from] BookError),
    /// It could not be kept.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

impl Relays {
    /// Takes up what is kept.
    ///
    /// # Errors
    /// [`DirectoryError::Corrupt`] where the relays make no sense: mail must not leave another way than it shall.
    pub fn open(directory: Directory) -> Result<Self, DirectoryError> {
        let book = kept_book(&directory)?;
        let overflow = kept(&directory, OVERFLOW)?;
        let warm_up = kept(&directory, WARM_UP)?;
        Ok(Self { directory, shared: Arc::new(RwLock::new(State { book, overflow, warm_up })) })
    }

    /// The relays and their uses as they are.
    pub fn book(&self) -> Book {
        self.shared.read().unwrap_or_else(PoisonError::into_inner).book.clone()
    }

    /// The relay for this traffic, if the operator or the destination's distrust wants one.
    pub fn chosen(&self, traffic: &Traffic<'_>, now: Timestamp) -> Option<Relay> {
        let state = self.shared.read().unwrap_or_else(PoisonError::into_inner);
        let by_overflow = || {
            state.overflow.is_diverted(traffic.destination, now).then(|| state.book.for_overflow()).flatten()
        };
        state.book.chosen(traffic).or_else(by_overflow).cloned()
    }

    /// The relay for destinations that distrust the edge's address.
    pub fn for_overflow(&self) -> Option<Relay> {
        self.shared.read().unwrap_or_else(PoisonError::into_inner).book.for_overflow().cloned()
    }

    /// Changes the book, durable on return; zones that depend on it are made anew.
    ///
    /// # Errors
    /// What the change says, and [`DirectoryError::Storage`].
    pub fn change<T>(&self, change: impl FnOnce(&mut Book) -> Result<T, BookError>) -> Result<T, RelayError> {
        let mut state = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        let mut book = state.book.clone();
        let outcome = change(&mut book)?;
        self.directory.announce_setting(BOOK, serde_json::to_vec(&book).unwrap_or_default())?;
        state.book = book;
        Ok(outcome)
    }

    /// The destinations that distrust the edge's address now.
    pub fn diversions(&self, now: Timestamp) -> Vec<Diversion> {
        self.shared.read().unwrap_or_else(PoisonError::into_inner).overflow.current(now).cloned().collect()
    }

    /// Notes that a destination distrusts the edge's address. Blocks on the disk.
    pub fn note_distrust(&self, destination: &str, provider: &str, reply: &str, now: Timestamp) {
        self.change_overflow(|overflow| overflow.note(destination, provider, reply, now));
    }

    /// Forgets that a destination did, since it took mail or the operator says so; whether there was something to forget.
    /// Blocks on the disk where there was.
    pub fn forget_distrust(&self, destination: &str) -> bool {
        let knows = |state: &State| state.overflow.knows(destination);
        let is_known = knows(&self.shared.read().unwrap_or_else(PoisonError::into_inner));
        if is_known {
            self.change_overflow(|overflow| overflow.forget(destination));
        }
        is_known
    }

    /// The warm-up plans of today; none without a relay for what is beyond them.
    pub fn plans(&self, now: Timestamp) -> Vec<Plan> {
        let state = self.shared.read().unwrap_or_else(PoisonError::into_inner);
        state.book.for_overflow().map(|_| state.warm_up.current(day(now))).unwrap_or_default()
    }

    /// Whether the warm-up plan lets another message go from these addresses to a receiver; it is counted if so. Blocks on the
    /// disk.
    pub fn admits_directly(&self, receiver: &str, addresses: &[IpAddr], now: Timestamp) -> bool {
        self.change_warm_up(|warm_up| warm_up.admits(receiver, addresses, day(now)))
    }

    /// Notes what became of a message that went to a receiver directly. Blocks on the disk where there is a plan for it.
    pub fn note_direct(&self, receiver: &str, came: Came, now: Timestamp) {
        if self.for_overflow().is_some() {
            self.change_warm_up(|warm_up| warm_up.note(receiver, came, day(now)));
        }
    }

    /// Ends the warm-up for a receiver; whether there was one. Blocks on the disk.
    pub fn end_warm_up(&self, receiver: &str) -> bool {
        self.change_warm_up(|warm_up| warm_up.end(receiver))
    }

    fn change_overflow(&self, change: impl FnOnce(&mut Overflow)) {
        let mut state = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut state.overflow);
        self.keep(OVERFLOW, &state.overflow);
    }

    fn change_warm_up<T>(&self, change: impl FnOnce(&mut WarmUp) -> T) -> T {
        let mut state = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        let outcome = change(&mut state.warm_up);
        self.keep(WARM_UP, &state.warm_up);
        outcome
    }

    /// What is lost here is learnt anew.
    fn keep(&self, name: &'static str, value: &impl Serialize) {
        if let Err(error) = self.directory.set_setting(name, serde_json::to_vec(value).unwrap_or_default()) {
            tracing::warn!(%error, name, "what is known of destinations cannot be kept");
        }
    }
}

/// What is kept under a name; what makes no sense is learnt anew.
fn kept<T: DeserializeOwned + Default>(directory: &Directory, name: &str) -> Result<T, DirectoryError> {
    let kept = directory.setting(name)?;
    Ok(kept.and_then(|kept| serde_json::from_slice(&kept).ok()).unwrap_or_default())
}

fn day(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

/// The domains that a domain's SPF record has to include, for the relays that may carry its mail.
///
/// # Errors
/// [`DirectoryError::Storage`] when the directory cannot be read.
pub fn spf_includes(directory: &Directory, domain: &DomainName) -> Result<Vec<DomainName>, DirectoryError> {
    Ok(kept_book(directory)?.spf_includes(domain))
}

fn kept_book(directory: &Directory) -> Result<Book, DirectoryError> {
    match directory.setting(BOOK)? {
        None => Ok(Book::default()),
        Some(kept) => serde_json::from_slice(&kept)
            .map_err(|error| DirectoryError::Corrupt(format!("the relays: {error}"))),
    }
}

/// Whether one of these TXT records of a domain lets the mail of `include` pass (RFC 7208 §5.2).
pub fn spf_names(texts: &[Vec<u8>], include: &DomainName) -> bool {
    let wanted = format!("include:{include}");
    texts.iter().map(|text| String::from_utf8_lossy(text).to_ascii_lowercase()).any(|text| {
        let mut terms = text.split_ascii_whitespace();
        terms.next() == Some("v=spf1") && terms.any(|term| term.trim_start_matches('+') == wanted)
    })
}

#[cfg(test)]
mod tests {
    use super::book::Use;
    use super::*;

    #[test]
    fn relays_and_what_destinations_said_are_known_after_a_restart() {
        let state = tempfile::tempdir().unwrap();
        let open = || Relays::open(Directory::open(state.path()).unwrap()).unwrap();
        let relays = open();
        let before = relays.directory.subscribe();
        relays.change(|book| book.add(book::tests::relay("ses", Some("amazonses.com")))).unwrap();
        relays.change(|book| book.assign(Use::Overflow, "ses")).unwrap();
        assert!(before.has_changed().unwrap(), "the zones hear of it");
        let now = Timestamp::now();
        relays.note_distrust("far.example", "Gmail", "550 no", now);
        drop(relays);
        let relays = open();
        let traffic = |destination| Traffic { sender: None, user: None, destination };
        assert_eq!(relays.chosen(&traffic("far.example"), now).unwrap().name, "ses");
        assert_eq!(relays.chosen(&traffic("other.example"), now), None, "that destination alone");
        let home = "home.example".parse().unwrap();
        assert_eq!(spf_includes(&relays.directory, &home).unwrap(), ["amazonses.com".parse().unwrap()]);
        assert!(relays.forget_distrust("far.example"));
        assert_eq!(relays.chosen(&traffic("far.example"), now), None);
    }

    #[test]
    fn a_plan_is_for_who_has_a_relay_and_outlives_a_restart() {
        let state = tempfile::tempdir().unwrap();
        let open = || Relays::open(Directory::open(state.path()).unwrap()).unwrap();
        let (relays, now) = (open(), Timestamp::now());
        let addresses = ["203.0.113.10".parse().unwrap()];
        relays.change(|book| book.add(book::tests::relay("ses", None))).unwrap();
        relays.change(|book| book.assign(Use::Overflow, "ses")).unwrap();
        while relays.admits_directly("Gmail", &addresses, now) {
            relays.note_direct("Gmail", Came::Taken, now);
        }
        drop(relays);
        let relays = open();
        assert!(!relays.admits_directly("Gmail", &addresses, now));
        let plan = relays.plans(now).remove(0);
        assert_eq!((plan.receiver.as_str(), plan.direct, plan.taken), ("Gmail", 20, 20));
        relays.change(|book| book.assign(Use::Overflow, book::DIRECT)).unwrap();
        assert_eq!(relays.plans(now), []);
    }

    #[test]
    fn an_include_counts_in_an_spf_record_only() {
        let include = "spf.relay.example".parse().unwrap();
        let names = |text: &str| spf_names(&[text.as_bytes().to_vec()], &include);
        assert!(names("v=spf1 ip4:192.0.2.1 include:SPF.relay.example -all"));
        assert!(names("v=spf1 +include:spf.relay.example -all"));
        assert!(!names("v=spf1 -include:spf.relay.example -all"));
        assert!(!names("v=spf1 include:other.example -all") && !names("x include:spf.relay.example"));
    }
}
