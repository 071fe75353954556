//! The octet stream of a connection, for those who would otherwise hold a kernel's socket.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use smoltcp::socket::tcp::{RecvError, State};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::flow::{Bell, Flow};

/// A connection. Dropped, it closes as a socket does: what was written still goes out.
pub struct Stream {
    flow: Arc<Flow>,
    bell: Arc<Bell>,
}

impl Stream {
    /// The stream of a flow, which has no other.
    pub(super) fn new(flow: Arc<Flow>, bell: Arc<Bell>) -> Self {
        Self { flow, bell }
    }

    /// Our end.
    pub fn local_addr(&self) -> SocketAddr {
        self.flow.ends.local
    }

    /// The peer's end.
    pub fn peer_addr(&self) -> SocketAddr {
        self.flow.ends.remote
    }

    /// Completes when the peer has accepted the connection.
    ///
    /// # Errors
    /// `ConnectionRefused` when it has not.
    pub async fn connected(&self) -> io::Result<()> {
        std::future::poll_fn(|cx| {
            let mut inner = self.flow.lock();
            let socket = inner.socket();
            match socket.state() {
                State::SynSent | State::SynReceived => {
                    socket.register_send_waker(cx.waker());
                    Poll::Pending
                }
                State::Closed => Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into())),
                _ => Poll::Ready(Ok(())),
            }
        })
        .await
    }

    /// Writes what can be written at once.
    ///
    /// # Errors
    /// `WouldBlock` when nothing can, `BrokenPipe` when nothing ever will.
    pub fn try_write(&self, octets: &[u8]) -> io::Result<usize> {
        match self.poll_write(octets, None) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn poll_write(&self, octets: &[u8], cx: Option<&mut Context<'_>>) -> Poll<io::Result<usize>> {
        let mut inner = self.flow.lock();
        match inner.write(octets) {
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            Some(0) if !octets.is_empty() => {
                if let Some(cx) = cx {
                    inner.socket().register_send_waker(cx.waker());
                }
                Poll::Pending
            }
            Some(written) => {
                self.flow.ring(&mut inner, &self.bell);
                Poll::Ready(Ok(written))
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.flow.lock();
        let socket = inner.socket();
        match socket.recv_slice(buf.initialize_unfilled()) {
            Ok(0) if buf.remaining() > 0 => {
                socket.register_recv_waker(cx.waker());
                Poll::Pending
            }
            Ok(read) => {
                buf.advance(read);
                // The peer's window may open again.
                self.flow.ring(&mut inner, &self.bell);
                Poll::Ready(Ok(()))
            }
            Err(RecvError::Finished) => Poll::Ready(Ok(())),
            Err(RecvError::InvalidState) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Stream::poll_write(&self, octets, Some(cx))
    }

    /// As with a kernel's socket there is nothing to flush: the stack sends by itself.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.flow.lock();
        inner.socket().close();
        self.flow.ring(&mut inner, &self.bell);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut inner = self.flow.lock();
        inner.orphan();
        self.flow.ring(&mut inner, &self.bell);
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stream({} to {})", self.flow.ends.local, self.flow.ends.remote)
    }
}
