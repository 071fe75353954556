//! Brings the edge's list of secondary name servers to what it should be, and takes its word on how they are.
//!
//! In: the list that home declares, the edge's status. Out: a signed `PUT` of the whole list where the edge names another
//! revision, as with the bans; what the edge says, cut to what it was asked about. Refused: nothing; an edge that knows no
//! secondaries is sent none.

use postern_shared::control::{SECONDARIES_PATH, Status};
use postern_shared::http::{Method, Request};
use postern_shared::secondary::{SecondariesHeld, SecondaryList};

use super::super::LinkError;
use super::super::client::{ControlClient, ControlError};
use super::Pusher;

/// Characters of a sentence of the edge's that are shown.
const MOST_SAID: usize = 300;

impl Pusher {
    pub(super) async fn bring_secondaries(
        &self,
        edge: &ControlClient,
        status: &Status,
        list: Option<&SecondaryList>,
    ) -> Result<(), LinkError> {
        let (Some(list), Some(held)) = (list, &status.secondaries) else { return Ok(()) };
        if held.revision == list.revision || (held.revision.is_empty() && list.secondaries.is_empty()) {
            return Ok(());
        }
        let request =
            Request::new(Method::PUT, SECONDARIES_PATH).with_json(list).map_err(ControlError::Request)?;
        self.send_signed(edge, request, status.last_counter).await?;
        tracing::info!(secondaries = list.secondaries.len(), "the edge has taken the secondary name servers");
        Ok(())
    }
}

/// What an edge says of the secondaries that it was told of; one that was taken over may say what it likes, but not much.
pub(super) fn believed(status: &Status, list: Option<&SecondaryList>) -> Option<SecondariesHeld> {
    let mut held = status.secondaries.clone()?;
    let list = list?;
    held.secondaries.retain(|one| list.secondaries.iter().any(|ours| ours.name == one.name));
    held.secondaries.truncate(list.secondaries.len());
    for one in &mut held.secondaries {
        one.zones.truncate(status.zones.len());
        let errors = one.zones.iter_mut().filter_map(|zone| zone.error.as_mut()).chain(&mut one.error);
        errors.for_each(|error| *error = error.chars().filter(|c| !c.is_control()).take(MOST_SAID).collect());
    }
    Some(held)
}
