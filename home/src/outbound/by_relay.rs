//! The way by a relay: which messages take it, and a look whether it works.
//!
//! In: a job, the relays, the DNS. Out: the relay that the message goes by, or none. A relay is used once the DNS shows the
//! sender's domain to include it in SPF; until then mail goes as before, because receivers would refuse it from there.

use jiff::Timestamp;
use postern_message::address::DomainName;
use postern_sasl::Password;
use postern_store::directory::Directory;
use postern_store::queue::Job;

use super::attempt::{Client, Credentials};
use super::demand::Demands;
use super::idle::IdleConnections;
use super::route::{self, Families, Host, NoRoute};
use super::way_out::Gate;
use crate::hostname::Hostname;
use crate::inner::Network;
use crate::relay::book::{Relay, Traffic};
use crate::relay::{Relays, spf_names};
use crate::resolver::{Answer, Resolver};
use crate::tls;

/// The relay that this job goes by, if it goes by one.
pub(super) async fn of(
    relays: &Relays,
    directory: &Directory,
    resolver: &Resolver,
    job: &Job,
) -> Option<Relay> {
    let user = job.envelope.sender.and_then(|account| directory.user(account));
    let traffic = Traffic {
        sender: job.envelope.reverse_path.as_ref(),
        user: user.as_ref().map(|user| &user.address),
        destination: &job.domain,
    };
    let relay = relays.chosen(&traffic, Timestamp::now())?;
    may_send(&relay, directory, resolver, job).await.then_some(relay)
}

/// Whether the world lets the relay send what this sender says.
pub(super) async fn may_send(relay: &Relay, directory: &Directory, resolver: &Resolver, job: &Job) -> bool {
    let (Some(include), Some(sender)) = (&relay.spf, &job.envelope.reverse_path) else { return true };
    if !directory.is_local(sender.domain()) {
        return true;
    }
    let is_published = is_published(resolver, sender.domain(), include).await;
    if !is_published {
        tracing::info!(
            relay = relay.name, domain = %sender.domain(), %include,
            "the relay is not used before the domain's SPF record includes it"
        );
    }
    is_published
}

/// Whether the DNS shows that a domain's SPF record includes this one.
pub async fn is_published(resolver: &Resolver, domain: &DomainName, include: &DomainName) -> bool {
    match resolver.txt(domain.as_str()).await {
        Ok(Answer::Records(texts)) => spf_names(&texts, include),
        _ => false,
    }
}

/// A client for this relay, and the relay as its only host. No connection waits for it yet.
///
/// # Errors
/// Why it cannot be found.
pub(super) async fn client(
    relay: &Relay,
    resolver: &Resolver,
    families: Families,
    host_name: String,
    network: Network,
) -> Result<(Client, Host), NoRoute> {
    let host = route::of_relay(resolver, relay.host.as_str(), families).await?;
    let login = Credentials {
        name: relay.login.clone(),
        password: Password::new(relay.password.expose().to_owned()),
        security: relay.security,
    };
    let (port, tls) = (relay.port, tls::opportunistic_client());
    let idle = IdleConnections::default();
    Ok((Client { host_name, port, tls, network, login: Some(login), idle }, host))
}

/// Looks whether relays work.
#[derive(Clone)]
pub struct Prober {
    /// Finds their addresses.
    pub resolver: Resolver,
    /// Our name in EHLO.
    pub hostname: Hostname,
    /// Where connections are made.
    pub network: Network,
    /// The way to them.
    pub gate: Gate,
    /// Their addresses that are tried.
    pub families: Families,
}

impl Prober {
    /// Connects, begins TLS, logs in, and leaves.
    ///
    /// # Errors
    /// The place where it ended, and why; for people.
    pub async fn probe(&self, relay: &Relay) -> Result<(), String> {
        let way = self.gate.current()?;
        let (resolver, host_name) = (&self.resolver, self.hostname.current().to_string());
        let client = client(relay, resolver, self.families, host_name, self.network.clone()).await;
        let (client, host) = client.map_err(|none| none.reason)?;
        client.probe(&[host], &Demands::OfRelay, |address| way.source(address)).await
    }
}
