//! Who may be home: handshakes that the edge has answered beside the session that carries the mail.
//!
//! In: answered initiations, the proof that somebody holds the keys of one, the current session's answers to challenges.
//! Out: which candidate takes the current session's place, and which one is fenced. Refused: an initiation seen before,
//! and any candidate that has proven nothing.
//!
//! WireGuard refuses an initiation that is older than the last one, by the initiator's clock (whitepaper §5.1). A home
//! without a battery clock would be locked out by that, and a clock that once ran ahead would lock it out for years. So
//! the edge does not look at the time of an initiation at all (Deviates: whitepaper §5.1). Each one is answered by a
//! session of its own, which can do nothing until a transport packet has come on it: that takes the private key and an
//! answer to the edge's fresh ephemeral key, so a recorded initiation never gets so far, however often it is replayed.
//!
//! ```text
//! initiation --> UNPROVEN --transport packet--> the same run of home, or its endpoint,
//!                   |                           or nobody is current or heard ------------------> current
//!                   |                        \-> another home: CONTENDING --current is silent---> current
//!      15 s, or more than 16                          |
//!                   v                          current has answered the challenge
//!                 dropped  <------silent for 60 s--- FENCED --current silent for an hour--------> current
//! ```
//! While a candidate contends, the edge challenges the current session five times a second. So a restarted home is let in
//! after [`trial`], and a copy of home beside the living one is fenced within a round trip. Only the answer to a challenge
//! that is younger than the candidate, and was sent, counts: another packet may have been made before the current home
//! died, and have stood in a queue, or been withheld by somebody on the way. A stock WireGuard peer in the place of home answers none, so
//! of two such peers the later one is current.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::tunnel::beats::DEAD_AFTER;
use crate::tunnel::ends::Ends;
use crate::tunnel::gate::network;
use crate::tunnel::session::Session;

/// How long the current session may leave the challenge unanswered, at least, before a contender takes its place.
const TRIAL: Duration = Duration::from_millis(1500);

/// How long the current home must have been silent before a home that was fenced takes its place. A fenced home is
/// likely to be an old copy: mail must not go there because a line was down for a while, and senders try for days.
pub const TAKEOVER_AFTER: Duration = Duration::from_secs(3600);

/// How long an answered initiation may prove itself.
const UNPROVEN_FOR: Duration = Duration::from_secs(15);

/// How long a fenced home is remembered after its last packet.
const FENCED_FOR: Duration = Duration::from_secs(60);

/// Candidates at a time. A home whose round trip takes a second is safe from 15 spoofed replays in that second; of more
/// than 20 the gate asks for cookies.
const MOST: usize = 16;

/// Unproven candidates of one address, or of one IPv6 /64, at a time: more only replace each other.
const MOST_OF_ONE_ADDRESS: usize = 4;

/// What is known of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its initiation was answered; that may have been a recording.
    Unproven,
    /// It holds the keys, and wants to take the current session's place.
    Contending {
        /// When it takes that place unless the challenge is answered.
        until: Instant,
        /// The challenge that was new when it proved itself; greater ones are newer.
        challenge: u64,
    },
    /// It holds the keys, but another home that holds them too is alive.
    Fenced {
        /// When that was found.
        since: Instant,
    },
}

/// A session that is not the current one.
pub struct Candidate {
    /// The session.
    pub session: Session,
    /// What is known of it.
    pub standing: Standing,
    /// The sequence number of its last beat, to be answered when its standing is clear.
    pub last_beat: Option<u64>,
    /// When its initiation was answered.
    pub answered: Instant,
}

impl Candidate {
    /// What becomes of it beside this current session.
    pub fn claim(&self, current: &Session, now: Instant) -> Claim {
        let is_free = current.last_received.is_none() || self.session.is_same_home(current);
        let heard = current.last_received.unwrap_or(now);
        let silence = now.saturating_duration_since(heard);
        match self.standing {
            Standing::Unproven => Claim::Waits,
            _ if is_free => Claim::Succeeds,
            Standing::Contending { challenge, .. } if current.answered >= challenge => Claim::Refused,
            Standing::Contending { until, .. } if now >= until || silence >= DEAD_AFTER => Claim::Succeeds,
            Standing::Contending { .. } => Claim::Waits,
            Standing::Fenced { .. } if silence >= TAKEOVER_AFTER => Claim::Succeeds,
            Standing::Fenced { .. } => Claim::Refused,
        }
    }
}

/// What becomes of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It takes the current session's place.
    Succeeds,
    /// It is not clear yet.
    Waits,
    /// The current home lives: this one is fenced.
    Refused,
}

/// All candidates of an epoch.
#[derive(Default)]
pub struct Candidates {
    list: Vec<Candidate>,
    /// The latest challenge; the first one is 1.
    challenge: u64,
}

/// How long the current session may leave a challenge unanswered, where its round trip is known: a line that is busy with
/// an upload may take seconds.
pub fn trial(round_trip: Option<Duration>) -> Duration {
    round_trip.map_or(TRIAL, |time| (time * 3).clamp(TRIAL, DEAD_AFTER))
}

impl Candidates {
    /// Takes up an answered initiation, in the place of another one where there are too many.
    pub fn admit(&mut self, session: Session, now: Instant) {
        if let Some(place) = session.initiator().and_then(|address| self.victim(address)) {
            self.list.swap_remove(place);
        }
        let standing = Standing::Unproven;
        self.list.push(Candidate { session, standing, last_beat: None, answered: now });
    }

    /// The candidate that makes way for a new one of this address: the oldest of the same network where that has many,
    /// else the oldest unproven one, else the oldest.
    fn victim(&self, address: IpAddr) -> Option<usize> {
        let unproven = |candidate: &&Candidate| candidate.standing == Standing::Unproven;
        let neighbour = |candidate: &&Candidate| {
            unproven(candidate) && candidate.session.initiator().map(network) == Some(network(address))
        };
        if self.list.iter().filter(neighbour).count() >= MOST_OF_ONE_ADDRESS {
            return self.oldest(neighbour);
        }
        if self.list.len() < MOST {
            return None;
        }
        self.oldest(unproven).or_else(|| self.oldest(|_| true))
    }

    fn oldest(&self, of: impl Fn(&&Candidate) -> bool) -> Option<usize> {
        let among = self.list.iter().enumerate().filter(|(_, candidate)| of(candidate));
        among.min_by_key(|(_, candidate)| candidate.answered).map(|(place, _)| place)
    }

    /// The candidate with these receiver indices.
    pub fn find(&mut self, index: u32) -> Option<&mut Candidate> {
        self.list.iter_mut().find(|candidate| candidate.session.index == index)
    }

    /// Takes a candidate out.
    pub fn take(&mut self, index: u32) -> Option<Candidate> {
        let place = self.list.iter().position(|candidate| candidate.session.index == index)?;
        Some(self.list.swap_remove(place))
    }

    /// Forgets what this run of home began before the session that has succeeded: home has moved on, and a late packet
    /// must not bring it back.
    pub fn forget_before(&mut self, run: Option<u32>, answered: Instant) {
        let is_of_run = |other: &Candidate| run.is_some() && other.session.run == run;
        self.list.retain(|other| !is_of_run(other) || other.answered > answered);
    }

    /// Notes a transport packet on a candidate: whoever sent it holds the keys, and contends for as long as `trial`. An
    /// older session of the same run hands its standing on and goes.
    pub fn prove(&mut self, index: u32, from: Ends, trial: Duration, now: Instant) {
        let Some(proven) = self.find(index) else { return };
        proven.session.endpoint = Some(from);
        proven.session.last_received = Some(now);
        if proven.standing != Standing::Unproven {
            return;
        }
        let run = proven.session.run;
        let is_older = |other: &Candidate| other.session.run == run && other.standing != Standing::Unproven;
        let older = self.list.iter().position(is_older).map(|place| self.list.swap_remove(place));
        let standing = older.map_or_else(|| self.challenged(now + trial), |older| older.standing);
        if let Some(proven) = self.find(index) {
            proven.standing = standing;
        }
    }

    fn challenged(&mut self, until: Instant) -> Standing {
        self.challenge += 1;
        Standing::Contending { until, challenge: self.challenge }
    }

    /// The candidate that takes the current session's place now: of several the one that has waited longest.
    pub fn heir(&self, current: &Session, now: Instant) -> Option<u32> {
        let succeeding =
            self.list.iter().filter(|candidate| candidate.claim(current, now) == Claim::Succeeds);
        succeeding.min_by_key(|candidate| candidate.answered).map(|heir| heir.session.index)
    }

    /// Fences the contenders that the current session has outlived, and names them.
    pub fn refuse(&mut self, current: &Session, now: Instant) -> Vec<u32> {
        let is_refused = |candidate: &&mut Candidate| {
            matches!(candidate.standing, Standing::Contending { .. })
                && candidate.claim(current, now) == Claim::Refused
        };
        let refused = self.list.iter_mut().filter(is_refused);
        refused
            .map(|candidate| {
                candidate.standing = Standing::Fenced { since: now };
                candidate.session.index
            })
            .collect()
    }

    /// Forgets those whose time is over.
    pub fn expire(&mut self, now: Instant) {
        self.list.retain(|candidate| {
            let heard = candidate.session.last_received.unwrap_or(candidate.answered);
            let patience = if candidate.standing == Standing::Unproven { UNPROVEN_FOR } else { FENCED_FOR };
            now.saturating_duration_since(heard) < patience
        });
    }

    /// What the current session must answer while somebody contends: the newest challenge, which stands for all.
    pub fn challenge(&self) -> Option<u64> {
        let contends = |candidate: &Candidate| matches!(candidate.standing, Standing::Contending { .. });
        self.list.iter().any(contends).then_some(self.challenge)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Candidate> {
        self.list.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_line_has_more_time_and_none_has_more_than_a_dead_one() {
        let trial = |milliseconds| trial(Some(Duration::from_millis(milliseconds)));
        assert_eq!([trial(30), trial(500), trial(1000)].map(|time| time.as_millis()), [1500, 1500, 3000]);
        assert_eq!(trial(60_000), DEAD_AFTER);
    }
}
