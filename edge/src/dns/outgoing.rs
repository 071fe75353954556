//! Sends zone transfers over TCP connections, few at once, and none to those who do not read.
//!
//! In: a message that asks for a transfer, on a connection. Out: its messages, one buffer at a time, each when the one before has
//! been taken. Refused: more than [`MOST`] transfers at once, or [`MOST_EACH`] to one secondary (SERVFAIL; it comes again), a
//! reader that takes longer than [`PATIENCE`] for a message: its connection is closed.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use postern_shared::secondary::Transferred;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::message;
use super::respond::{Asker, Context};
use super::secondaries::SharedSecondaries;
use super::signed::{Opened, known_asker, open};
use super::transfer::{Request, Transfer};
use super::unix_seconds;

/// Transfers at once; each holds one message and a reference to its zone.
const MOST: usize = 16;

/// Transfers at once to one secondary, so that one that reads slowly keeps no other out.
const MOST_EACH: usize = 4;

/// How long a secondary may take for one message, at most 64 KiB.
const PATIENCE: Duration = Duration::from_secs(10);

/// The transfers that may be made at once.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    places: Arc<Semaphore>,
    /// Of each secondary that has had one; there are few secondaries.
    each: Arc<Mutex<BTreeMap<String, Arc<Semaphore>>>>,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(MOST)), each: Arc::default() }
    }
}

/// One of the places, and one of those of the secondary; dropping it gives both back.
struct Place {
    _of_all: OwnedSemaphorePermit,
    _of_secondary: OwnedSemaphorePermit,
}

/// A transfer that has a place.
pub(super) struct Placed {
    transfer: Transfer,
    _place: Place,
}

impl Outgoing {
    /// The transfer that a message asks for, if it asks for one that may be made now. Everything else is answered as usual.
    pub fn begin(&self, octets: &[u8], asker: Asker, context: &Context<'_>) -> Option<Placed> {
        if !Request::is_in(octets) {
            return None;
        }
        match open(octets, asker, context) {
            Opened::Proven(proven) => {
                if let Some(why) = hindrance(&Request::read(&proven.message)?, &proven.secondary, context) {
                    context.secondaries.was_refused(&proven.secondary, why);
                }
                let transfer = Transfer::new(*proven, context)?;
                let place = self.place(&transfer.secondary)?;
                Some(Placed { transfer, _place: place })
            }
            Opened::Unsigned => {
                if let Some(secondary) = known_asker(asker, None, context) {
                    let why = "it asks for a transfer without a key".to_owned();
                    context.secondaries.was_refused(&secondary, why);
                }
                None
            }
            Opened::Refused(_) => None,
        }
    }

    fn place(&self, secondary: &str) -> Option<Place> {
        let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
        let of_secondary =
            each.entry(secondary.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(MOST_EACH)));
        Some(Place {
            _of_secondary: Arc::clone(of_secondary).try_acquire_owned().ok()?,
            _of_all: Arc::clone(&self.places).try_acquire_owned().ok()?,
        })
    }
}

/// Why a believed request is refused, for the operator.
fn hindrance(request: &Request, secondary: &str, context: &Context<'_>) -> Option<String> {
    let origin = message::to_text(request.apex());
    match request.zone(secondary, context).err()? {
        hickory_proto::op::ResponseCode::Refused => {
            Some(format!("it asks for {origin}, which is not among its zones"))
        }
        _ => Some(format!("it asks for {origin}, which is not served here")),
    }
}

impl Placed {
    /// Sends it; `heard` is called whenever a message has been taken.
    ///
    /// # Errors
    /// What ends the connection.
    pub async fn send(
        self,
        stream: &mut (impl AsyncWrite + Unpin),
        secondaries: &SharedSecondaries,
        mut heard: impl FnMut(),
    ) -> io::Result<()> {
        let transfer = &self.transfer;
        let (mut messages, mut octets) = (transfer.messages(), 0);
        while let Some(message) = messages.next_message(unix_seconds()) {
            let message = message.map_err(|_| io::Error::other("a record fits into no message"))?;
            let length = u16::try_from(message.len()).map_err(io::Error::other)?;
            let framed = [&length.to_be_bytes()[..], &message].concat();
            timeout(PATIENCE, stream.write_all(&framed)).await??;
            octets += framed.len() as u64;
            heard();
        }
        secondaries.was_served(&transfer.secondary);
        if let Some(kind) = transfer.content.kind() {
            let transferred = Transferred { at: unix_seconds(), serial: transfer.zone.serial, kind, octets };
            secondaries.has_taken(&transfer.secondary, &transfer.zone.origin.to_string(), transferred);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_secondary_leaves_places_for_the_others() {
        let outgoing = Outgoing::default();
        let mut held: Vec<_> = (0..MOST).map_while(|_| outgoing.place("slow.example")).collect();
        assert_eq!(held.len(), MOST_EACH);
        assert!(outgoing.place("other.example").is_some());
        held.pop();
        assert!(outgoing.place("slow.example").is_some(), "a place is given back");
        let each = (0..2 * MOST).map_while(|number| outgoing.place(&format!("{number}.example")));
        assert_eq!(each.collect::<Vec<_>>().len() + held.len(), MOST);
    }
}
