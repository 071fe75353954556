//! Connections that have handed over a message and wait a moment for another one to the same server.
//!
//! In: connections with what they were made as. Out: one that was made as the next message needs it. Refused: any that
//! differs in the server, in where it leaves from, in the name that we said, in TLS or in whom TLS must find there, in the
//! login; one whose server has spoken or gone; one that has carried [`MESSAGES_MAX`] messages or lived for [`AGE_MAX`].
//!
//! A session may hold any number of transactions (RFC 5321 §3.3). Nothing depends on a connection that waits: it is ended
//! after [`IDLE_TIME`], when there are more than [`CONNECTIONS_MAX`], and when the way to other servers changes.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use postern_smtp::client::TlsUse;
use tokio::task::AbortHandle;

use super::connection::Connection;
use super::demand::{By, Peer};

/// How long a connection waits. A server's slot is held meanwhile, and a burst goes on within less.
const IDLE_TIME: Duration = Duration::from_secs(5);
/// Connections that wait at a time; beyond that the one that has waited longest goes.
const CONNECTIONS_MAX: usize = 20;
/// Messages on one connection.
pub(super) const MESSAGES_MAX: usize = 100;
/// The age from which a connection carries no other message.
pub(super) const AGE_MAX: Duration = Duration::from_secs(300);

/// What a connection was made as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Made {
    /// The server's name, which its certificate may have to hold.
    pub(super) host: String,
    /// Its address and port.
    pub(super) server: SocketAddr,
    /// Where the connection leaves from.
    pub(super) source: IpAddr,
    /// The argument of EHLO.
    pub(super) host_name: String,
    /// When TLS begins, if it does.
    pub(super) tls_use: TlsUse,
    /// Who demands TLS, and with whom; `None` where nobody does.
    pub(super) demand: Option<(By, Peer)>,
    /// Who we are there.
    pub(super) login: Option<Fingerprint>,
}

/// Tells credentials apart without keeping them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint(Vec<u8>);

impl Fingerprint {
    /// Of a user name and a password.
    pub(super) fn of(name: &str, password: &str) -> Self {
        Fingerprint(digest(&SHA256, format!("{}:{name}{password}", name.len()).as_bytes()).as_ref().to_vec())
    }
}

/// The connections that wait; clones share them.
#[derive(Debug, Clone, Default)]
pub struct IdleConnections {
    shared: Arc<Mutex<Waiting>>,
}

/// The longest waiting first.
#[derive(Debug, Default)]
struct Waiting {
    connections: Vec<Idle>,
    /// Names each one that ever waited.
    count: u64,
}

#[derive(Debug)]
struct Idle {
    number: u64,
    made: Made,
    connection: Connection,
    /// Ends it when its time is over.
    end: AbortHandle,
}

impl IdleConnections {
    /// Takes a connection that was made so, if one waits and its server has neither spoken nor gone.
    pub(super) async fn take(&self, made: &Made) -> Option<Connection> {
        loop {
            let mut connection = self.lock().take(made)?;
            if connection.is_quiet().await {
                return Some(connection);
            }
        }
    }

    /// Lets a connection wait, or says goodbye where it is of no more use.
    pub(super) fn put(&self, made: Made, mut connection: Connection) {
        if !connection.takes_another() {
            return connection.quit();
        }
        let mut waiting = self.lock();
        waiting.count += 1;
        let number = waiting.count;
        let idle = self.clone();
        let end = tokio::spawn(async move {
            tokio::time::sleep(IDLE_TIME).await;
            idle.end(number);
        });
        waiting.connections.push(Idle { number, made, connection, end: end.abort_handle() });
        if waiting.connections.len() > CONNECTIONS_MAX {
            waiting.connections.remove(0).say_goodbye();
        }
    }

    /// Ends them all.
    pub(super) fn end_all(&self) {
        std::mem::take(&mut self.lock().connections).into_iter().for_each(Idle::say_goodbye);
    }

    fn end(&self, number: u64) {
        let mut waiting = self.lock();
        let ended = waiting.connections.extract_if(.., |idle| idle.number == number);
        ended.for_each(Idle::say_goodbye);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// The one used last, so that of many that a burst has left the others come to their end.
    fn take(&mut self, made: &Made) -> Option<Connection> {
        let index = self.connections.iter().rposition(|idle| idle.made == *made)?;
        let idle = self.connections.remove(index);
        idle.end.abort();
        Some(idle.connection)
    }
}

impl Idle {
    fn say_goodbye(mut self) {
        self.end.abort();
        self.connection.quit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_told_apart() {
        let one = Fingerprint::of("ab", "c");
        assert_eq!(one, Fingerprint::of("ab", "c"));
        assert_ne!(one, Fingerprint::of("a", "bc"));
        assert!(!format!("{:?}", Fingerprint::of("home", "a word")).contains("a word"));
    }
}
