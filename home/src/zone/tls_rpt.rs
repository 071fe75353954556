//! Where senders report how TLS went (RFC 8460 §3): the postmaster.

use hickory_proto::rr::Record;
use postern_shared::zone::ZoneError;

use super::{Facts, txt};
use crate::reports;

pub(super) fn records(facts: &Facts) -> Result<Vec<Record>, ZoneError> {
    let policy = format!("v=TLSRPTv1; rua={}", reports::rua(&facts.domain));
    Ok(vec![txt(facts.below("_smtp._tls")?, &policy)])
}
