//! Mailboxes for the users' programs, on port 993 under implicit TLS.
//!
//! * In: connections. Out: what the users' mailboxes hold; changes to them, durable before they are acknowledged.
//! * Refused: everything before login; what the core refuses.
//! * RFC 3501; the extensions are listed in `postern-imap`.
//!
//! The core (`postern-imap`) decides everything about the protocol. Here its requests are carried out: `session`
//! joins it to the network's driver, `host` answers what concerns logins and gives the rest to `backend`, which
//! works on the store in a blocking thread. `accounts` is the only way from there to an account, and asks what the user may
//! do. `convert` translates between the store's types and the core's, `append` receives messages, `catenate` finds
//! the parts that they are made of, `transfer` copies them
//! between accounts, `search` finds them and `sort` puts them in order, `acl` and `quota` are about rights and limits.

mod accounts;
pub(crate) mod acl;
mod append;
mod backend;
mod catenate;
mod convert;
mod host;
mod listing;
mod metadata;
mod quota;
mod refusal;
mod search;
mod session;
mod sort;
#[cfg(test)]
mod tests;
mod transfer;

use std::sync::Arc;

use postern_store::Store;
use postern_store::directory::Directory;
use tokio::sync::watch;
use tracing::{debug, info};

use crate::net::{Connection, LoginFailures, run_session};
use host::ImapHost;
use session::ImapSession;

/// The service; cheap to clone.
#[derive(Clone)]
pub struct Imap {
    parts: Arc<Parts>,
}

struct Parts {
    directory: Directory,
    store: Store,
    tls: Arc<rustls::ServerConfig>,
    failures: LoginFailures,
    /// Largest message that APPEND takes, in octets.
    max_message: u64,
}

impl Imap {
    /// Puts the service together. `max_message` limits APPEND, in octets.
    pub fn new(
        directory: Directory,
        store: Store,
        tls: Arc<rustls::ServerConfig>,
        failures: LoginFailures,
        max_message: u64,
    ) -> Imap {
        Imap { parts: Arc::new(Parts { directory, store, tls, failures, max_message }) }
    }

    /// Serves one connection to its end.
    pub async fn serve(self, connection: Connection, shutdown: watch::Receiver<bool>) {
        info!("connected");
        let config = postern_imap::Config {
            max_message: self.parts.max_message,
            bindings: connection.stream.tls_parameters().map(|tls| tls.bindings).unwrap_or_default(),
            ..Default::default()
        };
        let mut session = ImapSession::new(config);
        let mut host = ImapHost::new(self.parts.clone(), connection.peer.address());
        let tls = self.parts.tls.clone();
        match run_session(connection, &mut session, &mut host, tls, shutdown).await {
            Ok(()) => debug!("disconnected"),
            Err(error) => debug!(%error, "connection lost"),
        }
    }
}
