//! What this machine is: its public interface and addresses, and whether it can run the edge at all.
//!
//! In: the kernel's addresses and routes, over rtnetlink. Out: the public addresses where the configuration names none,
//! and warnings where the machine and the configuration do not fit together.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use futures_util::TryStreamExt;
use postern_shared::address::is_global;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::address::AddressAttribute;
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::packet_route::route::{RouteAttribute, RouteHeader, RouteMessage};

use crate::config::Config;
use crate::forward;

/// The kernel's answer to what interfaces there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// The interface of the default route.
    pub default_interface: Option<String>,
    /// Every interface and its addresses.
    pub interfaces: BTreeMap<String, Vec<IpAddr>>,
}

/// The kernel did not answer.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// The socket could not be opened.
    #[error("the kernel's routing socket (netlink) cannot be opened: {0}.")]
    Socket(#[from] std::io::Error),
    /// A question failed.
    #[error("the kernel does not say what addresses this machine has: {0}.")]
    Netlink(#[from] rtnetlink::Error),
}

/// How this machine faces the internet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Public {
    /// The interface, where one could be told.
    pub interface: Option<String>,
    /// The addresses, IPv4 first.
    pub addresses: Vec<IpAddr>,
}

/// Asks the kernel.
///
/// # Errors
/// Where netlink fails, which needs no privilege and so should not happen.
pub async fn survey() -> Result<Survey, SurveyError> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    let connection = tokio::spawn(connection);
    let mut names = BTreeMap::new();
    let mut links = handle.link().get().execute();
    while let Some(link) = links.try_next().await? {
        let name = link.attributes.into_iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        });
        names.insert(link.header.index, name.unwrap_or_default());
    }
    let mut interfaces: BTreeMap<String, Vec<IpAddr>> =
        names.values().map(|name| (name.clone(), Vec::new())).collect();
    let mut addresses = handle.address().get().execute();
    while let Some(message) = addresses.try_next().await? {
        let local = address_of(&message.attributes);
        if let (Some(name), Some(address)) = (names.get(&message.header.index), local) {
            interfaces.entry(name.clone()).or_default().push(address);
        }
    }
    let mut index = None;
    for query in
        [RouteMessageBuilder::<Ipv4Addr>::new().build(), RouteMessageBuilder::<Ipv6Addr>::new().build()]
    {
        let routes: Vec<RouteMessage> = handle.route().get(query).execute().try_collect().await?;
        index = index.or_else(|| routes.iter().find_map(default_route_interface));
    }
    connection.abort();
    Ok(Survey { default_interface: index.and_then(|index| names.get(&index).cloned()), interfaces })
}

/// On a point-to-point link ADDRESS is the peer's; LOCAL is ours where it is given.
fn address_of(attributes: &[AddressAttribute]) -> Option<IpAddr> {
    let local = attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    local.or_else(|| {
        attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })
}

fn default_route_interface(route: &RouteMessage) -> Option<u32> {
    let is_default =
        route.header.destination_prefix_length == 0 && route.header.table == RouteHeader::RT_TABLE_MAIN;
    is_default.then_some(())?;
    route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    })
}

/// The public interface and addresses: what the configuration says, else what the machine has.
pub fn public(config: &Config, survey: &Survey) -> Public {
    let interface = config.public_interface.clone().or_else(|| survey.default_interface.clone());
    let mut addresses = config.public_addresses.clone();
    if addresses.is_empty() {
        let found = interface.as_ref().and_then(|name| survey.interfaces.get(name));
        addresses = found.into_iter().flatten().copied().filter(|address| is_global(*address)).collect();
    }
    addresses.sort_by_key(IpAddr::is_ipv6);
    addresses.dedup();
    Public { interface, addresses }
}

/// The addresses of this machine at which connections from the world arrive: the public ones, or, where those are translated
/// in front of it, the ones of the public interface.
pub fn arrivals(public: &Public, survey: &Survey) -> Vec<IpAddr> {
    let is_here = |address: &IpAddr| survey.interfaces.values().any(|own| own.contains(address));
    let mut arrivals: Vec<IpAddr> = public.addresses.iter().copied().filter(is_here).collect();
    let of_interface = public.interface.as_ref().and_then(|name| survey.interfaces.get(name));
    let is_link_local = |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    for is_ipv4 in [true, false] {
        let missing = public.addresses.iter().any(|address| address.is_ipv4() == is_ipv4)
            && !arrivals.iter().any(|address| address.is_ipv4() == is_ipv4);
        let instead = of_interface.into_iter().flatten().copied();
        let instead = instead.filter(|address| address.is_ipv4() == is_ipv4 && !is_link_local(address));
        arrivals.extend(instead.filter(|_| missing));
    }
    arrivals
}

/// What in this machine does not fit the configuration; each entry is a whole sentence or more.
pub fn warnings(config: &Config, survey: &Survey) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(name) = &config.public_interface
        && !survey.interfaces.contains_key(name)
    {
        warnings.push(format!(
            "`public_interface`: this machine has no interface `{name}`; `ip link` lists what it has."
        ));
    }
    if public(config, survey).addresses.is_empty() {
        warnings.push(
            "`public_addresses`: no public address was found on this machine. Where its address is translated in front of \
             it (EC2 and others), list the outer address here."
                .to_owned(),
        );
    }
    warnings.extend(conflict(config, survey));
    if config.dns.listen.is_empty() {
        warnings.push(
            "`dns.listen` is empty: the name server answers nowhere and the domains will not resolve."
                .to_owned(),
        );
    }
    if config.forward.ports.contains_key(&22) {
        warnings
            .push("`forward.ports` takes port 22: ssh to this machine will reach home instead.".to_owned());
    }
    if config.forward.drop_other_input && !config.forward.open_input.contains(&22) {
        warnings.push(
            "`forward.open_input` lacks port 22: with `drop_other_input`, ssh to this machine is closed."
                .to_owned(),
        );
    }
    warnings.extend(missing_parts());
    warnings.extend(forward::foreign_drops().into_iter().map(|chain| {
        format!(
            "the firewall chain `{chain}` of another program drops what it does not know: mail will not pass until it \
             accepts what goes in and out of `{}`.",
            config.tunnel.interface
        )
    }));
    warnings
}

fn conflict(config: &Config, survey: &Survey) -> Option<String> {
    let inner: [IpAddr; 4] = [
        config.tunnel.edge_v4.into(),
        config.tunnel.home_v4.into(),
        config.tunnel.edge_v6.into(),
        config.tunnel.home_v6.into(),
    ];
    let others = survey.interfaces.iter().filter(|(name, _)| **name != config.tunnel.interface);
    let taken = others.flat_map(|(name, addresses)| addresses.iter().map(move |address| (name, address)));
    let (name, address) = taken.into_iter().find(|(_, address)| inner.contains(address))?;
    Some(format!(
        "`tunnel`: the inner address {address} is already on interface `{name}`. Choose other inner addresses."
    ))
}

fn missing_parts() -> Vec<String> {
    let mut warnings = Vec::new();
    if !Path::new("/dev/net/tun").exists() {
        warnings.push(
            "/dev/net/tun is missing: the tunnel cannot start. `modprobe tun` makes it on most machines."
                .to_owned(),
        );
    }
    if !["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"].iter().any(|path| Path::new(path).exists()) {
        warnings
            .push("the program `nft` was not found: install it with `apt-get install nftables`.".to_owned());
    }
    warnings
}

/// Whether a socket could not be had because IPv6 is switched off here (EAFNOSUPPORT), or its address was refused for it.
pub fn lacks_ipv6(error: &std::io::Error) -> bool {
    const EAFNOSUPPORT: i32 = 97;
    error.raw_os_error() == Some(EAFNOSUPPORT) || error.kind() == std::io::ErrorKind::AddrNotAvailable
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Survey {
        let parse = |addresses: &[&str]| addresses.iter().map(|address| address.parse().unwrap()).collect();
        Survey {
            default_interface: Some("eth0".to_owned()),
            interfaces: BTreeMap::from([
                ("lo".to_owned(), parse(&["127.0.0.1", "::1"])),
                ("eth0".to_owned(), parse(&["2001:db8::7", "fe80::1", "198.51.100.7"])),
                ("lan".to_owned(), parse(&["10.0.0.1"])),
            ]),
        }
    }

    #[test]
    fn public_addresses_are_those_of_the_default_route() {
        let public = public(&Config::default(), &machine());
        assert_eq!(public.interface.as_deref(), Some("eth0"));
        assert_eq!(public.addresses, ["198.51.100.7", "2001:db8::7"].map(|a| a.parse::<IpAddr>().unwrap()));
    }

    #[test]
    fn what_is_configured_wins() {
        let outer: IpAddr = "203.0.113.9".parse().unwrap();
        let config = Config { public_addresses: vec![outer], ..Config::default() };
        assert_eq!(public(&config, &machine()).addresses, [outer]);
    }

    #[test]
    fn where_the_public_address_is_translated_connections_arrive_at_the_interfaces_own() {
        let parse =
            |addresses: &[&str]| -> Vec<IpAddr> { addresses.iter().map(|a| a.parse().unwrap()).collect() };
        let public =
            |addresses: &[&str]| Public { interface: Some("lan".to_owned()), addresses: parse(addresses) };
        assert_eq!(arrivals(&public(&["203.0.113.9"]), &machine()), parse(&["10.0.0.1"]));
        assert_eq!(arrivals(&public(&["198.51.100.7"]), &machine()), parse(&["198.51.100.7"]));
        assert!(arrivals(&public(&["2001:db8::99"]), &machine()).is_empty());
    }

    #[test]
    fn misfits_are_warned_about() {
        let mut config = Config { public_interface: Some("eth9".to_owned()), ..Config::default() };
        config.tunnel.edge_v4 = Ipv4Addr::new(10, 0, 0, 1);
        let warnings = warnings(&config, &machine()).join("\n");
        assert!(warnings.contains("no interface `eth9`"), "{warnings}");
        assert!(warnings.contains("no public address was found"), "{warnings}");
        assert!(warnings.contains("10.0.0.1 is already on interface `lan`"), "{warnings}");
    }

    #[tokio::test]
    async fn the_kernel_answers() {
        assert!(survey().await.unwrap().interfaces.contains_key("lo"));
    }
}
