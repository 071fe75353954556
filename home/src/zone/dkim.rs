//! The public DKIM keys (RFC 6376 §3.6.1, RFC 8463 §4).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::rr::Record;
use postern_shared::zone::ZoneError;
use postern_store::directory::DkimKey;

use super::{Facts, txt};

pub(super) fn records(facts: &Facts) -> Result<Vec<Record>, ZoneError> {
    facts.dkim_keys.iter().map(|key| record(facts, key)).collect()
}

fn record(facts: &Facts, key: &DkimKey) -> Result<Record, ZoneError> {
    let owner = facts.below(&format!("{}._domainkey", key.selector))?;
    let public_key = STANDARD.encode(&key.public_key);
    Ok(txt(owner, &format!("v=DKIM1; k={}; p={public_key}", key.algorithm.key_type())))
}
