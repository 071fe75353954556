//! What senders are told of our TLS, held against what they find: the MTA-STS policy as it is fetched, and the TLSA records as the
//! DNS has them against the certificate that port 25 shows.
//!
//! In: the policy that home publishes for a domain, the mail host. Out: whether both hold. Refused: a policy under a
//! certificate that no authority of this machine's trust vouches for (RFC 8461 §3.3); TLSA records that are not secure
//! (RFC 7672 §2.1).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use postern_message::address::DomainName;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::port::{handshake, ready_for_tls};
use super::way::{Way, dial};
use crate::link::Link;
use crate::resolver::Resolver;
use crate::tls::peer;

/// The longest policy that is read, octets (RFC 8461 §3.3 has senders read no more than 64 kB).
const MOST_OCTETS: u64 = 65_536;
/// How long fetching may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// One domain's policy as it is fetched.
#[derive(Debug, Clone)]
pub struct PolicySeen {
    /// The domain.
    pub domain: DomainName,
    /// What home publishes.
    pub published: String,
    /// What came.
    pub fetched: Result<String, String>,
    /// From where it was fetched.
    pub way: Way,
}

/// Fetches the policy from the edge's address.
pub async fn fetch(
    link: &Link,
    way: Way,
    server: SocketAddr,
    domain: &DomainName,
    published: String,
) -> PolicySeen {
    let host = format!("mta-sts.{domain}");
    let fetching = timeout(PATIENCE, get(link, way, server, &host));
    let fetched = fetching.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    PolicySeen { domain: domain.clone(), published, fetched: fetched.map_err(|error| error.to_string()), way }
}

async fn get(link: &Link, way: Way, server: SocketAddr, host: &str) -> io::Result<String> {
    let config =
        peer::by_authorities().ok_or_else(|| io::Error::other("this machine has no root certificates"))?;
    let stream = dial(link, way, server).await;
    let stream = stream.map_err(|reason| io::Error::other(format!("port {} {reason}", server.port())))?;
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let mut stream = TlsConnector::from(config).connect(name, stream).await?;
    let request =
        format!("GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    match stream.take(MOST_OCTETS).read_to_end(&mut answer).await {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
        _ => {}
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.lines().next().unwrap_or_default().to_owned();
    match answer.split_once("\r\n\r\n") {
        Some((_, body)) if status.split(' ').nth(1) == Some("200") => Ok(body.to_owned()),
        _ => Err(io::Error::other(format!("the answer is `{status}`"))),
    }
}

/// What the TLSA records of port 25 are worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DaneSeen {
    /// There are none that count.
    None,
    /// The certificate that is shown is one of theirs.
    Matches(usize),
    /// It is not: senders who look at them do not deliver.
    Differs(String),
    /// The DNS, or the port, did not say.
    Unknown(String),
}

/// Holds the records of the mail host's port 25 against what is shown there.
pub async fn dane(
    link: &Link,
    resolver: &Resolver,
    way: Way,
    server: SocketAddr,
    mail_host: &DomainName,
) -> DaneSeen {
    let records = match resolver.tlsa(&format!("_25._tcp.{mail_host}")).await {
        Ok(records) => records,
        Err(error) => return DaneSeen::Unknown(error.to_string()),
    };
    let Some(config) = peer::by_dane(&records, &[mail_host.to_string()]) else { return DaneSeen::None };
    let stream = match ready_for_tls(link, way, server).await {
        Ok(stream) => stream,
        Err(error) => return DaneSeen::Unknown(error.to_string()),
    };
    match handshake(stream, config, mail_host.as_str()).await {
        Ok(_) => DaneSeen::Matches(records.len()),
        Err(error) => DaneSeen::Differs(error.to_string()),
    }
}
