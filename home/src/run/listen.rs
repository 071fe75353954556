//! Binds every listening socket before anything is served.
//!
//! Where the inner network is not the machine's, a service listens twice: on the machine's addresses for clients in the
//! local network, and on the inner addresses for those who come through the tunnel. A port that the machine forbids to
//! us then costs the local network only, and is a warning.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use postern_shared::cli::Failure;
use tokio::net::TcpListener;

use crate::config::{Listen, ServiceKind};
use crate::inner::Network;
use crate::net;
use crate::status::{Listener, Listening};

/// A bound socket and its service.
pub(super) struct Bound {
    pub(super) service: ServiceKind,
    pub(super) listener: net::Listener,
    /// Whether it is reached through the tunnel alone.
    pub(super) is_inner: bool,
}

/// Everything that is bound, and what could not be.
#[derive(Default)]
pub(super) struct Listeners {
    pub(super) bound: Vec<Bound>,
    /// Sentences about services that the local network does not reach.
    pub(super) warnings: Vec<String>,
}

/// Binds all addresses of all services.
pub(super) fn bind(listen: &Listen, network: &Network) -> Result<Listeners, Failure> {
    let mut listeners = Listeners::default();
    for (service, addresses) in listen.services() {
        listeners.bind_inner(service, addresses, network)?;
        listeners.bind_machine(service, addresses)?;
    }
    Ok(listeners)
}

impl Listeners {
    /// The inner addresses are among those that a wildcard means.
    fn bind_inner(
        &mut self,
        service: ServiceKind,
        addresses: &[SocketAddr],
        network: &Network,
    ) -> Result<(), Failure> {
        let mut ports: Vec<u16> =
            addresses.iter().filter(|address| address.ip().is_unspecified()).map(SocketAddr::port).collect();
        ports.dedup();
        for port in ports {
            let Some(listener) = network.listen(port) else { return Ok(()) };
            let listener = listener.map_err(|error| unusable_inside(service.name(), port, &error))?;
            self.bound.push(Bound { service, listener, is_inner: true });
        }
        Ok(())
    }

    fn bind_machine(&mut self, service: ServiceKind, addresses: &[SocketAddr]) -> Result<(), Failure> {
        let is_inner_served = self.bound.iter().any(|bound| bound.service == service && bound.is_inner);
        let mut forbidden = Vec::new();
        for address in addresses {
            match bind_one(*address) {
                Ok(listener) => {
                    let listener = net::Listener::Kernel(listener);
                    self.bound.push(Bound { service, listener, is_inner: false });
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied && is_inner_served => {
                    forbidden.push(*address);
                }
                Err(error) => return Err(refusal(service.name(), *address, &error)),
            }
        }
        let is_served = self.bound.iter().any(|bound| bound.service == service && !bound.is_inner);
        if !is_served {
            self.warnings.extend(forbidden.iter().map(|address| forbidden_here(service.name(), *address)));
        }
        Ok(())
    }

    /// The services and the addresses they really have, for the status.
    pub(super) fn shown(&self) -> Arc<Listening> {
        let listener = |bound: &Bound| {
            let address = bound.listener.local_addr().ok()?;
            Some(Listener { service: bound.service.name().to_owned(), address, tunnel: bound.is_inner })
        };
        let listeners = self.bound.iter().filter_map(listener).collect();
        Arc::new(Listening { listeners, warnings: self.warnings.clone() })
    }
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

fn forbidden_here(service: &str, address: SocketAddr) -> String {
    let port = address.port();
    format!(
        "The local network does not reach {service}: {address} (key `listen.{service}`) is a port below 1024, which this \
         machine keeps from ordinary users. Mail through the tunnel is not affected. Allow it with `sysctl \
         net.ipv4.ip_unprivileged_port_start={port}`, give the program CAP_NET_BIND_SERVICE, or add an address of the local \
         network with another port, such as \"192.168.1.20:{}\".",
        port.saturating_add(8000)
    )
}

fn unusable_inside(service: &str, port: u16, error: &io::Error) -> Failure {
    Failure::failed(format!(
        "port {port} (key `listen.{service}`) cannot be listened on inside the tunnel: {error}. Give each service its own \
         port."
    ))
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
        let none = || Listen {
            smtp: vec![],
            submissions: vec![],
            submission: vec![],
            imaps: vec![],
            pop3s: vec![],
            pop3: vec![],
            https: vec![],
        };
        let bind = |listen: &Listen| bind(listen, &Network::Machine);
        let first = bind(&Listen { smtp: loopback(0), ..none() }).expect("a free port");
        let port = first.shown().listeners[0].address.port();
        let refused = bind(&Listen { imaps: loopback(port), ..none() }).err().expect("refused");
        assert!(refused.message.contains(&format!("127.0.0.1:{port} (key `listen.imaps`)")), "{refused}");
        assert!(refused.message.contains("ss -ltnp"), "{refused}");
    }
}
