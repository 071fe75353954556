//! The bans of the edge: home's list, without what must not be cut off.
//!
//! In: the whole list as home pushes it. Out: the firewall's sets, after the list is on the disk, and what was left out
//! with the reason. Refused: more than [`MOST_BANS`], and bans of the tunnel, of this machine, of where home is now, and of
//! what `never_ban` lists.

use std::net::IpAddr;

use postern_shared::bans::{Ban, BanList, BansTaken, MOST_BANS, Protected, RefusedBan, canonical};
use postern_shared::control::BansHeld;
use tokio::task::block_in_place;

use super::{ChangeError, Changes, Service, seconds_now};
use crate::forward::ForwardError;
use crate::host::{self, Survey};
use crate::state::KeptBans;

impl Service {
    /// Brings the firewall's sets to the bans that hold now; to be repeated every few seconds.
    pub async fn refresh_bans(&self) {
        let mut changes = self.changes.lock().await;
        if let Err(error) = block_in_place(|| changes.apply_bans()) {
            tracing::error!(%error, "the firewall does not hold all bans");
        }
    }

    /// Bans what home lists, and nothing else, from now on.
    ///
    /// # Errors
    /// See [`ChangeError`]; the bans before then hold.
    pub async fn put_bans(&self, list: &BanList) -> Result<BansTaken, ChangeError> {
        if list.bans.len() > MOST_BANS {
            return Err(ChangeError::TooManyBans(list.bans.len()));
        }
        let survey = host::survey().await.unwrap_or_default();
        let mut changes = self.changes.lock().await;
        let (taken, refused) = sorted_out(list, &self.protected(&survey, &changes));
        let bans = KeptBans::new(&taken, seconds_now(), &changes.bans);
        let changed = changes.bans.revision != bans.revision;
        let before = std::mem::replace(&mut changes.bans, bans);
        block_in_place(|| changes.keep_bans(before))?;
        tracing::info!(bans = taken.bans.len(), refused = refused.len(), "bans taken from home");
        Ok(BansTaken { changed, refused })
    }

    /// What home cannot have banned.
    fn protected(&self, survey: &Survey, changes: &Changes) -> Protected {
        let mut protected = Protected::default();
        let tunnel = &self.config.tunnel;
        for inner in [
            IpAddr::from(tunnel.edge_v4),
            tunnel.home_v4.into(),
            tunnel.edge_v6.into(),
            tunnel.home_v6.into(),
        ] {
            protected.add(inner, "an address of the tunnel");
        }
        let own = survey.interfaces.values().flatten().copied().chain(self.public().addresses);
        own.for_each(|address| protected.add(address, "an address of the edge itself"));
        let home = changes
            .tunnel
            .status()
            .epochs
            .into_iter()
            .filter_map(|epoch| Some(epoch.endpoint?.ip().to_canonical()));
        protected.add_all(home, "where home is now");
        protected
            .add_all(self.config.forward.never_ban.iter().copied(), "listed in `never_ban` of edge.toml");
        protected
    }
}

impl Changes {
    /// Puts the bans on the disk and in force; where that fails, those before, so that home sees them and tries again.
    fn keep_bans(&mut self, before: KeptBans) -> Result<(), ChangeError> {
        let saved = self.state.save_bans(&self.bans).map_err(ChangeError::from);
        let kept = saved.and_then(|()| Ok(self.apply_bans()?));
        if kept.is_err() {
            self.bans = before;
            if let Err(error) = self.state.save_bans(&self.bans) {
                tracing::warn!(%error, "the former bans could not be stored again");
            }
        }
        kept
    }

    pub(super) fn apply_bans(&mut self) -> Result<(), ForwardError> {
        let now = seconds_now();
        self.forwarding.ban(&self.bans.current(now), now)
    }

    pub(super) fn bans_held(&self) -> BansHeld {
        BansHeld { revision: self.bans.revision.clone(), count: self.bans.current(seconds_now()).len() }
    }
}

/// What can be taken of a list, and what not.
fn sorted_out(list: &BanList, protected: &Protected) -> (BanList, Vec<RefusedBan>) {
    let (mut bans, mut refused) = (Vec::new(), Vec::new());
    for ban in &list.bans {
        let network = canonical(ban.network);
        match protected.refusal(&network) {
            Some(why) => refused.push(RefusedBan { network, why }),
            None => bans.push(Ban { network, ..ban.clone() }),
        }
    }
    for RefusedBan { network, why } in &refused {
        tracing::warn!(%network, why, "a ban of home's is not taken");
    }
    (BanList { revision: list.revision.clone(), bans }, refused)
}
