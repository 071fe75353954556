//! `postern-home join`.

use std::net::Ipv6Addr;
use std::path::Path;

use postern_shared::cli::{Exit, Failure};
use postern_shared::http::Method;
use postern_shared::join_code::{Endpoint, InvalidEndpoint, JoinCode};
use postern_shared::tunnel::PublicKey;

use super::client::Client;
use super::secret;
use crate::admin::wire::{Join, JoinWaiting};
use crate::link::EdgeAddresses;

/// The UDP port of an edge whose operator has not chosen another.
const TUNNEL_PORT: u16 = 51820;

/// A mistyped code is told at once, without asking the daemon.
pub(super) fn join(client: &Client, code_file: Option<&Path>) -> Result<Exit, Failure> {
    let code = secret::join_code(code_file)?;
    code.parse::<JoinCode>().map_err(|error| Failure::failed(format!("{error}.")))?;
    let edge: EdgeAddresses = client.call(Method::POST, "/v1/join", &Join { code })?;
    client.print(&edge, joined(&edge))
}

/// Without a key from the operator, nothing has vouched for the edge yet; the output says how to look.
pub(super) fn join_waiting(
    client: &Client,
    edge: Endpoint,
    edge_key: Option<PublicKey>,
) -> Result<Exit, Failure> {
    let wanted = JoinWaiting { edge, edge_key };
    let edge: EdgeAddresses = client.call(Method::POST, "/v1/join/waiting", &wanted)?;
    let vouched = if edge_key.is_some() {
        "The edge has the key that you gave."
    } else {
        "Nothing has vouched for the edge yet: compare the keys in `postern-edge status` there with those in `postern-home tunnel status` here. They must be the same."
    };
    client.print(&edge, format_args!("{}\n{vouched}", joined(&edge)))
}

fn joined(edge: &EdgeAddresses) -> String {
    let public: Vec<String> = edge.public.iter().map(ToString::to_string).collect();
    format!("Joined. The world reaches this home at {}.", public.join(" and "))
}

/// An endpoint whose port may be left out.
pub(super) fn parse_edge(text: &str) -> Result<Endpoint, InvalidEndpoint> {
    let with_port = match text.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]:{TUNNEL_PORT}"),
        Err(_) => format!("{text}:{TUNNEL_PORT}"),
    };
    text.parse().or_else(|wrong| with_port.parse().map_err(|_| wrong))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_may_be_left_out() {
        let read = |text| parse_edge(text).map(|endpoint| endpoint.to_string());
        for (text, endpoint) in [
            ("edge.example", "edge.example:51820"),
            ("192.0.2.1", "192.0.2.1:51820"),
            ("192.0.2.1:5000", "192.0.2.1:5000"),
            ("2001:db8::1", "[2001:db8::1]:51820"),
            ("[2001:db8::1]:5000", "[2001:db8::1]:5000"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(endpoint));
        }
        for wrong in ["", "edge:0", "a b", "edge.example:", "edge.example:65536"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
