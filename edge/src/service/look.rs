//! What home has looked at: see [`crate::look`] and `forward::mirror`.
//!
//! In: wishes of home, signed. Out: what was seen; the firewall with the mirror open, for so long as home asked. Refused:
//! what [`look`](crate::look) refuses. A mirror that nobody shuts is shut when its time is over.

use std::net::IpAddr;
use std::time::Duration;

use postern_shared::look::{
    Facts, MOST_ECHO_OCTETS, MOST_MIRROR_SECONDS, Mirror, MirrorWish, OutboundSeen, OutboundWish,
};
use tokio::task::block_in_place;
use tokio::time::Instant;

use super::{ChangeError, Changes, Service};
use crate::forward::{self, DesiredState, Passage};
use crate::host;
use crate::look::{NotLooked, facts, outbound};

impl Service {
    /// How this machine is.
    pub fn facts(&self) -> Facts {
        block_in_place(|| facts::look(&self.config.state_dir))
    }

    /// Whether octets may be sent back.
    ///
    /// # Errors
    /// [`NotLooked::TooLong`].
    pub fn echo(&self, octets: usize) -> Result<(), NotLooked> {
        if octets > MOST_ECHO_OCTETS { Err(NotLooked::TooLong(octets, MOST_ECHO_OCTETS)) } else { Ok(()) }
    }

    /// What mail servers of the world say to this machine.
    ///
    /// # Errors
    /// See [`NotLooked`].
    pub async fn look_outbound(&self, wish: &OutboundWish) -> Result<OutboundSeen, NotLooked> {
        outbound::check(wish)?;
        let _looking = self.looks.take(Instant::now())?;
        Ok(outbound::look(wish).await)
    }

    /// Opens the mirror, or shuts it.
    ///
    /// # Errors
    /// [`ChangeError::Forward`]; the mirror is then as before.
    pub async fn set_mirror(&self, wish: MirrorWish) -> Result<Mirror, ChangeError> {
        let seconds = wish.seconds.min(MOST_MIRROR_SECONDS);
        let addresses = self.arrivals().await;
        let mut changes = self.changes.lock().await;
        let until = (seconds > 0).then(|| Instant::now() + Duration::from_secs(seconds.into()));
        changes.apply_mirror(until)?;
        let state = changes.forwarding.state();
        Ok(Mirror {
            seconds,
            addresses,
            ports: state.ports.keys().copied().collect(),
            held: (state.passage == Passage::Held)
                .then(|| "home is silent, so new connections are held at the edge.".to_owned()),
        })
    }

    /// Shuts a mirror whose time is over; to be repeated every second or so.
    pub async fn shut_mirror_in_time(&self) {
        let mut changes = self.changes.lock().await;
        if changes.mirror_until.is_some_and(|until| until <= Instant::now())
            && let Err(error) = changes.apply_mirror(None)
        {
            tracing::warn!(%error, "the mirror cannot be shut; it is tried again");
        }
    }

    /// The addresses of this machine at which connections from the world arrive.
    async fn arrivals(&self) -> Vec<IpAddr> {
        match host::survey().await {
            Ok(survey) => host::arrivals(&self.public(), &survey),
            Err(error) => {
                tracing::warn!(%error, "this machine's addresses cannot be looked up");
                self.public().addresses
            }
        }
    }
}

impl Changes {
    fn apply_mirror(&mut self, until: Option<Instant>) -> Result<(), ChangeError> {
        let mirror = if until.is_some() { forward::Mirror::Open } else { forward::Mirror::Shut };
        let wanted = DesiredState { mirror, ..self.forwarding.state().clone() };
        block_in_place(|| self.forwarding.change(wanted))?;
        self.mirror_until = until;
        Ok(())
    }
}
