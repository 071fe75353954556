//! The keys that sign a domain's mail, and their change.

use postern_message::address::DomainName;
use postern_shared::http::StatusCode;
use postern_store::directory::DkimKey;

use super::{Admin, Refusal};
use crate::admin::wire::dns::{DkimKeys, ListedDkimKey};
use crate::zone::clock::timestamp;

pub(super) fn show(admin: &Admin, domain: DomainName) -> DkimKeys {
    let snapshot = admin.directory.snapshot();
    let keys = snapshot.dkim_keys(&domain).iter().map(|key| listed(key)).collect();
    DkimKeys { keys, dns: snapshot.dns_hosting(&domain), domain }
}

pub(super) fn rotate(admin: &Admin, domain: DomainName) -> Result<DkimKeys, Refusal> {
    if !admin.directory.announce_dkim_keys(&domain)? {
        let sentence = format!(
            "The DKIM keys of {domain} are being changed already; `postern-home dns dkim show {domain}` says how far that is."
        );
        return Err(Refusal(StatusCode::CONFLICT, sentence));
    }
    tracing::info!(%domain, "new DKIM keys are announced");
    Ok(show(admin, domain))
}

fn listed(key: &DkimKey) -> ListedDkimKey {
    ListedDkimKey {
        selector: key.selector.clone(),
        algorithm: key.algorithm.key_type().to_owned(),
        stage: key.stage,
        since: key.since.map(timestamp),
    }
}
