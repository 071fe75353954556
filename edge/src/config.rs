//! The edge's configuration file, `/etc/postern/edge.toml`, and what is checked about it before anything starts.
//!
//! In: TOML; `docs/edge.toml` shows every key. Out: a [`Config`] whose values fit together. Refused, with file, line and
//! key: unknown keys, wrong types, and values that can never work (an inner address that is not unicast, an MTU below
//! IPv6's minimum, a forwarded port that the edge needs itself). Whether this machine fits the file is the business of [`host`](crate::host).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use postern_shared::bans::parse_network;
use postern_shared::config::{ConfigError, Source};
use postern_shared::identity::PublicIdentity;
use postern_shared::observability::Log;
use postern_shared::tunnel::DEAD_AFTER;
use serde::{Deserialize, Deserializer};

use crate::dns::respond::LONGEST_NSID;
use crate::forward::Limits;

/// Where the file is unless `--config` says otherwise.
pub const DEFAULT_PATH: &str = "/etc/postern/edge.toml";

/// The commented default file: every key, its meaning and its default.
pub const REFERENCE: &str = include_str!("../../docs/edge.toml");

/// The whole file. Every key has a default, so an empty file is a working configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Keys and caches that outlive a restart.
    pub state_dir: PathBuf,
    /// The administration socket.
    pub runtime_dir: PathBuf,
    /// The interface that faces the internet; that of the default route where absent.
    pub public_interface: Option<String>,
    /// The addresses at which the world reaches this machine; those of the public interface where empty.
    pub public_addresses: Vec<IpAddr>,
    /// Who may join without a code.
    pub enrolment: Enrolment,
    /// The tunnel to home.
    pub tunnel: Tunnel,
    /// What passes between the world and home.
    pub forward: Forward,
    /// How fast one source may open connections.
    pub limits: Limits,
    /// The name server.
    pub dns: Dns,
    /// The control protocol.
    pub control: Control,
    /// The log.
    pub log: Log,
}

/// The `[enrolment]` section.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Enrolment {
    /// The home that may join without a code where none has joined, as `postern-home identity` prints it.
    pub home: Option<PublicIdentity>,
}

/// The `[tunnel]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tunnel {
    /// The UDP port that home dials.
    pub port: u16,
    /// The name of the TUN device.
    pub interface: String,
    /// The largest inner packet that is ever tried, in octets; the path may take less.
    pub mtu: u16,
    /// The edge's inner IPv4 address.
    pub edge_v4: Ipv4Addr,
    /// Home's inner IPv4 address.
    pub home_v4: Ipv4Addr,
    /// The edge's inner IPv6 address.
    pub edge_v6: Ipv6Addr,
    /// Home's inner IPv6 address.
    pub home_v6: Ipv6Addr,
}

/// The `[forward]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Forward {
    /// Public TCP port to the port at home.
    #[serde(deserialize_with = "port_map")]
    pub ports: BTreeMap<u16, u16>,
    /// Whether the firewall table stays when the daemon stops.
    pub keep_on_stop: bool,
    /// Whether everything that Postern does not need is dropped on this machine's input.
    pub drop_other_input: bool,
    /// TCP ports of this machine that stay open all the same with `drop_other_input`.
    pub open_input: BTreeSet<u16>,
    /// TCP ports of the world that home may connect to.
    pub home_may_connect_to: BTreeSet<u16>,
    /// After how many seconds of silence connections for home are held.
    pub hold_after_seconds: u32,
    /// Addresses and prefixes that home cannot have banned.
    #[serde(deserialize_with = "networks")]
    pub never_ban: Vec<IpNet>,
}

/// The `[dns]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dns {
    /// Where the name server listens, on UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// Whether UDP answers to addresses that may be forged are limited.
    pub limit_answers: bool,
    /// What the name server calls itself for those who ask (NSID, RFC 5001); nothing where empty.
    pub nsid: String,
}

/// The `[control]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Control {
    /// The TCP port on the edge's inner addresses.
    pub port: u16,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            state_dir: "/var/lib/postern-edge".into(),
            runtime_dir: "/run/postern-edge".into(),
            public_interface: None,
            public_addresses: Vec::new(),
            enrolment: Enrolment::default(),
            tunnel: Tunnel::default(),
            forward: Forward::default(),
            limits: Limits::default(),
            dns: Dns::default(),
            control: Control::default(),
            log: Log::default(),
        }
    }
}

impl Default for Tunnel {
    fn default() -> Self {
        Self {
            port: 51820,
            interface: "postern0".to_owned(),
            mtu: 1440,
            edge_v4: Ipv4Addr::new(10, 118, 0, 1),
            home_v4: Ipv4Addr::new(10, 118, 0, 2),
            edge_v6: Ipv6Addr::new(0xfd70, 0x6f73, 0x7465, 0, 0, 0, 0, 1),
            home_v6: Ipv6Addr::new(0xfd70, 0x6f73, 0x7465, 0, 0, 0, 0, 2),
        }
    }
}

impl Default for Forward {
    /// 15 s: home and its router come back sooner from a restart or a change of address, and a connection begun in the
    /// silence passes then, without the minutes that a sender waits after a 421. And the fourth SYN of a server that began
    /// with the silence comes at 15 s (1, 3 and 7 s before; RFC 6298 §5.5), so it hears the 421 before it gives up at 30 s,
    /// as Postfix does.
    fn default() -> Self {
        Self {
            ports: [25, 443, 465, 587, 993, 995].map(|port| (port, port)).into(),
            keep_on_stop: false,
            drop_other_input: false,
            open_input: BTreeSet::from([22]),
            home_may_connect_to: BTreeSet::from([25, 465, 587, 2525]),
            hold_after_seconds: 15,
            never_ban: Vec::new(),
        }
    }
}

impl Default for Dns {
    fn default() -> Self {
        Self {
            listen: vec![(Ipv4Addr::UNSPECIFIED, 53).into(), (Ipv6Addr::UNSPECIFIED, 53).into()],
            limit_answers: true,
            nsid: String::new(),
        }
    }
}

impl Default for Control {
    fn default() -> Self {
        Self { port: 8053 }
    }
}

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// One paragraph naming file, line and key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::from_source(&Source::read(path)?)
    }

    /// Parses and checks a text.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_source(source: &Source) -> Result<Self, ConfigError> {
        let config: Self = source.parse()?;
        config.check(source)?;
        Ok(config)
    }

    fn check(&self, source: &Source) -> Result<(), ConfigError> {
        self.check_directories(source)?;
        self.tunnel.check(source)?;
        self.check_ports(source)?;
        self.check_nsid(source)?;
        self.check_limits(source)?;
        self.check_public_addresses(source)
    }

    fn check_directories(&self, source: &Source) -> Result<(), ConfigError> {
        for (key, directory) in [("state_dir", &self.state_dir), ("runtime_dir", &self.runtime_dir)] {
            if !directory.is_absolute() {
                let said = directory.display();
                return Err(
                    source.invalid(key, format!("`{said}` is not an absolute path. Begin it with a slash."))
                );
            }
        }
        Ok(())
    }

    fn check_nsid(&self, source: &Source) -> Result<(), ConfigError> {
        let nsid = &self.dns.nsid;
        if nsid.len() > LONGEST_NSID || !nsid.bytes().all(|octet| octet.is_ascii_graphic()) {
            let complaint =
                format!("expected at most {LONGEST_NSID} visible ASCII characters, such as `edge-1`.");
            return Err(source.invalid("dns.nsid", complaint));
        }
        Ok(())
    }

    fn check_ports(&self, source: &Source) -> Result<(), ConfigError> {
        if self.control.port == 0 {
            return Err(
                source.invalid("control.port", "0 is not a port. Choose one from 1 to 65535; 8053 is usual.")
            );
        }
        for listen in &self.dns.listen {
            if self.forward.ports.contains_key(&listen.port()) {
                return Err(
                    source.invalid("forward.ports", own_port_complaint(listen.port(), "the name server"))
                );
            }
        }
        if self.forward.ports.keys().chain(self.forward.ports.values()).any(|port| *port == 0) {
            return Err(source.invalid("forward.ports", "0 is not a port. Choose one from 1 to 65535."));
        }
        if self.forward.home_may_connect_to.contains(&0) {
            return Err(
                source.invalid("forward.home_may_connect_to", "0 is not a port. Remove it from the list.")
            );
        }
        Ok(())
    }

    fn check_limits(&self, source: &Source) -> Result<(), ConfigError> {
        let least = u32::try_from(DEAD_AFTER.as_secs()).unwrap_or(u32::MAX);
        let hold = self.forward.hold_after_seconds;
        if !(least..=86_400).contains(&hold) {
            let complaint =
                format!("{hold} is out of range; expected {least} to 86400 seconds. 15 is usual.");
            return Err(source.invalid("forward.hold_after_seconds", complaint));
        }
        let Limits { smtp_per_minute, smtp_burst, clients_per_minute, clients_burst } = self.limits;
        for (key, rate, burst) in [
            ("limits.smtp_burst", smtp_per_minute, smtp_burst),
            ("limits.clients_burst", clients_per_minute, clients_burst),
        ] {
            if rate > 0 && burst == 0 {
                let complaint = "0 connections at once would let nobody in. Expected at least 1.";
                return Err(source.invalid(key, complaint));
            }
        }
        Ok(())
    }

    fn check_public_addresses(&self, source: &Source) -> Result<(), ConfigError> {
        match self.public_addresses.iter().find(|address| !is_unicast(**address)) {
            Some(address) => Err(source.invalid(
                "public_addresses",
                format!("{address} is not an address that the world can reach. Give this machine's own public addresses."),
            )),
            None => Ok(()),
        }
    }
}

fn own_port_complaint(port: u16, who: &str) -> String {
    format!(
        "port {port} is used by {who} on this machine and cannot also be forwarded. Remove it from one of the two."
    )
}

impl Tunnel {
    fn check(&self, source: &Source) -> Result<(), ConfigError> {
        if self.port == 0 {
            return Err(
                source.invalid("tunnel.port", "0 is not a port. Choose one from 1 to 65535; 51820 is usual.")
            );
        }
        self.check_interface(source)?;
        // RFC 8200 §5: every link that carries IPv6 carries 1280 octets.
        if !(1280..=9000).contains(&self.mtu) {
            let complaint =
                format!("{} is out of range; expected 1280 to 9000 octets. 1440 is usual.", self.mtu);
            return Err(source.invalid("tunnel.mtu", complaint));
        }
        self.check_addresses(source)
    }

    fn check_interface(&self, source: &Source) -> Result<(), ConfigError> {
        let name = &self.interface;
        let fits = (1..=15).contains(&name.len()) && name != "." && name != "..";
        if fits && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet)) {
            return Ok(());
        }
        let complaint =
            format!("`{name}` cannot name an interface; expected 1 to 15 letters, digits, `-`, `_` or `.`.");
        Err(source.invalid("tunnel.interface", complaint))
    }

    fn check_addresses(&self, source: &Source) -> Result<(), ConfigError> {
        let addresses: [(&str, IpAddr); 4] = [
            ("tunnel.edge_v4", self.edge_v4.into()),
            ("tunnel.home_v4", self.home_v4.into()),
            ("tunnel.edge_v6", self.edge_v6.into()),
            ("tunnel.home_v6", self.home_v6.into()),
        ];
        if let Some((key, address)) = addresses.iter().find(|(_, address)| !is_unicast(*address)) {
            let complaint =
                format!("{address} cannot be the address of a host. Choose one from a private range.");
            return Err(source.invalid(key, complaint));
        }
        if self.edge_v4 == self.home_v4 {
            return Err(
                source.invalid("tunnel.home_v4", "edge and home have the same address. Give each its own.")
            );
        }
        if self.edge_v6 == self.home_v6 {
            return Err(
                source.invalid("tunnel.home_v6", "edge and home have the same address. Give each its own.")
            );
        }
        Ok(())
    }
}

/// Whether an address can belong to one host that others reach.
fn is_unicast(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !(address.is_unspecified() || address.is_loopback() || address.is_multicast() || broadcast)
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| parse_network(text).map_err(serde::de::Error::custom)).collect()
}

/// TOML's keys are text; ports are numbers.
fn port_map<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<u16, u16>, D::Error> {
    let text = BTreeMap::<String, u16>::deserialize(deserializer)?;
    text.into_iter()
        .map(|(public, home)| match public.parse() {
            Ok(public) => Ok((public, home)),
            Err(_) => Err(serde::de::Error::custom(format!(
                "`{public}` is not a port; expected public ports and the ports at home, like {{ \"25\" = 25 }}"
            ))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::from_source(&Source::from_text(Path::new("edge.toml"), text))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(parse("").unwrap(), Config::default());
    }

    #[test]
    fn every_key_of_the_example_is_explained() {
        let keys = postern_shared::config::reference::keys(REFERENCE);
        let is_key = |line: &&str| {
            let body = line.trim_start_matches("# ");
            body.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
        };
        assert_eq!(keys.len(), REFERENCE.lines().filter(is_key).count());
        for key in keys {
            assert!(key.meaning.len() > 10, "docs/edge.toml does not say what `{}` means", key.name);
        }
    }

    #[test]
    fn the_example_shows_every_key_with_its_default() {
        let example = REFERENCE;
        assert_eq!(parse(example).unwrap(), Config::default());
        for section in ["", "[enrolment]", "[tunnel]", "[forward]", "[limits]", "[dns]", "[control]", "[log]"]
        {
            let error = parse(&format!("{section}\nno_such_key = 1\n")).unwrap_err();
            let (_, keys) = error.split_once("Known keys here: ").unwrap();
            for key in keys.split('.').next().unwrap().split(", ") {
                let shown = [format!("\n{key} = "), format!("\n# {key} = "), format!("\n[{key}]")];
                assert!(
                    shown.iter().any(|line| example.contains(line)),
                    "docs/edge.toml does not show `{key}`"
                );
            }
        }
    }

    #[test]
    fn a_full_file_is_understood() {
        let config = parse(
            "public_addresses = [\"192.0.2.1\", \"2001:db8::1\"]\npublic_interface = \"eth0\"\n\
             [tunnel]\nport = 4500\nhome_v4 = \"10.9.0.2\"\n[forward]\nports = { \"25\" = 2525 }\nkeep_on_stop = true\n\
             [dns]\nlisten = [\"127.0.0.1:5300\"]\n[log]\nlevel = \"debug\"\nformat = \"json\"\n",
        )
        .unwrap();
        assert_eq!(config.forward.ports, BTreeMap::from([(25, 2525)]));
        assert_eq!(config.tunnel.home_v4, Ipv4Addr::new(10, 9, 0, 2));
        assert_eq!(config.tunnel.edge_v4, Tunnel::default().edge_v4);
    }

    #[test]
    fn what_can_never_work_is_refused_at_its_line() {
        let cases = [
            ("state_dir = \"state\"", "line 1, column 1, key `state_dir`: `state` is not an absolute path"),
            (
                "[tunnel]\nmtu = 1200",
                "line 2, column 1, key `tunnel.mtu`: 1200 is out of range; expected 1280 to 9000",
            ),
            (
                "[tunnel]\nhome_v4 = \"10.118.0.1\"",
                "key `tunnel.home_v4`: edge and home have the same address",
            ),
            (
                "[tunnel]\nedge_v4 = \"224.0.0.1\"",
                "key `tunnel.edge_v4`: 224.0.0.1 cannot be the address of a host",
            ),
            ("[tunnel]\ninterface = \"a name too long for linux\"", "expected 1 to 15 letters"),
            ("[forward]\nports = { \"53\" = 53 }", "port 53 is used by the name server"),
            ("[forward]\nports = { \"smtp\" = 25 }", "`smtp` is not a port"),
            ("[tunnel]\nedge_v4 = \"10.118.0\"", "line 2, column 11, key `tunnel.edge_v4`"),
            ("[forwrad]\n", "did you mean `forward`?"),
            ("[enrolment]\nhome = \"ana\"", "an identity is 32 octets in standard Base64"),
            ("[forward]\nhold_after_seconds = 5", "5 is out of range; expected 6 to 86400 seconds"),
            ("[forward]\nnever_ban = [\"mail.example\"]", "`mail.example` is no address or prefix"),
            ("[limits]\nsmtp_burst = 0", "line 2, column 1, key `limits.smtp_burst`: 0 connections at once"),
            ("public_addresses = [\"127.0.0.1\"]", "not an address that the world can reach"),
        ];
        for (text, expected) in cases {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
