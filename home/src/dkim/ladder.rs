//! The life of DKIM keys: each pair is announced, signs, and retires, one after the other, without a person.
//!
//! * In: the keys of a domain, what the name servers serve, the time. Out: what becomes of the keys next.
//! * Refused: a key that signs before every name server has its record and resolvers have forgotten that there was none;
//!   steps by a doubtful clock (the caller's to ask for none).
//!
//! | stage | its record is published | it signs | goes on |
//! |---|---|---|---|
//! | announced | yes | no | when all name servers have served it for the longest TTL: it signs, and the pair before it retires |
//! | signing | yes | yes | when it is as old as the configuration says, or by `dns dkim rotate`: the next pair is announced |
//! | retiring | yes | no | after [`KEPT`]: it is deleted, and its record with it |
//!
//! Mail that was signed by a retiring key may wait five days in our queue and some at a receiver's, and mailing lists and
//! forwarders check late (RFC 6376 §3.1 asks for a reasonable time). A crash before or after any step repeats it at most: the
//! keys and their stages stand in one database, and each step is one transaction.

use std::sync::Arc;

use postern_store::directory::{DkimKey, DkimMove, DkimStage};

/// How long the record of a key stays that signs no longer, in seconds.
pub const KEPT: u64 = 14 * 86_400;
/// Added to the wait for a new key, in seconds: answers that are under way, and caches that count from their arrival.
const MARGIN: u64 = 60;

/// What is seen at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Sight {
    /// Seconds since 1970.
    pub now: u64,
    /// The longest time for which resolvers keep what they have of the domain, in seconds, where all its name servers have
    /// all these keys.
    pub served: Option<u32>,
    /// The age at which a key is followed by another, in seconds; `None` where that is a person's to say.
    pub lifetime: Option<u64>,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing now.
    Rest,
    /// A new pair is to be made.
    Announce,
    /// Keys go on.
    Move(Vec<DkimMove>),
}

/// What becomes of a domain's keys.
pub fn next(keys: &[Arc<DkimKey>], sight: Sight) -> Next {
    let Sight { now, served, lifetime } = sight;
    let at = |stage: DkimStage| keys.iter().filter(move |key| key.stage == stage);
    let age = |key: &DkimKey| key.since.map(|since| now.saturating_sub(since));
    let mut moves: Vec<DkimMove> = match served {
        Some(ttl) if at(DkimStage::Announced).any(|key| age(key) >= Some(u64::from(ttl) + MARGIN)) => {
            let takes_over = at(DkimStage::Announced).map(|key| to(key, DkimStage::Signing, now));
            takes_over.chain(at(DkimStage::Signing).map(|key| to(key, DkimStage::Retiring, now))).collect()
        }
        Some(_) => unseen(at(DkimStage::Announced), now),
        None => Vec::new(),
    };
    if moves.is_empty() {
        // Keys of a home that did not count their age yet begin to.
        moves = unseen(at(DkimStage::Signing), now);
    }
    let is_over = |key: &&Arc<DkimKey>| age(key) >= Some(KEPT);
    moves.extend(
        at(DkimStage::Retiring).filter(is_over).map(|key| DkimMove::Away { selector: key.selector.clone() }),
    );
    let is_old = |key: &Arc<DkimKey>| lifetime.is_some_and(|lifetime| age(key) >= Some(lifetime));
    if !moves.is_empty() {
        Next::Move(moves)
    } else if at(DkimStage::Announced).next().is_none() && at(DkimStage::Signing).any(is_old) {
        Next::Announce
    } else {
        Next::Rest
    }
}

/// Those that have not been seen at their stage before are from now on.
fn unseen<'a>(keys: impl Iterator<Item = &'a Arc<DkimKey>>, now: u64) -> Vec<DkimMove> {
    keys.filter(|key| key.since.is_none()).map(|key| to(key, key.stage, now)).collect()
}

fn to(key: &DkimKey, stage: DkimStage, since: u64) -> DkimMove {
    DkimMove::To { selector: key.selector.clone(), stage, since }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: u32 = 3600;
    const DAY: u64 = 86_400;

    /// A key as tests write it: `r1 signing 100`.
    fn key(text: &str) -> Arc<DkimKey> {
        let words: Vec<&str> = text.split(' ').collect();
        let stage = match words[1] {
            "announced" => DkimStage::Announced,
            "signing" => DkimStage::Signing,
            _ => DkimStage::Retiring,
        };
        Arc::new(DkimKey {
            domain: "home.example".parse().expect("a domain"),
            selector: words[0].to_owned(),
            algorithm: postern_store::directory::DkimAlgorithm::RsaSha256,
            private_key: Vec::new().into(),
            public_key: Vec::new(),
            stage,
            since: words.get(2).and_then(|since| since.parse().ok()),
        })
    }

    fn after(keys: &[&str], now: u64, served: Option<u32>) -> Next {
        let keys: Vec<_> = keys.iter().map(|text| key(text)).collect();
        next(&keys, Sight { now, served, lifetime: Some(180 * DAY) })
    }

    fn moved(selector: &str, stage: DkimStage, since: u64) -> DkimMove {
        DkimMove::To { selector: selector.to_owned(), stage, since }
    }

    #[test]
    fn a_key_of_unknown_age_begins_to_age() {
        let aging = Next::Move(vec![moved("r1", DkimStage::Signing, 50)]);
        assert_eq!(after(&["r1 signing"], 50, None), aging);
        assert_eq!(after(&["r1 signing 50"], 60, None), Next::Rest);
    }

    #[test]
    fn a_key_of_age_is_followed_once() {
        assert_eq!(after(&["r1 signing 0"], 180 * DAY - 1, Some(TTL)), Next::Rest);
        assert_eq!(after(&["r1 signing 0"], 180 * DAY, Some(TTL)), Next::Announce);
        assert_eq!(after(&["r1 signing 0", "r2 announced"], 180 * DAY, None), Next::Rest);
    }

    #[test]
    fn a_new_key_signs_when_no_resolver_can_have_missed_it() {
        let keys = ["r1 signing 0", "r2 announced"];
        assert_eq!(after(&keys, 500, Some(TTL)), Next::Move(vec![moved("r2", DkimStage::Announced, 500)]));
        let keys = ["r1 signing 0", "r2 announced 500"];
        assert_eq!(after(&keys, 500 + u64::from(TTL) + MARGIN - 1, Some(TTL)), Next::Rest);
        let late = 500 + u64::from(TTL) + MARGIN;
        assert_eq!(after(&keys, late, None), Next::Rest, "a name server lags");
        let change = vec![moved("r2", DkimStage::Signing, late), moved("r1", DkimStage::Retiring, late)];
        assert_eq!(after(&keys, late, Some(TTL)), Next::Move(change));
    }

    #[test]
    fn a_retired_key_goes_when_no_mail_of_it_is_under_way() {
        let keys = ["r1 retiring 0", "r2 signing 0"];
        assert_eq!(after(&keys, KEPT - 1, Some(TTL)), Next::Rest);
        assert_eq!(after(&keys, KEPT, None), Next::Move(vec![DkimMove::Away { selector: "r1".to_owned() }]));
    }

    #[test]
    fn without_a_lifetime_a_person_says_when() {
        let sight = Sight { now: 9999 * DAY, served: Some(TTL), lifetime: None };
        assert_eq!(next(&[key("r1 signing 0")], sight), Next::Rest);
    }
}
