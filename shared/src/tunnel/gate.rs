//! What a handshake message has to pass before it costs a handshake.
//!
//! In: an initiation or a response, with its sender's address. Out: whether it may go on, or the cookie reply that it gets
//! instead. Refused: what has no right mac1 under our static key; under load what has no right mac2, that is, whose sender
//! has not shown that it receives at its address (whitepaper §5.3); and of those who have shown it, what one address sends
//! beyond its share. So a flood from forged addresses costs a keyed hash or two and a short reply each, and one from true
//! addresses no more than [`PLACES`] times [`SHARE`] handshakes a second, while a peer elsewhere gets through.
//!
//! boringtun's `RateLimiter` checks the macs and makes the cookies. When we are under load is decided here, by the clock of
//! the caller: `RateLimiter` forgets all at each full second of its own, and has no limit for who answers cookies.
//!
//! One gate stands before all sessions of a static key; see [`Gate::open`] for what these are given.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use boringtun::noise::TunnResult;
use boringtun::noise::errors::WireGuardError;
use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::x25519::PublicKey;

/// Handshake messages of all senders that pass without a cookie: beyond these we are under load.
const UNPROVEN: Allowance = Allowance { each: Duration::from_millis(50), burst: 20 };

/// Handshake messages of one sender that pass with a right cookie.
const SHARE: Allowance = Allowance { each: Duration::from_millis(250), burst: 8 };

/// Among how many shares the senders are distributed.
const PLACES: usize = 256;

/// Decides over the handshake messages for one static key.
pub struct Gate {
    /// Checks mac1 only.
    open: Arc<RateLimiter>,
    /// Checks mac1 and mac2.
    strict: RateLimiter,
    unproven: Bucket,
    /// By a keyed hash of the address, so that nobody can choose whose share to use up.
    shares: [Bucket; PLACES],
    hasher: RandomState,
}

/// What becomes of a handshake message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may go on to a session.
    Pass,
    /// It is answered with the cookie reply of so many octets that was written to the buffer.
    Reply(usize),
    /// Its mac1 belongs to another static key.
    NotOurs,
    /// It is no handshake message, or its sender has had its share.
    Refused,
}

impl Gate {
    /// A gate for the holder of a static key.
    pub fn new(public: &PublicKey) -> Self {
        Self {
            open: Arc::new(RateLimiter::new(public, u64::MAX)),
            strict: RateLimiter::new(public, 0),
            unproven: Bucket::default(),
            shares: [Bucket::default(); PLACES],
            hasher: RandomState::new(),
        }
    }

    /// The limiter for the sessions behind the gate: it limits nothing.
    pub fn open(&self) -> Arc<RateLimiter> {
        Arc::clone(&self.open)
    }

    /// Decides over a message; `buffer` takes a cookie reply (64 octets).
    pub fn admit(&mut self, from: IpAddr, datagram: &[u8], now: Instant, buffer: &mut [u8]) -> Verdict {
        match self.open.verify_packet(Some(from), datagram, buffer) {
            Ok(_) if self.unproven.take(UNPROVEN, now) => return Verdict::Pass,
            Ok(_) => {}
            Err(TunnResult::Err(WireGuardError::InvalidMac)) => return Verdict::NotOurs,
            Err(_) => return Verdict::Refused,
        }
        match self.strict.verify_packet(Some(from), datagram, buffer) {
            Ok(_) if self.share_of(from).take(SHARE, now) => Verdict::Pass,
            Ok(_) => Verdict::Refused,
            Err(TunnResult::WriteToNetwork(reply)) => Verdict::Reply(reply.len()),
            Err(_) => Verdict::Refused,
        }
    }

    fn share_of(&mut self, from: IpAddr) -> &mut Bucket {
        let place = self.hasher.hash_one(network(from)) as usize % PLACES;
        &mut self.shares[place]
    }
}

/// What one sender can easily have all of: an IPv4 address, an IPv6 /64.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

/// How much a bucket gives.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    /// How long until one more is given.
    each: Duration,
    /// How many are given at once at most.
    burst: u32,
}

/// A token bucket, as the moment at which it will be full again.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    full_at: Option<Instant>,
}

impl Bucket {
    /// Takes one, if there is one.
    fn take(&mut self, allowance: Allowance, now: Instant) -> bool {
        let full_at = self.full_at.map_or(now, |at| at.max(now)) + allowance.each;
        let has_one = full_at - now <= allowance.each * allowance.burst;
        if has_one {
            self.full_at = Some(full_at);
        }
        has_one
    }
}

#[cfg(test)]
mod tests {
    use boringtun::noise::Tunn;
    use boringtun::x25519::StaticSecret;

    use super::*;

    const STRANGER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 66));
    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 20));

    fn edge() -> PublicKey {
        PublicKey::from(&StaticSecret::from([1; 32]))
    }

    /// Someone who knows the edge's public key and has a key of its own.
    fn dialler() -> Tunn {
        Tunn::new(StaticSecret::from([9; 32]), edge(), None, None, 1, None)
    }

    fn initiation(dialler: &mut Tunn) -> Vec<u8> {
        match dialler.format_handshake_initiation(&mut [0; 148], true) {
            TunnResult::WriteToNetwork(datagram) => datagram.to_vec(),
            other => panic!("{other:?}"),
        }
    }

    /// Sends so many initiations; how many passed and how many were answered with a cookie, which the dialler takes up.
    fn dial(gate: &mut Gate, dialler: &mut Tunn, from: IpAddr, count: usize, now: Instant) -> (usize, usize) {
        let (mut passed, mut replies) = (0, 0);
        for _ in 0..count {
            let mut buffer = [0; 64];
            match gate.admit(from, &initiation(dialler), now, &mut buffer) {
                Verdict::Pass => passed += 1,
                Verdict::Reply(octets) => {
                    replies += 1;
                    dialler.decapsulate(None, &buffer[..octets], &mut [0; 148]);
                }
                Verdict::NotOurs | Verdict::Refused => {}
            }
        }
        (passed, replies)
    }

    /// A gate that a flood of right mac1s has just put under load.
    fn under_load(now: Instant) -> Gate {
        let mut gate = Gate::new(&edge());
        for _ in 0..100 {
            dial(&mut gate, &mut dialler(), STRANGER, 1, now);
        }
        gate
    }

    #[test]
    fn a_few_pass_and_a_flood_is_asked_for_cookies() {
        let (mut gate, start) = (Gate::new(&edge()), Instant::now());
        let fresh = |gate: &mut Gate, now| dial(gate, &mut dialler(), STRANGER, 1, now);
        let passed = (0..1000).filter(|_| fresh(&mut gate, start) == (1, 0)).count();
        assert_eq!(passed, 20);
        assert_eq!(fresh(&mut gate, start), (0, 1));
        assert_eq!(fresh(&mut gate, start + Duration::from_millis(50)), (1, 0));
        assert_eq!(fresh(&mut gate, start + Duration::from_millis(50)), (0, 1));
    }

    #[test]
    fn a_peer_that_takes_up_its_cookie_passes_during_a_flood() {
        let now = Instant::now();
        let mut gate = under_load(now);
        assert_eq!(dial(&mut gate, &mut dialler(), HOME, 2, now), (1, 1));
    }

    #[test]
    fn a_cookie_is_worth_nothing_at_another_address() {
        let now = Instant::now();
        let mut gate = under_load(now);
        let mut peer = dialler();
        assert_eq!(dial(&mut gate, &mut peer, HOME, 1, now), (0, 1));
        assert_eq!(dial(&mut gate, &mut peer, STRANGER, 1, now), (0, 1));
    }

    #[test]
    fn who_answers_cookies_has_a_share_and_leaves_others_theirs() {
        let now = Instant::now();
        let mut gate = under_load(now);
        assert_eq!(dial(&mut gate, &mut dialler(), STRANGER, 1000, now), (8, 1));
        assert_eq!(dial(&mut gate, &mut dialler(), STRANGER, 1000, now + Duration::from_secs(1)).1, 1);
        // Two addresses may meet in one place; of several, one does not.
        let elsewhere = |last| IpAddr::from([198, 51, 100, last]);
        let passes = |last| dial(&mut gate, &mut dialler(), elsewhere(last), 2, now) == (1, 1);
        assert!((1..=8).any(passes));
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_sender() {
        let address = |last| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]);
        assert_eq!(network(address(1)), network(address(2)));
        assert_ne!(network(address(1)), network(IpAddr::from([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1])));
    }

    #[test]
    fn garbage_does_not_put_us_under_load() {
        let (mut gate, now) = (Gate::new(&edge()), Instant::now());
        let mut forged = initiation(&mut dialler());
        forged[120] ^= 1;
        for _ in 0..1000 {
            assert_eq!(gate.admit(STRANGER, &forged, now, &mut [0; 64]), Verdict::NotOurs);
        }
        assert_eq!(gate.admit(STRANGER, &forged[..147], now, &mut [0; 64]), Verdict::Refused);
        assert_eq!(dial(&mut gate, &mut dialler(), HOME, 1, now), (1, 0));
    }
}
