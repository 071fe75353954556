//! A connection in clear or under TLS, one type for both.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{TlsAcceptor, rustls, server::TlsStream};

use super::tcp::Tcp;

/// The octet stream of a connection.
#[derive(Debug)]
pub enum Stream {
    /// Nothing between us and TCP.
    Plain(Tcp),
    /// TLS, handshake done.
    Tls(Box<TlsStream<Tcp>>),
}

/// What TLS agreed on, in the words of a trace field: `TLSv1.3`, `TLS_AES_256_GCM_SHA384`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsParameters {
    /// Protocol version.
    pub version: String,
    /// Cipher suite.
    pub cipher: String,
}

impl Stream {
    /// Performs the server's side of the TLS handshake on a stream that is still in clear.
    ///
    /// # Errors
    /// The handshake's failure, or `InvalidInput` when TLS is already there.
    pub async fn accept_tls(self, config: Arc<rustls::ServerConfig>) -> io::Result<Stream> {
        match self {
            Stream::Plain(tcp) => Ok(Stream::Tls(Box::new(TlsAcceptor::from(config).accept(tcp).await?))),
            Stream::Tls(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "TLS within TLS")),
        }
    }

    /// What TLS agreed on; `None` in clear.
    pub fn tls_parameters(&self) -> Option<TlsParameters> {
        let Stream::Tls(tls) = self else { return None };
        let (_, session) = tls.get_ref();
        let version = match session.protocol_version()? {
            rustls::ProtocolVersion::TLSv1_2 => "TLSv1.2".to_owned(),
            rustls::ProtocolVersion::TLSv1_3 => "TLSv1.3".to_owned(),
            other => format!("{other:?}"),
        };
        let cipher = registered_name(session.negotiated_cipher_suite()?.suite());
        Some(TlsParameters { version, cipher })
    }
}

/// The library marks the suites of TLS 1.3 in their names; IANA's registry does not.
fn registered_name(suite: rustls::CipherSuite) -> String {
    format!("{suite:?}").replacen("TLS13_", "TLS_", 1)
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Stream::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
