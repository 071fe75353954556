//! The rules by which home sees itself as the world does, for as long as the mirror is open.
//!
//! In: the wanted state. Out: rules by which a connection of home's to a public address of this machine and a forwarded
//! port passes the chains `new_flows` and `to_home` like a stranger's, and comes to home from an address that is no
//! machine's. Refused: any other port, any other source, the inner addresses (the control port is there), and more than
//! [`MOST`] MiB a second. While home is silent nothing is mirrored; nor is home's routed address, which home reaches
//! without leaving its machine.

use std::collections::BTreeSet;
use std::net::IpAddr;

use nftables::expr::MetaKey;
use nftables::stmt::Statement;
use postern_shared::look::{MIRROR_V4, MIRROR_V6};

use super::rules::Statements;
use super::state::{DesiredState, MIRRORED_SMTP, Mirror, Passage, SMTP};
use super::words::*;

/// MiB in a second, both ways together: a look needs some hundred kB.
const MOST: u32 = 4;

/// Everything that the mirror needs; the first rule of `from_home` must stand before the one that drops what leads back
/// into the tunnel.
pub fn rules(state: &DesiredState) -> Statements {
    if state.mirror == Mirror::Shut || state.passage == Passage::Held || state.ports.is_empty() {
        return Statements::new();
    }
    let back = || vec![through(MetaKey::Oifname, &state.tunnel_interface), was_translated()];
    let mut rules = vec![
        ("from_home", [back(), vec![faster_than(MOST), Statement::Drop(None)]].concat()),
        ("from_home", [back(), vec![Statement::Accept(None)]].concat()),
    ];
    for (home, edge, stranger) in ends(state) {
        let wanted = |ports: &BTreeSet<u16>, then: &[Statement<'static>]| {
            let from_home = [through(MetaKey::Iifname, &state.tunnel_interface), source_is(home)];
            let to_here = [destination_is_not(edge), to_local_address(), to_tcp_ports(ports)];
            [&from_home, &to_here[..], then].concat()
        };
        let ports = state.ports.keys().copied().collect();
        rules.push(("arriving", wanted(&ports, &[new_flow(), jump("new_flows")])));
        rules.push(("prerouting", wanted(&[SMTP].into(), &[count(MIRRORED_SMTP)])));
        rules.push(("prerouting", wanted(&ports, &[jump("to_home")])));
        rules.push(("postrouting", [back(), vec![source_is(home), snat(stranger)]].concat()));
    }
    rules
}

/// Home, the edge and who home then seems to be, of each protocol.
fn ends(state: &DesiredState) -> Vec<(IpAddr, IpAddr, IpAddr)> {
    let v4 = (state.home_v4.into(), state.edge_v4.into(), MIRROR_V4.into());
    let v6 = (state.home_v6.into(), state.edge_v6.into(), MIRROR_V6.into());
    let v6 = state.routed_v6().is_none().then_some(v6);
    [v4].into_iter().chain(v6).collect()
}

#[cfg(test)]
mod tests {
    use super::super::rules::json;
    use super::*;
    use crate::config::Config;
    use crate::service::desired_state;

    fn open() -> DesiredState {
        DesiredState { mirror: Mirror::Open, ..desired_state(&Config::default(), None, 2525) }
    }

    fn of_chain(state: &DesiredState, chain: &str) -> Vec<String> {
        let rules = rules(state).into_iter().filter(|(name, _)| *name == chain);
        rules.map(|(_, rule)| json(&rule).to_string()).collect()
    }

    #[test]
    fn only_home_is_led_back_and_only_to_itself_by_the_chains_of_strangers() {
        let into = of_chain(&open(), "prerouting").split_off(1);
        assert!(into[0].contains(r#""10.118.0.2""#) && into[0].contains(r#""target":"to_home""#), "{into:?}");
        assert!(into[0].contains(r#""op":"!=""#) && into[0].contains(r#""10.118.0.1""#), "{into:?}");
        assert!(into[0].contains(r#""set":[25,"#), "{into:?}");
        assert!(of_chain(&open(), "arriving")[0].contains(r#""target":"new_flows""#));
        let from_home = of_chain(&open(), "from_home");
        assert!(from_home[0].contains("mbytes") && from_home[1].contains("accept"), "{from_home:?}");
        assert!(
            from_home.iter().all(|rule| rule.contains("dnat")),
            "only what was translated: {from_home:?}"
        );
        assert!(of_chain(&open(), "postrouting")[0].contains(r#""snat":{"addr":"192.0.0.8""#));
    }

    #[test]
    fn nothing_is_led_back_while_it_is_shut_or_home_silent_nor_the_routed_address() {
        assert!(rules(&DesiredState { mirror: Mirror::Shut, ..open() }).is_empty());
        assert!(rules(&DesiredState { passage: Passage::Held, ..open() }).is_empty());
        let routed = DesiredState { home_v6: "2001:db8:ed:1::25".parse().unwrap(), ..open() };
        assert_eq!((of_chain(&open(), "prerouting").len(), of_chain(&routed, "prerouting").len()), (4, 2));
    }
}
