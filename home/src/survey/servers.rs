//! Which name servers to ask.
//!
//! In: a domain, and the resolver that home uses. Out: the parent zone, found by walking up from the domain to the first name
//! that is a zone's origin, and name servers with their addresses. Refused: addresses to which the world cannot send, so that
//! no stranger has home ask in its own network; of a zone with very many name servers the first [`MOST`] names are looked up,
//! and the first [`MOST`] addresses asked.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use hickory_proto::rr::Name;
use postern_shared::address::is_global;
use tokio::task::JoinSet;

use super::ask;
use super::parent::Glue;
use crate::resolver::{Answer, ResolveError, Resolver};

/// Names that are looked up of one zone, and addresses that are asked.
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
    for host in hosts.into_iter().take(MOST) {
        match glue.get(&host) {
            Some(addresses) => found.extend(at(&host, addresses.iter().copied())),
            None => drop(looked_up.spawn(look_up(resolver.clone(), host))),
        }
    }
    found.extend(looked_up.join_all().await.into_iter().flatten());
    found.sort();
    let mut seen = BTreeSet::new();
    found.retain(|server| is_global(server.address) && seen.insert(server.address));
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hickory_proto::op::{Message, ResponseCode};
    use tokio::net::UdpSocket;

    use super::*;
    use crate::resolver::Dnssec;

    fn hosts(count: usize) -> BTreeSet<Name> {
        (0..count)
            .map(|number| Name::from_ascii(format!("ns{number:03}.home.example.")).expect("a name"))
            .collect()
    }

    /// A resolver that knows no name, and counts those that it is asked for.
    async fn counting(asked: UdpSocket, seen: &std::sync::Mutex<BTreeSet<String>>) {
        let mut buffer = [0; 512];
        loop {
            let (length, client) = asked.recv_from(&mut buffer).await.expect("a query");
            let query = Message::from_vec(&buffer[..length]).expect("a query");
            seen.lock().expect("no panic").extend(query.queries.iter().map(|it| it.name().to_ascii()));
            let mut response = query.into_response();
            response.metadata.response_code = ResponseCode::NXDomain;
            asked.send_to(&response.to_vec().expect("encoded"), client).await.expect("sent");
        }
    }

    #[tokio::test]
    async fn a_zone_with_very_many_name_servers_costs_no_more_look_ups_than_one_with_many() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
        let resolver =
            Resolver::new(&[socket.local_addr().expect("an address")], Dnssec::Off).expect("a resolver");
        let (seen, glue) = (std::sync::Mutex::default(), Glue::new());
        tokio::select! {
            () = counting(socket, &seen) => {}
            found = addresses(&resolver, hosts(200), &glue) => assert_eq!(found, []),
        }
        assert_eq!(seen.lock().expect("no panic").len(), MOST);
    }

    #[tokio::test]
    async fn nobody_has_home_ask_in_its_own_network() {
        let resolver =
            Resolver::new(&["127.0.0.1:9".parse().expect("an address")], Dnssec::Off).expect("a resolver");
        let all = hosts(1);
        let host = all.first().expect("a host").clone();
        let addresses_of = ["192.168.1.1", "127.0.0.1", "fd00::1", "169.254.169.254", "192.0.2.7"];
        let glue: Glue =
            BTreeMap::from([(host, addresses_of.map(|text| text.parse().expect("an address")).into())]);
        let found = addresses(&resolver, all, &glue).await;
        assert_eq!(found.iter().map(|server| server.address.to_string()).collect::<Vec<_>>(), ["192.0.2.7"]);
    }
}
