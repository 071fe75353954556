//! The secondary name servers, over the administration interface.
//!
//! In: requests to list, add, show, remove one and to renew its key. Out: what its configuration needs, or how each is, as the
//! edge says at that moment. Refused: more than an edge holds, a name at which the zone has records, a domain that is not
//! ours.

use postern_message::address::DomainName;
use postern_shared::http::{Method, Request, Response, StatusCode};
use postern_shared::secondary::{MOST_ADDRESSES, MOST_SECONDARIES, SecondaryStatus};
use postern_store::directory::{DirectoryError, FormerKeys, Secondary};

use super::wire::Done;
use super::wire::secondary::{AddSecondary, RotateKey, SecondaryListed, SecondarySetup};
use super::{Admin, Refusal, answer, change, dns, stopped_work};
use crate::zone::renew::RenewError;
use crate::zone::secondary::{is_taken, keys};

/// Answers a request; `path` is what follows `/v1/secondaries`. Waits for the disk.
pub(super) fn handle(admin: &Admin, request: &Request, path: &[&str]) -> Response {
    match (&request.method, path) {
        (&Method::POST, []) => change(request, |body| add(admin, &body)),
        (&Method::GET, [name]) => answer(setup(admin, name)),
        (&Method::DELETE, [name]) => answer(remove(admin, name)),
        (&Method::POST, [name, "key"]) => change(request, |body| rotate(admin, name, body)),
        _ => Response::not_found(),
    }
}

/// All of them, as they are now.
pub(super) async fn list(admin: &Admin) -> Result<Vec<SecondaryListed>, Refusal> {
    admin.link.ask_edge().await;
    let admin = admin.clone();
    let work = tokio::task::spawn_blocking(move || list_known(&admin));
    work.await.unwrap_or_else(|_| Err(stopped_work()))
}

fn list_known(admin: &Admin) -> Result<Vec<SecondaryListed>, Refusal> {
    let held = admin.link.secondaries().unwrap_or_default();
    let status = |one: &Secondary| held.secondaries.iter().find(|status| status.name == one.name.as_str());
    let all = admin.directory.secondaries()?.into_iter();
    Ok(all.map(|one| listed(&one, status(&one).cloned())).collect())
}

fn listed(one: &Secondary, status: Option<SecondaryStatus>) -> SecondaryListed {
    SecondaryListed {
        name: one.name.clone(),
        addresses: one.addresses.clone(),
        domains: one.domains.clone(),
        keys: keys(one).into_iter().map(|key| key.name).collect(),
        status,
    }
}

fn add(admin: &Admin, body: &AddSecondary) -> Result<SecondarySetup, Refusal> {
    let wrong = |sentence: String| Err(Refusal(StatusCode::UNPROCESSABLE_ENTITY, sentence));
    if admin.directory.secondaries()?.len() >= MOST_SECONDARIES {
        return wrong(format!(
            "there are {MOST_SECONDARIES} secondaries already, which is all that an edge holds."
        ));
    }
    if !(1..=MOST_ADDRESSES).contains(&body.addresses.len()) {
        return wrong(format!("a secondary has 1 to {MOST_ADDRESSES} addresses."));
    }
    for domain in served(admin, body.domains.as_deref())? {
        let facts = dns::facts(admin, &domain)?;
        if !facts.addresses.is_empty() && is_taken(&facts, &body.name).map_err(RenewError::from)? {
            return wrong(format!(
                "the zone of {domain} has records at {} already; give the secondary a name of its own.",
                body.name
            ));
        }
    }
    admin.directory.add_secondary(&body.name, &body.addresses, body.domains.as_deref())?;
    tracing::info!(secondary = %body.name, "secondary name server added");
    setup(admin, body.name.as_str())
}

fn setup(admin: &Admin, name: &str) -> Result<SecondarySetup, Refusal> {
    let name = parse(name)?;
    let found = admin.directory.secondaries()?.into_iter().find(|one| one.name == name);
    let one = found.ok_or_else(|| DirectoryError::UnknownSecondary(name.clone()))?;
    let key = keys(&one).pop().ok_or(DirectoryError::UnknownSecondary(name))?;
    let edge = admin.link.edge_addresses().borrow().clone();
    Ok(SecondarySetup {
        domains: served(admin, one.domains.as_deref())?,
        name: one.name,
        primaries: edge.map(|edge| edge.public).unwrap_or_default(),
        key,
    })
}

fn remove(admin: &Admin, name: &str) -> Result<Done, Refusal> {
    let name = parse(name)?;
    admin.directory.remove_secondary(&name)?;
    tracing::info!(secondary = %name, "secondary name server removed");
    Ok(Done {})
}

fn rotate(admin: &Admin, name: &str, body: RotateKey) -> Result<SecondarySetup, Refusal> {
    let parsed = parse(name)?;
    let former = if body.now { FormerKeys::Remove } else { FormerKeys::Keep };
    admin.directory.rotate_secondary_key(&parsed, former)?;
    tracing::info!(secondary = %parsed, "secondary name server has a new key");
    setup(admin, name)
}

/// The domains that are meant, which are all ours.
fn served(admin: &Admin, domains: Option<&[DomainName]>) -> Result<Vec<DomainName>, Refusal> {
    let snapshot = admin.directory.snapshot();
    let Some(domains) = domains else { return Ok(snapshot.served_domains().cloned().collect()) };
    match domains.iter().find(|domain| !snapshot.is_local(domain)) {
        Some(unknown) => Err(DirectoryError::UnknownDomain(unknown.clone()).into()),
        None => Ok(domains.to_vec()),
    }
}

fn parse(name: &str) -> Result<DomainName, Refusal> {
    let refusal = |_| Refusal(StatusCode::NOT_FOUND, format!("`{name}` is not a host name."));
    DomainName::parse(name).map_err(refusal)
}
