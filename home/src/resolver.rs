//! Questions to the DNS, for mail authentication and for delivery.
//!
//! In: domain and host names as A-labels. Out: MX records and addresses, with "no such name" and "no such
//! record" told apart from "could not find out", because the first is a reason to give a message back and the
//! last a reason to wait (RFC 5321 §5.1). What delivery to others relies on is asked for with DNSSEC ([`Proven`]).
//! [`Resolver::authenticator`] lends the resolver that does not validate, with its cache, to mail-auth.
//!
//! Refused: search lists and `/etc/hosts`. A mail domain is always fully qualified.
//!
//! The name servers are those of the configuration, or else those of `/etc/resolv.conf`.

mod validation;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::rdata::TLSA;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;
use mail_auth::MessageAuthenticator;

pub use validation::Proven;
use validation::Validation;

/// Responses kept in the cache.
const CACHE_ENTRIES: u64 = 4096;
/// How long one question may take at one name server, in seconds.
const QUERY_SECONDS: u64 = 5;
/// A record is asked for again after a day, whatever its TTL says.
const POSITIVE_TTL_MAX: Duration = Duration::from_secs(86_400);
/// A missing name is asked for again after five minutes, so that a repaired domain is found.
const NEGATIVE_TTL_MAX: Duration = Duration::from_secs(300);

/// The one resolver of the program; cheap to clone, and every clone shares the cache.
#[derive(Clone)]
pub struct Resolver {
    inner: TokioResolver,
    validation: Option<Arc<Validation>>,
    servers: Arc<[SocketAddr]>,
}

/// What the DNS says of one name and type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<T> {
    /// The record set, never empty.
    Records(Vec<T>),
    /// The name exists, but has no record of this type.
    NoData,
    /// The name does not exist (NXDOMAIN).
    NoSuchName,
}

/// The file in which the system names its resolvers (resolv.conf(5)).
const SYSTEM: &str = "/etc/resolv.conf";

/// Where systemd-resolved answers (systemd-resolved.service(8)).
const STUB: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);
/// Where it says whom it asks itself.
const BEHIND_STUB: &str = "/run/systemd/resolve/resolv.conf";

/// One MX record (RFC 1035 §3.3.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mx {
    /// Lower is tried first.
    pub preference: u16,
    /// The exchange's host name in lower case without the final dot; empty for the root, which is the null MX
    /// of RFC 7505.
    pub exchange: String,
}

/// Why a question has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResolveError {
    /// Asking again later may help: time-out, SERVFAIL, no name server reachable.
    #[error("DNS lookup of {name} failed for now: {cause}")]
    Temporary {
        /// The name asked for.
        name: String,
        /// The resolver's own words.
        cause: String,
    },
    /// The text is no domain name; asking again is useless.
    #[error("{name:?} is not a domain name")]
    InvalidName {
        /// The text given.
        name: String,
    },
}

/// The resolver cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The resolver cannot be made.
    #[error("cannot set up the DNS resolver: {0}")]
    Net(#[from] NetError),
    /// The system says no name server.
    #[error(
        "{path}: {reason}. It should name the resolvers that this machine asks, as in \"nameserver 192.168.1.1\"; or list \
         resolvers in home.toml: key `dns.resolver`."
    )]
    System {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The configured keys cannot be read.
    #[error("{path}: {reason}. The file holds the root zone's DNSKEY records (key `dns.trust_anchor`).")]
    TrustAnchor {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Whether what delivery relies on is checked by DNSSEC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dnssec<'a> {
    /// It is not: no domain's DANE records are heard.
    Off,
    /// It is, from the keys in this file, or from those of the root that the program knows.
    Validate(Option<&'a Path>),
}

impl Resolver {
    /// Sets up the resolver for the given name servers; with none, for those of `/etc/resolv.conf`.
    ///
    /// # Errors
    /// Where `/etc/resolv.conf` is needed and cannot be read, or the keys cannot.
    pub fn new(name_servers: &[SocketAddr], dnssec: Dnssec<'_>) -> Result<Resolver, SetupError> {
        let servers = match name_servers {
            [] => of_system(Path::new(SYSTEM), Path::new(BEHIND_STUB))?,
            given => given.iter().map(name_server).collect(),
        };
        let addresses = servers.iter().map(address).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let validation = match dnssec {
            Dnssec::Off => None,
            Dnssec::Validate(anchor) => Some(Arc::new(Validation::new(config.clone(), anchor)?)),
        };
        let inner = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options())
            .build()?;
        Ok(Resolver { inner, validation, servers: addresses })
    }

    /// The addresses of the resolvers that are asked, for a question that shall not be answered from this cache.
    pub fn servers(&self) -> &[SocketAddr] {
        &self.servers
    }

    /// What a person should know: that DNSSEC cannot be checked. `None` before mail has gone out.
    pub fn warning(&self) -> Option<String> {
        let fails = self.validation.as_ref().is_some_and(|validation| validation.has_failed());
        fails.then(|| {
            "The name servers that home asks leave DNSSEC signatures out, so mail to others keeps to no DANE record \
             (docs/sending.md). Name others that pass them on: key `resolver` in the section `[dns]`."
                .to_owned()
        })
    }

    /// Lends this resolver and its cache to mail-auth's SPF, DKIM and DMARC checks.
    pub fn authenticator(&self) -> MessageAuthenticator {
        MessageAuthenticator(self.inner.clone())
    }

    /// Finds the MX records of `domain`, in the order of the response. Aliases are followed.
    ///
    /// # Errors
    /// [`ResolveError::Temporary`] where the DNS gave no usable response, or one that does not validate.
    pub async fn mx(&self, domain: &str) -> Result<Answer<Mx>, ResolveError> {
        self.lookup(domain, RecordType::MX, mx).await
    }

    /// As [`Resolver::mx`], and what DNSSEC says of it.
    ///
    /// # Errors
    /// As [`Resolver::mx`].
    pub async fn proven_mx(&self, domain: &str) -> Result<Proven<Mx>, ResolveError> {
        self.prove(domain, RecordType::MX, mx).await
    }

    /// Finds the TLSA records of a name (RFC 6698); none that are not secure.
    ///
    /// # Errors
    /// As [`Resolver::mx`].
    pub async fn tlsa(&self, name: &str) -> Result<Vec<TLSA>, ResolveError> {
        let found = self.prove(name, RecordType::TLSA, |data| match data {
            RData::TLSA(tlsa) => Some(tlsa.clone()),
            _ => None,
        });
        Ok(match found.await? {
            Proven { answer: Answer::Records(records), is_secure: true, .. } => records,
            _ => Vec::new(),
        })
    }

    /// Finds the texts of a name, the strings of each joined (RFC 7208 §3.3, RFC 8461 §3.1).
    ///
    /// # Errors
    /// As [`Resolver::mx`].
    pub async fn txt(&self, name: &str) -> Result<Answer<Vec<u8>>, ResolveError> {
        self.lookup(name, RecordType::TXT, |data| match data {
            RData::TXT(txt) => Some(txt.txt_data.concat()),
            _ => None,
        })
        .await
    }

    /// Finds the name servers of the zone `zone`; no data where a name is no zone's origin.
    ///
    /// # Errors
    /// As [`Resolver::mx`].
    pub async fn ns(&self, zone: &Name) -> Result<Answer<Name>, ResolveError> {
        self.lookup_name(zone.clone(), RecordType::NS, |data| match data {
            RData::NS(ns) => Some(ns.0.clone()),
            _ => None,
        })
        .await
    }

    /// Finds the IPv4 addresses of `host`. Aliases are followed.
    ///
    /// # Errors
    /// As [`Resolver::mx`].
    pub async fn ipv4(&self, host: &str) -> Result<Answer<Ipv4Addr>, ResolveError> {
        self.lookup(host, RecordType::A, a).await
    }

    /// Finds the IPv6 addresses of `host`. Aliases are followed.
    ///
    /// # Errors
    /// As [`Resolver::mx`].
    pub async fn ipv6(&self, host: &str) -> Result<Answer<Ipv6Addr>, ResolveError> {
        self.lookup(host, RecordType::AAAA, aaaa).await
    }

    /// As [`Resolver::ipv4`], and what DNSSEC says of it.
    ///
    /// # Errors
    /// As [`Resolver::mx`].
    pub async fn proven_ipv4(&self, host: &str) -> Result<Proven<Ipv4Addr>, ResolveError> {
        self.prove(host, RecordType::A, a).await
    }

    /// As [`Resolver::ipv6`], and what DNSSEC says of it.
    ///
    /// # Errors
    /// As [`Resolver::mx`].
    pub async fn proven_ipv6(&self, host: &str) -> Result<Proven<Ipv6Addr>, ResolveError> {
        self.prove(host, RecordType::AAAA, aaaa).await
    }

    /// Finds the names that the address's PTR records give (RFC 1035 §3.5), in lower case without final dots.
    ///
    /// # Errors
    /// As [`Resolver::mx`].
    pub async fn ptr(&self, address: IpAddr) -> Result<Answer<String>, ResolveError> {
        let name = Name::from(address);
        self.lookup_name(name, RecordType::PTR, |data| match data {
            RData::PTR(ptr) => Some(host_text(&ptr.0)),
            _ => None,
        })
        .await
    }

    /// Asks with DNSSEC where that works, and else without: then nothing is secure.
    async fn prove<T>(
        &self,
        name: &str,
        record_type: RecordType,
        pick: impl Fn(&RData) -> Option<T>,
    ) -> Result<Proven<T>, ResolveError> {
        let mut owner = parse(name)?;
        owner.set_fqdn(true);
        let waits = |cause| ResolveError::Temporary { name: name.to_owned(), cause };
        if let Some(validation) = &self.validation
            && validation.works().await.map_err(waits)?
        {
            return validation.lookup(owner, record_type, pick).await.map_err(waits);
        }
        let answer = self.lookup_name(owner.clone(), record_type, pick).await?;
        Ok(Proven { answer, is_secure: false, begins_secure: false, owner })
    }

    async fn lookup<T>(
        &self,
        name: &str,
        record_type: RecordType,
        pick: impl Fn(&RData) -> Option<T>,
    ) -> Result<Answer<T>, ResolveError> {
        self.lookup_name(parse(name)?, record_type, pick).await
    }

    async fn lookup_name<T>(
        &self,
        mut name: Name,
        record_type: RecordType,
        pick: impl Fn(&RData) -> Option<T>,
    ) -> Result<Answer<T>, ResolveError> {
        name.set_fqdn(true);
        match self.inner.lookup(name.clone(), record_type).await {
            Ok(lookup) => {
                let records: Vec<T> =
                    lookup.answers().iter().filter_map(|record| pick(&record.data)).collect();
                Ok(if records.is_empty() { Answer::NoData } else { Answer::Records(records) })
            }
            Err(error) => no_records(error).map_err(|cause| ResolveError::Temporary {
                name: host_text(&name),
                cause: cause.to_string(),
            }),
        }
    }
}

/// The system's name servers; those behind systemd-resolved's stub, which leaves signatures out and answers for no name of one label.
fn of_system(system: &Path, behind_stub: &Path) -> Result<Vec<NameServerConfig>, SetupError> {
    let servers = system_servers(system)?;
    let is_stub = servers.iter().all(|server| server.ip == IpAddr::from(STUB));
    match system_servers(behind_stub) {
        Ok(behind) if is_stub => Ok(behind),
        _ => Ok(servers),
    }
}

/// The name servers that a file in the form of resolv.conf(5) names.
fn system_servers(path: &Path) -> Result<Vec<NameServerConfig>, SetupError> {
    let refused = |reason: String| SetupError::System { path: path.display().to_string(), reason };
    let text = fs::read(path).map_err(|error| refused(error.to_string()))?;
    let (config, _) = parse_resolv_conf(text).map_err(|error| refused(error.to_string()))?;
    match config.into_parts().2 {
        servers if servers.is_empty() => Err(refused(String::from("no name server is in it"))),
        servers => Ok(servers),
    }
}

/// Tells the two negative responses of RFC 2308 §2 from every failure to get a response.
fn no_records<T>(error: NetError) -> Result<Answer<T>, NetError> {
    match &error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => Ok(Answer::NoSuchName),
            ResponseCode::NoError => Ok(Answer::NoData),
            _ => Err(error),
        },
        _ => Err(error),
    }
}

fn mx(data: &RData) -> Option<Mx> {
    match data {
        RData::MX(mx) => Some(Mx { preference: mx.preference, exchange: host_text(&mx.exchange) }),
        _ => None,
    }
}

fn a(data: &RData) -> Option<Ipv4Addr> {
    match data {
        RData::A(address) => Some(address.0),
        _ => None,
    }
}

fn aaaa(data: &RData) -> Option<Ipv6Addr> {
    match data {
        RData::AAAA(address) => Some(address.0),
        _ => None,
    }
}

fn parse(name: &str) -> Result<Name, ResolveError> {
    Name::from_ascii(name).map_err(|_| ResolveError::InvalidName { name: name.to_owned() })
}

/// In lower case without the final dot.
pub fn host_text(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let mut server = NameServerConfig::udp_and_tcp(address.ip());
    for connection in &mut server.connections {
        connection.port = address.port();
    }
    server
}

/// Where a name server is asked over UDP and TCP.
fn address(server: &NameServerConfig) -> SocketAddr {
    let port = server.connections.first().map_or(53, |connection| connection.port);
    SocketAddr::new(server.ip, port)
}

fn options() -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = Duration::from_secs(QUERY_SECONDS);
    options.cache_size = CACHE_ENTRIES;
    options.positive_max_ttl = Some(POSITIVE_TTL_MAX);
    options.negative_max_ttl = Some(NEGATIVE_TTL_MAX);
    options.use_hosts_file = ResolveHosts::Never;
    options.edns0 = true;
    options
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::op::Message;
    use hickory_resolver::proto::rr::Record;
    use hickory_resolver::proto::rr::rdata::A;
    use tokio::net::UdpSocket;

    use super::*;

    /// Answers every question with one address, and signs nothing, as a home router may.
    async fn router(asked: UdpSocket) {
        let mut buffer = [0; 512];
        loop {
            let (length, client) = asked.recv_from(&mut buffer).await.expect("a query");
            let query = Message::from_vec(&buffer[..length]).expect("a query");
            let name = query.queries[0].name().clone();
            let mut response = query.into_response();
            response.add_answer(Record::from_rdata(name, 60, RData::A(A::new(192, 0, 2, 7))));
            asked.send_to(&response.to_vec().expect("encoded"), client).await.expect("sent");
        }
    }

    #[tokio::test]
    async fn name_servers_that_leave_signatures_out_cost_dane_and_no_mail() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
        let servers = [socket.local_addr().expect("an address")];
        let resolver = Resolver::new(&servers, Dnssec::Validate(None)).expect("a resolver");
        tokio::spawn(router(socket));
        assert_eq!(resolver.warning(), None, "nothing was asked yet");
        let found = resolver.proven_ipv4("mx.example").await.expect("an answer");
        let address = Answer::Records(vec![Ipv4Addr::new(192, 0, 2, 7)]);
        assert_eq!((found.answer, found.is_secure), (address, false));
        assert!(resolver.warning().is_some());
    }

    /// As where the line is down, or somebody drops what comes.
    #[tokio::test]
    async fn while_the_root_does_not_answer_mail_waits_and_dane_stays() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
        let servers = [socket.local_addr().expect("an address")];
        let resolver = Resolver::new(&servers, Dnssec::Validate(None)).expect("a resolver");
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            loop {
                let (length, client) = socket.recv_from(&mut buffer).await.expect("a query");
                let mut response = Message::from_vec(&buffer[..length]).expect("a query").into_response();
                response.metadata.response_code = ResponseCode::ServFail;
                socket.send_to(&response.to_vec().expect("encoded"), client).await.expect("sent");
            }
        });
        let found = resolver.proven_ipv4("mx.example").await;
        assert!(matches!(found, Err(ResolveError::Temporary { .. })), "{found:?}");
        assert_eq!(resolver.warning(), None);
    }

    #[test]
    fn a_system_without_name_servers_is_named_with_its_file() {
        let file = std::env::temp_dir().join(format!("postern-resolv-{}", std::process::id()));
        let complaint = || match system_servers(&file) {
            Err(error) => error.to_string(),
            Ok(servers) => format!("{} servers", servers.len()),
        };
        let path = file.display().to_string();
        assert!(complaint().starts_with(&format!("{path}: No such file")), "{}", complaint());
        fs::write(&file, "search example\n").expect("written");
        assert!(
            complaint().starts_with(&format!("{path}: ")) && complaint().contains("dns.resolver"),
            "{}",
            complaint()
        );
        fs::write(&file, "nameserver 192.0.2.1\nnameserver 2001:db8::1\n").expect("written");
        assert_eq!(complaint(), "2 servers");
        let stub = file.with_extension("stub");
        let found = |text: &str| {
            fs::write(&stub, text).expect("written");
            of_system(&stub, &file).expect("servers").len()
        };
        assert_eq!(found("nameserver 127.0.0.53\n"), 2, "those behind the stub");
        assert_eq!(found("nameserver 192.0.2.9\n"), 1);
        fs::remove_file(&file).expect("removed");
        assert_eq!(found("nameserver 127.0.0.53\n"), 1, "the stub, where it does not say whom it asks");
        fs::remove_file(&stub).expect("removed");
    }
}
