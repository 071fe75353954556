//! The edge's side of an epoch: answers initiations, and lets one session succeed another.

use std::time::{Duration, Instant};

use super::candidate::{Candidate, Claim, Standing, trial};
use super::{Epoch, Received, session_index};
use crate::tunnel::Fenced;
use crate::tunnel::core::Outlet;
use crate::tunnel::ends::Ends;
use crate::tunnel::heartbeat::{Kind, MESSAGE_OCTETS, Message, encode_fenced};
use crate::tunnel::session::{DATA, Fingerprint, Opened, Session};

/// How long packets that were under way when home renewed its keys are still taken.
const PREVIOUS_FOR: Duration = Duration::from_secs(10);

/// The session before the current one, of the same home.
pub struct Previous {
    session: Session,
    replaced: Instant,
}

impl Epoch {
    /// Answers an initiation that has passed the gate by a session of its own; the current one is not touched.
    pub(super) fn answer(
        &mut self,
        from: Ends,
        initiation: &[u8],
        scratch: &mut [u8],
        now: Instant,
        out: &mut impl Outlet,
    ) -> Received {
        if Fingerprint::new(from.peer, initiation).is_none_or(|fingerprint| self.has_answered(fingerprint)) {
            return Received::Rejected;
        }
        let index = self.free_index();
        let answered =
            Session::answering(&self.config, index, &self.gate.open(), (from, initiation), scratch);
        let Some((session, response)) = answered else { return Received::Rejected };
        out.send(from, response);
        self.candidates.admit(session, now);
        Received::Authentic
    }

    fn has_answered(&self, initiation: Fingerprint) -> bool {
        self.sessions().any(|session| session.answers(initiation))
    }

    /// A session index that nobody has. There are 256, and far fewer sessions.
    fn free_index(&mut self) -> u32 {
        loop {
            self.next_session = self.next_session.wrapping_add(1);
            let index = session_index(self.number, self.next_session);
            if self.sessions().all(|session| session.index != index) {
                return index;
            }
        }
    }

    fn sessions(&self) -> impl Iterator<Item = &Session> {
        let previous = self.previous.iter().map(|previous| &previous.session);
        let candidates = self.candidates.iter().map(|candidate| &candidate.session);
        std::iter::once(&self.current).chain(previous).chain(candidates)
    }

    /// Takes a datagram for a session that is not the current one.
    pub(super) fn receive_beside(
        &mut self,
        index: u32,
        (from, datagram): (Ends, &[u8]),
        scratch: &mut [u8],
        now: Instant,
        out: &mut impl Outlet,
    ) -> Received {
        if let Some(previous) = self.previous.as_mut().filter(|former| former.session.index == index) {
            return match previous.session.open(from, datagram, scratch, out) {
                Opened::Packet { octets, source } => self.take(source, octets, now, out),
                Opened::Keepalive => Received::Authentic,
                _ => Received::Rejected,
            };
        }
        let opened =
            self.candidates.find(index).map(|candidate| candidate.session.open(from, datagram, scratch, out));
        match opened {
            Some(Opened::Packet { octets, source }) => {
                if self.prove(index, from, octets, now, out) {
                    return self.take(source, octets, now, out);
                }
            }
            Some(Opened::Keepalive) => {
                if self.prove(index, from, 0, now, out) {
                    return Received::Authentic;
                }
            }
            _ => return Received::Rejected,
        }
        Received::Fenced
    }

    /// Notes that a candidate holds the keys, shown by a packet of so many octets in the outlet's room; tells whether it is
    /// the current session now.
    fn prove(&mut self, index: u32, from: Ends, octets: usize, now: Instant, out: &mut impl Outlet) -> bool {
        self.candidates.prove(index, from, trial(self.beats.report().round_trip), now);
        let Some(candidate) = self.candidates.find(index) else { return false };
        if candidate.claim(&self.current, now) == Claim::Succeeds {
            self.succeed(index, now);
            return true;
        }
        let message = Message::decode(out.room(octets), self.config.heartbeat);
        if let Some(beat) = message.filter(|message| message.kind == Kind::Beat) {
            candidate.last_beat = Some(beat.sequence);
            self.tell_fenced(index, out);
        }
        false
    }

    /// Lets a candidate take the current session's place.
    fn succeed(&mut self, index: u32, now: Instant) {
        let Some(Candidate { session, answered, .. }) = self.candidates.take(index) else { return };
        self.candidates.forget_before(session.run, answered);
        let is_same_home = session.is_same_home(&self.current);
        let former = std::mem::replace(&mut self.current, session);
        self.previous = is_same_home.then_some(Previous { session: former, replaced: now });
    }

    /// Decides between the current session and those that contend with it.
    pub(super) fn judge(&mut self, now: Instant, out: &mut impl Outlet) {
        self.previous = self
            .previous
            .take()
            .filter(|former| now.saturating_duration_since(former.replaced) < PREVIOUS_FOR);
        self.candidates.expire(now);
        if let Some(index) = self.candidates.heir(&self.current, now) {
            let waiting = self.candidates.find(index).and_then(|heir| heir.last_beat);
            self.succeed(index, now);
            if let Some(sequence) = waiting {
                let answer = Message { kind: Kind::Answer, sequence, ..Message::default() };
                self.send_beat(&answer, MESSAGE_OCTETS, out);
                self.beats.answered_late(sequence);
            }
        }
        for index in self.candidates.refuse(&self.current, now) {
            let Some(fenced) = self.candidates.find(index).and_then(|fenced| fenced.session.peer_address())
            else {
                continue;
            };
            tracing::warn!(
                epoch = self.config.id.0, current = ?self.current.peer_address(), %fenced,
                "a second home with the same keys is fenced: it is likely to be a restored backup"
            );
            self.tell_fenced(index, out);
        }
        if let Some(challenge) = self.candidates.challenge() {
            self.current.challenged = challenge;
            self.send_beat(&Message { sequence: challenge, ..Message::default() }, MESSAGE_OCTETS, out);
        }
    }

    /// The current home has answered a challenge, so it lived when that was made. A number that it was not sent says
    /// nothing: it would answer challenges that are yet to come, when the home may be dead.
    pub(super) fn vouched(&mut self, challenge: u64) {
        if challenge <= self.current.challenged {
            self.current.answered = self.current.answered.max(challenge);
        }
    }

    /// Answers a fenced home's beat: it carries no mail, and why.
    fn tell_fenced(&mut self, index: u32, out: &mut impl Outlet) {
        let Some(current) = self.current.peer_address() else { return };
        let Some(fenced) = self.candidates.find(index) else { return };
        let (Standing::Fenced { .. }, Some(endpoint)) = (fenced.standing, fenced.session.endpoint) else {
            return;
        };
        let sequence = fenced.last_beat.unwrap_or_default();
        let packet = encode_fenced(sequence, current, self.config.heartbeat);
        if let Some((octets, Some(DATA))) = fenced.session.seal(&packet, out) {
            out.send_slot(endpoint, octets);
        }
    }

    /// The home that is fenced, if one is.
    pub(super) fn fenced(&self, now: Instant) -> Option<Fenced> {
        self.candidates.iter().find_map(|candidate| match candidate.standing {
            Standing::Fenced { since } => Some(Fenced {
                endpoint: candidate.session.peer_address()?,
                since: now.saturating_duration_since(since),
            }),
            Standing::Unproven | Standing::Contending { .. } => None,
        })
    }
}
