//! Connections to other mail servers.
//!
//! In: a server's address and the source address to leave from, which is home's inner tunnel address: what comes from it
//! goes through the edge. Out: a connection, in clear or, after STARTTLS, under TLS.
//! Refused: nothing is connected from an address that was not asked for.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::tcp::Tcp;
use crate::inner::Network;

/// How long a server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to a server.
#[derive(Debug)]
pub enum ClientStream {
    /// As connected.
    Clear(Tcp),
    /// After STARTTLS.
    Tls(Box<TlsStream<Tcp>>),
}

/// Connects to `server` from `source`, an address of `network`.
///
/// # Errors
/// As the operating system says, or `TimedOut` after 30 seconds.
pub async fn dial(network: &Network, server: SocketAddr, source: IpAddr) -> io::Result<ClientStream> {
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, network.connect(source, server)).await;
    let stream = connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay()?;
    Ok(ClientStream::Clear(stream))
}

impl ClientStream {
    /// Does the handshake on a connection in clear.
    ///
    /// # Errors
    /// Where the handshake fails; the connection is then of no more use.
    pub async fn into_tls(self, config: Arc<ClientConfig>, host: &str) -> io::Result<ClientStream> {
        let ClientStream::Clear(stream) = self else { return Ok(self) };
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let stream = TlsConnector::from(config).connect(name, stream).await?;
        Ok(ClientStream::Tls(Box::new(stream)))
    }

    /// The protocol version and cipher suite, where there is TLS.
    pub fn tls_description(&self) -> Option<String> {
        let ClientStream::Tls(stream) = self else { return None };
        let (_, connection) = stream.get_ref();
        let (version, suite) = (connection.protocol_version()?, connection.negotiated_cipher_suite()?);
        Some(format!("{version:?} {:?}", suite.suite()))
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ClientStream::Clear(stream) => Pin::new(stream).poll_read(cx, buf),
            ClientStream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            ClientStream::Clear(stream) => Pin::new(stream).poll_write(cx, octets),
            ClientStream::Tls(stream) => Pin::new(stream).poll_write(cx, octets),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ClientStream::Clear(stream) => Pin::new(stream).poll_flush(cx),
            ClientStream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            ClientStream::Clear(stream) => Pin::new(stream).poll_shutdown(cx),
            ClientStream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
