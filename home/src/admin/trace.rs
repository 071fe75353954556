//! The stories of messages, over the administration interface.

use jiff::Timestamp;
use postern_store::journal::Story;

use super::wire::Trace;
use super::{Admin, Refusal};

/// Stories in one answer; the newest come first.
const STORIES: usize = 100;

pub(super) fn find(admin: &Admin, trace: &Trace) -> Result<Vec<Story>, Refusal> {
    Ok(admin.journal.find(&trace.of, trace.since.unwrap_or(Timestamp::MIN), STORIES)?)
}
