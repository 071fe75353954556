//! The names of the rows, and which row is another one's cause.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

/// What a row is about; docs/doctor.md has a section of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// An edge is joined and answers.
    Tunnel,
    /// The edge's machine has room and is not robbed of its processor.
    Edge,
    /// Edge and home are of one release.
    Versions,
    /// Long packets pass the tunnel both ways.
    TunnelPath,
    /// The tunnel's keys are renewed.
    TunnelKeys,
    /// This machine's clock beside the edge's.
    Clock,
    /// Every service listens.
    Services,
    /// There is a domain.
    Domain,
    /// There is a user.
    User,
    /// The edge serves the newest zone.
    Zone,
    /// The parent zone names the right servers, and they answer.
    Delegation,
    /// The parent zone has their addresses.
    Glue,
    /// The parent zone vouches for the zone's key.
    Ds,
    /// The domain's name servers have the records that mail needs.
    Records,
    /// Other name servers follow.
    Secondary,
    /// Home's own resolver passes DNSSEC signatures on.
    Resolver,
    /// The address that mail leaves from has a name that leads back.
    ReverseName,
    /// No list has that address.
    Blocklist,
    /// Certificates count, and are renewed.
    Certificate,
    /// The policy of MTA-STS.
    MtaSts,
    /// The edge's name server answers the world by UDP and TCP.
    NameServer,
    /// The world reaches each port.
    Port,
    /// Each port shows home's own certificate.
    Presented,
    /// Each port agrees to TLS 1.3 and 1.2 only.
    TlsVersions,
    /// Port 25 relays for nobody.
    OpenRelay,
    /// The certificate of port 25 is one that the TLSA records name.
    Dane,
    /// The policy of MTA-STS is fetched as it is published.
    PolicyFetched,
    /// Mail can leave.
    Outbound,
    /// Mail does not wait for long.
    Queue,
    /// Destinations trust the edge's address.
    Destinations,
    /// There is room on the disk.
    DiskRoom,
    /// The disk takes what is written, in time.
    DiskWrite,
    /// What became of messages is written down.
    Journal,
    /// There is a backup, and it is not old.
    Backup,
    /// The last backup came back whole.
    Drill,
    /// The edge takes the bans.
    Bans,
}

impl Code {
    /// All of them, in the order of the report: causes first.
    pub const ALL: [Code; 36] = [
        Code::Tunnel,
        Code::Edge,
        Code::Versions,
        Code::TunnelPath,
        Code::TunnelKeys,
        Code::Clock,
        Code::Services,
        Code::Domain,
        Code::User,
        Code::Zone,
        Code::Delegation,
        Code::Glue,
        Code::Ds,
        Code::Records,
        Code::Secondary,
        Code::Resolver,
        Code::ReverseName,
        Code::Blocklist,
        Code::Certificate,
        Code::MtaSts,
        Code::NameServer,
        Code::Port,
        Code::Presented,
        Code::TlsVersions,
        Code::OpenRelay,
        Code::Dane,
        Code::PolicyFetched,
        Code::Outbound,
        Code::Queue,
        Code::Destinations,
        Code::DiskRoom,
        Code::DiskWrite,
        Code::Journal,
        Code::Backup,
        Code::Drill,
        Code::Bans,
    ];

    /// The rows whose failure explains this one's.
    pub fn causes(self) -> &'static [Code] {
        match self {
            Code::TunnelKeys | Code::Clock | Code::Zone | Code::Bans => &[Code::Tunnel],
            // The world asks the edge, which has what home gave it before: a silent tunnel alone breaks no delegation.
            Code::Secondary => &[Code::Tunnel, Code::Zone],
            Code::Records => &[Code::Zone, Code::Delegation, Code::Glue],
            Code::Certificate => &[Code::Tunnel, Code::Delegation, Code::Glue],
            Code::MtaSts => &[Code::Tunnel, Code::Delegation, Code::Certificate],
            Code::Queue => &[Code::Tunnel, Code::Clock],
            Code::TunnelPath | Code::Edge | Code::Versions => &[Code::Tunnel],
            Code::Port | Code::Outbound => &[Code::Tunnel, Code::Services],
            Code::Presented | Code::TlsVersions => &[Code::Port],
            Code::Dane => &[Code::Port, Code::Presented],
            Code::PolicyFetched => &[Code::Delegation, Code::Certificate],
            _ => &[],
        }
    }

    /// The name in the report and in docs/doctor.md.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::Tunnel => "tunnel",
            Code::Edge => "edge",
            Code::Versions => "versions",
            Code::TunnelPath => "tunnel-path",
            Code::TunnelKeys => "tunnel-keys",
            Code::Clock => "clock",
            Code::Services => "services",
            Code::Domain => "domain",
            Code::User => "user",
            Code::Zone => "zone",
            Code::Delegation => "delegation",
            Code::Glue => "glue",
            Code::Ds => "ds",
            Code::Records => "records",
            Code::Secondary => "secondary",
            Code::Resolver => "resolver",
            Code::ReverseName => "reverse-name",
            Code::Blocklist => "blocklist",
            Code::Certificate => "certificate",
            Code::MtaSts => "mta-sts",
            Code::NameServer => "name-server",
            Code::Port => "port",
            Code::Presented => "presented",
            Code::TlsVersions => "tls-versions",
            Code::OpenRelay => "open-relay",
            Code::Dane => "dane",
            Code::PolicyFetched => "policy-fetched",
            Code::Outbound => "outbound",
            Code::Queue => "queue",
            Code::Destinations => "destinations",
            Code::DiskRoom => "disk-room",
            Code::DiskWrite => "disk-write",
            Code::Journal => "journal",
            Code::Backup => "backup",
            Code::Drill => "drill",
            Code::Bans => "bans",
        }
    }
}

impl Display for Code {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const PAGE: &str = include_str!("../../../docs/doctor.md");

    #[test]
    fn every_code_has_a_section_and_every_section_a_code() {
        let sections: BTreeSet<&str> = PAGE.lines().filter_map(|line| line.strip_prefix("### ")).collect();
        let codes: BTreeSet<&str> = Code::ALL.into_iter().map(Code::as_str).collect();
        assert_eq!(sections, codes);
    }

    #[test]
    fn every_code_is_listed_once_under_the_name_that_json_has_behind_its_causes() {
        for (place, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(Code::ALL.iter().position(|other| *other == code), Some(place));
            assert_eq!(serde_json::to_string(&code).expect("JSON"), format!("\"{code}\""));
            let before = &Code::ALL[..place];
            assert!(code.causes().iter().all(|cause| before.contains(cause)), "{code}");
        }
    }
}
