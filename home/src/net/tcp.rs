//! A TCP connection and a listener, whoever's TCP it is: the kernel's, or that of a stack of our own.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::inner::userspace;

/// A connection.
#[derive(Debug)]
pub enum Tcp {
    /// The kernel's.
    Kernel(TcpStream),
    /// Of the stack in this process.
    Userspace(userspace::Stream),
}

impl Tcp {
    /// Our own end.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Tcp::Kernel(stream) => stream.local_addr(),
            Tcp::Userspace(stream) => Ok(stream.local_addr()),
        }
    }

    /// Sends small segments at once; the stack of our own always does.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn set_nodelay(&self) -> io::Result<()> {
        match self {
            Tcp::Kernel(stream) => stream.set_nodelay(true),
            Tcp::Userspace(_) => Ok(()),
        }
    }

    /// Writes what can be written without waiting.
    ///
    /// # Errors
    /// `WouldBlock` where that is nothing, and as the operating system says.
    pub fn try_write(&self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Tcp::Kernel(stream) => stream.try_write(octets),
            Tcp::Userspace(stream) => stream.try_write(octets),
        }
    }
}

impl AsyncRead for Tcp {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Tcp::Kernel(stream) => Pin::new(stream).poll_read(cx, buf),
            Tcp::Userspace(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Tcp::Kernel(stream) => Pin::new(stream).poll_write(cx, octets),
            Tcp::Userspace(stream) => AsyncWrite::poll_write(Pin::new(stream), cx, octets),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Tcp::Kernel(stream) => Pin::new(stream).poll_flush(cx),
            Tcp::Userspace(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Tcp::Kernel(stream) => Pin::new(stream).poll_shutdown(cx),
            Tcp::Userspace(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// A listening port.
#[derive(Debug)]
pub enum Listener {
    /// The kernel's, of the machine or of a namespace of our own.
    Kernel(TcpListener),
    /// Of the stack in this process.
    Userspace(userspace::Listener),
}

impl Listener {
    /// The next connection, with the peer's address.
    ///
    /// # Errors
    /// As the operating system says.
    pub async fn accept(&mut self) -> io::Result<(Tcp, SocketAddr)> {
        match self {
            Listener::Kernel(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Tcp::Kernel(stream), peer))
            }
            Listener::Userspace(listener) => {
                let stream = listener.accept().await?;
                let peer = stream.peer_addr();
                Ok((Tcp::Userspace(stream), peer))
            }
        }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// As the operating system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Listener::Kernel(listener) => listener.local_addr(),
            Listener::Userspace(listener) => Ok(listener.local_addr()),
        }
    }
}
