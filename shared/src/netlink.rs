//! Addresses, routes and policy rules of the tunnel interface, over rtnetlink.
//!
//! In: an interface by name and what it shall carry. Out: the same in the kernel; every call may be repeated, and leaves
//! what is already there alone. Nothing but the named interface, its routing table and the rules made here is touched.
//!
//! At home the replies of the inner addresses leave by the tunnel and nothing else changes:
//! ```text
//! rule from HOME4 lookup TABLE priority 1000      table TABLE: default dev TUN
//! rule from HOME6 lookup TABLE priority 1000      table TABLE: default dev TUN
//! ```
//! Addresses and routes vanish with the interface. Rules do not, so they are removed by [`Interface::remove_policy`], and
//! a left-over of a killed process is taken over by the next start.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt;
use ipnet::IpNet;
use rtnetlink::packet_core::ErrorMessage;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::route::RouteScope;
use rtnetlink::packet_route::rule::{RuleAction, RuleMessage};
use rtnetlink::{Handle, LinkUnspec, RouteMessageBuilder};

/// The routing table of the tunnel at home.
pub const POLICY_TABLE: u32 = 51820;

/// The priority of the rules that look up [`POLICY_TABLE`]: before `main` (32766).
pub const POLICY_PRIORITY: u32 = 1000;

/// What the kernel answers where IPv6 is switched off: the tunnel then carries IPv4 only.
const NO_IPV6: [i32; 4] = [libc::EEXIST, libc::EACCES, libc::EOPNOTSUPP, libc::EAFNOSUPPORT];

/// Why the kernel's network configuration could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The netlink socket could not be opened.
    #[error("the kernel's routing socket (netlink) cannot be opened: {0}")]
    Socket(std::io::Error),
    /// CAP_NET_ADMIN is missing.
    #[error(
        "no permission to configure the interface {0}: the program needs CAP_NET_ADMIN. Start it by its systemd unit, or \
         as root"
    )]
    Permission(String),
    /// There is no such interface.
    #[error("there is no interface {0}: something outside this program removed it")]
    NoInterface(String),
    /// The kernel refused a change.
    #[error("the kernel refused to {action} on {interface}: {source}")]
    Refused {
        /// What was asked.
        action: &'static str,
        /// The interface.
        interface: String,
        /// The kernel's answer.
        source: rtnetlink::Error,
    },
}

/// A network of this machine that holds an address which the tunnel needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the tunnel's inner address {address} lies in the network {network} of this machine's interface {interface}. Choose \
     other addresses in the edge's configuration (`edge_v4`, `home_v4`, `edge_v6`, `home_v6` in `[tunnel]`), restart \
     `postern-edge`, and join with a new code from `postern-edge invite`"
)]
pub struct Conflict {
    /// The inner address.
    pub address: IpAddr,
    /// The network that holds it.
    pub network: IpNet,
    /// The interface of that network.
    pub interface: String,
}

/// One network interface, found by its name.
#[derive(Debug, Clone)]
pub struct Interface {
    name: String,
    index: u32,
    handle: Handle,
}

impl Interface {
    /// Finds an interface. Must be called on a tokio runtime, which drives the netlink socket from then on.
    ///
    /// # Errors
    /// When there is no such interface or netlink cannot be used.
    pub fn open(name: &str) -> Result<Self, NetlinkError> {
        let (connection, handle, _) = rtnetlink::new_connection().map_err(NetlinkError::Socket)?;
        tokio::spawn(connection);
        let index = interface_index(name).map_err(|_| NetlinkError::NoInterface(name.into()))?;
        Ok(Self { name: name.into(), index, handle })
    }

    /// Sets the MTU (octets) and brings the interface up.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn bring_up(&self, mtu: u16) -> Result<(), NetlinkError> {
        let message = LinkUnspec::new_with_index(self.index).mtu(mtu.into()).up().build();
        self.check("bring the interface up", self.handle.link().set(message).execute().await, &[])
    }

    /// Adds a host address and the route to its peer.
    ///
    /// # Errors
    /// When the kernel refuses; not where IPv6 is switched off.
    pub async fn add_address(&self, local: IpAddr, peer: IpAddr) -> Result<(), NetlinkError> {
        let added = self.handle.address().add(self.index, local, host_prefix(local)).execute().await;
        self.check("add an address", added, harmless(local))?;
        self.add_route(peer, host_prefix(peer), libc::RT_TABLE_MAIN.into()).await
    }

    /// Removes a host address. The route to its peer stays until the interface goes.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn remove_address(&self, local: IpAddr) -> Result<(), NetlinkError> {
        let mut message = AddressMessage::default();
        message.header.index = self.index;
        message.header.prefix_len = host_prefix(local);
        message.header.family = if local.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        message.attributes.push(AddressAttribute::Local(local));
        let removed = self.handle.address().del(message).execute().await;
        self.check("remove an address", removed, &[libc::EADDRNOTAVAIL])
    }

    /// Makes packets from the two addresses leave by this interface, whatever the main table says.
    ///
    /// # Errors
    /// When the kernel refuses; not where IPv6 is switched off.
    pub async fn add_policy(&self, v4: Ipv4Addr, v6: Ipv6Addr) -> Result<(), NetlinkError> {
        self.add_route(Ipv4Addr::UNSPECIFIED.into(), 0, POLICY_TABLE).await?;
        self.add_route(Ipv6Addr::UNSPECIFIED.into(), 0, POLICY_TABLE).await?;
        let mut rules = self.handle.rule().add();
        *rules.message_mut() = source_rule(v4.into());
        self.check("add a policy rule", rules.execute().await, harmless(v4.into()))?;
        let mut rules = self.handle.rule().add();
        *rules.message_mut() = source_rule(v6.into());
        self.check("add a policy rule", rules.execute().await, harmless(v6.into()))
    }

    /// Removes what [`add_policy`](Self::add_policy) left outside the interface: the two rules.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn remove_policy(&self, v4: Ipv4Addr, v6: Ipv6Addr) -> Result<(), NetlinkError> {
        for address in [IpAddr::from(v4), IpAddr::from(v6)] {
            let removed = self.handle.rule().del(source_rule(address)).execute().await;
            self.check(
                "remove a policy rule",
                removed,
                &[libc::ENOENT, libc::EAFNOSUPPORT, libc::EOPNOTSUPP],
            )?;
        }
        Ok(())
    }

    /// The first of `wanted` that lies in a network of another interface.
    ///
    /// # Errors
    /// When the kernel refuses to list the addresses.
    pub async fn conflict(&self, wanted: &[IpAddr]) -> Result<Option<Conflict>, NetlinkError> {
        let listed: Result<Vec<AddressMessage>, _> =
            self.handle.address().get().execute().try_collect().await;
        let listed = listed.map_err(|source| self.refused("list the addresses", source))?;
        let others = listed.iter().filter(|message| message.header.index != self.index);
        let networks: Vec<(u32, IpNet)> =
            others.filter_map(|message| Some((message.header.index, network_of(message)?))).collect();
        let held = |address: &IpAddr| networks.iter().find(|(_, network)| network.contains(address));
        let conflict = wanted.iter().find_map(|address| held(address).map(|held| (*address, *held)));
        Ok(conflict.map(|(address, (index, network))| Conflict {
            address,
            network: network.trunc(),
            interface: interface_name(index),
        }))
    }

    /// Sends whatever the machine does not know a better way for out of this interface: for a network namespace that has no
    /// other interface.
    ///
    /// # Errors
    /// When the kernel refuses; not where IPv6 is switched off.
    pub async fn add_default_routes(&self) -> Result<(), NetlinkError> {
        self.add_route(Ipv4Addr::UNSPECIFIED.into(), 0, libc::RT_TABLE_MAIN.into()).await?;
        self.add_route(Ipv6Addr::UNSPECIFIED.into(), 0, libc::RT_TABLE_MAIN.into()).await
    }

    async fn add_route(&self, to: IpAddr, prefix: u8, table: u32) -> Result<(), NetlinkError> {
        let message = match to {
            IpAddr::V4(to) => RouteMessageBuilder::<Ipv4Addr>::new()
                .destination_prefix(to, prefix)
                .output_interface(self.index)
                .table_id(table)
                .scope(RouteScope::Link)
                .build(),
            IpAddr::V6(to) => RouteMessageBuilder::<Ipv6Addr>::new()
                .destination_prefix(to, prefix)
                .output_interface(self.index)
                .table_id(table)
                .build(),
        };
        let added = self.handle.route().add(message).replace().execute().await;
        self.check("add a route", added, harmless(to))
    }

    fn check(
        &self,
        action: &'static str,
        result: Result<(), rtnetlink::Error>,
        harmless: &[i32],
    ) -> Result<(), NetlinkError> {
        let Err(source) = result else { return Ok(()) };
        match errno(&source) {
            Some(errno) if harmless.contains(&errno) => Ok(()),
            _ => Err(self.refused(action, source)),
        }
    }

    fn refused(&self, action: &'static str, source: rtnetlink::Error) -> NetlinkError {
        match errno(&source) {
            Some(libc::EPERM) => NetlinkError::Permission(self.name.clone()),
            _ => NetlinkError::Refused { action, interface: self.name.clone(), source },
        }
    }
}

/// The networks of all of this machine's interfaces.
///
/// # Errors
/// When the kernel refuses to list them.
pub async fn networks() -> Result<Vec<IpNet>, NetlinkError> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(NetlinkError::Socket)?;
    let connection = tokio::spawn(connection);
    let listed: Result<Vec<AddressMessage>, _> = handle.address().get().execute().try_collect().await;
    connection.abort();
    let all = || "any interface".to_owned();
    let listed = listed.map_err(|source| NetlinkError::Refused {
        action: "list the addresses",
        interface: all(),
        source,
    })?;
    Ok(listed.iter().filter_map(network_of).map(|network| network.trunc()).collect())
}

fn source_rule(address: IpAddr) -> RuleMessage {
    use rtnetlink::packet_route::rule::RuleAttribute;
    let mut rule = RuleMessage::default();
    rule.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    rule.header.src_len = host_prefix(address);
    rule.header.action = RuleAction::ToTable;
    rule.attributes = vec![
        RuleAttribute::Source(address),
        RuleAttribute::Table(POLICY_TABLE),
        RuleAttribute::Priority(POLICY_PRIORITY),
    ];
    rule
}

fn network_of(message: &AddressMessage) -> Option<IpNet> {
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Address(address) => Some(*address),
        _ => None,
    })?;
    IpNet::new(address, message.header.prefix_len).ok()
}

/// The interface's name, or its number where it has gone meanwhile.
fn interface_name(index: u32) -> String {
    use rustix::net::{AddressFamily, SocketType, netdevice, socket};
    let name = socket(AddressFamily::UNIX, SocketType::DGRAM, None)
        .and_then(|socket| netdevice::index_to_name(socket, index));
    name.unwrap_or_else(|_| index.to_string())
}

fn interface_index(name: &str) -> rustix::io::Result<u32> {
    use rustix::net::{AddressFamily, SocketType, netdevice, socket};
    netdevice::name_to_index(socket(AddressFamily::UNIX, SocketType::DGRAM, None)?, name)
}

fn host_prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn harmless(address: IpAddr) -> &'static [i32] {
    if address.is_ipv4() { &[libc::EEXIST] } else { &NO_IPV6 }
}

/// The errno of the kernel's answer.
fn errno(error: &rtnetlink::Error) -> Option<i32> {
    match error {
        rtnetlink::Error::NetlinkError(ErrorMessage { code, .. }) => code.map(|code| code.get().abs()),
        _ => None,
    }
}
