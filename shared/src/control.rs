//! The control protocol, version 1: what home and edge say to each other over the tunnel.
//!
//! HTTP/1.1 and JSON on the edge's inner address. Calls that change state carry the signature header of
//! [`identity`](crate::identity); the edge accepts each counter value once, in growing order.
//!
//! | call | body | answer | signed |
//! |---|---|---|---|
//! | `GET /v1/status` | | [`Status`] | |
//! | `POST /v1/enrol` | see [`enrolment`](crate::enrolment) | | in itself |
//! | `PUT /v1/zones/{origin}` | [`Zone`](crate::zone::Zone) | [`ZoneStatus`] | yes |
//! | `DELETE /v1/zones/{origin}` | | [`Changed`] | yes |
//! | `PUT /v1/forward` | [`Forward`] | [`Changed`] | yes |
//! | `PUT /v1/bans` | [`BanList`](crate::bans::BanList) | [`BansTaken`](crate::bans::BansTaken) | yes |
//! | `PUT /v1/secondaries` | [`SecondaryList`](crate::secondary::SecondaryList) | [`Changed`] | yes |
//! | `PUT /v1/epochs/{id}` | [`Offer`](crate::rotation::Offer) | [`Answer`](crate::rotation::Answer) | yes |
//! | `POST /v1/epochs/{id}/commit` | [`Commit`](crate::rotation::Commit) | [`Changed`] | yes |
//! | `DELETE /v1/epochs/{id}` | | [`Changed`] | yes |
//! | `GET /v1/facts`, `POST /v1/echo`, `/v1/outbound`, `/v1/mirror` | see [`look`](crate::look) | | all but facts |
//!
//! `{origin}` is the apex with or without its final dot. Fields that a version does not know are ignored, and new
//! fields have defaults, so that edge and home tolerate each other one version apart. A commit without a body is that of a
//! home which knows the number only.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::secondary::SecondariesHeld;
use crate::tunnel::EpochId;

/// The version that the paths begin with (`/v1/`).
pub const VERSION: u16 = 1;

/// The path of [`Status`].
pub const STATUS_PATH: &str = "/v1/status";
/// The path of enrolment.
pub const ENROL_PATH: &str = "/v1/enrol";
/// The path of [`Forward`].
pub const FORWARD_PATH: &str = "/v1/forward";

/// The path of [`BanList`](crate::bans::BanList).
pub const BANS_PATH: &str = "/v1/bans";

/// The path of [`SecondaryList`](crate::secondary::SecondaryList).
pub const SECONDARIES_PATH: &str = "/v1/secondaries";

/// Whether home's inner IPv6 address is a public one: the world reaches home there without translation. All that is
/// assigned to the internet lies in 2000::/3.
pub fn is_routed(home_v6: Ipv6Addr) -> bool {
    home_v6.segments()[0] & 0xe000 == 0x2000
}

/// The path of one zone.
pub fn zone_path(origin: &str) -> String {
    format!("/v1/zones/{}", origin.trim_end_matches('.'))
}

/// The path of one epoch.
pub fn epoch_path(epoch: EpochId) -> String {
    format!("/v1/epochs/{}", epoch.0)
}

/// The path at which an epoch becomes the preferred one.
pub fn commit_path(epoch: EpochId) -> String {
    format!("/v1/epochs/{}/commit", epoch.0)
}

/// What the edge says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The edge program's version.
    pub version: String,
    /// The control protocol's version.
    pub protocol: u16,
    /// The addresses at which the world reaches the edge.
    pub public_addresses: Vec<IpAddr>,
    /// Whether a home has joined this edge.
    pub joined: bool,
    /// The edge's time of day, in seconds since 1970; absent where the edge is too old to tell.
    #[serde(default)]
    pub time: Option<u64>,
    /// The counter of the last signed call that was accepted; the next must be greater.
    #[serde(default)]
    pub last_counter: u64,
    /// The zones being served.
    #[serde(default)]
    pub zones: Vec<ZoneStatus>,
    /// What is being forwarded.
    #[serde(default)]
    pub forward: Forward,
    /// What is banned; absent where the edge is too old to ban.
    #[serde(default)]
    pub bans: Option<BansHeld>,
    /// The secondary name servers; absent where the edge is too old to have any.
    #[serde(default)]
    pub secondaries: Option<SecondariesHeld>,
    /// The firewall's counters, by name.
    #[serde(default)]
    pub counters: BTreeMap<String, Count>,
}

impl Status {
    /// The public IPv4 addresses.
    pub fn public_v4(&self) -> Vec<Ipv4Addr> {
        let v4 = |address: &IpAddr| if let IpAddr::V4(address) = address { Some(*address) } else { None };
        self.public_addresses.iter().filter_map(v4).collect()
    }

    /// The public IPv6 addresses.
    pub fn public_v6(&self) -> Vec<Ipv6Addr> {
        let v6 = |address: &IpAddr| if let IpAddr::V6(address) = address { Some(*address) } else { None };
        self.public_addresses.iter().filter_map(v6).collect()
    }
}

/// One zone as the edge holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneStatus {
    /// The apex, absolute.
    pub origin: String,
    /// The serial number being served.
    pub serial: u32,
    /// [`Zone::digest`](crate::zone::Zone::digest) of what is served.
    pub digest: String,
}

/// Which ports pass from the world to home, and from home to the world.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// Public TCP port to the port at home.
    pub ports: BTreeMap<u16, u16>,
    /// TCP ports of the world that home may connect to.
    pub home_may_connect_to: Vec<u16>,
}

/// The bans that the edge holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BansHeld {
    /// The list that home pushed last; empty before.
    pub revision: String,
    /// How many bans hold now.
    pub count: usize,
}

/// Packets and octets of one named counter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Packets; for connection counters, connections.
    pub packets: u64,
    /// Octets of those packets.
    pub octets: u64,
}

/// The answer to a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Whether anything is different now.
    pub changed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_of_a_neighbouring_version_is_understood() {
        let old = r#"{"version":"0.1.0","protocol":1,"public_addresses":["192.0.2.1","2001:db8::1"],"joined":true}"#;
        let status: Status = serde_json::from_str(old).unwrap();
        assert_eq!(status.public_v4(), ["192.0.2.1".parse::<Ipv4Addr>().unwrap()]);
        assert_eq!(status.public_v6(), ["2001:db8::1".parse::<Ipv6Addr>().unwrap()]);
        let newer = old.replace("\"joined\":true", "\"joined\":true,\"spool\":{\"held\":3}");
        assert_eq!(serde_json::from_str::<Status>(&newer).unwrap(), status);
    }

    #[test]
    fn forward_ports_are_json_object_keys() {
        let forward = Forward { ports: BTreeMap::from([(25, 2525)]), home_may_connect_to: vec![25] };
        let json = serde_json::to_string(&forward).unwrap();
        assert_eq!(json, r#"{"ports":{"25":2525},"home_may_connect_to":[25]}"#);
        assert_eq!(serde_json::from_str::<Forward>(&json).unwrap(), forward);
    }

    #[test]
    fn only_a_public_address_is_routed() {
        let routed = |text: &str| is_routed(text.parse().unwrap());
        assert!(routed("2001:db8:ed:1::25") && routed("3fff::1"));
        assert!(!routed("fd70:6f73:7465::2") && !routed("::1") && !routed("fe80::1"));
    }

    #[test]
    fn zone_paths_have_no_final_dot() {
        assert_eq!(zone_path("home.example."), "/v1/zones/home.example");
    }
}
