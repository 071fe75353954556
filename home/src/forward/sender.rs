//! Senders rewritten with home's keys (SRS), and led back.
//!
//! In: a sender whose mail goes on, and the domain here that sends it on; later the address of a report. Out: the rewritten
//! sender; later the sender. Refused: what these keys did not make, and what is too old.
//!
//! A key is changed after [`KEY_DAYS`] days, and counts until nothing of what it made does. A sender that would not fit stands
//! in the directory, and a number in the domain `long-sender.invalid`, which nobody can have (RFC 6761 §6.4), stands for it.

use aws_lc_rs::rand;
use postern_message::address::{DomainName, EmailAddress, LocalPart};
use postern_srs::{Day, KEY_OCTETS, Key, Keys, LIFETIME_DAYS, Rejected};
use postern_store::directory::{Directory, DirectoryError};
use serde::{Deserialize, Serialize};

const SETTING: &str = "srs-keys";
/// The age at which a key is changed.
const KEY_DAYS: u64 = 90;
const LONG_SENDERS: &str = "long-sender.invalid";
const SECONDS_OF_DAY: u64 = 86_400;

/// Why a report is not led back.
#[derive(Debug, thiserror::Error)]
pub enum NoWayBack {
    /// The address is none of ours, or no longer.
    #[error("{0}")]
    Rejected(#[from] Rejected),
    /// Something here does not work now.
    #[error("{0}")]
    Directory(#[from] DirectoryError),
}

/// Under which sender mail of `sender` goes on from the domain `here`; blocks.
///
/// # Errors
/// [`DirectoryError`] where keys cannot be read or kept.
pub fn rewrite(
    directory: &Directory,
    sender: &EmailAddress,
    here: &DomainName,
    now: u64,
) -> Result<EmailAddress, DirectoryError> {
    let (keys, today) = (Ring::open(directory, now)?.keys(), Day::of_unix_seconds(now));
    let is_stand_in = sender.domain().as_str() == LONG_SENDERS;
    let rewritten = postern_srs::rewrite(&keys, sender, here, today).ok().filter(|_| !is_stand_in);
    if let Some(rewritten) = rewritten {
        return Ok(rewritten);
    }
    let stand_in = stand_in(directory, sender, now)?;
    postern_srs::rewrite(&keys, &stand_in, here, today)
        .map_err(|too_long| DirectoryError::Corrupt(format!("{here}: {too_long}")))
}

/// To whom a report to this address belongs; blocks.
///
/// # Errors
/// [`NoWayBack`].
pub fn reverse(directory: &Directory, address: &EmailAddress, now: u64) -> Result<EmailAddress, NoWayBack> {
    let keys = Ring::open(directory, now)?.keys();
    let sender = postern_srs::reverse(&keys, address, Day::of_unix_seconds(now))?;
    if sender.domain().as_str() != LONG_SENDERS {
        return Ok(sender);
    }
    let id = sender.local_part().as_str().parse().map_err(|_| Rejected::Malformed)?;
    Ok(directory.long_sender(id)?.ok_or(Rejected::Expired)?)
}

fn stand_in(directory: &Directory, sender: &EmailAddress, now: u64) -> Result<EmailAddress, DirectoryError> {
    let today = now / SECONDS_OF_DAY;
    let id = directory.keep_long_sender(sender, today, today.saturating_sub(u64::from(LIFETIME_DAYS) + 1))?;
    let corrupt = || DirectoryError::Corrupt(LONG_SENDERS.to_owned());
    let domain = DomainName::parse(LONG_SENDERS).map_err(|_| corrupt())?;
    let local_part = LocalPart::from_unquoted(&id.to_string()).map_err(|_| corrupt())?;
    EmailAddress::new(local_part, domain).map_err(|_| corrupt())
}

/// The keys as they are kept.
#[derive(Serialize, Deserialize)]
struct Ring {
    current: [u8; KEY_OCTETS],
    /// Day since 1970.
    since: u64,
    previous: Option<[u8; KEY_OCTETS]>,
}

impl Ring {
    /// Makes or changes the key where it is time.
    fn open(directory: &Directory, now: u64) -> Result<Self, DirectoryError> {
        let today = now / SECONDS_OF_DAY;
        let kept = directory.setting(SETTING)?;
        let kept = kept.and_then(|kept| serde_json::from_slice::<Self>(&kept).ok());
        match kept {
            Some(ring) if today.saturating_sub(ring.since) < KEY_DAYS => Ok(ring.without_old(today)),
            before => {
                let previous = before.map(|ring| ring.current);
                let ring = Self { current: random()?, since: today, previous };
                let written = serde_json::to_vec(&ring);
                let written = written.map_err(|error| DirectoryError::Corrupt(error.to_string()))?;
                directory.set_setting(SETTING, written)?;
                Ok(ring)
            }
        }
    }

    fn without_old(self, today: u64) -> Self {
        let counts = today.saturating_sub(self.since) <= u64::from(LIFETIME_DAYS) + 1;
        Self { previous: self.previous.filter(|_| counts), ..self }
    }

    fn keys(&self) -> Keys {
        Keys::new(Key::new(self.current), self.previous.map(Key::new))
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.current);
        zeroize::Zeroize::zeroize(&mut self.previous);
    }
}

fn random() -> Result<[u8; KEY_OCTETS], DirectoryError> {
    let mut octets = [0; KEY_OCTETS];
    rand::fill(&mut octets).map_err(|_| DirectoryError::KeyGeneration)?;
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = SECONDS_OF_DAY;

    fn home() -> (tempfile::TempDir, Directory) {
        let state = tempfile::tempdir().expect("a directory");
        let directory = Directory::open(state.path()).expect("opened");
        (state, directory)
    }

    fn here() -> DomainName {
        DomainName::parse("home.example").expect("a domain")
    }

    fn address(text: &str) -> EmailAddress {
        text.parse().expect("an address")
    }

    #[test]
    fn a_key_counts_for_as_long_as_what_it_made() {
        let (_state, directory) = home();
        let sender = address("ana@far.example");
        let first = rewrite(&directory, &sender, &here(), 100 * DAY).expect("rewritten");
        let last = rewrite(&directory, &sender, &here(), 189 * DAY).expect("rewritten");
        assert_eq!(reverse(&directory, &last, 190 * DAY).expect("with the key before"), sender);
        assert_eq!(reverse(&directory, &last, 210 * DAY).expect("with the key before"), sender);
        assert!(matches!(reverse(&directory, &last, 211 * DAY), Err(NoWayBack::Rejected(Rejected::Expired))));
        assert!(matches!(reverse(&directory, &last, 213 * DAY), Err(NoWayBack::Rejected(Rejected::Forged))));
        assert!(reverse(&directory, &first, 211 * DAY).is_err());
    }

    #[test]
    fn a_long_sender_comes_back_and_its_stand_in_is_nobody() {
        let (_state, directory) = home();
        let long = address(&format!("bounces+{}@mail.far.example", "x".repeat(50)));
        let rewritten = rewrite(&directory, &long, &here(), 100 * DAY).expect("rewritten");
        assert_eq!(reverse(&directory, &rewritten, 101 * DAY).expect("led back"), long);
        let claimed = rewrite(&directory, &address("1@long-sender.invalid"), &here(), 100 * DAY);
        let back = reverse(&directory, &claimed.expect("rewritten"), 100 * DAY).expect("led back");
        assert_eq!(back.to_string(), "1@long-sender.invalid");
        rewrite(
            &directory,
            &address(&"y".repeat(60).to_string().chars().chain("@far.example".chars()).collect::<String>()),
            &here(),
            130 * DAY,
        )
        .expect("rewritten");
        assert_eq!(directory.long_sender(1).expect("read"), None, "forgotten after its days");
    }

    #[test]
    fn another_home_made_none_of_it() {
        let ((_one, ours), (_other, theirs)) = (home(), home());
        let rewritten = rewrite(&theirs, &address("ana@far.example"), &here(), DAY).expect("rewritten");
        assert!(matches!(reverse(&ours, &rewritten, DAY), Err(NoWayBack::Rejected(Rejected::Forged))));
    }
}
