//! The sockets of home's services: SMTP, submission and IMAP all stand on this.
//!
//! * In: TCP connections on dual-stack listeners, with or without TLS from the first octet.
//! * Out: to a protocol's pure session, octets and timeouts; to the peer, what the session sends.
//! * Refused: connections above the limits (in all, and per client network), with nothing read from them.
//!
//! Data flows through the files in this order: [`tcp`] is a connection and a listener, [`listener`] binds and accepts, [`peer`] says who is there, [`limits`]
//! counts, [`stream`] is the connection in clear or under TLS, [`driver`] moves octets between it and a
//! [`driver::LineSession`]; [`failures`] makes guessing slow. [`dial`] opens the connections that home makes itself.
//!
//! Nothing is trusted for its address: loopback, tunnel and LAN peers are strangers like any other.

pub mod tcp;

pub mod listener;
pub mod peer;

pub mod limits;

pub mod stream;

mod read_buffer;

pub mod driver;

pub mod failures;

pub mod dial;

pub use driver::{Host, LineSession, Output, run_session};
pub use failures::LoginFailures;
pub use limits::ConnectionLimits;
pub use listener::{Connection, Security, Service, bind, listen};
pub use peer::{Peer, client_network};
pub use stream::{Stream, TlsParameters};
pub use tcp::{Listener, Tcp};
