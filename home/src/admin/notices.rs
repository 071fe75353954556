//! What the owner is told, over the administration interface.

use jiff::Timestamp;

use super::{Admin, Refusal};
use crate::notices::{Entry, Kind, Outcome, Telling};

pub(super) fn list(admin: &Admin) -> Vec<Entry> {
    admin.notices.entries()
}

/// Tells a notice that means nothing, by every way.
pub(super) async fn test(admin: &Admin) -> Result<Vec<Outcome>, Refusal> {
    let text = "This is a test: notices reach you by this way.";
    let entry = Entry::new(Kind::Setup, "test", text, Timestamp::now());
    Ok(admin.teller.tell(vec![(Telling::Begun, entry)]).await)
}
