//! Which name servers to ask.
//!
//! In: a domain, and the resolver that home uses. Out: the parent zone, found by walking up from the domain to the first name
//! that is a zone's origin, and name servers with their addresses. Refused: nothing; of a zone with very many name servers
//! the first [`MOST`] addresses are asked.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use hickory_proto::rr::Name;
use tokio::task::JoinSet;

use super::ask;
use super::parent::Glue;
use crate::resolver::{Answer, ResolveError, Resolver};

/// Addresses that are asked of one zone.
const MOST: usize = 32;

/// One address of a name server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Server {
    /// Its name.
    pub host: Name,
    /// Where it is asked.
    pub address: IpAddr,
}

impl Server {
    /// The address with the port of name servers.
    pub fn socket_address(&self) -> SocketAddr {
        SocketAddr::new(self.address, ask::PORT)
    }
}

/// The parent zone of a domain, and the names of its name servers.
///
/// # Errors
/// [`ResolveError`] where the resolver does not answer.
pub async fn parent(resolver: &Resolver, domain: &Name) -> Result<(Name, Vec<Name>), ResolveError> {
    let mut zone = domain.base_name();
    loop {
        match resolver.ns(&zone).await? {
            Answer::Records(hosts) => return Ok((zone, hosts)),
            Answer::NoData | Answer::NoSuchName if zone.is_root() => return Ok((zone, Vec::new())),
            Answer::NoData | Answer::NoSuchName => zone = zone.base_name(),
        }
    }
}

/// The addresses of these hosts: those of the glue, or else those that the resolver finds. Each address once.
pub async fn addresses(resolver: &Resolver, hosts: BTreeSet<Name>, glue: &Glue) -> Vec<Server> {
    let mut found: Vec<Server> = Vec::new();
    let mut looked_up = JoinSet::new();
    for host in hosts {
        match glue.get(&host) {
            Some(addresses) => found.extend(at(&host, addresses.iter().copied())),
            None => drop(looked_up.spawn(look_up(resolver.clone(), host))),
        }
    }
    found.extend(looked_up.join_all().await.into_iter().flatten());
    found.sort();
    let mut seen = BTreeSet::new();
    found.retain(|server| seen.insert(server.address));
    found.truncate(MOST);
    found
}

async fn look_up(resolver: Resolver, host: Name) -> Vec<Server> {
    let text = host.to_ascii();
    let (v4, v6) = tokio::join!(resolver.ipv4(&text), resolver.ipv6(&text));
    let v4 = records(v4).into_iter().map(IpAddr::from);
    at(&host, v4.chain(records(v6).into_iter().map(IpAddr::from))).collect()
}

fn records<T>(answer: Result<Answer<T>, ResolveError>) -> Vec<T> {
    match answer {
        Ok(Answer::Records(records)) => records,
        Ok(Answer::NoData | Answer::NoSuchName) | Err(_) => Vec::new(),
    }
}

fn at(host: &Name, addresses: impl Iterator<Item = IpAddr>) -> impl Iterator<Item = Server> {
    addresses.map(|address| Server { host: host.clone(), address })
}
