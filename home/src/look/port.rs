//! One port of the edge's, seen from outside: whether it answers, what it says, and which TLS it has.
//!
//! In: an address, a port, a [`Way`]. Out: [`PortSeen`]. Refused: nothing; each question has a connection of its own and a
//! bounded time. STARTTLS: RFC 3207, RFC 2595 §4 (POP3), RFC 5804 §2.2 (ManageSieve); TLS from the first octet: RFC 8314 §3.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::line::{line, reply, say};
use super::old_tls::{self, OldVersion};
use super::way::{NoConnection, Way, dial};
use crate::link::Link;
use crate::net::Tcp;
use crate::tls;

/// Who the look says it is; nobody is called that (RFC 6761 §6.5).
pub const CLIENT: &str = "look.example.net";

/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Lines of a greeting of ManageSieve.
const MOST_CAPABILITIES: usize = 40;

/// How a client of this port begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speech {
    Smtp,
    Pop3,
    Sieve,
    /// TLS from the first octet.
    Tls,
    /// Not known here: that it answers is all that is looked at.
    Unknown,
}

fn speech(port: u16) -> Speech {
    match port {
        25 | 587 => Speech::Smtp,
        110 => Speech::Pop3,
        4190 => Speech::Sieve,
        465 | 993 | 995 | 443 => Speech::Tls,
        _ => Speech::Unknown,
    }
}

/// One port as it was seen.
#[derive(Debug, Clone)]
pub struct PortSeen {
    /// Address and public port.
    pub server: SocketAddr,
    /// From where.
    pub way: Way,
    /// What came of it.
    pub outcome: Result<Answered, NoConnection>,
}

/// What a port says.
#[derive(Debug, Clone, Default)]
pub struct Answered {
    /// The first line, where the server speaks first.
    pub greeting: Option<String>,
    /// Why the conversation did not come as far as TLS.
    pub broken: Option<String>,
    /// Its TLS, where it was looked at.
    pub tls: Option<TlsSeen>,
}

/// A server's TLS.
#[derive(Debug, Clone, Default)]
pub struct TlsSeen {
    /// The certificates that it shows, its own first; empty where no handshake succeeded.
    pub chain: Vec<CertificateDer<'static>>,
    /// Whether each version that must be agreed to is, or why not.
    pub agreed: Vec<(&'static str, Result<(), String>)>,
    /// Whether each version that must not be agreed to is.
    pub forbidden: Vec<(&'static str, Result<bool, String>)>,
}

/// Looks whether the port answers.
pub async fn glance(link: &Link, way: Way, server: SocketAddr) -> PortSeen {
    let outcome = match dial(link, way, server).await {
        Ok(mut stream) => Ok(answered(begin(&mut stream, server.port()).await)),
        Err(reason) => Err(reason),
    };
    PortSeen { server, way, outcome }
}

/// Looks whether the port answers, and at its TLS. `host` is the name that clients use.
pub async fn look(link: &Link, way: Way, server: SocketAddr, host: &str) -> PortSeen {
    let mut seen = glance(link, way, server).await;
    if let Ok(answered) = &mut seen.outcome
        && answered.broken.is_none()
        && speech(server.port()) != Speech::Unknown
    {
        answered.tls = Some(look_at_tls(link, way, server, host).await);
    }
    seen
}

fn answered(begun: io::Result<Option<String>>) -> Answered {
    match begun {
        Ok(greeting) => Answered { greeting, ..Answered::default() },
        Err(error) => Answered { broken: Some(error.to_string()), ..Answered::default() },
    }
}

async fn look_at_tls(link: &Link, way: Way, server: SocketAddr, host: &str) -> TlsSeen {
    let mut seen = TlsSeen::default();
    for (name, version) in [("TLS 1.3", &TLS13), ("TLS 1.2", &TLS12)] {
        let shaken = async {
            let stream = ready_for_tls(link, way, server).await?;
            handshake(stream, tls::looking_client(version), host).await
        };
        let shaken = shaken.await.map(|chain| {
            if seen.chain.is_empty() {
                seen.chain = chain;
            }
        });
        seen.agreed.push((name, shaken.map_err(|error| error.to_string())));
    }
    for version in [OldVersion::Tls11, OldVersion::Tls10] {
        let asked = async {
            let mut stream = ready_for_tls(link, way, server).await?;
            old_tls::agrees(&mut stream, version, host).await
        };
        seen.forbidden.push((version.name(), asked.await.map_err(|error| error.to_string())));
    }
    seen
}

/// A connection on which the client's next octet is TLS's.
///
/// # Errors
/// As the system says; what the server says instead.
pub async fn ready_for_tls(link: &Link, way: Way, server: SocketAddr) -> io::Result<Tcp> {
    let mut stream = dial(link, way, server).await.map_err(io::Error::other)?;
    begin(&mut stream, server.port()).await?;
    Ok(stream)
}

/// Shakes hands, and gives back the certificates that the server shows.
///
/// # Errors
/// As the library says, or that the server is too slow.
pub async fn handshake(
    stream: Tcp,
    config: Arc<ClientConfig>,
    host: &str,
) -> io::Result<Vec<CertificateDer<'static>>> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let shaking = TlsConnector::from(config).connect(name, stream);
    let mut stream =
        timeout(PATIENCE, shaking).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    let chain = stream.get_ref().1.peer_certificates().map(<[_]>::to_vec).unwrap_or_default();
    // The server may have gone already; nothing more is wanted of it.
    let _ = stream.shutdown().await;
    Ok(chain.into_iter().map(CertificateDer::into_owned).collect())
}

/// Says what comes before TLS on this port; gives back the server's first line where it speaks first.
async fn begin(stream: &mut Tcp, port: u16) -> io::Result<Option<String>> {
    match speech(port) {
        Speech::Tls | Speech::Unknown => Ok(None),
        Speech::Smtp => {
            let greeting = reply(stream).await?;
            if greeting.code != 220 {
                return Err(unexpected("a greeting with 220", greeting.first()));
            }
            let offer = say(stream, &format!("EHLO {CLIENT}")).await?;
            if !offer.offers("STARTTLS") {
                return Err(unexpected("STARTTLS in the answer to EHLO", offer.first()));
            }
            let agreed = say(stream, "STARTTLS").await?;
            if agreed.code != 220 {
                return Err(unexpected("220 to STARTTLS", agreed.first()));
            }
            Ok(Some(greeting.first().to_owned()))
        }
        Speech::Pop3 => {
            let greeting = line(stream).await?;
            stream.write_all(b"STLS\r\n").await?;
            expect("+OK", &greeting)?;
            expect("+OK", &line(stream).await?)?;
            Ok(Some(greeting))
        }
        Speech::Sieve => {
            let greeting = until_ok(stream).await?;
            stream.write_all(b"STARTTLS\r\n").await?;
            expect("OK", &line(stream).await?)?;
            Ok(Some(greeting))
        }
    }
}

/// The first line of ManageSieve's capabilities, which end with OK (RFC 5804 §1.7).
async fn until_ok(stream: &mut Tcp) -> io::Result<String> {
    let first = line(stream).await?;
    let mut last = first.clone();
    for _ in 0..MOST_CAPABILITIES {
        if last.starts_with("OK") {
            return Ok(first);
        }
        last = line(stream).await?;
    }
    Err(unexpected("OK", &last))
}

fn expect(wanted: &str, heard: &str) -> io::Result<()> {
    if heard.starts_with(wanted) { Ok(()) } else { Err(unexpected(wanted, heard)) }
}

fn unexpected(wanted: &str, heard: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{wanted} was expected, and `{heard}` came"))
}
