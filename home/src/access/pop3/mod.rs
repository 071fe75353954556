//! Maildrops for programs that fetch mail, on port 995 under implicit TLS, and with STLS on port 110 where the operator
//! wants it. A maildrop is the user's INBOX.
//!
//! * In: connections. Out: messages; at a good end the removal of those that the client has marked, and `\Seen` on those
//!   that it has read, durable before the answer to QUIT.
//! * Refused: everything before login; a second session at one maildrop, while the first one is alive; what the core
//!   refuses.
//! * RFC 1939; the extensions are listed in `postern-pop3`.
//!
//! The core (`postern-pop3`) decides everything about the protocol. `session` joins it to the network's driver, `host`
//! carries its requests out, `lock` gives each maildrop to one session.

mod host;
mod lock;
mod session;

use std::sync::Arc;

use postern_store::Store;
use postern_store::directory::Directory;
use tokio::sync::watch;
use tracing::{debug, info};

use crate::login::Attempts;
use crate::net::{Connection, LoginFailures, run_session};
use host::Pop3Host;
use lock::Locks;
use session::Pop3Session;

/// What a client above the limits is told.
pub const BUSY: &str = "-ERR [SYS/TEMP] too many connections, try again later\r\n";

/// The service; cheap to clone.
#[derive(Clone)]
pub struct Pop3 {
    parts: Arc<Parts>,
}

struct Parts {
    directory: Directory,
    store: Store,
    tls: Arc<rustls::ServerConfig>,
    failures: LoginFailures,
    locks: Locks,
}

impl Pop3 {
    /// Puts the service together.
    pub fn new(
        directory: Directory,
        store: Store,
        tls: Arc<rustls::ServerConfig>,
        failures: LoginFailures,
    ) -> Pop3 {
        Pop3 { parts: Arc::new(Parts { directory, store, tls, failures, locks: Locks::default() }) }
    }

    /// Serves one connection to its end.
    pub async fn serve(self, connection: Connection, shutdown: watch::Receiver<bool>) {
        info!("connected");
        let Parts { directory, store, tls, failures, locks } = &*self.parts;
        let attempts = Attempts::new(directory.clone(), failures.clone(), connection.peer.address());
        let mut session = Pop3Session::new(&connection);
        let mut host = Pop3Host::new(attempts, store.clone(), locks.clone());
        match run_session(connection, &mut session, &mut host, tls.clone(), shutdown).await {
            Ok(()) => debug!("disconnected"),
            Err(error) => debug!(%error, "connection lost"),
        }
    }
}
