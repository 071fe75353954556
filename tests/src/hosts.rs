//! What stands on each host: its private files and its daemons.
//!
//! A file's path is below `/etc`; it is laid over the machine's own `/etc`, which is never changed.

use anyhow::Result;

use crate::authority::Authority;
use crate::names::{self, Names};
use crate::options::{HOME_USER, HomeRights, Options};
use crate::topology::{HOME_LAN_V4, Host};

/// A file below a host's `/etc`.
pub struct File {
    /// The path below `/etc`.
    pub path: String,
    /// The whole content.
    pub content: String,
}

/// A program that the supervisor starts on a host and keeps a log of.
#[derive(Debug, Clone, Copy)]
pub struct Daemon {
    /// Where it runs.
    pub host: Host,
    /// Its name in `lab logs` and in [`crate::Lab::start_daemon`].
    pub name: &'static str,
    /// Its command line; it stays in the foreground.
    pub command: &'static [&'static str],
}

/// Every daemon of the lab, in starting order.
pub const DAEMONS: [Daemon; 8] = [
    Daemon { host: Host::Root, name: "nsd", command: &["nsd", "-d"] },
    Daemon { host: Host::Registry, name: "nsd", command: &["nsd", "-d"] },
    Daemon { host: Host::Stranger, name: "nsd", command: &["nsd", "-d"] },
    Daemon { host: Host::Resolver, name: "unbound", command: &["unbound", "-d", "-p"] },
    Daemon { host: Host::Stranger, name: "postfix", command: &["postfix", "start-fg"] },
    Daemon {
        host: Host::Edge,
        name: "postern-edge",
        command: &["postern-edge", "run", "--config", "/etc/postern/edge.toml"],
    },
    Daemon {
        host: Host::Home,
        name: "postern-home",
        command: &["postern-home", "run", "--config", "/etc/postern/home.toml"],
    },
    Daemon {
        host: Host::Authority,
        name: "pebble",
        command: &[
            "env",
            "PEBBLE_VA_NOSLEEP=1",
            NONCES_REJECTED,
            "pebble",
            "-strict",
            "-config",
            "/etc/pebble/pebble.json",
            "-dnsserver",
            "198.18.53.53:53",
        ],
    },
];

/// Of each hundred good nonces so many are refused, as a client must expect (RFC 8555 §6.5).
const NONCES_REJECTED: &str = "PEBBLE_WFE_NONCEREJECT=30";

/// The user at the stranger's, whose mailbox is `/var/mail/sam/Maildir`.
pub const STRANGER_USER: &str = "sam";

/// What the lab makes once at start and several hosts hold a part of.
pub struct Made {
    /// Zones and trust anchor.
    pub names: Names,
    /// The certificate authority that every host trusts.
    pub authority: Authority,
}

/// The files of one host.
pub fn files(host: Host, options: &Options, made: &Made) -> Result<Vec<File>> {
    let mut files = everywhere(host);
    files.extend(made.authority.trust_files()?);
    match host {
        Host::Root => files.extend(nsd(&[(String::from("."), made.names.root.clone())])),
        Host::Registry => {
            files.extend(nsd(&made.names.registry));
            files.extend(made.names.example.iter().map(|(path, text)| file(&format!("nsd/{path}"), text)));
        }
        Host::Resolver => files.extend(resolver(&made.names)),
        Host::Stranger => files.extend(stranger(made)?),
        Host::Authority => files.extend(pebble(made, PEBBLE_LIFE)),
        Host::Edge => files.push(file("postern/edge.toml", &options.edge_config)),
        Host::Home => files.extend(home(options, made)),
        Host::Internet | Host::Isp | Host::Cafe => {}
    }
    Ok(files)
}

fn file(path: &str, content: &str) -> File {
    File { path: path.to_owned(), content: content.to_owned() }
}

fn everywhere(host: Host) -> Vec<File> {
    vec![
        file("hostname", &format!("{host}\n")),
        file("hosts", &format!("127.0.0.1 localhost {host}\n::1 localhost\n")),
        file(
            "nsswitch.conf",
            "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
        ),
        file("resolv.conf", &format!("nameserver {}\n", Host::Resolver.v4())),
    ]
}

fn nsd(zones: &[(String, String)]) -> Vec<File> {
    let zone_file = |origin: &str| match origin {
        "." => String::from("nsd/root.zone"),
        origin => format!("nsd/{origin}.zone"),
    };
    let mut files: Vec<_> =
        zones.iter().map(|(origin, zone)| File { path: zone_file(origin), content: zone.clone() }).collect();
    files.push(file("nsd/nsd.conf", &names::nsd_conf(zones.iter().map(|(origin, _)| origin.as_str()))));
    files
}

fn resolver(names: &Names) -> Vec<File> {
    vec![
        file("unbound/unbound.conf", &names::unbound_conf(&names.trust_anchor)),
        file("unbound/root.hints", &names::root_hints()),
    ]
}

fn stranger(made: &Made) -> Result<Vec<File>> {
    let passwd = std::fs::read_to_string("/etc/passwd")?;
    let user = format!("{STRANGER_USER}:x:2525:2525::/var/mail/{STRANGER_USER}:/bin/sh\n");
    let mut files = nsd(&[(String::from(names::STRANGER_DOMAIN), names::stranger_zone())]);
    files.extend([
        file("passwd", &(passwd + &user)),
        file("postfix/main.cf", POSTFIX_MAIN),
        file("postfix/tls/cert.pem", &made.authority.stranger.certificate),
        file("postfix/tls/key.pem", &made.authority.stranger.key),
        file("postfix/tls/issued.pem", &made.authority.stranger_issued.certificate),
        file("postfix/tls/issued.key", &made.authority.stranger_issued.key),
    ]);
    Ok(files)
}

/// Shell lines that a host runs once its mounts stand.
pub fn set_up(host: Host, home_rights: HomeRights) -> &'static str {
    match (host, home_rights) {
        // Debian's chroot wants copies of files that its service unit makes; there is no such unit here.
        (Host::Stranger, _) => {
            "install -d /var/spool/postfix
             install -d -o postfix /var/lib/postfix
             install -d -o 2525 -g 2525 /var/mail/sam
             postconf -F '*/*/chroot=n'"
        }
        (Host::Home, HomeRights::User) => {
            "install -d -o 1000 -g 1000 /var/lib/postern-home /run/postern-home
             chown 1000 /etc/postern/tls/key.pem"
        }
        (Host::Home, HomeRights::UserWithoutTun) => {
            "install -d -o 1000 -g 1000 /var/lib/postern-home /run/postern-home
             chown 1000 /etc/postern/tls/key.pem
             mount -t tmpfs tmpfs /dev/net"
        }
        _ => "",
    }
}

/// The words that stand before home's command line.
pub fn home_prefix(rights: HomeRights) -> Vec<String> {
    match rights {
        HomeRights::Root => Vec::new(),
        HomeRights::User | HomeRights::UserWithoutTun => {
            let user = HOME_USER.to_string();
            let words = ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups", "--inh-caps=-all"];
            words.map(str::to_owned).into()
        }
    }
}

/// Postfix as an administrator of a small domain sets it up; everything not said here is its default.
const POSTFIX_MAIN: &str = "\
compatibility_level = 3.6
myhostname = mx.stranger.test
mydomain = stranger.test
myorigin = $mydomain
mydestination = $mydomain, $myhostname, localhost, dane.test, sts.test
mynetworks = 127.0.0.0/8 [::1]/128
alias_maps =
alias_database =
home_mailbox = Maildir/
mailbox_size_limit = 0
smtp_tls_security_level = may
smtp_tls_loglevel = 1
smtpd_tls_security_level = may
smtpd_tls_loglevel = 1
smtpd_tls_cert_file = /etc/postfix/tls/cert.pem
smtpd_tls_key_file = /etc/postfix/tls/key.pem
maillog_file = /dev/stdout
";

/// How long Pebble's certificates count, in seconds, unless a scenario says otherwise.
pub const PEBBLE_LIFE: u64 = 90 * 86_400;

fn pebble(made: &Made, life: u64) -> Vec<File> {
    vec![
        file("pebble/pebble.json", &pebble_json(life)),
        file("pebble/cert.pem", &made.authority.acme.certificate),
        file("pebble/key.pem", &made.authority.acme.key),
    ]
}

/// Pebble's configuration, with certificates that count for so many seconds.
pub fn pebble_json(life: u64) -> String {
    format!(
        "{{\"pebble\": {{\"listenAddress\": \"0.0.0.0:443\", \"managementListenAddress\": \"0.0.0.0:15000\",
         \"certificate\": \"/etc/pebble/cert.pem\", \"privateKey\": \"/etc/pebble/key.pem\", \"httpPort\": 80,
         \"tlsPort\": 443, \"ocspResponderURL\": \"\", \"externalAccountBindingRequired\": false,
         \"certificateValidityPeriod\": {life}}}}}\n"
    )
}

/// Home's configuration where it gets its certificates from [`Host::Authority`], whose test service is itself.
pub fn acme_home_config() -> String {
    String::from(
        "[acme]\ndirectory = \"https://acme.test/dir\"\nstaging = \"https://acme.test/dir\"\n\n\
         [dns]\ntrust_anchor = \"/etc/postern/root.key\"\n\n[log]\nlevel = \"info\"\n",
    )
}

fn home(options: &Options, made: &Made) -> Vec<File> {
    vec![
        file("postern/home.toml", &options.home_config),
        file("postern/tls/cert.pem", &made.authority.home.certificate),
        file("postern/tls/key.pem", &made.authority.home.key),
        file("postern/root.key", &made.names.root_key),
    ]
}

/// The edge's configuration in a plain lab: what an operator writes, which is nothing but the log level.
pub fn default_edge_config() -> String {
    String::from("[log]\nlevel = \"info\"\n")
}

/// Home's configuration in a plain lab: a certificate of the lab's authority, nothing ordered, and the lab's own root.
pub fn default_home_config() -> String {
    String::from(
        "[tls]\ncertificate = \"/etc/postern/tls/cert.pem\"\nkey = \"/etc/postern/tls/key.pem\"\n\n\
         [acme]\ndirectory = \"off\"\n\n[dns]\ntrust_anchor = \"/etc/postern/root.key\"\n\n\
         [log]\nlevel = \"info\"\n",
    )
}

/// The `ip -batch` lines that give a host its addresses and routes.
pub fn addresses(host: Host) -> String {
    let mut lines = String::from("link set lo up\n");
    match host {
        Host::Internet => lines += &router_links(),
        Host::Home => {
            lines += &format!("address add {HOME_LAN_V4}/24 dev eth0\nlink set eth0 up\n");
            lines += &format!("route add default via {}\n", crate::topology::ISP_LAN_V4);
        }
        _ => lines += &uplink(host),
    }
    if host == Host::Isp {
        lines += &format!("address add {}/24 dev lan0\nlink set lan0 up\n", crate::topology::ISP_LAN_V4);
    }
    lines
}

fn uplink(host: Host) -> String {
    let Some(uplink) = host.uplink() else { return String::new() };
    let mut lines = format!("address add {}/24 dev eth0\n", uplink.v4);
    lines.extend(uplink.v6.map(|v6| format!("address add {v6}/64 dev eth0 nodad\n")));
    lines += &format!("link set eth0 up\nroute add default via {}\n", uplink.gateway_v4());
    lines.extend(uplink.gateway_v6().map(|gateway| format!("route add ::/0 via {gateway}\n")));
    lines
}

fn router_links() -> String {
    let mut lines = String::new();
    for host in Host::ALL {
        let Some(uplink) = host.uplink() else { continue };
        lines += &format!("address add {}/24 dev {host}\n", uplink.gateway_v4());
        lines.extend(
            uplink.gateway_v6().map(|gateway| format!("address add {gateway}/64 dev {host} nodad\n")),
        );
        lines += &format!("link set {host} up\n");
    }
    lines
}

/// The provider's NAT: what leaves on the public side carries the router's address, nothing comes in unasked.
pub const ISP_NFT: &str = "\
table ip isp {
  chain postrouting {
    type nat hook postrouting priority srcnat
    oifname eth0 masquerade
  }
  chain forward {
    type filter hook forward priority filter; policy drop
    ct state established,related accept
    iifname lan0 accept
  }
}
";

impl Daemon {
    /// Says whether this is one of the project's own programs.
    pub fn is_postern(&self) -> bool {
        self.name.starts_with("postern-")
    }

    /// Says whether it runs only in the scenarios that start it.
    pub fn is_on_demand(&self) -> bool {
        self.host == Host::Authority
    }
}
