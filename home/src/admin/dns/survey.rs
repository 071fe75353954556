//! What the world sees of a domain's DNS. Asks name servers, so it waits for the network.

use postern_message::address::DomainName;
use postern_shared::http::StatusCode;
use postern_store::directory::DnsHosting;

use super::{Admin, Refusal, hosted};
use crate::survey::{Delegation, Difference};

pub(in crate::admin) async fn delegation(admin: &Admin, domain: &str) -> Result<Delegation, Refusal> {
    let domain = hosted(admin, domain)?;
    if admin.directory.snapshot().dns_hosting(&domain) == DnsHosting::External {
        return Err(Refusal(
            StatusCode::CONFLICT,
            format!(
                "The DNS of {domain} is elsewhere, so its delegation is not ours to judge. `postern-home dns diff {domain}` \
                 compares its records."
            ),
        ));
    }
    admin.survey.delegation(&domain).await?.ok_or_else(|| nothing(&domain))
}

pub(in crate::admin) async fn difference(admin: &Admin, domain: &str) -> Result<Difference, Refusal> {
    let domain = hosted(admin, domain)?;
    admin.survey.difference(&domain).await?.ok_or_else(|| nothing(&domain))
}

/// There is nothing to compare with while no edge has told its addresses.
pub(super) fn nothing(domain: &DomainName) -> Refusal {
    let sentences = format!("{domain} has no records yet: an edge must be joined first.");
    Refusal(StatusCode::CONFLICT, sentences)
}
