//! Relays, over the administration interface.
//!
//! In: requests to list, add, test, remove and use one, and to take a destination back. Out: each as it is, without its
//! password. Refused: a relay that does not take the login just now; a user or domain that is not here.

use jiff::Timestamp;
use postern_message::address::DomainName;
use postern_shared::http::{Request, StatusCode};
use postern_store::directory::DirectoryError;
use tokio::task::spawn_blocking;

use super::wire::Done;
use super::wire::relay::{AddRelay, EndWarmUp, OverflowListed, RelayListed, TakeBack, UseRelay};
use super::{Admin, Refusal, stopped_work};
use crate::outbound::by_relay::is_published;
use crate::relay::book::{Book, BookError, Relay, Use};
use crate::relay::{RelayError, receivers};

/// All relays.
pub(super) async fn list(admin: &Admin) -> Result<Vec<RelayListed>, Refusal> {
    let book = admin.relays.book();
    let mut all = Vec::new();
    for relay in book.relays() {
        all.push(listed(admin, &book, relay).await);
    }
    Ok(all)
}

pub(super) async fn show(admin: &Admin, name: &str) -> Result<RelayListed, Refusal> {
    let book = admin.relays.book();
    Ok(listed(admin, &book, book.relay(name)?).await)
}

async fn listed(admin: &Admin, book: &Book, relay: &Relay) -> RelayListed {
    let Relay { name, host, port, security, login, password: _, spf } = relay.clone();
    let uses = book.uses_of(&name).cloned().collect();
    let waits_for_spf = waiting(admin, book, spf.as_ref()).await;
    RelayListed { name, host, port, security, login, spf, uses, waits_for_spf }
}

/// The domains whose record shall include this one, and does not as the world sees it.
async fn waiting(admin: &Admin, book: &Book, spf: Option<&DomainName>) -> Vec<DomainName> {
    let mut waiting = Vec::new();
    let Some(include) = spf else { return waiting };
    for domain in admin.directory.snapshot().domains() {
        if book.spf_includes(domain).contains(include)
            && !is_published(&admin.resolver, domain, include).await
        {
            waiting.push(domain.clone());
        }
    }
    waiting
}

/// Tests a relay, and adds it where it takes the login.
pub(super) async fn add(admin: &Admin, request: &Request) -> Result<RelayListed, Refusal> {
    let added: AddRelay = request.json().map_err(|_| malformed())?;
    let relay = Relay::from(added);
    let mut book = admin.relays.book();
    book.add(relay.clone())?;
    probe(admin, &relay).await?;
    let (relays, added) = (admin.relays.clone(), relay.clone());
    blocking(move || relays.change(|book| book.add(added))).await?;
    tracing::info!(relay = relay.name, host = %relay.host, "relay added");
    Ok(listed(admin, &book, &relay).await)
}

/// Tests a relay.
pub(super) async fn test(admin: &Admin, name: &str) -> Result<Done, Refusal> {
    let relay = admin.relays.book().relay(name)?.clone();
    probe(admin, &relay).await?;
    Ok(Done {})
}

async fn probe(admin: &Admin, relay: &Relay) -> Result<(), Refusal> {
    let failed =
        |cause| Refusal(StatusCode::BAD_GATEWAY, format!("the relay {} does not work: {cause}.", relay.name));
    admin.prober.probe(relay).await.map_err(failed)
}

pub(super) fn remove(admin: &Admin, name: &str) -> Result<Done, Refusal> {
    admin.relays.change(|book| book.remove(name))?;
    tracing::info!(relay = name, "relay removed");
    Ok(Done {})
}

pub(super) fn assign(admin: &Admin, body: UseRelay) -> Result<Done, Refusal> {
    let snapshot = admin.directory.snapshot();
    match &body.traffic {
        Use::Domain(domain) if !snapshot.is_local(domain) => {
            return Err(DirectoryError::UnknownDomain(domain.clone()).into());
        }
        Use::User(user) if snapshot.user_by_login(&user.to_string()).is_none() => {
            return Err(DirectoryError::UnknownUser(user.clone()).into());
        }
        _ => {}
    }
    admin.relays.change(|book| book.assign(body.traffic.clone(), &body.relay))?;
    tracing::info!(traffic = %body.traffic, relay = body.relay, "mail goes another way");
    Ok(Done {})
}

pub(super) fn overflow(admin: &Admin) -> OverflowListed {
    OverflowListed {
        relay: admin.relays.for_overflow().map(|relay| relay.name),
        destinations: admin.relays.diversions(Timestamp::now()),
        warm_up: admin.relays.plans(Timestamp::now()),
    }
}

pub(super) fn end_warm_up(admin: &Admin, body: &EndWarmUp) -> Result<Done, Refusal> {
    if receivers::named(&body.receiver).is_some_and(|receiver| admin.relays.end_warm_up(receiver)) {
        return Ok(Done {});
    }
    let sentence = format!(
        "There is no warm-up for {}: `postern-home relay overflow` shows those there are.",
        body.receiver
    );
    Err(Refusal(StatusCode::NOT_FOUND, sentence))
}

pub(super) fn take_back(admin: &Admin, body: &TakeBack) -> Result<Done, Refusal> {
    if admin.relays.forget_distrust(body.destination.as_str()) {
        return Ok(Done {});
    }
    let sentence = format!("{} is delivered to directly already.", body.destination);
    Err(Refusal(StatusCode::NOT_FOUND, sentence))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RelayError> + Send + 'static,
) -> Result<T, Refusal> {
    Ok(spawn_blocking(work).await.map_err(|_| stopped_work())??)
}

fn malformed() -> Refusal {
    Refusal(StatusCode::UNPROCESSABLE_ENTITY, "the request is malformed.".to_owned())
}

impl From<RelayError> for Refusal {
    fn from(error: RelayError) -> Self {
        match error {
            RelayError::Book(error) => error.into(),
            RelayError::Directory(error) => error.into(),
        }
    }
}

impl From<BookError> for Refusal {
    fn from(error: BookError) -> Self {
        let status = match &error {
            BookError::Unknown(_) => StatusCode::NOT_FOUND,
            BookError::Exists(_) | BookError::InUse(..) | BookError::TooMany => StatusCode::CONFLICT,
            BookError::Name => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self(status, format!("{error}."))
    }
}
