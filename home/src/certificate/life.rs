//! The life of the certificate of one set of names: what is to be done next, and when to look again.
//!
//! In: what is kept (the present and the next key and their certificates, the keys just shown, failures), the policy, the
//! time. Out: a [`Step`] and a time; each step that was carried out is told to the [`Life`], which is kept durably before
//! the next one. No clock, no input or output, no chance: whoever calls brings those.
//!
//! | present | next | is done |
//! |---|---|---|
//! | any | no key | the key is made, so that its TLSA record is there long before it is needed |
//! | none, or due for renewal | a key | a certificate is ordered for it, where the clock is right, the zone is served, and the last failure lies back far enough |
//! | any | a certificate, its TLSA record not at all name servers, or younger than two TTLs there | nothing: a sender may remember the old record set |
//! | any | a certificate, its TLSA record old enough | it is taken up; the old key is just shown |
//! | any, with a key just shown for two TTLs | any | that key's TLSA record goes |
//!
//! The time of a renewal is when a third of the life is left, or when the authority says (RFC 9773), if that is earlier.
//! A clock that is in doubt orders nothing, takes up nothing, and retires nothing.
//!
//! RFC 7671 §8.1 asks to wait two TTLs on either side of a key's use. A secondary name server that does not follow is waited
//! for as long as it may serve what it has: it gives a zone up that it has not refreshed for the SOA's EXPIRE (RFC 1035
//! §3.3.13).

mod kept;
mod told;

use std::time::Duration;

use super::key::KeyId;

pub use kept::{Life, Next, Order, Present, Retired, Span, Stage, Trouble};
pub use told::{Dice, Extent};

/// No certificate is renewed earlier by an authority's wish, nor in the first tenth of its life where that is shorter.
const LEAST_AGE: Duration = Duration::from_secs(24 * 3600);

/// What holds for a set of names, whatever has happened to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Where to order; `None` where nothing is ordered.
    pub stage: Option<Stage>,
    /// The TTL of the TLSA records in seconds; `None` where these names have none.
    pub tlsa_ttl: Option<u64>,
    /// For how many seconds a name server may serve a zone that it cannot refresh.
    pub zone_expire: u64,
    /// The key that is shown while there is no certificate.
    pub fallback: Option<KeyId>,
}

/// The circumstances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since 1970.
    pub now: u64,
    /// Whether the clock may be believed.
    pub is_clock_right: bool,
    /// Whether the edge serves the zones of these names as home last made them.
    pub is_published: bool,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Make the key that comes next.
    MakeKey,
    /// Order a certificate for it, or go on with the order.
    Order(Stage),
    /// Show the next certificate.
    TakeUp,
    /// Drop a next certificate that has ended.
    Drop,
    /// Take a key's TLSA record away.
    Forget(KeyId),
    /// Ask the authority when it wants a renewal.
    AskSuggestion,
    /// Nothing, until this time if there is one.
    Rest(Option<u64>),
}

impl Life {
    /// What is to be done now.
    pub fn plan(&self, policy: &Policy, moment: &Moment) -> Step {
        if self.next.is_none() && policy.stage.is_some() {
            return Step::MakeKey;
        }
        if !moment.is_clock_right {
            return Step::Rest(None);
        }
        let mut wake = Wake::default();
        self.retire(policy, moment, &mut wake)
            .or_else(|| self.advance(policy, moment, &mut wake))
            .or_else(|| self.ask(policy, moment, &mut wake))
            .unwrap_or(Step::Rest(wake.0))
    }

    fn retire(&self, policy: &Policy, moment: &Moment, wake: &mut Wake) -> Option<Step> {
        let wait = two_ttls(policy);
        let is_over = |retired: &&Retired| wake.at(retired.since + wait, moment);
        self.retired.iter().find(is_over).map(|retired| Step::Forget(retired.key))
    }

    fn advance(&self, policy: &Policy, moment: &Moment, wake: &mut Wake) -> Option<Step> {
        let next = self.next.as_ref()?;
        match next.certificate {
            Some(span) if span.until <= moment.now => Some(Step::Drop),
            Some(_) => {
                let since = self.usable_since(next, policy)?;
                wake.at(since, moment).then_some(Step::TakeUp)
            }
            None => self.order(policy, moment, wake),
        }
    }

    fn order(&self, policy: &Policy, moment: &Moment, wake: &mut Wake) -> Option<Step> {
        let stage = policy.stage?;
        let is_due = self.present.as_ref().is_none_or(|present| wake.at(present.renewal(), moment));
        let is_tried_again = self.trouble.as_ref().is_none_or(|trouble| wake.at(trouble.again, moment));
        (is_due && is_tried_again && moment.is_published).then_some(Step::Order(stage))
    }

    fn ask(&self, policy: &Policy, moment: &Moment, wake: &mut Wake) -> Option<Step> {
        let present = self.present.as_ref().filter(|_| policy.stage == Some(Stage::Production))?;
        let is_due = moment.now < present.renewal() && wake.at(present.ask_again, moment);
        is_due.then_some(Step::AskSuggestion)
    }

    /// From when on nobody can remember a record set without the next key. Where the very first one had it, at once.
    fn usable_since(&self, next: &Next, policy: &Policy) -> Option<u64> {
        let Some(_) = policy.tlsa_ttl else { return Some(0) };
        let appeared = next.appeared.or(next.published)?;
        if self.tlsa_since.is_some_and(|since| appeared <= since) {
            return Some(appeared);
        }
        let expired = appeared + policy.zone_expire;
        Some(next.published.map_or(expired, |published| published.min(expired)) + two_ttls(policy))
    }

    /// When the next certificate will be taken up, if there is one and that is known.
    pub fn take_up_at(&self, policy: &Policy) -> Option<u64> {
        let next = self.next.as_ref().filter(|next| next.certificate.is_some())?;
        self.usable_since(next, policy)
    }

    /// When the next certificate is ordered, as far as is known.
    pub fn order_at(&self) -> u64 {
        let renewal = self.present.as_ref().map_or(0, Present::renewal);
        renewal.max(self.trouble.as_ref().map_or(0, |trouble| trouble.again))
    }

    /// All keys whose TLSA records shall be there.
    pub fn keys(&self, fallback: Option<KeyId>) -> Vec<KeyId> {
        let present = self.present.as_ref().map(|present| present.key).or(fallback);
        let next = self.next.as_ref().map(|next| next.key);
        let mut keys: Vec<KeyId> =
            present.into_iter().chain(next).chain(self.retired.iter().map(|retired| retired.key)).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

fn two_ttls(policy: &Policy) -> u64 {
    2 * policy.tlsa_ttl.unwrap_or(0)
}

/// The earliest time at which something changes.
#[derive(Default)]
struct Wake(Option<u64>);

impl Wake {
    /// Whether the time has come; if not, it is a time to wake at.
    fn at(&mut self, time: u64, moment: &Moment) -> bool {
        let has_come = time <= moment.now;
        if !has_come {
            self.0 = Some(self.0.map_or(time, |wake| wake.min(time)));
        }
        has_come
    }
}

#[cfg(test)]
mod tests;
