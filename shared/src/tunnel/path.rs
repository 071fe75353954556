//! The path MTU: how long a packet may be so that its datagram passes the path to the peer in one piece.
//!
//! In: the fate of probes, hints of the kernel, the time. Out: the length of the next probe, and the limit that the data
//! plane keeps to. Lengths are those of inner packets, octets. A probe is a heartbeat padded to its length, sent with the
//! don't-fragment bit, whose answer is as long as itself: so the limit holds for both directions. No ICMP is needed.
//! Packetization layer path MTU discovery for datagrams: RFC 8899, with these words of its §5.2:
//!
//! | phase | limit | probes |
//! |---|---|---|
//! | base | [`START`], or what a narrowed path left, not yet confirmed | the limit |
//! | search | the longest that passed | the greatest length, then the middle between what passed and what did not |
//! | search complete | no longer one passes | the limit, every [`CONFIRM`] while long packets are sent; the search again after [`RAISE`] |
//!
//! A length counts as refused after [`ATTEMPTS`] lost probes, each sent beside a short beat that was answered: where all
//! is lost the path is down, not narrow. When the limit itself is refused (a black hole, §4.3), it falls to [`BASE`] at
//! once, and to [`FLOOR`] where even that is too long; the search then climbs again. A hint of the kernel lowers the limit
//! at once and proves nothing (§4.6.2).

use std::time::{Duration, Instant};

/// Where the limit starts: common access lines take it with both overheads (PPPoE, DS-Lite, mobile networks).
pub const START: u16 = 1380;

/// Where the limit falls first: every IPv6 path takes it (RFC 8200 §5: 1280 octets, less 80 of IPv6, UDP and WireGuard).
pub const BASE: u16 = 1200;

/// The least limit: an IPv4 datagram of 576 octets, which every host takes (RFC 791 §3.1), less 60.
pub const FLOOR: u16 = 516;

/// How many probes of one length are lost before it counts as refused (RFC 8899 §5.1.2, MAX_PROBES).
const ATTEMPTS: u8 = 3;

/// How often the limit is confirmed while long packets are sent.
const CONFIRM: Duration = Duration::from_secs(1);

/// How long after a search it is repeated, since a path may have become wider (RFC 8899 §5.1.1, PMTU_RAISE_TIMER).
const RAISE: Duration = Duration::from_secs(600);

/// The limit of one path, and the search for it.
#[derive(Debug, Clone)]
pub struct PathMtu {
    /// The greatest length that is tried.
    ceiling: u16,
    /// Packets up to this length are sent.
    limit: u16,
    /// When the limit was last seen to pass on this path; `None` in the phase base.
    confirmed: Option<Instant>,
    /// The least length that was refused; the ceiling and one where none was.
    refused: u16,
    /// When refused lengths are tried again; set when a search is complete.
    raise_at: Option<Instant>,
    probe: Option<Probe>,
}

/// The probe that is on its way, or was lost and will be repeated.
#[derive(Debug, Clone, Copy)]
struct Probe {
    octets: u16,
    sent: Instant,
    lost: u8,
}

/// What time asks for, and what a probe can be judged by.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Now.
    pub now: Instant,
    /// How long an answer may take.
    pub patience: Duration,
    /// When the latest short beat that was answered had been sent.
    pub echoed: Option<Instant>,
    /// Whether either end sends long packets.
    pub is_in_use: bool,
}

impl PathMtu {
    /// A path of which nothing is known; no length above `ceiling` is ever tried.
    pub fn new(ceiling: u16) -> Self {
        let limit = START.min(ceiling);
        Self {
            ceiling,
            limit,
            confirmed: None,
            refused: ceiling.saturating_add(1),
            raise_at: None,
            probe: None,
        }
    }

    /// The longest packet to be sent.
    pub fn limit(&self) -> u16 {
        self.limit
    }

    /// Whether the limit has been seen to pass.
    pub fn is_confirmed(&self) -> bool {
        self.confirmed.is_some()
    }

    /// Tries lengths up to another ceiling from now on.
    pub fn set_ceiling(&mut self, ceiling: u16) {
        let ceiling = ceiling.max(FLOOR);
        if ceiling != self.ceiling {
            *self = Self { limit: self.limit.min(ceiling), ..Self::new(ceiling) };
        }
    }

    /// Forgets what is known, since the path may be another one; the limit stays until a probe has spoken.
    pub fn restart(&mut self) {
        *self = self.unconfirmed();
    }

    /// The same limit, with everything still to be seen.
    pub fn unconfirmed(&self) -> Self {
        Self { limit: self.limit, ..Self::new(self.ceiling) }
    }

    /// The length of the probe to be sent now, if one is due. A short beat must be sent beside it.
    pub fn due(&mut self, clock: Clock) -> Option<u16> {
        match self.probe {
            Some(probe) if clock.now.saturating_duration_since(probe.sent) < clock.patience => return None,
            Some(probe) => self.judge(probe, clock),
            None => {}
        }
        let lost = self.probe.map_or(0, |probe| probe.lost);
        let octets = self.probe.map(|probe| probe.octets).or_else(|| self.choose(clock))?;
        self.probe = Some(Probe { octets, sent: clock.now, lost });
        Some(octets)
    }

    /// A probe without an answer: lost where the short beat beside it was answered, else it says nothing.
    fn judge(&mut self, probe: Probe, clock: Clock) {
        if clock.echoed.is_none_or(|echoed| echoed < probe.sent) {
            return;
        }
        let lost = probe.lost + 1;
        self.probe = Some(Probe { lost, ..probe });
        if lost >= ATTEMPTS {
            self.refuse(probe.octets);
        }
    }

    fn choose(&mut self, clock: Clock) -> Option<u16> {
        let Some(confirmed) = self.confirmed else { return Some(self.limit) };
        if clock.is_in_use && clock.now.saturating_duration_since(confirmed) >= CONFIRM {
            return Some(self.limit);
        }
        if self.raise_at.is_some_and(|at| clock.now >= at) {
            (self.refused, self.raise_at) = (self.ceiling.saturating_add(1), None);
        }
        let candidate = self.candidate();
        if candidate.is_none() && self.raise_at.is_none() {
            self.raise_at = Some(clock.now + RAISE);
        }
        candidate
    }

    /// The next length of the search; `None` where it is complete.
    fn candidate(&self) -> Option<u16> {
        if self.refused > self.ceiling {
            return (self.limit < self.ceiling).then_some(self.ceiling);
        }
        (self.refused - self.limit > 1).then(|| self.limit.midpoint(self.refused))
    }

    /// Takes the answer to a probe, which was `octets` long.
    pub fn passed(&mut self, octets: u16, now: Instant) {
        if octets < self.limit || octets > self.ceiling {
            return;
        }
        self.limit = octets;
        self.confirmed = Some(now);
        self.refused = self.refused.max(octets + 1);
        self.probe = self.probe.filter(|probe| probe.octets > octets);
    }

    /// Takes the kernel's word that a probe is longer than the first link.
    pub fn refuse(&mut self, octets: u16) {
        self.probe = self.probe.filter(|probe| probe.octets != octets);
        self.refused = self.refused.min(octets);
        if octets <= self.limit {
            self.lower(if octets > BASE { BASE } else { FLOOR });
        }
    }

    /// Takes the kernel's word (from ICMP, or a route's MTU) that packets above `octets` do not pass.
    pub fn hint(&mut self, octets: u16) {
        if octets < self.limit {
            self.refused = self.refused.min(octets + 1);
            self.lower(octets);
        }
    }

    fn lower(&mut self, octets: u16) {
        self.limit = octets.max(FLOOR).min(self.ceiling);
        // What is refused must lie above the limit, also where even the least length was.
        self.refused = self.refused.max(self.limit + 1);
        (self.confirmed, self.raise_at, self.probe) = (None, None, None);
    }
}

#[cfg(test)]
mod tests;
