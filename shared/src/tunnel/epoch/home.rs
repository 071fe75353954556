//! Home's side of an epoch: dials, beats, and knows whether the edge admits it.
//!
//! Fenced means that another home with the same keys is connected: this one is likely to be a restored backup beside the
//! living home, and carries no mail. It beats on, so that the edge goes on telling it. But where it loses the edge it does
//! not dial again before the edge would let it take over; otherwise an edge that is restarted could take the copy in
//! before the home that it had.
//!
//! A stock WireGuard peer in the edge's place answers no beat. It is believed after a while, and judged by WireGuard's own
//! rule for a dead peer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::candidate::TAKEOVER_AFTER;
use super::{Epoch, Received, outer_octets};
use crate::tunnel::Fenced;
use crate::tunnel::beats::{Asking, Beats, DEAD_AFTER};
use crate::tunnel::core::Outlet;
use crate::tunnel::ends::Ends;
use crate::tunnel::heartbeat::MESSAGE_OCTETS;

/// Home's persistent keepalive, seconds; the heartbeat is faster, this holds while it is off.
pub const KEEPALIVE_SECONDS: u16 = 10;

/// How often a peer that does not answer is sent a new handshake initiation: at first, and later.
const RETRY: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// After how many initiations without an answer they become rarer.
const EAGER_ATTEMPTS: u32 = 20;

/// How long a peer may leave beats unanswered before it counts as a stock one: longer than the edge may take to choose
/// between two homes.
const STOCK_AFTER: Duration = Duration::from_secs(3);

/// After this long without a packet a stock peer counts as dead: KEEPALIVE_TIMEOUT and REKEY_TIMEOUT (whitepaper §6.5),
/// since it answers our beats by a keepalive only.
const STOCK_DEAD_AFTER: Duration = Duration::from_secs(15);

/// What the edge thinks of this home.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Standing {
    /// It has not said.
    #[default]
    Unknown,
    /// A handshake has succeeded, no beat is answered yet.
    Connected {
        /// When.
        since: Instant,
    },
    /// It answers our beats.
    Admitted,
    /// Another home with the same keys is connected.
    Fenced {
        /// The other one's endpoint.
        other: SocketAddr,
        /// When it said so first.
        since: Instant,
        /// When it said so last.
        told: Instant,
        /// Whether the edge is lost since, so that it is not to be dialled yet.
        is_quiet: bool,
    },
}

impl Standing {
    /// Whether packets to the edge go anywhere.
    pub fn is_admitted(self, now: Instant) -> bool {
        match self {
            Standing::Unknown | Standing::Fenced { .. } => false,
            Standing::Connected { since } => now.saturating_duration_since(since) >= STOCK_AFTER,
            Standing::Admitted => true,
        }
    }

    /// After how much silence the peer counts as dead.
    pub fn patience(self) -> Duration {
        match self {
            Standing::Connected { .. } => STOCK_DEAD_AFTER,
            Standing::Unknown | Standing::Admitted | Standing::Fenced { .. } => DEAD_AFTER,
        }
    }

    /// Whether no handshake may be begun.
    pub fn is_quiet(self) -> bool {
        matches!(self, Standing::Fenced { is_quiet: true, .. })
    }

    /// What the status says of it.
    pub fn fenced(self, now: Instant) -> Option<Fenced> {
        match self {
            Standing::Fenced { other, since, .. } => {
                Some(Fenced { endpoint: other, since: now.saturating_duration_since(since) })
            }
            Standing::Unknown | Standing::Connected { .. } | Standing::Admitted => None,
        }
    }
}

impl Epoch {
    /// A handshake has succeeded: asks at once what the edge thinks of us.
    pub(super) fn connected(&mut self, from: Ends, now: Instant, out: &mut impl Outlet) -> Received {
        if self.standing == Standing::Unknown {
            self.standing = Standing::Connected { since: now };
        }
        self.handshakes += 1;
        if let Some(asking) = self.asking() {
            asking.hasten();
        }
        self.beat(now, out);
        self.heard(from, now)
    }

    /// Agrees new session keys with a peer that is heard, before they are due; the session goes on until then.
    pub fn renew(&mut self, scratch: &mut [u8], out: &mut impl Outlet) {
        if let (Some(to), Some(initiation)) = (self.current.endpoint, self.current.dial(scratch)) {
            out.send(to, initiation);
        }
    }

    /// A beat was answered.
    pub(super) fn answered(&mut self) {
        if let Standing::Fenced { .. } = self.standing {
            tracing::warn!(epoch = self.config.id.0, "the other home is gone; this one carries the mail now");
        }
        self.standing = Standing::Admitted;
    }

    /// The edge says that another home is connected, from there.
    pub(super) fn told_of(&mut self, other: Option<SocketAddr>, now: Instant) {
        let Some(other) = other else { return };
        let mut since = now;
        match self.standing {
            Standing::Fenced { since: first, .. } => since = first,
            Standing::Unknown | Standing::Connected { .. } | Standing::Admitted => tracing::error!(
                epoch = self.config.id.0, %other,
                "another home with the same keys is connected to the edge; this one is fenced and carries no mail. Stop \
                 one of the two; `postern-home tunnel status` tells more"
            ),
        }
        self.standing = Standing::Fenced { other, since, told: now, is_quiet: false };
    }

    /// Beats, and dials where the edge is not heard.
    pub(super) fn keep_connected(&mut self, scratch: &mut [u8], now: Instant, out: &mut impl Outlet) {
        self.beat(now, out);
        let is_heard = self.is_heard(now);
        if let Standing::Fenced { told, is_quiet, .. } = &mut self.standing {
            *is_quiet = !is_heard && now.saturating_duration_since(*told) < TAKEOVER_AFTER;
        }
        let pause = if self.attempts < EAGER_ATTEMPTS { RETRY[0] } else { RETRY[1] };
        let is_too_soon = self.last_attempt.is_some_and(|last| now.saturating_duration_since(last) < pause);
        if is_too_soon || self.standing.is_quiet() || (is_heard && !self.is_suspect(now)) {
            return;
        }
        self.last_attempt = Some(now);
        self.attempts = self.attempts.saturating_add(1);
        self.renew(scratch, out);
    }

    /// Whether an edge that has answered beats leaves them unanswered now: it may have been restarted.
    fn is_suspect(&self, now: Instant) -> bool {
        match &self.beats {
            Beats::Home(asking) => self.standing == Standing::Admitted && asking.is_suspect(now),
            Beats::Edge(_) => false,
        }
    }

    /// Sends the beats that are due, probes of the path among them.
    fn beat(&mut self, now: Instant, out: &mut impl Outlet) {
        if !self.current.has_keys() {
            return;
        }
        let (unanswered, has_sent_long) = (self.unanswered, std::mem::take(&mut self.has_sent_long));
        let Some(due) = self.asking().map(|asking| asking.due(now, unanswered, has_sent_long)) else {
            return;
        };
        if let Some(beat) = &due.beat {
            self.send_beat(beat, MESSAGE_OCTETS, out);
        }
        if let Some((probe, octets)) = &due.probe
            && !self.send_beat(probe, *octets, out)
            && let Some(asking) = self.asking()
        {
            asking.path_mut().refuse(*octets);
        }
    }

    /// Tries packets up to this length, octets.
    pub fn set_ceiling(&mut self, octets: u16) {
        if let Some(asking) = self.asking() {
            asking.path_mut().set_ceiling(octets);
        }
    }

    /// Takes the kernel's word that the way to an address passes no more than these octets, headers included.
    pub fn hint(&mut self, to: SocketAddr, octets: u16) {
        if self.current.peer_address() == Some(to)
            && let Some(asking) = self.asking()
        {
            asking.path_mut().hint(octets.saturating_sub(outer_octets(to)));
        }
    }

    /// The edge is dialled at another address: the path there is another one.
    pub(super) fn forget_path(&mut self) {
        if let Some(asking) = self.asking() {
            asking.path_mut().restart();
        }
    }

    fn asking(&mut self) -> Option<&mut Asking> {
        match &mut self.beats {
            Beats::Home(asking) => Some(asking),
            Beats::Edge(_) => None,
        }
    }
}
