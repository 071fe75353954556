//! Mail from the users' own programs, on ports 465 and 587, for anybody.
//!
//! * In: connections of users who authenticate under TLS. Out: signed messages in the queue, durable before the 250.
//! * Refused: everything before authentication; envelope senders, `From` and `Sender` addresses that do not belong
//!   to the user; local recipients that do not exist; messages whose author two readers would understand
//!   differently.
//! * A message's final form has our DKIM signatures, a `Received` field, and `Date` and `Message-ID` where they
//!   were missing, before what came; `Bcc`, `Return-Path` and forged `Authentication-Results` fields are removed.
//!   Unless the operator wishes it (`client_received`), the user's own address is not in the `Received` field: where somebody
//!   writes from is nobody's business. The log and the journal have it, under the id that the field names.
//! * Held in the queue: mail of an account that sends more than its allowance; the owner is told.
//! * RFC 4865 (FUTURERELEASE), RFC 2852 (DELIVERBY), RFC 8689 §4.3 (REQUIRETLS). RFC 6409 (submission; §6.1 enforce submission rights, §8 additions), RFC 8314 §3.3, RFC 5322 §3.6.3 (Bcc).
//!
//! `release` says when a message goes that is to wait. `session` answers the core's questions, `authentication` those about passwords, `author` checks the header,
//! `precedence` tells what is for many,
//! `message` takes a complete message to the queue.

mod author;
mod held;
mod message;
mod precedence;
mod release;
mod session;

mod authentication;

use std::sync::Arc;

use jiff::Timestamp;
use postern_smtp::server::{Limits, Role, SessionConfig, Timeouts};
use postern_store::{Store, directory::Directory, journal::Journal, queue::Queue};
use tokio::sync::watch;
use tracing::{debug, info};

use crate::{
    config,
    hostname::Hostname,
    net::{Connection, LoginFailures, run_session},
    notices::Notices,
    smtp::session::SmtpSession,
};
use session::SubmissionHost;

/// The service; cheap to clone.
#[derive(Clone)]
pub struct Submission {
    parts: Arc<Parts>,
}

/// What the service stands on.
pub struct Parts {
    /// What home is called.
    pub hostname: Hostname,
    /// Who may send as whom.
    pub directory: Directory,
    /// Where messages are staged.
    pub store: Store,
    /// Where they wait for their delivery.
    pub queue: Arc<Queue>,
    /// Where it is told what became of each message.
    pub journal: Journal,
    /// The certificate.
    pub tls: Arc<rustls::ServerConfig>,
    /// Sizes and counts of a session.
    pub limits: Limits,
    /// What users may send.
    pub policy: config::Submission,
    /// Where the owner hears of an account that sends too much.
    pub notices: Notices,
    /// Failed logins, counted over all services.
    pub failures: LoginFailures,
}

impl Submission {
    /// Puts the service together.
    pub fn new(parts: Parts) -> Submission {
        Submission { parts: Arc::new(parts) }
    }

    /// Serves one connection to its end.
    pub async fn serve(self, connection: Connection, shutdown: watch::Receiver<bool>) {
        info!("connected");
        let hostname = self.parts.hostname.current();
        let config = SessionConfig {
            hostname: hostname.to_string(),
            role: Role::Msa,
            starttls: true,
            future_release: release::offer(self.parts.policy.future_release(), Timestamp::now()),
            limits: self.parts.limits,
            timeouts: Timeouts::default(),
        };
        let mut session = SmtpSession::new(config, &connection);
        let mut host = SubmissionHost::new(self.parts.clone(), hostname, &connection);
        match run_session(connection, &mut session, &mut host, self.parts.tls.clone(), shutdown).await {
            Ok(()) => debug!("disconnected"),
            Err(error) => debug!(%error, "connection lost"),
        }
    }
}
