//! What receivers should do with mail that fails authentication (RFC 7489 §6.3): nothing yet but report.

use hickory_proto::rr::Record;
use postern_shared::zone::ZoneError;

use super::{Facts, txt};
use crate::reports;

pub(super) fn records(facts: &Facts) -> Result<Vec<Record>, ZoneError> {
    let policy = format!("v=DMARC1; p=none; rua={}", reports::rua(&facts.domain));
    Ok(vec![txt(facts.below("_dmarc")?, &policy)])
}
