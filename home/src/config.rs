//! Home's configuration file, `/etc/postern/home.toml`, and what is checked about it before anything starts.
//!
//! In: TOML; `docs/home.toml` shows every key. Out: a [`Config`] whose values fit together. Refused, with file, line and
//! key: unknown keys, wrong types, relative paths, a certificate without its key, two services at one address, values
//! out of range. Domains, users and aliases are not configuration: they are kept in the directory and changed by
//! commands.

mod acme;
mod backup;
mod bans;
mod dkim;
mod doctor;
mod inbound;
mod journal;
mod mta_sts;
mod notices;
mod queue;
mod reports;
mod reputation;
mod store;
mod submission;
mod tunnel;

use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use postern_message::address::DomainName;
use postern_shared::config::{ConfigError, Source};
use postern_shared::observability::Log;
use serde::{Deserialize, Deserializer};

use crate::resolver::Dnssec;

pub use acme::Acme;
pub use backup::Backup;
pub use bans::Bans;
pub use dkim::Dkim;
pub use doctor::Doctor;
pub use inbound::{Inbound, Severity};
pub use journal::Journal;
pub use mta_sts::MtaSts;
pub use notices::{Notices, Secure};
pub use queue::Queue;
pub use reports::Reports;
pub use reputation::Reputation;
pub use store::{KeySource, Store};
pub use submission::{ClientReceived, Submission};
pub use tunnel::Tunnel;

/// Where the file is unless `--config` says otherwise.
pub const DEFAULT_PATH: &str = "/etc/postern/home.toml";

/// The commented default file: every key, its meaning and its default.
pub const REFERENCE: &str = include_str!("../../docs/home.toml");

/// The whole file. Every key has a default, so an empty file is a working configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where it was read.
    #[serde(skip)]
    pub path: Option<PathBuf>,
    /// Mail, keys and the queue: all that is worth a backup.
    pub state_dir: PathBuf,
    /// The administration socket.
    pub runtime_dir: PathBuf,
    /// The name in greetings, trace fields and certificates; `mail.` and the first domain where absent.
    pub hostname: Option<DomainName>,
    /// Where each service listens.
    pub listen: Listen,
    /// What the SMTP services accept.
    pub smtp: Smtp,
    /// What users may send.
    pub submission: Submission,
    /// How strangers' mail is judged.
    pub inbound: Inbound,
    /// The certificate.
    pub tls: Tls,
    /// Who certifies, where the section before names no files.
    pub acme: Acme,
    /// Who answers home's own DNS questions.
    pub dns: Dns,
    /// How long a key signs outgoing mail.
    pub dkim: Dkim,
    /// When other servers are told to insist on TLS.
    pub mta_sts: MtaSts,
    /// The tunnel to the edge.
    pub tunnel: Tunnel,
    /// Who is banned at the edge, and who never.
    pub bans: Bans,
    /// What is kept of deleted mail.
    pub store: Store,
    /// Delivery to other servers.
    pub queue: Queue,
    /// What other mail systems are told.
    pub reports: Reports,
    /// Where backups go.
    pub backup: Backup,
    /// What is watched of the address that mail leaves from.
    pub reputation: Reputation,
    /// How the owner hears of what a person should look at.
    pub notices: Notices,
    /// What is kept of what became of each message.
    pub journal: Journal,
    /// Whom `doctor` asks whether mail can leave.
    pub doctor: Doctor,
    /// The log.
    pub log: Log,
}

/// The `[listen]` section. An empty list turns a service off. `[::]` takes IPv4 too, and with it the tunnel's
/// addresses whenever they appear.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Mail from other servers (port 25).
    pub smtp: Vec<SocketAddr>,
    /// Mail from the users' programs, TLS from the first octet (port 465, RFC 8314 §3.3).
    pub submissions: Vec<SocketAddr>,
    /// Mail from the users' programs, with STARTTLS (port 587, RFC 6409).
    pub submission: Vec<SocketAddr>,
    /// Mailboxes for the users' programs, TLS from the first octet (port 993, RFC 8314 §3.2).
    pub imaps: Vec<SocketAddr>,
    /// Mailboxes for programs that fetch mail, TLS from the first octet (port 995, RFC 8314 §3.2).
    pub pop3s: Vec<SocketAddr>,
    /// The same, with STLS (port 110, RFC 2595); off, as RFC 8314 advises.
    pub pop3: Vec<SocketAddr>,
    /// The mail policy and the set-up of mail programs (port 443).
    pub https: Vec<SocketAddr>,
}

/// The `[smtp]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Smtp {
    /// The largest message, in octets (the SIZE that EHLO announces, RFC 1870).
    pub max_message_octets: u64,
    /// Most recipients of one transaction (RFC 5321 §4.5.3.1.8 wants 100 at least).
    pub max_recipients: usize,
}

/// The `[tls]` section. Both or neither; without them certificates are ordered, and a self-signed one serves meanwhile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// A PEM file with the certificate and its chain.
    pub certificate: Option<PathBuf>,
    /// A PEM file with the private key.
    pub key: Option<PathBuf>,
}

/// The `[dns]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dns {
    /// Resolvers, by address, with or without a port; those of `/etc/resolv.conf` where empty. They should validate.
    #[serde(deserialize_with = "resolvers")]
    pub resolver: Vec<SocketAddr>,
    /// Whether the answers that delivery to others relies on are checked by DNSSEC.
    pub validate: bool,
    /// A file with the root zone's DNSKEY records, instead of those that the program knows.
    pub trust_anchor: Option<PathBuf>,
}

impl Default for Dns {
    fn default() -> Self {
        Self { resolver: Vec::new(), validate: true, trust_anchor: None }
    }
}

impl Dns {
    /// How answers are checked.
    pub fn dnssec(&self) -> Dnssec<'_> {
        if self.validate { Dnssec::Validate(self.trust_anchor.as_deref()) } else { Dnssec::Off }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: None,
            state_dir: "/var/lib/postern-home".into(),
            runtime_dir: "/run/postern-home".into(),
            hostname: None,
            listen: Listen::default(),
            smtp: Smtp::default(),
            submission: Submission::default(),
            inbound: Inbound::default(),
            tls: Tls::default(),
            acme: Acme::default(),
            dns: Dns::default(),
            dkim: Dkim::default(),
            mta_sts: MtaSts::default(),
            tunnel: Tunnel::default(),
            bans: Bans::default(),
            store: Store::default(),
            queue: Queue::default(),
            reports: Reports::default(),
            backup: Backup::default(),
            reputation: Reputation::default(),
            notices: Notices::default(),
            journal: Journal::default(),
            doctor: Doctor::default(),
            log: Log::default(),
        }
    }
}

impl Default for Listen {
    fn default() -> Self {
        let everywhere = |port| vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))];
        Self {
            smtp: everywhere(25),
            submissions: everywhere(465),
            submission: everywhere(587),
            imaps: everywhere(993),
            pop3s: everywhere(995),
            pop3: Vec::new(),
            https: everywhere(443),
        }
    }
}

impl Default for Smtp {
    fn default() -> Self {
        Self { max_message_octets: 50 << 20, max_recipients: 200 }
    }
}

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// One paragraph naming file, line and key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let config = Self::from_source(&Source::read(path)?)?;
        Ok(Self { path: Some(path.to_owned()), ..config })
    }

    /// Parses and checks a text.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_source(source: &Source) -> Result<Self, ConfigError> {
        let config: Self = source.parse()?;
        config.check_paths(source)?;
        config.check_tls(source)?;
        config.check_listen(source)?;
        config.check_smtp(source)?;
        config.inbound.check(source)?;
        config.acme.check(source)?;
        config.tunnel.check(source)?;
        config.store.check(&config.state_dir, source)?;
        config.queue.check(source)?;
        config.journal.check(source)?;
        config.backup.check(source)?;
        config.submission.check(source)?;
        Ok(config)
    }

    fn check_paths(&self, source: &Source) -> Result<(), ConfigError> {
        let paths = [
            ("state_dir", Some(&self.state_dir)),
            ("runtime_dir", Some(&self.runtime_dir)),
            ("tls.certificate", self.tls.certificate.as_ref()),
            ("tls.key", self.tls.key.as_ref()),
            ("acme.root", self.acme.root.as_ref()),
            ("backup.repository", self.backup.repository.as_ref()),
            ("dns.trust_anchor", self.dns.trust_anchor.as_ref()),
        ];
        for (key, path) in paths {
            if let Some(path) = path.filter(|path| !path.is_absolute()) {
                let said = path.display();
                let complaint = format!("`{said}` is not an absolute path. Begin it with a slash.");
                return Err(source.invalid(key, complaint));
            }
        }
        Ok(())
    }

    fn check_tls(&self, source: &Source) -> Result<(), ConfigError> {
        let (given, missing) = match (&self.tls.certificate, &self.tls.key) {
            (Some(_), None) => ("tls.certificate", "key"),
            (None, Some(_)) => ("tls.key", "certificate"),
            _ => return Ok(()),
        };
        let complaint = format!(
            "`{missing}` must be given beside it and is not. Add it, or remove both for a self-signed certificate."
        );
        Err(source.invalid(given, complaint))
    }

    fn check_listen(&self, source: &Source) -> Result<(), ConfigError> {
        let mut taken: Vec<(SocketAddr, &str)> = Vec::new();
        for (service, addresses) in self.listen.services() {
            let key = service.name();
            for address in addresses {
                if let Some((_, other)) =
                    taken.iter().find(|(other, _)| other == address && address.port() != 0)
                {
                    let complaint =
                        format!("{address} is also the address of `{other}`. Give each service its own.");
                    return Err(source.invalid(&format!("listen.{key}"), complaint));
                }
                taken.push((*address, key));
            }
        }
        Ok(())
    }

    fn check_smtp(&self, source: &Source) -> Result<(), ConfigError> {
        // RFC 5321 §4.5.3.1.7 and §4.5.3.1.8.
        if self.smtp.max_message_octets < 64 * 1024 {
            let complaint =
                "expected at least 65536 octets, which RFC 5321 asks of every server. 52428800 is usual.";
            return Err(source.invalid("smtp.max_message_octets", complaint));
        }
        if self.smtp.max_recipients < 100 {
            let complaint = "expected at least 100, which RFC 5321 asks of every server.";
            return Err(source.invalid("smtp.max_recipients", complaint));
        }
        Ok(())
    }
}

impl Listen {
    /// Each service and its addresses.
    pub fn services(&self) -> [(ServiceKind, &[SocketAddr]); 7] {
        [
            (ServiceKind::Smtp, &self.smtp),
            (ServiceKind::Submissions, &self.submissions),
            (ServiceKind::Submission, &self.submission),
            (ServiceKind::Imaps, &self.imaps),
            (ServiceKind::Pop3s, &self.pop3s),
            (ServiceKind::Pop3, &self.pop3),
            (ServiceKind::Https, &self.https),
        ]
    }
}

/// A service that home listens for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceKind {
    /// Mail from other servers.
    Smtp,
    /// Mail from the users' programs, TLS from the first octet.
    Submissions,
    /// Mail from the users' programs, with STARTTLS.
    Submission,
    /// Mailboxes, TLS from the first octet.
    Imaps,
    /// Maildrops, TLS from the first octet.
    Pop3s,
    /// Maildrops, with STLS.
    Pop3,
    /// The mail policy and the set-up of mail programs.
    Https,
}

impl ServiceKind {
    /// The port at which the world looks for it.
    pub fn public_port(self) -> u16 {
        match self {
            Self::Smtp => 25,
            Self::Submissions => 465,
            Self::Submission => 587,
            Self::Imaps => 993,
            Self::Pop3s => 995,
            Self::Pop3 => 110,
            Self::Https => 443,
        }
    }

    /// Its key in the section `[listen]`, which is its name everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Submissions => "submissions",
            Self::Submission => "submission",
            Self::Imaps => "imaps",
            Self::Pop3s => "pop3s",
            Self::Pop3 => "pop3",
            Self::Https => "https",
        }
    }
}

/// An address alone means port 53.
fn resolvers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts
        .iter()
        .map(|text| resolver(text).ok_or_else(|| serde::de::Error::custom(not_a_resolver(text))))
        .collect()
}

fn resolver(text: &str) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| text.parse().ok().map(|address| SocketAddr::new(address, 53)))
}

fn not_a_resolver(text: &str) -> String {
    format!("`{text}` is not an IP address; expected one like \"192.0.2.53\" or \"192.0.2.53:53\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::from_source(&Source::from_text(Path::new("home.toml"), text))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(parse("").expect("accepted"), Config::default());
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
            assert!(key.meaning.len() > 10, "docs/home.toml does not say what `{}` means", key.name);
        }
    }

    #[test]
    fn the_example_shows_every_key_with_its_default() {
        let example = REFERENCE;
        assert_eq!(parse(example).expect("accepted"), Config::default());
        let sections = [
            "",
            "[listen]",
            "[smtp]",
            "[submission]",
            "[inbound]",
            "[tls]",
            "[acme]",
            "[dns]",
            "[dkim]",
            "[mta_sts]",
            "[doctor]",
            "[tunnel]",
            "[bans]",
            "[store]",
            "[queue]",
            "[reports]",
            "[backup]",
            "[reputation]",
            "[notices]",
            "[journal]",
            "[log]",
        ];
        for section in sections {
            let error = parse(&format!("{section}\nno_such_key = 1\n")).expect_err("refused");
            let (_, keys) = error.split_once("Known keys here: ").expect("a list of keys");
            for key in keys.split('.').next().unwrap_or_default().split(", ") {
                let shown = [format!("\n{key} = "), format!("\n# {key} = "), format!("\n[{key}]")];
                assert!(
                    shown.iter().any(|line| example.contains(line)),
                    "docs/home.toml does not show `{key}`"
                );
            }
        }
    }

    #[test]
    fn a_full_file_is_understood() {
        let config = parse(
            "hostname = \"Mail.Home.Example\"\n[listen]\nsmtp = [\"127.0.0.1:2525\"]\nsubmission = []\n\
             [dns]\nresolver = [\"192.0.2.53\", \"[2001:db8::53]:5353\"]\n\
             [tls]\ncertificate = \"/etc/tls/cert.pem\"\nkey = \"/etc/tls/key.pem\"\n[log]\nlevel = \"debug\"\n",
        )
        .expect("accepted");
        assert_eq!(config.hostname.expect("given").as_str(), "mail.home.example");
        assert_eq!(config.listen.submission, []);
        assert_eq!(config.listen.imaps, Listen::default().imaps);
        let resolvers: Vec<String> = config.dns.resolver.iter().map(ToString::to_string).collect();
        assert_eq!(resolvers, ["192.0.2.53:53", "[2001:db8::53]:5353"]);
    }

    #[test]
    fn what_can_never_work_is_refused_at_its_line() {
        let cases = [
            (
                "state_dri = \"/x\"",
                "line 1, column 1, key `state_dri`: there is no such key: `state_dri`; did you mean `state_dir`?",
            ),
            ("state_dir = \"x\"", "key `state_dir`: `x` is not an absolute path"),
            (
                "[queue]\nretry_minutes = []",
                "line 2, column 1, key `queue.retry_minutes`: expected one or more waits",
            ),
            ("[queue]\nconcurrency = 0", "key `queue.concurrency`: 0 is out of range"),
            ("\n[tls]\nkey = \"/k.pem\"", "line 3, column 1, key `tls.key`: `certificate` must be given"),
            (
                "[acme]\ndirectory = \"letsencrypt\"",
                "key `acme.directory`: `letsencrypt` is not the https address",
            ),
            ("hostname = \"not a name\"", "`not a name` is not a domain name"),
            ("[smtp]\nmax_message_octets = 10", "key `smtp.max_message_octets`: expected at least 65536"),
            ("[smtp]\nmax_recipients = \"many\"", "expected a whole number"),
            ("[tunnel]\ndrain_seconds = 0", "0 is out of range; expected 1 to 86400 seconds"),
            ("[tunnel]\nlink = \"root\"", "line 2"),
            ("[tunnel]\nmtu = 100", "100 is out of range; expected 1280 to 9000"),
            ("[tunnel]\ninterface = \"far too long a name\"", "expected 1 to 15 letters"),
            (
                "[inbound]\ngreylist = \"2d\"",
                "line 2, column 1, key `inbound.greylist`: expected at most 3600 seconds",
            ),
            (
                "[inbound]\ngreet_pause = \"soon\"",
                "`soon` is no time: expected `off`, or a number and a unit",
            ),
            ("[inbound]\nhelo = \"maybe\"", "line 2, column 8, key `inbound.helo`"),
            ("[bans]\nnever = [\"home.example\"]", "`home.example` is no address or prefix"),
            (
                "[mta_sts]\nenforce_after = \"soon\"",
                "`soon` is no time: expected `never`, or a number and a unit",
            ),
            ("[bans]\nban_for = \"1\"", "`1` is no time: expected a number and a unit"),
            ("[dns]\nresolver = [\"dns.example\"]", "`dns.example` is not an IP address"),
            ("[listen]\nimaps = [\"[::]:25\"]", "key `listen.imaps`: [::]:25 is also the address of `smtp`"),
        ];
        for (text, expected) in cases {
            let error = parse(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
