//! Whether mail can leave: port 25 of well-known mail servers, heard by the edge, through the tunnel, and over this
//! machine's own line.
//!
//! In: domains whose mail servers are asked. Out: what each of the three ways heard. Refused: nothing. The three together
//! tell whose fault it is: where the edge hears nothing, its provider blocks the port; where only home hears nothing, it is
//! the way between; and whether the own line lets the port out tells what a look at our own port 25 over it is worth.

use std::net::{IpAddr, SocketAddr};

use postern_message::address::DomainName;
use postern_shared::look::{MOST_SERVERS, OutboundWish, ServerSeen};

use super::line::reply;
use super::way::{Way, dial, source_of};
use crate::link::{Link, NotAsked};
use crate::net::Tcp;
use crate::resolver::{Answer, Resolver};

const SMTP: u16 = 25;

/// Mail servers of the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Servers {
    /// Each domain with the address of one of its mail servers.
    pub found: Vec<(DomainName, IpAddr)>,
    /// Domains of which none was found.
    pub unknown: Vec<DomainName>,
}

/// What was heard.
#[derive(Debug)]
pub struct OutboundLook {
    /// Who was asked.
    pub servers: Servers,
    /// By the edge.
    pub edge: Result<Vec<ServerSeen>, NotAsked>,
    /// Through the tunnel, by the first server that the edge heard.
    pub tunnel: Option<Result<String, String>>,
    /// Whether this machine's own line lets the port out; not known where there is nobody to ask.
    pub own_line: Option<bool>,
}

/// Finds a mail server of each domain.
pub async fn find(resolver: &Resolver, domains: &[DomainName]) -> Servers {
    let mut servers = Servers { found: Vec::new(), unknown: Vec::new() };
    for domain in domains.iter().take(MOST_SERVERS) {
        match server_of(resolver, domain).await {
            Some(address) => servers.found.push((domain.clone(), address)),
            None => servers.unknown.push(domain.clone()),
        }
    }
    servers
}

/// Mail leaves over IPv4 unless the operator wants otherwise, so that is what is looked at.
async fn server_of(resolver: &Resolver, domain: &DomainName) -> Option<IpAddr> {
    let Ok(Answer::Records(hosts)) = resolver.mx(domain.as_str()).await else { return None };
    let host = hosts.iter().min_by_key(|mx| mx.preference)?;
    match resolver.ipv4(&host.exchange).await {
        Ok(Answer::Records(addresses)) => addresses.first().copied().map(IpAddr::V4),
        _ => None,
    }
}

/// Looks.
pub async fn look(link: &Link, servers: Servers) -> OutboundLook {
    let asked: Vec<IpAddr> = servers.found.iter().map(|(_, address)| *address).collect();
    let edge = match asked.is_empty() {
        true => Ok(Vec::new()),
        false => link.look_outbound(&OutboundWish { servers: asked.clone() }).await.map(|seen| seen.servers),
    };
    let heard = edge.iter().flatten().find(|seen| seen.greeting.is_some()).map(|seen| seen.server);
    let one = heard.or(asked.first().copied()).map(|server| SocketAddr::new(server, SMTP));
    let (mut tunnel, mut own_line) = (None, None);
    if let Some(server) = one {
        tunnel = Some(through_tunnel(link, server).await);
        if source_of(link, server).await.is_some() {
            own_line = Some(dial(link, Way::Internet, server).await.is_ok());
        }
    }
    OutboundLook { servers, edge, tunnel, own_line }
}

async fn through_tunnel(link: &Link, server: SocketAddr) -> Result<String, String> {
    // A connection through the tunnel to an address that is not the edge's goes on to it.
    let stream = dial(link, Way::Mirror, server).await.map_err(|reason| format!("port 25 {reason}"))?;
    greeting(stream).await
}

async fn greeting(mut stream: Tcp) -> Result<String, String> {
    let greeting = reply(&mut stream).await.map_err(|error| format!("no greeting came: {error}"))?;
    Ok(greeting.first().to_owned())
}
