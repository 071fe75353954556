//! Mail from other servers, on port 25.
//!
//! * In: connections. Out: messages in the mailboxes of the users here, and in the queue for addresses elsewhere that an
//!   address here leads to, durable before the 250.
//! * Refused: recipients that are not here (relaying above all: no address is trusted), mail loops, headers that two readers
//!   would understand differently, and what fails DMARC where the author's domain asks for refusal. Trouble on our side, or
//!   a proof that the DNS does not give in time to a domain that asks for one, is a 451: the sender keeps the message.
//! * A message's final form is `Return-Path`, `Authentication-Results` and `Received` before what came, without
//!   `Return-Path` fields that came along and without `Authentication-Results` fields that claim our name.
//!   What DMARC wants quarantined goes to the mailbox with the special use `\Junk` and is not sent on, the rest to the inbox.
//! * RFC 5321 §3.6.1 (relaying), §4.4 (trace), §6.3 (loops); RFC 8601 §5.
//!
//! `session` answers the core's questions, `recipient` the one where mail goes, `judgement` decides on a complete message, `message` takes it to its mailboxes;
//! `checks` has each check by itself, `regulars` those who have sent mail before.

pub mod checks;
pub mod regulars;

mod judgement;
mod message;
mod recipient;
mod session;

use std::sync::Arc;
use std::time::Instant;

use postern_smtp::server::{Limits, Role, SessionConfig, Timeouts};
use postern_store::{
    Store,
    directory::Directory,
    journal::{Journal, Service},
    reports::Reports,
};
use tokio::sync::watch;
use tracing::{debug, info};

use crate::{
    config,
    forward::Forwarder,
    hostname::Hostname,
    link::{EdgeAddresses, seconds_now},
    net::{Connection, LoginFailures, run_session},
    reports::Intake,
    resolver::Resolver,
    smtp::{session::SmtpSession, story::Teller},
};
use checks::client::{Acquaintance, Relation};
use checks::greet::{self, Manners};
use checks::lists::Lists;
use checks::rate::Rate;
use regulars::Regulars;
use session::InboundHost;

/// The name under which talking before the greeting is counted; no user has it.
const EARLY_TALKER: &str = "";

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
    /// The DNS lists that are asked.
    pub lists: Lists,
    /// Who has sent mail before.
    pub regulars: Regulars,
    /// Where the world finds us.
    pub edge: watch::Receiver<Option<EdgeAddresses>>,
    /// Counts those who do not wait for the greeting, beside those whose logins fail.
    pub failures: LoginFailures,
    /// Counts the messages of each network.
    pub rate: Rate,
}

impl Inbound {
    /// Puts the service together.
    pub fn new(parts: Parts) -> Inbound {
        Inbound { parts: Arc::new(parts) }
    }

    /// Serves one connection to its end.
    pub async fn serve(self, mut connection: Connection, shutdown: watch::Receiver<bool>) {
        info!("connected");
        let parts = &self.parts;
        let client = connection.peer.address();
        let relation = Relation::of(client, &parts.regulars, seconds_now());
        let acquaintance = Acquaintance::begin(parts.resolver.clone(), parts.lists.clone(), client, relation);
        if let Some(pause) = greet::pause(parts.policy.greet_pause, relation) {
            match greet::wait(&mut connection.stream, pause).await {
                Manners::Waited => {}
                Manners::Left => return debug!("the client left before the greeting"),
                Manners::Talked => return self.send_away(connection).await,
            }
        }
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
        let mut host = InboundHost::new(self.parts.clone(), hostname, &connection, acquaintance);
        match run_session(connection, &mut session, &mut host, self.parts.tls.clone(), shutdown).await {
            Ok(()) => debug!("disconnected"),
            Err(error) => debug!(%error, "connection lost"),
        }
    }

    /// Ends a connection whose client talked before the greeting; it counts as a failed login does.
    async fn send_away(&self, connection: Connection) {
        info!("the client talked before the greeting");
        Teller::new(self.parts.journal.clone(), &connection.session_id)
            .early_talker(Service::Mta, connection.peer.address());
        self.parts.failures.count(connection.peer.address(), EARLY_TALKER, Instant::now());
        greet::send_away(connection.stream).await;
    }
}
