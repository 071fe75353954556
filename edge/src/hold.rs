//! Answers SMTP while home is silent.
//!
//! In: connections to port 25, which the firewall redirects here while it holds. Out: one 421, by which the sending server
//! knows that it shall keep its mail and try again (RFC 5321 §3.8, RFC 3463 §3.4), and a clean end. Refused: all else, and
//! connections above [`MOST`], which are closed at once.
//!
//! Nothing that a client sends is looked at. It is read and dropped for a moment all the same: closing with unread octets
//! would send a reset, which can overtake the answer (RFC 9293 §3.6.1).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::host::lacks_ipv6;

/// Connections at once.
const MOST: usize = 256;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// How long a client may take to hang up after the answer.
const FAREWELL: Duration = Duration::from_secs(5);

const ANSWER: &[u8] =
    b"421 4.3.2 The mail server behind this address is away for a moment; please try again later\r\n";

/// The listener, on a port of the system's choice.
#[derive(Debug)]
pub struct Hold {
    listener: TcpListener,
    port: u16,
}

impl Hold {
    /// Binds. A machine without IPv6 does without.
    ///
    /// # Errors
    /// What the system said.
    pub fn bind() -> io::Result<Self> {
        let listener = match listen((Ipv6Addr::UNSPECIFIED, 0).into()) {
            Err(error) if lacks_ipv6(&error) => listen((Ipv4Addr::UNSPECIFIED, 0).into())?,
            outcome => outcome?,
        };
        let port = listener.local_addr()?.port();
        Ok(Self { listener, port })
    }

    /// The TCP port to redirect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Answers until the future is dropped.
    pub async fn serve(self) {
        let places = Arc::new(Semaphore::new(MOST));
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    if let Ok(place) = places.clone().try_acquire_owned() {
                        tokio::spawn(async move {
                            // A client that has gone needs no answer.
                            let _ = timeout(FAREWELL, decline(stream)).await;
                            drop(place);
                        });
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection that is to be held could not be accepted");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

async fn decline(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(ANSWER).await?;
    stream.shutdown().await?;
    let mut ignored = [0; 512];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_that_talks_first_still_gets_the_answer() {
        let hold = Hold::bind().unwrap();
        let port = hold.port();
        tokio::spawn(hold.serve());
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        client.write_all(b"EHLO stranger.test\r\nQUIT\r\n").await.unwrap();
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, ANSWER);
    }
}
