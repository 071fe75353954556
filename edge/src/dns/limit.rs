//! How many octets of UDP answers may go to addresses that could be forged.
//!
//! In: one answer's length, its query's, and the address. Out: whether it goes as it is, shortened to TC or BADCOOKIE, or not at all.
//! Two accounts bound what an attacker can make of us. That of the client's network bounds what reaches one victim; when
//! it is empty, every second answer is shortened and the others are dropped, so that a real client comes back over TCP.
//! That of all unproven clients together bounds what we give for what we get where victims are many: an answer is charged
//! with what it is longer than two and a half times its query.
//! Bounded memory: networks share [`NETWORKS`] accounts by a keyed hash. An asker with one of our cookies, or on TCP, has
//! proven its address and is not limited.

use std::hash::Hasher;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use siphasher::sip::SipHasher13;

/// Accounts of client networks.
const NETWORKS: usize = 1 << 15;

/// One network may get this much at once and then this much each second, octets: some 100 answers with their signatures,
/// and 27 a second.
const NETWORK: Allowance = Allowance { burst: 64 << 10, each_millisecond: 16 };

/// All networks may get this much in excess at once, and then this much each second, octets.
const ALL: Allowance = Allowance { burst: 1 << 20, each_millisecond: 64 };

/// Octets of answer for each octet of query that cost the common account nothing, times two.
const FREE_RATIO_TWICE: usize = 5;

/// What happens to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes.
    Send,
    /// It goes without its records, and with TC or BADCOOKIE.
    Shorten,
    /// It does not go.
    Drop,
}

/// The accounts.
pub struct Limiter {
    key: [u8; 16],
    start: Instant,
    networks: Box<[Account]>,
    all: Account,
    limited: u64,
    /// How many of these were told, and when.
    told: (u64, Option<Instant>),
}

#[derive(Debug, Clone, Copy)]
struct Allowance {
    burst: u32,
    each_millisecond: u32,
}

/// Octets that may still go, and the millisecond in which that was so.
#[derive(Debug, Clone, Copy)]
struct Account {
    octets: u32,
    at: u32,
}

impl Limiter {
    /// Full accounts. `key` is secret and random: nobody chooses whose account it shares.
    pub fn new(key: [u8; 16], now: Instant) -> Self {
        let full = |allowance: Allowance| Account { octets: allowance.burst, at: 0 };
        Self {
            key,
            start: now,
            networks: vec![full(NETWORK); NETWORKS].into(),
            all: full(ALL),
            limited: 0,
            told: (0, None),
        }
    }

    /// Judges an answer of `answer` octets to a query of `query` octets, and charges it.
    pub fn judge(&mut self, client: IpAddr, query: usize, answer: usize, now: Instant) -> Verdict {
        // Wraps after 49 days, as the difference of two such times does.
        let at = now.saturating_duration_since(self.start).as_millis() as u32;
        let place = self.place(client);
        if !self.networks[place].take(answer, NETWORK, at) {
            self.limited += 1;
            return if self.limited.is_multiple_of(2) { Verdict::Shorten } else { Verdict::Drop };
        }
        let excess = answer.saturating_sub(query * FREE_RATIO_TWICE / 2);
        if self.all.take(excess, ALL, at) {
            return Verdict::Send;
        }
        self.limited += 1;
        Verdict::Shorten
    }

    /// How many answers were shortened or dropped since this was last told, at most once every `pause`.
    pub fn news(&mut self, pause: Duration, now: Instant) -> Option<u64> {
        if self.limited == self.told.0
            || self.told.1.is_some_and(|at| now.saturating_duration_since(at) < pause)
        {
            return None;
        }
        let before = std::mem::replace(&mut self.told, (self.limited, Some(now)));
        Some(self.limited - before.0)
    }

    fn place(&self, client: IpAddr) -> usize {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        match client.to_canonical() {
            IpAddr::V4(v4) => hasher.write(&v4.octets()[..3]),
            IpAddr::V6(v6) => hasher.write(&v6.octets()[..7]),
        }
        hasher.finish() as usize % NETWORKS
    }
}

impl Account {
    fn take(&mut self, octets: usize, allowance: Allowance, at: u32) -> bool {
        let earned = at.wrapping_sub(self.at).saturating_mul(allowance.each_millisecond);
        self.octets = self.octets.saturating_add(earned).min(allowance.burst);
        self.at = at;
        match u32::try_from(octets).ok().and_then(|octets| self.octets.checked_sub(octets)) {
            Some(left) => {
                self.octets = left;
                true
            }
            None => false,
        }
    }
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Limiter").field("limited", &self.limited).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: usize = 60;
    const ANSWER: usize = 1200;
    /// Octets of an answer without records.
    const SHORT: usize = 71;

    /// Octets in and out when `queries` come within `seconds`, each from the address that `client` gives.
    fn flood(
        limiter: &mut Limiter,
        start: Instant,
        seconds: u32,
        queries: u32,
        client: impl Fn(u32) -> IpAddr,
    ) -> (usize, usize) {
        let (mut asked, mut answered) = (0, 0);
        for number in 0..queries {
            let now = start + Duration::from_secs(seconds.into()) * number / queries;
            asked += QUERY;
            answered += match limiter.judge(client(number), QUERY, ANSWER, now) {
                Verdict::Send => ANSWER,
                Verdict::Shorten => SHORT,
                Verdict::Drop => 0,
            };
        }
        (asked, answered)
    }

    fn v4(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn an_attacker_gets_at_most_three_octets_for_one() {
        let start = Instant::now();
        for client in
            [|_| v4(7), |number: u32| v4(number % 256), |number: u32| v4(number.wrapping_mul(0x9e37_79b9))]
        {
            let mut limiter = Limiter::new([1; 16], start);
            let (asked, answered) = flood(&mut limiter, start, 10, 200_000, client);
            assert!(answered <= 3 * asked, "{answered} for {asked}");
        }
    }

    #[test]
    fn a_bystander_is_answered_whole_while_one_network_is_flooded() {
        let start = Instant::now();
        let mut limiter = Limiter::new([1; 16], start);
        flood(&mut limiter, start, 2, 40_000, |_| v4(7));
        let (_, answered) =
            flood(&mut limiter, start + Duration::from_secs(2), 1, 20, |_| "192.0.2.1".parse().unwrap());
        assert_eq!(answered, 20 * ANSWER);
    }

    #[test]
    fn a_limited_network_gets_tc_every_second_time_and_recovers() {
        let start = Instant::now();
        let mut limiter = Limiter::new([1; 16], start);
        flood(&mut limiter, start, 1, 1000, |_| v4(7));
        let mut judge =
            |seconds: u64| limiter.judge(v4(7), QUERY, ANSWER, start + Duration::from_secs(seconds));
        let both = [judge(1), judge(1), judge(1), judge(1)];
        assert_eq!(both.iter().filter(|verdict| **verdict == Verdict::Shorten).count(), 2, "{both:?}");
        assert_eq!(judge(3), Verdict::Send);
    }

    #[test]
    fn networks_are_24_bits_of_ipv4_and_56_of_ipv6() {
        let limiter = Limiter::new([1; 16], Instant::now());
        let place = |text: &str| limiter.place(text.parse().unwrap());
        assert_eq!(place("192.0.2.1"), place("192.0.2.200"));
        assert_eq!(place("::ffff:192.0.2.1"), place("192.0.2.200"));
        assert_ne!(place("192.0.2.1"), place("192.0.3.1"));
        assert_eq!(place("2001:db8::1"), place("2001:db8:0:ff::1"));
        assert_ne!(place("2001:db8::1"), place("2001:db8:0:100::1"));
    }
}
