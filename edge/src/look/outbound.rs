//! Whether mail can leave this machine: the greeting of other mail servers, as this machine itself hears it.
//!
//! In: addresses of mail servers. Out: for each its first line, or why there is none. Refused: addresses that are not
//! global, and more than [`MOST_SERVERS`]. The port is always 25. Nothing is said but QUIT (RFC 5321 §4.1.1.10).
//!
//! Home can ask the same through the tunnel; where only that fails, the fault is between home and here, and where this
//! fails too, it is the provider's.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use postern_shared::address::is_global;
use postern_shared::look::{MOST_GREETING_OCTETS, MOST_SERVERS, OutboundSeen, OutboundWish, ServerSeen};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::NotLooked;
use crate::forward::SMTP;

/// How long a server may take to accept the connection. A provider that blocks the port drops packets in silence, so this is
/// what a blocked port costs.
const CONNECT: Duration = Duration::from_secs(4);
/// How long it may take to greet after that; some wait a few seconds for those who talk first. Both together are less than
/// home waits for the edge's answer.
const GREET: Duration = Duration::from_secs(5);

/// Whether these servers may be looked at.
///
/// # Errors
/// See [`NotLooked`].
pub fn check(wish: &OutboundWish) -> Result<(), NotLooked> {
    if wish.servers.len() > MOST_SERVERS {
        return Err(NotLooked::TooMany(wish.servers.len(), MOST_SERVERS));
    }
    match wish.servers.iter().find(|server| !is_global(**server)) {
        Some(server) => Err(NotLooked::NotGlobal(*server)),
        None => Ok(()),
    }
}

/// Looks at all of them at once, for at most nine seconds.
pub async fn look(wish: &OutboundWish) -> OutboundSeen {
    let servers = wish.servers.iter().map(|server| see(SocketAddr::new(*server, SMTP)));
    OutboundSeen { servers: join_all(servers).await }
}

async fn see(server: SocketAddr) -> ServerSeen {
    let began = Instant::now();
    let mut seen =
        ServerSeen { server: server.ip(), from: None, milliseconds: 0, greeting: None, error: None };
    match greeting(server, &mut seen.from).await {
        Ok(line) => seen.greeting = Some(line),
        Err(error) => seen.error = Some(error),
    }
    seen.milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    seen
}

async fn greeting(server: SocketAddr, from: &mut Option<IpAddr>) -> Result<String, String> {
    let connected = timeout(CONNECT, TcpStream::connect(server)).await;
    let stream = connected
        .map_err(|_| format!("no answer to the connection within {} s", CONNECT.as_secs()))?
        .map_err(|error| format!("the connection failed: {error}"))?;
    *from = stream.local_addr().ok().map(|address| address.ip());
    let line = timeout(GREET, first_line(stream)).await;
    let line = line.map_err(|_| format!("connected, but no greeting within {} s", GREET.as_secs()))?;
    match line.map_err(|error| format!("connected, but the greeting broke off: {error}"))? {
        line if line.is_empty() => Err("connected, but closed without a greeting".to_owned()),
        line => Ok(line),
    }
}

/// The first line, printable ASCII only: a stranger wrote it, and it ends on an operator's screen.
async fn first_line(mut stream: TcpStream) -> io::Result<String> {
    let most = u64::try_from(MOST_GREETING_OCTETS).expect("512 fits");
    let mut line = Vec::new();
    BufReader::new((&mut stream).take(most)).read_until(b'\n', &mut line).await?;
    // A server that has gone already needs no farewell.
    let _ = stream.write_all(b"QUIT\r\n").await;
    let printable = |octet: &u8| octet.is_ascii_graphic() || *octet == b' ';
    Ok(line.into_iter().filter(printable).map(char::from).collect())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn server(says: &'static [u8]) -> (SocketAddr, tokio::task::JoinHandle<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(says).await.unwrap();
            if says.is_empty() {
                return Vec::new();
            }
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).await.unwrap();
            heard
        });
        (address, heard)
    }

    #[tokio::test]
    async fn a_greeting_is_heard_cleaned_and_cut_and_nothing_is_said_but_quit() {
        let (address, heard) = server(b"220 mx.example \x1b[31mESMTP\r\n").await;
        let seen = see(address).await;
        assert_eq!(seen.greeting.as_deref(), Some("220 mx.example [31mESMTP"));
        assert_eq!(seen.from, Some("127.0.0.1".parse().unwrap()));
        assert_eq!(heard.await.unwrap(), b"QUIT\r\n");
        let (address, _heard) = server(&[b'2'; 2000]).await;
        assert_eq!(see(address).await.greeting.unwrap().len(), MOST_GREETING_OCTETS);
    }

    #[tokio::test]
    async fn what_fails_is_told_apart() {
        let (address, _) = server(b"").await;
        assert!(see(address).await.error.unwrap().contains("without a greeting"));
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let seen = see(closed).await;
        assert!(seen.error.unwrap().contains("refused") && seen.from.is_none());
    }

    #[test]
    fn only_a_few_servers_of_the_internet_are_looked_at() {
        let wish = |servers: &[&str]| OutboundWish {
            servers: servers.iter().map(|server| server.parse().unwrap()).collect(),
        };
        assert_eq!(check(&wish(&["192.0.2.1", "2001:db8::1"])), Ok(()));
        for inside in ["10.118.0.2", "127.0.0.1", "169.254.169.254", "::1", "fd00::1", "::ffff:10.0.0.1"] {
            assert!(matches!(check(&wish(&["192.0.2.1", inside])), Err(NotLooked::NotGlobal(_))), "{inside}");
        }
        assert_eq!(check(&wish(&["192.0.2.1"; 5])), Err(NotLooked::TooMany(5, 4)));
    }
}
