//! A connection in clear or under TLS, one type for both.
//!
//! Channel bindings: tls-exporter under TLS 1.3 alone, for below it only an extended master secret makes the exported octets
//! unique (RFC 9266 §4.2), and the library does not say whether there is one; tls-server-end-point wherever a certificate was
//! shown, which is not so in a resumed session.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use postern_sasl::{BindingType, ChannelBindings};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{LazyConfigAcceptor, rustls, server::TlsStream};

use super::tcp::Tcp;
use crate::certificate::x509;

/// RFC 9266 §2.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-Channel-Binding";
const EXPORTER_OCTETS: usize = 32;

/// The octet stream of a connection.
#[derive(Debug)]
pub enum Stream {
    /// Nothing between us and TCP.
    Plain(Tcp),
    /// TLS, handshake done.
    Tls(Box<Secured>),
}

/// A TLS connection.
#[derive(Debug)]
pub struct Secured {
    stream: TlsStream<Tcp>,
    /// Of the certificate that was shown, if it has one (RFC 5929 §4.1).
    end_point: Option<Vec<u8>>,
}

/// What TLS agreed on, in the words of a trace field: `TLSv1.3`, `TLS_AES_256_GCM_SHA384`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsParameters {
    /// Protocol version.
    pub version: String,
    /// Cipher suite.
    pub cipher: String,
    /// What an authentication can be bound to.
    pub bindings: ChannelBindings,
}

impl Stream {
    /// Performs the server's side of the TLS handshake on a stream that is still in clear.
    ///
    /// # Errors
    /// The handshake's failure, or `InvalidInput` when TLS is already there.
    pub async fn accept_tls(self, config: Arc<rustls::ServerConfig>) -> io::Result<Stream> {
        match self {
            Stream::Plain(tcp) => Ok(Stream::Tls(Box::new(Secured::accept(tcp, config).await?))),
            Stream::Tls(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "TLS within TLS")),
        }
    }

    /// What TLS agreed on; `None` in clear.
    pub fn tls_parameters(&self) -> Option<TlsParameters> {
        let Stream::Tls(tls) = self else { return None };
        let (_, session) = tls.stream.get_ref();
        let version = match session.protocol_version()? {
            rustls::ProtocolVersion::TLSv1_2 => "TLSv1.2".to_owned(),
            rustls::ProtocolVersion::TLSv1_3 => "TLSv1.3".to_owned(),
            other => format!("{other:?}"),
        };
        let cipher = registered_name(session.negotiated_cipher_suite()?.suite());
        Some(TlsParameters { version, cipher, bindings: tls.bindings() })
    }
}

impl Secured {
    async fn accept(tcp: Tcp, config: Arc<rustls::ServerConfig>) -> io::Result<Secured> {
        let handshake = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), tcp).await?;
        let shown = config.cert_resolver.resolve(handshake.client_hello());
        let end_point = shown.and_then(|certified| x509::end_point_hash(certified.cert.first()?));
        Ok(Secured { stream: handshake.into_stream(config).await?, end_point })
    }

    fn bindings(&self) -> ChannelBindings {
        let (_, session) = self.stream.get_ref();
        let exported = exported(session).map(|octets| (BindingType::TlsExporter, octets));
        let is_resumed = session.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        let end_point = self.end_point.as_ref().filter(|_| !is_resumed);
        let end_point = end_point.map(|octets| (BindingType::TlsServerEndPoint, octets.clone()));
        exported.into_iter().chain(end_point).collect()
    }
}

fn exported(session: &rustls::ServerConnection) -> Option<Vec<u8>> {
    let is_unique = session.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3);
    let octets = is_unique.then(|| vec![0; EXPORTER_OCTETS])?;
    session.export_keying_material(octets, EXPORTER_LABEL, Some(&[])).ok()
}

/// The library marks the suites of TLS 1.3 in their names; IANA's registry does not.
fn registered_name(suite: rustls::CipherSuite) -> String {
    format!("{suite:?}").replacen("TLS13_", "TLS_", 1)
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Stream::Tls(tls) => Pin::new(&mut tls.stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Stream::Tls(tls) => Pin::new(&mut tls.stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(&mut tls.stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(&mut tls.stream).poll_shutdown(cx),
        }
    }
}
