//! One attempt to hand a message to another server.
//!
//! In: a job, its content, the hosts to try with what is demanded of each. Out: a verdict for each recipient, or the news
//! that no host of the destination could be talked to. Where nothing is demanded TLS is used if the server offers it; where
//! the handshake fails, the same address is tried once more in clear, because the alternative for opportunistic TLS would be
//! to deliver nothing (RFC 7435 §3). Where TLS is demanded nothing goes out without it. Hosts are tried in order until one takes up the transaction; what it then says is final for this
//! attempt, so that no message is sent twice because an answer was lost.
//!
//! A connection that another message has left behind is used again where it was made in the same way. Where its server turns out
//! to have gone before anything of the content was sent, the same address is connected to anew.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use jiff::Timestamp;
use postern_sasl::Password;
use postern_sasl::client::Login;
use postern_smtp::client::envelope::{BodyType, DsnParameters, Envelope, Recipient};
use postern_smtp::client::{RecipientResult, TlsUse};
use postern_smtp::deliver_by::{ByMode, DeliverBy};
use postern_store::queue::{Deadline, Job, Late, Notify, Ret, TlsWish};
use rustls::ClientConfig;

use super::body::Body;
use super::chance;
use super::connection::{Begin, Connection, Unready};
use super::demand::{By, Demand, Demands, Peer};
use super::idle::{Fingerprint, IdleConnections, Made};
use super::route::Host;
use super::verdict::{Decision, Verdict, from_results};
use crate::inner::Network;
use crate::relay::book::Security;

/// What every attempt needs.
#[derive(Debug, Clone)]
pub struct Client {
    /// The argument of EHLO.
    pub host_name: String,
    /// The port of other servers; 25 but in tests.
    pub port: u16,
    /// For STARTTLS where nothing is demanded; accepts any certificate.
    pub tls: Arc<ClientConfig>,
    /// Where connections are made.
    pub network: Network,
    /// For servers that take nothing without.
    pub login: Option<Credentials>,
    /// Connections that may be used again.
    pub idle: IdleConnections,
}

/// Who we are at a relay.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The user name.
    pub name: String,
    /// The password.
    pub password: Password,
    /// How TLS begins there.
    pub security: Security,
}

impl Credentials {
    fn login(&self) -> Login {
        Login { name: self.name.clone(), password: self.password.clone(), nonce: chance::unique() }
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.name, self.password.expose())
    }

    fn tls_use(&self) -> TlsUse {
        match self.security {
            Security::Implicit => TlsUse::Implicit,
            Security::StartTls => TlsUse::Required,
        }
    }
}

/// What an attempt came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Attempt {
    /// A server took up the transaction: one verdict for each recipient, in the job's order.
    Verdicts(Vec<Verdict>),
    /// No server could be talked to; the reason names the last one tried.
    Unreachable {
        /// The enhanced status code of that.
        status: &'static str,
        /// For people.
        reason: String,
    },
}

/// The status of a host that cannot be connected to (RFC 3463 §3.5).
const NO_ANSWER: &str = "4.4.1";
/// The status where TLS cannot be had as it is demanded (RFC 3463 §3.8: cryptographic failure).
const NO_TLS: &str = "4.7.5";

/// The same where the sender requires it, which ends the matter (RFC 8689 §4.2.1).
const ENCRYPTION_NEEDED: &str = "5.7.10";

/// How a conversation with one address ended.
enum Conversation {
    /// The server decided about the recipients, or the connection broke while it did.
    Results(Vec<RecipientResult>, Decision),
    /// There was no transaction.
    NoTransaction(String),
    /// TLS could not be had as it is demanded.
    NotAsDemanded(String),
    /// The TLS handshake failed.
    TlsFailed(String),
}

impl Client {
    /// Tries the addresses of the hosts one after the other.
    pub async fn attempt(
        &self,
        job: &Job,
        body: &mut Body,
        hosts: &[Host],
        demands: &Demands,
        source: impl Fn(IpAddr) -> IpAddr,
    ) -> Attempt {
        let (mut status, mut reason) = (NO_ANSWER, "there is no address to try".to_owned());
        for host in hosts {
            let demand = demands.on(host).await;
            for address in &host.addresses {
                let target = Target { host: &host.name, address: *address, source: source(*address) };
                let (failed, cause) = match self.converse_as_demanded(job, body, target, &demand).await {
                    Conversation::Results(results, accepted) => {
                        let host = format!("{} ({address})", host.name);
                        return Attempt::Verdicts(from_results(results, &host, accepted));
                    }
                    Conversation::NoTransaction(cause) | Conversation::TlsFailed(cause) => (NO_ANSWER, cause),
                    Conversation::NotAsDemanded(cause) => (NO_TLS, cause),
                };
                (status, reason) = (failed, format!("{} ({address}): {cause}", host.name));
                tracing::info!(queue_id = %job.message, domain = job.domain, reason, "server not usable");
            }
        }
        let required = job.envelope.wishes.tls == TlsWish::Required;
        match status {
            NO_TLS if required => {
                Attempt::Verdicts(vec![Verdict::local(Decision::Failed, ENCRYPTION_NEEDED, reason)])
            }
            status => Attempt::Unreachable { status, reason },
        }
    }

    /// Connects to the hosts as for a message, and says goodbye.
    ///
    /// # Errors
    /// What went wrong with the last one, for people.
    pub async fn probe(
        &self,
        hosts: &[Host],
        demands: &Demands,
        source: impl Fn(IpAddr) -> IpAddr,
    ) -> Result<(), String> {
        let mut reason = "it has no address".to_owned();
        for host in hosts {
            for address in &host.addresses {
                let target = Target { host: &host.name, address: *address, source: source(*address) };
                match self.probe_address(target, &demands.on(host).await).await {
                    Ok(()) => return Ok(()),
                    Err(cause) => reason = format!("{} ({address}) port {}: {cause}", host.name, self.port),
                }
            }
        }
        Err(reason)
    }

    async fn probe_address(&self, target: Target<'_>, demand: &Demand) -> Result<(), String> {
        let terms = match demand {
            Demand::Unusable(cause) => return Err(cause.clone()),
            Demand::Nothing => self.undemanded(TlsUse::Opportunistic),
            Demand::Tls { by, peer, config } => self.demanded(*by, peer, config),
        };
        let connected = self.connect(target, &terms).await;
        let mut connection = connected.map_err(|(Unready::Tls(cause) | Unready::Other(cause))| cause)?;
        connection.quit();
        Ok(())
    }

    async fn converse_as_demanded(
        &self,
        job: &Job,
        body: &mut Body,
        target: Target<'_>,
        demand: &Demand,
    ) -> Conversation {
        match demand {
            Demand::Nothing => self.converse_with_fallback(job, body, target).await,
            Demand::Unusable(cause) => Conversation::NotAsDemanded(cause.clone()),
            Demand::Tls { by, peer, config } => {
                match self.converse(job, body, target, &self.demanded(*by, peer, config)).await {
                    Conversation::TlsFailed(cause) => {
                        Conversation::NotAsDemanded(format!("{cause} ({} demands it)", by.name()))
                    }
                    conversation => conversation,
                }
            }
        }
    }

    async fn converse_with_fallback(&self, job: &Job, body: &mut Body, target: Target<'_>) -> Conversation {
        match self.converse(job, body, target, &self.undemanded(TlsUse::Opportunistic)).await {
            Conversation::TlsFailed(cause) => {
                tracing::info!(queue_id = %job.message, host = target.host, cause, "TLS failed, trying in clear");
                self.converse(job, body, target, &self.undemanded(TlsUse::Never)).await
            }
            conversation => conversation,
        }
    }

    /// On a connection that waits, or else on a new one.
    async fn converse(
        &self,
        job: &Job,
        body: &mut Body,
        target: Target<'_>,
        terms: &Terms<'_>,
    ) -> Conversation {
        let made = self.made(target, terms);
        if let Some(mut connection) = self.idle.take(&made).await {
            let delivered = connection.deliver(envelope(job, body), body).await;
            if !connection.ended_before_content() {
                return self.conclude(made, connection, delivered);
            }
            tracing::debug!(queue_id = %job.message, host = target.host, "a waiting connection has ended");
        }
        let mut connection = match self.connect(target, terms).await {
            Ok(connection) => connection,
            Err(Unready::Tls(cause)) => return Conversation::TlsFailed(cause),
            Err(Unready::Other(cause)) => return Conversation::NoTransaction(cause),
        };
        let delivered = connection.deliver(envelope(job, body), body).await;
        self.conclude(made, connection, delivered)
    }

    fn conclude(
        &self,
        made: Made,
        connection: Connection,
        delivered: Result<(Vec<RecipientResult>, Decision), String>,
    ) -> Conversation {
        self.idle.put(made, connection);
        match delivered {
            Ok((results, accepted)) => Conversation::Results(results, accepted),
            Err(cause) => Conversation::NoTransaction(cause),
        }
    }

    /// A connection whose server is ready for a message.
    async fn connect(&self, target: Target<'_>, terms: &Terms<'_>) -> Result<Connection, Unready> {
        let server = SocketAddr::new(target.address, self.port);
        let login = self.login.as_ref().map(Credentials::login);
        let begin = Begin { host_name: &self.host_name, tls_use: terms.tls_use, tls: terms.config, login };
        let mut connection =
            Connection::open(&self.network, server, target.source, target.host, begin).await?;
        connection.make_ready(terms.config).await?;
        Ok(connection)
    }

    fn undemanded(&self, tls_use: TlsUse) -> Terms<'_> {
        Terms { tls_use, demand: None, config: &self.tls }
    }

    fn demanded<'a>(&self, by: By, peer: &'a Peer, config: &'a Arc<ClientConfig>) -> Terms<'a> {
        let tls_use = self.login.as_ref().map_or(TlsUse::Required, Credentials::tls_use);
        Terms { tls_use, demand: Some((by, peer)), config }
    }

    fn made(&self, target: Target<'_>, terms: &Terms<'_>) -> Made {
        Made {
            host: target.host.to_owned(),
            server: SocketAddr::new(target.address, self.port),
            source: target.source,
            host_name: self.host_name.clone(),
            tls_use: terms.tls_use,
            demand: terms.demand.map(|(by, peer)| (by, peer.clone())),
            login: self.login.as_ref().map(Credentials::fingerprint),
        }
    }
}

/// How TLS is used on a connection.
struct Terms<'a> {
    tls_use: TlsUse,
    /// Who demands it, and with whom.
    demand: Option<(By, &'a Peer)>,
    config: &'a Arc<ClientConfig>,
}

/// One address of a host, and where connections to it leave from.
#[derive(Debug, Clone, Copy)]
struct Target<'a> {
    host: &'a str,
    address: IpAddr,
    source: IpAddr,
}

fn envelope(job: &Job, body: &Body) -> Envelope {
    let original_recipient =
        |recipient: &postern_store::queue::DueRecipient| recipient.original_recipient.clone();
    Envelope {
        reverse_path: job.envelope.reverse_path.clone(),
        recipients: job
            .recipients
            .iter()
            .map(|recipient| Recipient {
                forward_path: recipient.forward_path.clone(),
                notify: notify_value(recipient.notify),
                original_recipient: original_recipient(recipient),
            })
            .collect(),
        octets: job.envelope.octets,
        body: if body.is_ascii() { BodyType::SevenBit } else { BodyType::EightBitMime },
        smtp_utf8: job.envelope.smtp_utf8,
        require_tls: job.envelope.wishes.tls == TlsWish::Required,
        deliver_by: job.envelope.wishes.deadline.map(|deadline| remaining(deadline, Timestamp::now())),
        dsn: Some(DsnParameters {
            ret: match job.envelope.ret {
                Ret::Full => Some("FULL"),
                Ret::Headers => Some("HDRS"),
                Ret::Unsaid => None,
            },
            envelope_id: job.envelope.envelope_id.clone(),
        }),
    }
}

/// What is left of a message's time (RFC 2852 §4).
fn remaining(deadline: Deadline, now: Timestamp) -> DeliverBy {
    let mode = match deadline.late {
        Late::Told => ByMode::Notify,
        Late::Returned => ByMode::Return,
    };
    DeliverBy { seconds: deadline.time.duration_since(now).as_secs(), mode, trace: deadline.trace }
}

/// The NOTIFY parameter, where it differs from what the server assumes without it (RFC 3461 §4.1).
fn notify_value(notify: Notify) -> Option<String> {
    if notify == Notify::default() {
        return None;
    }
    let words = [("SUCCESS", notify.success), ("FAILURE", notify.failure), ("DELAY", notify.delay)];
    let chosen: Vec<&str> = words.into_iter().filter(|(_, on)| *on).map(|(word, _)| word).collect();
    Some(if chosen.is_empty() { "NEVER".to_owned() } else { chosen.join(",") })
}
