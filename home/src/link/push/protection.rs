//! Brings the edge's port map and bans to what they should be.
//!
//! The port map follows home's services; what home may connect to is the edge's to say, and stays as it is. The bans are
//! one list with a revision: an edge that names another revision gets the whole list.

use std::collections::BTreeMap;

use postern_shared::bans::{BansTaken, RefusedBan};
use postern_shared::control::{BANS_PATH, FORWARD_PATH, Forward, Status};
use postern_shared::http::{Method, Request};

use super::super::client::{ControlClient, ControlError};
use super::super::signed::seconds_now;
use super::super::{LinkError, Protection};
use super::Pusher;
use crate::bans::Book;

impl Pusher {
    /// Changes what differs; tells how the edge stands then, and what went wrong.
    pub(super) async fn protect(
        &self,
        edge: &ControlClient,
        status: &Status,
        bans: &Book,
    ) -> (Protection, Option<String>) {
        let forwarded = self.bring_forward(edge, status).await;
        let banned = self.bring_bans(edge, status, bans).await;
        let protection = Protection {
            forward: forwarded.as_ref().unwrap_or(&status.forward.ports).clone(),
            bans: status.bans.as_ref().map(|held| held.count),
            refused: banned.as_ref().ok().cloned().unwrap_or_default(),
            counters: status.counters.clone(),
        };
        let error = forwarded.err().or(banned.err());
        (protection, error.map(|error| error.to_string()))
    }

    /// The port map that the edge has on return.
    async fn bring_forward(
        &self,
        edge: &ControlClient,
        status: &Status,
    ) -> Result<BTreeMap<u16, u16>, LinkError> {
        if status.forward.ports != self.forward {
            let wanted = Forward { ports: self.forward.clone(), ..status.forward.clone() };
            let request =
                Request::new(Method::PUT, FORWARD_PATH).with_json(&wanted).map_err(ControlError::Request)?;
            self.send_signed(edge, request, status.last_counter).await?;
            tracing::info!(ports = ?self.forward, "the edge forwards home's services");
        }
        Ok(self.forward.clone())
    }

    /// What the edge refuses of the bans that it has on return.
    async fn bring_bans(
        &self,
        edge: &ControlClient,
        status: &Status,
        bans: &Book,
    ) -> Result<Vec<RefusedBan>, LinkError> {
        let list = bans.list(seconds_now());
        let is_known = |held: &str| held == list.revision || (held.is_empty() && list.bans.is_empty());
        if status.bans.as_ref().is_none_or(|held| is_known(&held.revision)) {
            let known = self.report.borrow().protection.as_ref().map(|known| known.refused.clone());
            return Ok(known.unwrap_or_default());
        }
        let request = Request::new(Method::PUT, BANS_PATH).with_json(&list).map_err(ControlError::Request)?;
        let answer = self.signer.call(edge, request, status.last_counter).await?;
        let mut taken: BansTaken = answer.json().map_err(ControlError::Answer)?;
        // An edge that was taken over may refuse what it was never sent.
        taken.refused.retain(|refused| list.bans.iter().any(|ban| ban.network == refused.network));
        taken.refused.truncate(list.bans.len());
        for RefusedBan { network, why } in &taken.refused {
            tracing::warn!(%network, why, "the edge does not take a ban");
        }
        tracing::info!(bans = list.bans.len() - taken.refused.len(), "the edge has taken the bans");
        Ok(taken.refused)
    }
}
