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
//! | any | a certificate, its TLSA record younger than two TTLs | nothing: a sender may remember the old record set |
//! | any | a certificate, its TLSA record old enough | it is taken up; the old key is just shown |
//! | any, with a key just shown for two TTLs | any | that key's TLSA record goes |
//!
//! The time of a renewal is when a third of the life is left, or when the authority says (RFC 9773), if that is earlier.
//! A clock that is in doubt orders nothing, takes up nothing, and retires nothing.
//!
//! RFC 7671 §8.1 asks to wait two TTLs on either side of a key's use.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::key::KeyId;

/// The pause after the first failure; it doubles. Five an hour is what a large authority allows.
const FIRST_PAUSE: Duration = Duration::from_secs(5 * 60);
/// The longest pause while the certificate in use is good.
const LONGEST_PAUSE: Duration = Duration::from_secs(12 * 3600);
/// No certificate is renewed earlier by an authority's wish, nor in the first tenth of its life where that is shorter.
const LEAST_AGE: Duration = Duration::from_secs(24 * 3600);
/// The longest pause while it is missing, or ends soon.
const LONGEST_PAUSE_IN_NEED: Duration = Duration::from_secs(2 * 3600);
/// From here on a certificate ends soon.
const NEED: Duration = Duration::from_secs(7 * 86_400);
/// The longest pause that an authority may ask for.
const LONGEST_ORDERED_PAUSE: Duration = Duration::from_secs(7 * 86_400);

/// What is kept of the certificate of one set of names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Life {
    /// What is shown; a self-made certificate where absent.
    pub present: Option<Present>,
    /// What will be shown.
    pub next: Option<Next>,
    /// Keys that were shown a moment ago.
    pub retired: Vec<Retired>,
    /// Since when the world has seen TLSA records of these names, in seconds since 1970.
    pub tlsa_since: Option<u64>,
    /// What went wrong since the last success.
    pub trouble: Option<Trouble>,
}

/// The certificate that is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present {
    /// Its key.
    pub key: KeyId,
    /// When it counts.
    pub span: Span,
    /// When the authority wants it renewed, if it said so; in seconds since 1970.
    #[serde(default)]
    pub suggested: Option<u64>,
    /// When the authority is to be asked for that again.
    #[serde(default)]
    pub ask_again: u64,
}

/// The key that comes next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// The key.
    pub key: KeyId,
    /// Since when the world has seen its TLSA record, in seconds since 1970.
    pub published: Option<u64>,
    /// The order that is under way.
    pub order: Option<Order>,
    /// When its certificate counts, once it has one.
    pub certificate: Option<Span>,
}

/// An order under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its URL.
    pub url: String,
    /// Where it is.
    pub stage: Stage,
}

/// Which of the authority's services an order is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Its test service, whose certificates nobody believes and whose limits are wide.
    Staging,
    /// The real one.
    Production,
}

/// When a certificate counts, in seconds since 1970 (RFC 5280 §4.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// `notBefore`.
    pub from: u64,
    /// `notAfter`.
    pub until: u64,
}

/// A key that was shown a moment ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// The key.
    pub key: KeyId,
    /// When it was last shown, in seconds since 1970.
    pub since: u64,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// How often in a row.
    pub failures: u32,
    /// When it first did, in seconds since 1970.
    pub first: u64,
    /// When it last did.
    pub last: u64,
    /// When it is tried again.
    pub again: u64,
    /// The last reason, in words.
    pub reason: String,
}

/// What holds for a set of names, whatever has happened to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Where to order; `None` where nothing is ordered.
    pub stage: Option<Stage>,
    /// The TTL of the TLSA records in seconds; `None` where these names have none.
    pub tlsa_ttl: Option<u64>,
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
    /// Whether the world sees the zones of these names as home last made them.
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

/// A success or failure that needs chance: a number from 0 to 1.
pub type Dice = f64;

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
        let published = next.published?;
        let is_first = self.tlsa_since.is_some_and(|since| published <= since);
        Some(if is_first { published } else { published + two_ttls(policy) })
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

    /// Brings times that lie in the future, from when the clock was ahead, back to now.
    pub fn settle(&mut self, now: u64) {
        self.retired.iter_mut().for_each(|retired| retired.since = retired.since.min(now));
        self.tlsa_since = self.tlsa_since.map(|since| since.min(now));
        if let Some(next) = &mut self.next {
            next.published = next.published.map(|published| published.min(now));
        }
        if let Some(trouble) = self.trouble.as_mut().filter(|trouble| trouble.last > now) {
            trouble.again = trouble.again.saturating_sub(trouble.last - now);
            trouble.last = now;
            trouble.first = trouble.first.min(now);
        }
        let longest = now + LONGEST_ORDERED_PAUSE.as_secs();
        if let Some(present) = &mut self.present {
            present.ask_again = present.ask_again.min(longest);
        }
    }

    /// The world sees TLSA records of these keys.
    pub fn seen(&mut self, keys: &[KeyId], now: u64) {
        if keys.is_empty() {
            return;
        }
        self.tlsa_since.get_or_insert(now);
        if let Some(next) = self.next.as_mut().filter(|next| keys.contains(&next.key)) {
            next.published.get_or_insert(now);
        }
    }

    /// A key was made that comes next.
    pub fn key_made(&mut self, key: KeyId) {
        self.next = Some(Next { key, published: None, order: None, certificate: None });
    }

    /// An order was placed.
    pub fn ordered(&mut self, order: Order) {
        if let Some(next) = &mut self.next {
            next.order = Some(order);
        }
    }

    /// The order is over, and another one is needed; the key stays.
    pub fn order_over(&mut self) {
        if let Some(next) = &mut self.next {
            next.order = None;
        }
    }

    /// The next key has its certificate.
    pub fn issued(&mut self, span: Span) {
        self.trouble = None;
        if let Some(next) = &mut self.next {
            next.order = None;
            next.certificate = Some(span);
        }
    }

    /// The operator has brought a key and its certificate.
    pub fn imported(&mut self, key: KeyId, span: Span) {
        let published = self.next.as_ref().filter(|next| next.key == key).and_then(|next| next.published);
        self.next = Some(Next { key, published, order: None, certificate: Some(span) });
    }

    /// A renewal is wished before its time.
    pub fn hurried(&mut self, now: u64) {
        if let Some(present) = &mut self.present {
            present.suggested = Some(now);
        }
        self.trouble = None;
    }

    /// The next certificate is shown.
    pub fn taken_up(&mut self, fallback: Option<KeyId>, now: u64) {
        let Some((next, span)) = self.next.take().and_then(|next| next.certificate.map(|span| (next, span)))
        else {
            return;
        };
        let before = self.present.as_ref().map(|present| present.key).or(fallback);
        self.retired.retain(|retired| retired.key != next.key);
        self.retired.extend(before.filter(|key| *key != next.key).map(|key| Retired { key, since: now }));
        self.present = Some(Present { key: next.key, span, suggested: None, ask_again: now });
    }

    /// A key's TLSA record is gone.
    pub fn forgotten(&mut self, key: KeyId) {
        self.retired.retain(|retired| retired.key != key);
    }

    /// The next certificate has ended before it was shown.
    pub fn dropped(&mut self) {
        self.next = None;
    }

    /// The authority wants the renewal within `window`, and to be asked again after so many seconds.
    pub fn suggested(&mut self, window: Span, after: u64, now: u64, dice: Dice) {
        let Some(present) = &mut self.present else { return };
        // RFC 9773 §4.2: a moment of the window by chance, so that not all come at once.
        let length = window.until.saturating_sub(window.from) as f64;
        present.suggested = Some(window.from + (length * dice.clamp(0.0, 1.0)) as u64);
        present.ask_again = now + after.clamp(3600, LONGEST_ORDERED_PAUSE.as_secs());
    }

    /// The authority has no suggestion, or none that was understood.
    pub fn not_suggested(&mut self, now: u64) {
        if let Some(present) = &mut self.present {
            present.ask_again = now + LONGEST_PAUSE.as_secs() * 2;
        }
    }

    /// An order came to nothing, `reason` says why; the authority may have said when to come back (seconds from now).
    pub fn failed(&mut self, reason: String, retry_after: Option<u64>, now: u64, dice: Dice) {
        let (failures, first) = self
            .trouble
            .as_ref()
            .map_or((1, now), |trouble| (trouble.failures.saturating_add(1), trouble.first));
        let is_in_need =
            self.present.as_ref().is_none_or(|present| present.span.until < now + NEED.as_secs());
        let longest = if is_in_need { LONGEST_PAUSE_IN_NEED } else { LONGEST_PAUSE };
        let doubled = FIRST_PAUSE.as_secs() << (failures - 1).min(16);
        let pause = doubled.min(longest.as_secs());
        let jitter = (pause as f64 / 4.0 * dice.clamp(0.0, 1.0)) as u64;
        let ordered = retry_after.unwrap_or(0).min(LONGEST_ORDERED_PAUSE.as_secs());
        self.trouble =
            Some(Trouble { failures, first, last: now, again: now + (pause + jitter).max(ordered), reason });
    }
}

impl Present {
    /// When it is to be renewed, in seconds since 1970.
    pub fn renewal(&self) -> u64 {
        let life = self.span.until.saturating_sub(self.span.from);
        let last_third = self.span.until.saturating_sub(life / 3);
        // A window that has passed already when a certificate comes would be followed by order after order.
        let earliest = self.span.from + LEAST_AGE.as_secs().min(life / 10);
        self.suggested.map_or(last_third, |suggested| suggested.max(earliest).min(last_third))
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
