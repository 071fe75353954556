//! Binds every listening socket before anything is served.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use postern_shared::cli::Failure;
use tokio::net::TcpListener;

use crate::config::{Listen, ServiceKind};
use crate::net;

/// A bound socket and its service.
pub(super) struct Bound {
    pub(super) service: ServiceKind,
    pub(super) listener: TcpListener,
}

/// Binds all addresses of all services.
pub(super) fn bind(listen: &Listen) -> Result<Vec<Bound>, Failure> {
    let mut bound = Vec::new();
    for (service, addresses) in listen.services() {
        for address in addresses {
            let listener = bind_one(*address).map_err(|error| refusal(service.name(), *address, &error))?;
            bound.push(Bound { service, listener });
        }
    }
    Ok(bound)
}

/// The services and the addresses they really have, for the status.
pub(super) fn addresses(bound: &[Bound]) -> Arc<[(&'static str, SocketAddr)]> {
    bound.iter().filter_map(|one| Some((one.service.name(), one.listener.local_addr().ok()?))).collect()
}

/// Where the kernel has no IPv6, `[::]` means every IPv4 address.
fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let everywhere = address.ip() == Ipv6Addr::UNSPECIFIED;
    match net::bind(address) {
        Err(error)
            if everywhere && error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()) =>
        {
            net::bind((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        outcome => outcome,
    }
}

fn refusal(service: &str, address: SocketAddr, error: &io::Error) -> Failure {
    let port = address.port();
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "Another program listens there; `ss -ltnp 'sport = :{port}'` names it. Stop it, or change the key."
            )
        }
        io::ErrorKind::PermissionDenied => {
            "Ports below 1024 need root or the capability CAP_NET_BIND_SERVICE, as the systemd unit gives it."
                .to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            "This machine does not have that address; `ip address` shows those it has.".to_owned()
        }
        _ => "Correct the key, or see what is wrong with the network.".to_owned(),
    };
    Failure::failed(format!("{address} (key `listen.{service}`) cannot be listened on: {error}. {advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_in_use_is_named_with_its_key() {
        let loopback = |port| vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))];
        let none = || Listen { smtp: vec![], submissions: vec![], submission: vec![], imaps: vec![] };
        let first = bind(&Listen { smtp: loopback(0), ..none() }).expect("a free port");
        let port = addresses(&first)[0].1.port();
        let refused = bind(&Listen { imaps: loopback(port), ..none() }).err().expect("refused");
        assert!(refused.message.contains(&format!("127.0.0.1:{port} (key `listen.imaps`)")), "{refused}");
        assert!(refused.message.contains("ss -ltnp"), "{refused}");
    }
}
