//! One question to one name server.
//!
//! In: the server's address, a name, a type. Out: the response, over UDP with EDNS and DO (RFC 6891, RFC 3225), over TCP
//! where it is truncated (RFC 7766 §5). Refused: what does not answer this very question (RFC 5452 §9.1); it is passed over,
//! and the waiting goes on. A question takes at most [`MOST_SECONDS`].

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, Query};
use hickory_proto::rr::{Name, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// The port of name servers.
pub const PORT: u16 = 53;
/// The longest that one question takes, in seconds.
pub const MOST_SECONDS: u64 = 7;

/// Octets of a response that go over UDP without fragments (RFC 9715 §3.1).
const UDP_OCTETS: u16 = 1232;
/// How long each of the datagrams is waited for, in milliseconds; together with TCP no more than [`MOST_SECONDS`].
const WAITS: [u64; 3] = [800, 1200, 2000];
const TCP_LIMIT: Duration = Duration::from_secs(3);

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The name, absolute.
    pub name: Name,
    /// The type.
    pub record_type: RecordType,
    /// Whom it is put to.
    pub audience: Audience,
}

/// Whom a question is put to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// A name server, for what it has itself.
    NameServer,
    /// A resolver, for what it can find out.
    Resolver,
}

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    /// This machine has no way to addresses of that kind.
    #[error("this machine has no way to that address")]
    NoRoute,
    /// Nothing came in time.
    #[error("no answer in time")]
    Late,
    /// The system or the server refused.
    #[error("{0}")]
    Failed(String),
}

impl From<io::Error> for Silence {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::NetworkUnreachable | Kind::HostUnreachable | Kind::AddrNotAvailable => Self::NoRoute,
            _ if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => Self::NoRoute,
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Asks.
///
/// # Errors
/// [`Silence`].
pub async fn ask(server: SocketAddr, question: &Question) -> Result<Message, Silence> {
    let query = query(question);
    let octets = query.to_vec().map_err(|error| Silence::Failed(error.to_string()))?;
    let response = by_udp(server, &query, &octets).await?;
    if !response.metadata.truncation {
        return Ok(response);
    }
    timeout(TCP_LIMIT, by_tcp(server, &query, &octets)).await.unwrap_or(Err(Silence::Late))
}

/// Asks over TCP alone.
///
/// # Errors
/// [`Silence`].
pub async fn ask_by_tcp(server: SocketAddr, question: &Question) -> Result<Message, Silence> {
    let query = query(question);
    let octets = query.to_vec().map_err(|error| Silence::Failed(error.to_string()))?;
    timeout(TCP_LIMIT, by_tcp(server, &query, &octets)).await.unwrap_or(Err(Silence::Late))
}

fn query(question: &Question) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = question.audience == Audience::Resolver;
    message.add_query(Query::query(question.name.clone(), question.record_type));
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_OCTETS).set_dnssec_ok(true);
    message.set_edns(edns);
    message
}

async fn by_udp(server: SocketAddr, query: &Message, octets: &[u8]) -> Result<Message, Silence> {
    let here: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((here, 0)).await?;
    socket.connect(server).await?;
    if leads_nowhere(socket.local_addr()?.ip(), server.ip()) {
        return Err(Silence::NoRoute);
    }
    for wait in WAITS {
        socket.send(octets).await?;
        if let Ok(response) = timeout(Duration::from_millis(wait), datagram(&socket, query)).await {
            return response;
        }
    }
    Err(Silence::Late)
}

/// Without a way to the internet's IPv6 the kernel takes what other address there is, such as that inside the tunnel (a
/// unique local one, RFC 4193): no answer comes back to it.
fn leads_nowhere(from: IpAddr, to: IpAddr) -> bool {
    match (from, to) {
        (IpAddr::V6(from), IpAddr::V6(to)) => is_local(from) && !is_local(to),
        _ => false,
    }
}

fn is_local(address: Ipv6Addr) -> bool {
    address.is_unique_local() || address.is_unicast_link_local() || address.is_loopback()
}

async fn datagram(socket: &UdpSocket, query: &Message) -> Result<Message, Silence> {
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if let Some(response) = buffer.get(..length).and_then(|octets| response_to(query, octets)) {
            return Ok(response);
        }
    }
}

async fn by_tcp(server: SocketAddr, query: &Message, octets: &[u8]) -> Result<Message, Silence> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(octets.len()).map_err(|error| Silence::Failed(error.to_string()))?;
    stream.write_all(&[&length.to_be_bytes()[..], octets].concat()).await?;
    loop {
        let length = stream.read_u16().await?;
        let mut buffer = vec![0; length.into()];
        stream.read_exact(&mut buffer).await?;
        if let Some(response) = response_to(query, &buffer) {
            return Ok(response);
        }
    }
}

/// The response, where these octets are one to this query.
fn response_to(query: &Message, octets: &[u8]) -> Option<Message> {
    let response = Message::from_vec(octets).ok()?;
    let is_ours = response.metadata.id == query.metadata.id
        && response.metadata.message_type == MessageType::Response
        && response.metadata.op_code == query.metadata.op_code
        && response.queries == query.queries;
    is_ours.then_some(response)
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::ResponseCode;
    use tokio::net::TcpListener;

    use super::*;

    fn question() -> Question {
        Question {
            name: Name::from_ascii("home.example.").expect("a name"),
            record_type: RecordType::NS,
            audience: Audience::NameServer,
        }
    }

    /// A response to the query in `octets`, changed by `change`.
    fn reply(octets: &[u8], change: impl FnOnce(&mut Message)) -> Vec<u8> {
        let mut response = Message::from_vec(octets).expect("a query").into_response();
        response.metadata.authoritative = true;
        change(&mut response);
        response.to_vec().expect("encoded")
    }

    #[tokio::test]
    async fn only_the_answer_to_the_question_counts() {
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
        let address = server.local_addr().expect("an address");
        let serve = async {
            let mut buffer = [0; 512];
            let (length, client) = server.recv_from(&mut buffer).await.expect("a query");
            let query = &buffer[..length];
            let decoded = Message::from_vec(query).expect("a query");
            assert!(!decoded.metadata.recursion_desired);
            assert!(decoded.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok));
            let other = Name::from_ascii("other.example.").expect("a name");
            let wrong = [
                b"junk".to_vec(),
                query.to_vec(),
                reply(query, |response| response.metadata.id = response.metadata.id.wrapping_add(1)),
                reply(query, |response| {
                    response.queries = vec![Query::query(other, RecordType::NS)];
                }),
            ];
            for octets in wrong {
                server.send_to(&octets, client).await.expect("sent");
            }
            let right = reply(query, |response| response.metadata.response_code = ResponseCode::NXDomain);
            server.send_to(&right, client).await.expect("sent");
        };
        let question = question();
        let (response, ()) = tokio::join!(ask(address, &question), serve);
        assert_eq!(response.expect("a response").metadata.response_code, ResponseCode::NXDomain);
    }

    #[tokio::test]
    async fn a_truncated_answer_is_fetched_over_tcp() {
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.expect("bound");
            let address = tcp.local_addr().expect("an address");
            if let Ok(udp) = UdpSocket::bind(address).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().expect("an address");
        let serve = async {
            let mut buffer = [0; 512];
            let (length, client) = udp.recv_from(&mut buffer).await.expect("a query");
            let truncated = reply(&buffer[..length], |response| response.metadata.truncation = true);
            udp.send_to(&truncated, client).await.expect("sent");
            let (mut stream, _) = tcp.accept().await.expect("a connection");
            let length = stream.read_u16().await.expect("a length");
            let mut query = vec![0; length.into()];
            stream.read_exact(&mut query).await.expect("a query");
            let whole = reply(&query, |_| ());
            stream.write_u16(whole.len() as u16).await.expect("written");
            stream.write_all(&whole).await.expect("written");
        };
        let question = question();
        let (response, ()) = tokio::join!(ask(address, &question), serve);
        assert!(!response.expect("a response").metadata.truncation);
    }

    #[tokio::test]
    async fn a_closed_port_and_a_missing_route_are_told_apart() {
        let closed = UdpSocket::bind("127.0.0.1:0").await.expect("bound").local_addr().expect("an address");
        assert!(matches!(ask(closed, &question()).await, Err(Silence::Failed(_))));
        let error = io::Error::from_raw_os_error(libc::ENETUNREACH);
        assert_eq!(Silence::from(error), Silence::NoRoute);
        let leads_nowhere = |from: &str, to: &str| {
            leads_nowhere(from.parse().expect("an address"), to.parse().expect("an address"))
        };
        assert!(leads_nowhere("fd70:6f73:7465::2", "2001:db8::53"));
        assert!(
            !leads_nowhere("fd70:6f73:7465::2", "fd00::53") && !leads_nowhere("2001:db8::1", "2001:db8::53")
        );
    }
}
