//! Which servers a message is offered to next.
//!
//! In: a job, the way out. Out: hosts with what is demanded of them: a relay's, or the destination's own. Refused: what has no
//! route. The relay for overflow gets what is beyond the warm-up plan of a large receiver, if the world lets it send that.

use jiff::Timestamp;
use postern_store::queue::Job;
use tokio::task::spawn_blocking;

use super::attempt::Client;
use super::demand::Demands;
use super::job::Parts;
use super::route::{self, Host, NoRoute, Ourselves};
use super::way_out::WayOut;
use super::{Settings, by_relay, chance};
use crate::relay::book::Relay;
use crate::relay::receivers;

/// The servers to try next, and how.
pub(super) struct Next {
    /// Speaks with them.
    pub(super) client: Client,
    /// The best first.
    pub(super) hosts: Vec<Host>,
    /// What is demanded of them.
    pub(super) demands: Demands,
    /// Whose they are.
    pub(super) by: Way,
}

/// The way of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By a relay of the operator's.
    Relay,
    /// To the destination itself, which may be a large receiver's.
    Direct(Option<&'static str>),
}

/// By the relay that the operator, the destination's distrust or the warm-up plan wants, or else directly.
///
/// # Errors
/// Why there is no server to try.
pub(super) async fn of(parts: &Parts, settings: &Settings, job: &Job, way: &WayOut) -> Result<Next, NoRoute> {
    if let Some(relay) = by_relay::of(&parts.relays, &parts.directory, &parts.resolver, job).await {
        return by_this(parts, settings, &relay).await;
    }
    let direct = directly(parts, settings, job, way).await?;
    let Way::Direct(Some(receiver)) = direct.by else { return Ok(direct) };
    match beyond_plan(parts, job, receiver, way).await {
        Some(relay) => by_this(parts, settings, &relay).await,
        None => Ok(direct),
    }
}

/// The relay for what the warm-up plan does not let go directly today.
async fn beyond_plan(parts: &Parts, job: &Job, receiver: &'static str, way: &WayOut) -> Option<Relay> {
    let relay = parts.relays.for_overflow()?;
    if !by_relay::may_send(&relay, &parts.directory, &parts.resolver, job).await {
        return None;
    }
    let (relays, addresses) = (parts.relays.clone(), way.public.clone());
    let asked = spawn_blocking(move || relays.admits_directly(receiver, &addresses, Timestamp::now()));
    let is_beyond = !asked.await.unwrap_or(true);
    if is_beyond {
        tracing::info!(queue_id = %job.message, receiver, relay = relay.name, "beyond the warm-up plan of today");
    }
    is_beyond.then_some(relay)
}

async fn directly(parts: &Parts, settings: &Settings, job: &Job, way: &WayOut) -> Result<Next, NoRoute> {
    let host_name = parts.hostname.current().to_string();
    let ourselves =
        Ourselves { host_name: host_name.clone(), public: way.public.clone(), families: settings.families };
    let hosts = route::find(&parts.resolver, &job.domain, &ourselves, chance::number).await?;
    let client = Client {
        host_name,
        port: settings.remote_port,
        tls: parts.tls.clone(),
        network: parts.network.clone(),
        login: None,
        idle: parts.idle.clone(),
    };
    let demands = Demands::of(&job.domain, job.envelope.wishes.tls, &parts.resolver, &parts.policies).await;
    let by = Way::Direct(hosts.first().and_then(|host| receivers::of_host(&host.name)));
    Ok(Next { client, hosts, demands, by })
}

async fn by_this(parts: &Parts, settings: &Settings, relay: &Relay) -> Result<Next, NoRoute> {
    let (resolver, host_name) = (&parts.resolver, parts.hostname.current().to_string());
    let client = by_relay::client(relay, resolver, settings.families, host_name, parts.network.clone());
    let (client, host) = client.await?;
    let client = Client { idle: parts.idle.clone(), ..client };
    Ok(Next { client, hosts: vec![host], demands: Demands::OfRelay, by: Way::Relay })
}
