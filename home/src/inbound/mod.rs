//! Mail from other servers, on port 25.
//!
//! * In: connections. Out: messages in the mailboxes of the users here, and in the queue for addresses elsewhere that an
//!   address here leads to, durable before the 250.
//! * Refused: recipients that are not here (relaying above all: no address is trusted), mail loops, headers that two readers
//!   would understand differently, and what fails DMARC where the author's domain asks for refusal. Trouble on our side, or
//!   a proof that the DNS does not give in time to a domain that asks for one, is a 451: the sender keeps the message.
//! * A message's final form is `Return-Path`, `Authentication-Results` and `Received` before what came, without
//!   `Return-Path` fields that came along and without `Authentication-Results` fields that claim our name.
//!   What DMARC wants quarantined goes to the inbox like the rest; `Authentication-Results` says so.
//! * RFC 5321 §3.6.1 (relaying), §4.4 (trace), §6.3 (loops); RFC 8601 §5.
//!
//! `session` answers the core's questions, `recipient` the one where mail goes, `message` takes a complete message to its mailboxes, `checks` judges it.

mod checks;
mod message;
mod recipient;
mod session;

use std::sync::Arc;

use postern_smtp::server::{Limits, Role, SessionConfig, Timeouts};
use postern_store::{Store, directory::Directory, journal::Journal, reports::Reports};
use tokio::sync::watch;
use tracing::{debug, info};

use crate::{
    config,
    forward::Forwarder,
    hostname::Hostname,
    net::{Connection, run_session},
    reports::Intake,
    resolver::Resolver,
    smtp::session::SmtpSession,
};
use session::InboundHost;

/// The service; cheap to clone.
#[derive(Clone)]
pub struct Inbound {
    parts: Arc<Parts>,
}

/// What the service stands on.
pub struct Parts {
    /// What home is called.
    pub hostname: Hostname,
    /// Who has a mailbox here.
    pub directory: Directory,
    /// The mailboxes.
    pub store: Store,
    /// Who answers questions about clients and senders.
    pub resolver: Resolver,
    /// Where it is told what became of each message.
    pub journal: Journal,
    /// The certificate.
    pub tls: Arc<rustls::ServerConfig>,
    /// Sizes and counts of a session.
    pub limits: Limits,
    /// How strangers' mail is judged.
    pub policy: config::Inbound,
    /// Where what is to be reported of mail is counted.
    pub observed: Arc<Reports>,
    /// What sends on where an address leads elsewhere.
    pub forwarder: Forwarder,
    /// Where reports are taken out of the postmaster's mail.
    pub reports: Intake,
}

impl Inbound {
    /// Puts the service together.
    pub fn new(parts: Parts) -> Inbound {
        Inbound { parts: Arc::new(parts) }
    }

    /// Serves one connection to its end.
    pub async fn serve(self, connection: Connection, shutdown: watch::Receiver<bool>) {
        info!("connected");
        let hostname = self.parts.hostname.current();
        let config = SessionConfig {
            hostname: hostname.to_string(),
            role: Role::Mta,
            starttls: true,
            future_release: None,
            limits: self.parts.limits,
            timeouts: Timeouts::default(),
        };
        let mut session = SmtpSession::new(config, &connection);
        let mut host = InboundHost::new(self.parts.clone(), hostname, &connection);
        match run_session(connection, &mut session, &mut host, self.parts.tls.clone(), shutdown).await {
            Ok(()) => debug!("disconnected"),
            Err(error) => debug!(%error, "connection lost"),
        }
    }
}
