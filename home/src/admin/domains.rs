//! Domains, over the administration interface.

use postern_message::address::DomainName;
use postern_shared::http::StatusCode;
use postern_store::directory::{DirectoryError, DnsHosting, User, WithUsers};

use super::wire::{AddDomain, CatchAll, Domain, Done, RemoveDomain, Removed, SetDns};
use super::{Admin, Refusal, users};
use crate::survey::delegation::State;

pub(super) fn list(admin: &Admin) -> Vec<Domain> {
    let (snapshot, seen) = (admin.directory.snapshot(), admin.web.borrow().clone());
    let describe = |name| Domain {
        users: snapshot.users().filter(|user| user.address.domain() == name).count(),
        dkim_selectors: snapshot.dkim_keys(name).iter().map(|key| key.selector.clone()).collect(),
        dns: snapshot.dns_hosting(name),
        catch_all: snapshot.catch_all(name).map(|user| user.address.clone()),
        mta_sts: seen.get(name).map(|seen| seen.report(name, admin.enforce_after)),
        name: name.clone(),
    };
    snapshot.domains().map(describe).collect()
}

pub(super) fn add(admin: &Admin, request: AddDomain) -> Result<Done, Refusal> {
    admin.directory.add_domain_with_dns(&request.name, request.dns)?;
    tracing::info!(domain = %request.name, dns = request.dns.as_str(), "domain added");
    Ok(Done {})
}

/// The edge drops the zone of a domain whose DNS goes elsewhere, and gets one for a domain whose DNS comes here.
pub(super) fn set_dns(admin: &Admin, request: SetDns) -> Result<Done, Refusal> {
    if request.dns == DnsHosting::External && !request.now && leads_here(admin, &request.name) {
        let SetDns { name, .. } = &request;
        let sentences = format!(
            "the parent zone still leads to the edge for {name}, and the edge would stop serving it at once: nobody could find {name} \
             any more. Have the registrar name the other provider's servers first, and remove the DS record before that; then wait \
             until `postern-home dns delegation {name}` finds the edge no longer. `--now` does it all the same."
        );
        return Err(Refusal(StatusCode::CONFLICT, sentences));
    }
    admin.directory.set_dns_hosting(&request.name, request.dns)?;
    tracing::info!(domain = %request.name, dns = request.dns.as_str(), "place of the DNS changed");
    Ok(Done {})
}

pub(super) fn set_catch_all(admin: &Admin, request: CatchAll) -> Result<Done, Refusal> {
    admin.directory.set_catch_all(&request.domain, request.user.as_ref())?;
    tracing::info!(domain = %request.domain, user = request.user.map(|user| user.to_string()), "catch-all set");
    Ok(Done {})
}

/// Whether the world was led to the edge when it was looked at last.
fn leads_here(admin: &Admin, domain: &DomainName) -> bool {
    let seen = admin.survey.outlook();
    let is_led = |state| matches!(state, State::Right | State::Waiting | State::Todo);
    seen.iter().any(|seen| &seen.domain == domain && seen.dns == DnsHosting::Here && is_led(seen.state))
}

/// Users go first, one by one: a failure in between leaves the domain with fewer users, and asking again finishes the
/// work.
pub(super) fn remove(admin: &Admin, request: RemoveDomain) -> Result<Removed, Refusal> {
    let snapshot = admin.directory.snapshot();
    let affected: Vec<User> =
        snapshot.users().filter(|user| user.address.domain() == &request.name).cloned().collect();
    if !affected.is_empty() && !request.with_users {
        let error = DirectoryError::DomainInUse { domain: request.name, users: affected.len() as u32 };
        let sentences = format!("{error}. Remove them first, or add --with-users.");
        return Err(Refusal(StatusCode::CONFLICT, sentences));
    }
    let kept = users::dispose(admin, &affected, request.mail)?;
    let with_users = if request.with_users { WithUsers::Remove } else { WithUsers::Refuse };
    admin.directory.remove_domain(&request.name, with_users)?;
    tracing::info!(domain = %request.name, users = affected.len(), "domain removed");
    Ok(Removed { kept })
}
