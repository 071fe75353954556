//! What the [`Life`] is told: each step that was carried out, and what came of it.

use std::time::Duration;

use super::{Life, Next, Order, Present, Retired, Span, Trouble};
use crate::certificate::key::KeyId;

/// The pause after the first failure; it doubles. Five an hour is what a large authority allows.
const FIRST_PAUSE: Duration = Duration::from_secs(5 * 60);
/// The longest pause while the certificate in use is good.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(12 * 3600);
/// The longest pause while it is missing, or ends soon.
const LONGEST_PAUSE_IN_NEED: Duration = Duration::from_secs(2 * 3600);
/// From here on a certificate ends soon.
const NEED: Duration = Duration::from_secs(7 * 86_400);
/// The longest pause that an authority may ask for.
const LONGEST_ORDERED_PAUSE: Duration = Duration::from_secs(7 * 86_400);

/// How long an order is gone back to that comes to nothing. What it has led to may not be seen from here (a chain that is
/// refused, a response that is lost), and a large authority issues no more than five certificates a week for the same names.
const ORDER_LIFE: Duration = Duration::from_secs(2 * 86_400);

/// How many of the name servers have something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// One at least.
    Somewhere,
    /// All.
    Everywhere,
}

/// A success or failure that needs chance: a number from 0 to 1.
pub type Dice = f64;

impl Life {
    /// Brings times that lie in the future, from when the clock was ahead, back to now.
    pub fn settle(&mut self, now: u64) {
        self.retired.iter_mut().for_each(|retired| retired.since = retired.since.min(now));
        self.tlsa_since = self.tlsa_since.map(|since| since.min(now));
        if let Some(next) = &mut self.next {
            next.appeared = next.appeared.map(|appeared| appeared.min(now));
            next.published = next.published.map(|published| published.min(now));
            next.order.iter_mut().for_each(|order| order.placed = order.placed.min(now));
        }
        if let Some(trouble) = self.trouble.as_mut().filter(|trouble| trouble.last > now) {
            let ahead = trouble.last - now;
            trouble.again = trouble.again.saturating_sub(ahead);
            trouble.ordered = trouble.ordered.map(|until| until.saturating_sub(ahead));
            trouble.last = now;
            trouble.first = trouble.first.min(now);
        }
        let longest = now + LONGEST_ORDERED_PAUSE.as_secs();
        if let Some(present) = &mut self.present {
            present.ask_again = present.ask_again.min(longest);
            present.wished = present.wished.map(|wished| wished.min(now));
        }
    }

    /// Name servers have TLSA records of these keys.
    pub fn seen(&mut self, keys: &[KeyId], extent: Extent, now: u64) {
        if keys.is_empty() {
            return;
        }
        self.tlsa_since.get_or_insert(now);
        if let Some(next) = self.next.as_mut().filter(|next| keys.contains(&next.key)) {
            next.appeared.get_or_insert(now);
            if extent == Extent::Everywhere {
                next.published.get_or_insert(now);
            }
        }
    }

    /// A key was made that comes next.
    pub fn key_made(&mut self, key: KeyId) {
        self.next = Some(Next { key, appeared: None, published: None, order: None, certificate: None });
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
        let known = self.next.clone().filter(|next| next.key == key);
        if known.is_none() {
            self.dropped();
        }
        let (appeared, published) = known.map_or((None, None), |next| (next.appeared, next.published));
        self.next = Some(Next { key, appeared, published, order: None, certificate: Some(span) });
    }

    /// A renewal is wished before its time. Gives the time until which it is put off, where the authority wants to be left
    /// alone.
    pub fn hurried(&mut self, now: u64) -> Option<u64> {
        if let Some(present) = &mut self.present {
            present.wished = Some(now);
        }
        let ordered = self.trouble.as_ref().and_then(|trouble| trouble.ordered).filter(|until| *until > now);
        self.trouble = self.trouble.take().zip(ordered).map(|(trouble, again)| Trouble { again, ..trouble });
        ordered
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
        self.present = Some(Present { key: next.key, span, suggested: None, wished: None, ask_again: now });
    }

    /// A key's TLSA record is gone.
    pub fn forgotten(&mut self, key: KeyId) {
        self.retired.retain(|retired| retired.key != key);
    }

    /// The next certificate has ended before it was shown, or another key takes its place. Name servers may have had its
    /// record without being seen with it, so the key after it is not in the first record set.
    pub fn dropped(&mut self) {
        if self.next.take().is_some() {
            self.tlsa_since.get_or_insert(0);
        }
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

    /// An order came to nothing, `reason` says why; the authority may have said when to come back (seconds from now). The
    /// order itself is gone back to for two days.
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
        let ordered = retry_after.map(|seconds| now + seconds.min(LONGEST_ORDERED_PAUSE.as_secs()));
        let again = (now + pause + jitter).max(ordered.unwrap_or(0));
        self.trouble = Some(Trouble { failures, first, last: now, again, ordered, reason });
        let is_old = |order: &Order| order.placed + ORDER_LIFE.as_secs() <= now;
        if let Some(next) = self.next.as_mut().filter(|next| next.order.as_ref().is_some_and(is_old)) {
            next.order = None;
        }
    }
}
