//! Home looks at itself from outside.
//!
//! * In: the link to the edge, the resolver, what home publishes and shows, domains whose mail servers are asked.
//! * Out: [`Outside`]: what each port answers and by which [`Way`] that was found, its TLS and certificate, whether it
//!   relays, whether mail can leave, names, the edge's machine, and the tunnel's echo. What that means is said elsewhere.
//! * Refused: any other target than the edge's own public addresses, and port 25 of the mail servers that are asked.
//!
//! From the internet is looked first, and the edge's counters are read before and after: where a port answers nobody, they
//! tell whether the connections reached the edge at all. The mirror is opened afterwards, and shut at the end.
//!
//! Data flows through [`way`] (a connection), [`line`] (words on it), [`port`], [`old_tls`], [`relay`], [`promises`] (what is
//! seen on it); [`outbound`] and [`names`] look at other servers and at the DNS.

pub mod way;

pub mod line;
pub mod old_tls;

pub mod port;
pub mod promises;
pub mod relay;

pub mod names;
pub mod outbound;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use postern_message::address::DomainName;
use postern_shared::control::Status;
use postern_shared::look::{Facts, Mirror};
use postern_store::directory::Directory;
use tokio::sync::watch;

use crate::hostname::Hostname;
use crate::link::{Link, NotAsked};
use crate::mta_sts;
use crate::resolver::Resolver;

use names::NameServerSeen;
use outbound::OutboundLook;
use port::PortSeen;
use promises::{DaneSeen, PolicySeen};
use relay::RelaySeen;
pub use way::Way;

/// How long the mirror is open: longer than all looks by it take.
const MIRROR_SECONDS: u32 = 60;
/// Octets that are echoed: some hundred segments each way.
const ECHO_OCTETS: usize = 200_000;
const SMTP: u16 = 25;
const HTTPS: u16 = 443;
/// How long may pass until the edge has counted what came.
const COUNTED: Duration = Duration::from_millis(200);

/// What a look needs.
#[derive(Clone)]
pub struct Looker {
    /// The edge.
    pub link: Link,
    /// The DNS.
    pub resolver: Resolver,
    /// What home is called.
    pub hostname: Hostname,
    /// The domains.
    pub directory: Directory,
    /// Their policies.
    pub web: watch::Receiver<mta_sts::Seen>,
}

/// What was seen from outside.
#[derive(Debug)]
pub struct Outside {
    /// The edge's status.
    pub status: Result<Status, NotAsked>,
    /// How its machine is.
    pub facts: Result<Facts, NotAsked>,
    /// Octets that came back, and milliseconds.
    pub echo: Result<(usize, u128), NotAsked>,
    /// The mirror, as the edge opened it.
    pub mirror: Result<Mirror, NotAsked>,
    /// Whether mail can leave.
    pub outbound: OutboundLook,
    /// Each port that is forwarded.
    pub ports: BTreeMap<u16, PortLook>,
    /// The open-relay test, by the first way that port 25 answers on.
    pub relay: Option<(Way, RelaySeen)>,
    /// The TLSA records of port 25 against what it shows.
    pub dane: Option<DaneSeen>,
    /// The domains' policies.
    pub policies: Vec<PolicySeen>,
    /// The edge's name server.
    pub name_servers: Vec<NameServerSeen>,
}

/// One public port.
#[derive(Debug)]
pub struct PortLook {
    /// From the internet, at each public address.
    pub internet: Vec<PortSeen>,
    /// By the mirror; its TLS is looked at only where no look from the internet came as far.
    pub mirror: Vec<PortSeen>,
    /// New connections that the edge counted meanwhile; not known where it could not be asked.
    pub arrived: Option<u64>,
}

impl PortLook {
    /// Who the world reaches there, whatever it says; else who the mirror does.
    pub fn reached(&self) -> Option<&PortSeen> {
        self.internet.iter().find(|seen| seen.outcome.is_ok()).or_else(|| self.best())
    }

    /// The look that tells most: one with TLS, else one that was answered.
    pub fn best(&self) -> Option<&PortSeen> {
        let all = || self.internet.iter().chain(&self.mirror);
        let has_tls = |seen: &&PortSeen| seen.outcome.as_ref().is_ok_and(|answered| answered.tls.is_some());
        all().find(has_tls).or_else(|| all().find(|seen| is_whole(seen)))
    }
}

fn is_whole(seen: &PortSeen) -> bool {
    seen.outcome.as_ref().is_ok_and(|answered| answered.broken.is_none())
}

impl Looker {
    /// Looks at everything; the mail servers of `ask` are asked whether mail can leave. Takes some ten seconds, and about a
    /// minute where much is silent.
    pub async fn look(&self, ask: &[DomainName]) -> Outside {
        let link = &self.link;
        let mail_host = self.hostname.current();
        let addresses: Vec<IpAddr> =
            link.edge_addresses().borrow().as_ref().map(|edge| edge.of_mail()).unwrap_or_default();
        let domains: Vec<DomainName> = self.directory.snapshot().domains().cloned().collect();
        let status = link.edge_status().await;
        let servers = outbound::find(&self.resolver, ask).await;
        let (facts, echo, outbound, name_servers) = tokio::join!(
            link.edge_facts(),
            self.echo(),
            outbound::look(link, servers),
            self.name_servers(&addresses, &domains),
        );
        let mut ports = self.over_the_line(&status, &addresses, mail_host.as_str()).await;
        let mirror = link.mirror(MIRROR_SECONDS).await;
        if let Ok(mirror) = &mirror {
            self.by_mirror(mirror, &mut ports, mail_host.as_str()).await;
        }
        let smtp = ports.get(&SMTP).and_then(PortLook::reached).map(|seen| (seen.way, seen.server));
        let mut relay = None;
        let mut dane = None;
        if let Some((way, server)) = smtp {
            relay = self.relay(way, server, mail_host.as_str(), domains.first()).await;
            dane = Some(promises::dane(link, &self.resolver, way, server, &mail_host).await);
        }
        let policies = self.policies(&ports, &mail_host).await;
        if mirror.is_ok() {
            // It is shut by itself when its time is over.
            let _ = link.mirror(0).await;
        }
        Outside { status, facts, echo, mirror, outbound, ports, relay, dane, policies, name_servers }
    }

    async fn echo(&self) -> Result<(usize, u128), NotAsked> {
        let octets: Vec<u8> = (0..=u8::MAX).cycle().take(ECHO_OCTETS).collect();
        Ok((ECHO_OCTETS, self.link.echo(octets).await?))
    }

    async fn name_servers(&self, addresses: &[IpAddr], domains: &[DomainName]) -> Vec<NameServerSeen> {
        let pairs = addresses.iter().flat_map(|address| domains.iter().map(move |domain| (*address, domain)));
        join_all(pairs.map(|(address, domain)| names::look(address, domain))).await
    }

    /// All ports of one address at once, each with one connection at a time.
    async fn over_the_line(
        &self,
        status: &Result<Status, NotAsked>,
        addresses: &[IpAddr],
        host: &str,
    ) -> BTreeMap<u16, PortLook> {
        let public: Vec<u16> =
            status.iter().flat_map(|status| status.forward.ports.keys().copied()).collect();
        let looks = public.iter().map(|port| async move {
            let looks = addresses
                .iter()
                .map(|address| port::look(&self.link, Way::Internet, SocketAddr::new(*address, *port), host));
            (*port, join_all(looks).await)
        });
        let seen = join_all(looks).await;
        tokio::time::sleep(COUNTED).await;
        let after = self.link.edge_status().await;
        let arrived = |port: u16| {
            let counter = format!("port_{port}");
            let of = |status: &Status| status.counters.get(&counter).map(|count| count.packets);
            Some(of(after.as_ref().ok()?)?.saturating_sub(of(status.as_ref().ok()?)?))
        };
        seen.into_iter()
            .map(|(port, internet)| (port, PortLook { internet, mirror: Vec::new(), arrived: arrived(port) }))
            .collect()
    }

    async fn by_mirror(&self, mirror: &Mirror, ports: &mut BTreeMap<u16, PortLook>, host: &str) {
        let looks = ports.iter_mut().map(|(port, look)| async move {
            let has_tls = look.best().is_some();
            let servers = mirror.addresses.iter().map(|address| SocketAddr::new(*address, *port));
            for (nth, server) in servers.enumerate() {
                let seen = match has_tls || nth > 0 {
                    true => port::glance(&self.link, Way::Mirror, server).await,
                    false => port::look(&self.link, Way::Mirror, server, host).await,
                };
                look.mirror.push(seen);
            }
        });
        join_all(looks).await;
    }

    async fn relay(
        &self,
        way: Way,
        server: SocketAddr,
        mail_host: &str,
        domain: Option<&DomainName>,
    ) -> Option<(Way, RelaySeen)> {
        let mut stream = way::dial(&self.link, way, server).await.ok()?;
        let domain = domain.map_or(mail_host, DomainName::as_str);
        Some((way, relay::look(&mut stream, mail_host, domain).await))
    }

    async fn policies(&self, ports: &BTreeMap<u16, PortLook>, mail_host: &DomainName) -> Vec<PolicySeen> {
        let Some(https) = ports.get(&HTTPS).and_then(PortLook::best) else { return Vec::new() };
        let seen = self.web.borrow().clone();
        let published = seen.iter().filter_map(|(domain, seen)| {
            seen.presence.policy(mail_host).map(|policy| (domain.clone(), policy.text()))
        });
        let fetches = published.map(|(domain, text)| async move {
            promises::fetch(&self.link, https.way, https.server, &domain, text).await
        });
        join_all(fetches.collect::<Vec<_>>()).await
    }
}
