//! Where an edge listens, as an operator writes it and home keeps it: `name:port`, `192.0.2.1:port`,
//! `[2001:db8::1]:port`. Refused: port 0, names that are no host names (RFC 1123 §2.1).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A host and its UDP port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The host.
    pub host: Host,
    /// The UDP port.
    pub port: u16,
}

/// An address, or a name to be looked up again whenever the edge is not heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// An address.
    Address(IpAddr),
    /// A host name in lower case (RFC 1123 §2.1), at most 253 octets.
    Name(String),
}

/// A text that is not `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an endpoint; expected `name:port`, `192.0.2.1:port` or `[2001:db8::1]:port`")]
pub struct InvalidEndpoint(String);

impl Host {
    /// A host name in lower case; `None` for anything else, addresses included.
    pub(super) fn parse_name(name: &str) -> Option<Self> {
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let bare = name.strip_suffix('.').unwrap_or(name);
        let valid = bare.len() <= 253 && bare.split('.').all(is_label) && bare.parse::<IpAddr>().is_err();
        valid.then(|| Host::Name(bare.to_ascii_lowercase()))
    }
}

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let invalid = || InvalidEndpoint(text.into());
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(invalid)?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bracketed {
            Some(address) => address.parse::<Ipv6Addr>().ok().map(|address| Host::Address(address.into())),
            None => match host.parse::<Ipv4Addr>() {
                Ok(address) => Some(Host::Address(address.into())),
                Err(_) => Host::parse_name(host),
            },
        };
        Ok(Endpoint { host: host.ok_or_else(invalid)?, port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            Host::Address(address) => write!(f, "{address}:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

impl serde::Serialize for Endpoint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Endpoint {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_read_and_print() {
        for text in ["edge.example:51820", "192.0.2.1:1", "[2001:db8::1]:51820"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for text in
            ["", "edge.example", "edge.example:0", "2001:db8::1:51820", "-x:1", "a..b:1", "a b:1", "[::1]"]
        {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
