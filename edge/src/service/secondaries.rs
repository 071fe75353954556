//! The secondary name servers, as home lists them.
//!
//! In: a list that home pushed. Out: the list that transfers and NOTIFY go by, after it is on the disk; the addresses at
//! which secondaries know this name server; what is known of each, for the status. Refused: a list that cannot be used
//! ([`SecondaryList::check`]), and one that the disk does not take: the one before still holds.

use std::net::IpAddr;

use postern_shared::control::Changed;
use postern_shared::secondary::{SecondariesHeld, SecondaryList};
use tokio::task::block_in_place;

use super::{ChangeError, Service};

impl Service {
    /// Lets these secondaries transfer zones, and no others, from now on, and tells them of changes.
    ///
    /// # Errors
    /// See [`ChangeError`]; those before then still hold.
    pub async fn put_secondaries(&self, list: SecondaryList) -> Result<Changed, ChangeError> {
        list.check()?;
        let changes = self.changes.lock().await;
        if *self.secondaries.current() == list {
            return Ok(Changed { changed: false });
        }
        block_in_place(|| changes.state.save_secondaries(&list))?;
        tracing::info!(secondaries = list.secondaries.len(), "secondary name servers taken from home");
        self.secondaries.replace(list);
        Ok(Changed { changed: true })
    }

    /// The addresses at which secondaries know the name server: those that it is told to listen on, or the public ones.
    pub fn name_server_addresses(&self) -> Vec<IpAddr> {
        let listed = self.config.dns.listen.iter().map(|address| address.ip());
        listed.filter(|address| !address.is_unspecified()).chain(self.public().addresses).collect()
    }

    pub(super) fn secondaries_held(&self) -> SecondariesHeld {
        self.secondaries.status(&self.zones.current())
    }
}
