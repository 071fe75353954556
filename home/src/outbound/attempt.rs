//! One attempt to hand a message to another server: the shell around the client session.
//!
//! In: a job, its content, the hosts to try with what is demanded of each. Out: a verdict for each recipient, or the news
//! that no host of the destination could be talked to. Where nothing is demanded TLS is used if the server offers it; where
//! the handshake fails, the same address is tried once more in clear, because the alternative for opportunistic TLS would be
//! to deliver nothing (RFC 7435 §3). Where TLS is demanded nothing goes out without it. Hosts are tried in order until one takes up the transaction; what it then says is final for this
//! attempt, so that no message is sent twice because an answer was lost.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use postern_smtp::client::envelope::{BodyType, DsnParameters, Envelope, Recipient};
use postern_smtp::client::reply::Reply;
use postern_smtp::client::{Closed, Event, RecipientResult, Session, TlsUse};
use postern_store::queue::{Job, Notify, Ret};
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::body::Body;
use super::demand::{Demand, Demands};
use super::route::Host;
use super::verdict::{Decision, Verdict, from_results};
use crate::inner::Network;
use crate::net::dial::{ClientStream, dial};

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
        Attempt::Unreachable { status, reason }
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
            Demand::Tls { by, config } => {
                match self.converse(job, body, target, TlsUse::Required, config).await {
                    Conversation::TlsFailed(cause) => {
                        Conversation::NotAsDemanded(format!("{cause} ({} demands it)", by.name()))
                    }
                    conversation => conversation,
                }
            }
        }
    }

    async fn converse_with_fallback(&self, job: &Job, body: &mut Body, target: Target<'_>) -> Conversation {
        match self.converse(job, body, target, TlsUse::Opportunistic, &self.tls).await {
            Conversation::TlsFailed(cause) => {
                tracing::info!(queue_id = %job.message, host = target.host, cause, "TLS failed, trying in clear");
                self.converse(job, body, target, TlsUse::Never, &self.tls).await
            }
            conversation => conversation,
        }
    }

    async fn converse(
        &self,
        job: &Job,
        body: &mut Body,
        target: Target<'_>,
        tls_use: TlsUse,
        tls: &Arc<ClientConfig>,
    ) -> Conversation {
        let server = SocketAddr::new(target.address, self.port);
        let stream = match dial(&self.network, server, target.source).await {
            Ok(stream) => stream,
            Err(error) => return Conversation::NoTransaction(format!("no connection: {error}")),
        };
        let session = Session::new(&self.host_name, tls_use, Instant::now());
        let mut connection = Connection { stream: Some(stream), session };
        connection.deliver(job, body, target.host, tls).await
    }
}

/// One address of a host, and where connections to it leave from.
#[derive(Debug, Clone, Copy)]
struct Target<'a> {
    host: &'a str,
    address: IpAddr,
    source: IpAddr,
}

struct Connection {
    /// `None` only while the handshake has it.
    stream: Option<ClientStream>,
    session: Session,
}

impl Connection {
    async fn deliver(
        &mut self,
        job: &Job,
        body: &mut Body,
        host: &str,
        tls: &Arc<ClientConfig>,
    ) -> Conversation {
        let mut sent = false;
        loop {
            match self.next_event().await {
                Event::StartTls => {
                    if let Err(error) = self.handshake(tls, host).await {
                        return Conversation::TlsFailed(format!("TLS handshake failed: {error}"));
                    }
                }
                Event::Ready if !sent => {
                    sent = true;
                    self.session.send(envelope(job, body), Instant::now());
                }
                Event::Ready => {}
                Event::SendContent => self.send_content(body).await,
                Event::Finished(results) => {
                    let accepted = self.accepted_decision();
                    self.quit().await;
                    return Conversation::Results(results, accepted);
                }
                Event::Closed(Closed::NoTls(reply)) => return Conversation::TlsFailed(no_tls(reply)),
                Event::Closed(closed) => return Conversation::NoTransaction(closed_reason(&closed)),
            }
        }
    }

    /// Moves octets both ways until the session has something to say.
    async fn next_event(&mut self) -> Event {
        loop {
            self.flush().await;
            if let Some(event) = self.session.next_event() {
                return event;
            }
            self.read().await;
        }
    }

    async fn read(&mut self) {
        let Some(stream) = &mut self.stream else { return self.session.handle_end_of_input("no connection") };
        let mut buffer = [0; 4096];
        let deadline = tokio::time::Instant::from_std(self.session.deadline());
        let outcome = tokio::time::timeout_at(deadline, stream.read(&mut buffer)).await;
        match outcome {
            Ok(Ok(0)) => self.session.handle_end_of_input("the server closed the connection"),
            Ok(Ok(length)) => {
                self.session.handle_input(buffer.get(..length).unwrap_or_default(), Instant::now());
            }
            Ok(Err(error)) => self.session.handle_end_of_input(&format!("the connection broke: {error}")),
            Err(_) => self.session.handle_timeout(Instant::now().max(self.session.deadline())),
        }
    }

    /// Sends what there is to send. A server that answers in the meantime is heard, since it may be waiting for us to
    /// listen.
    async fn flush(&mut self) {
        let output = self.session.take_output();
        let mut rest = output.as_slice();
        while !rest.is_empty() {
            let Some(stream) = &mut self.stream else { return };
            let deadline = tokio::time::Instant::from_std(self.session.deadline());
            match tokio::time::timeout_at(deadline, exchange(stream, rest)).await {
                Ok(Ok(Exchanged::Written(length))) => rest = rest.get(length..).unwrap_or_default(),
                Ok(Ok(Exchanged::Read(octets))) if octets.is_empty() => {
                    return self.session.handle_end_of_input("the server closed the connection");
                }
                Ok(Ok(Exchanged::Read(octets))) => {
                    self.session.handle_input(&octets, Instant::now());
                    if self.session.is_closed() {
                        return;
                    }
                }
                Ok(Err(error)) => {
                    return self.session.handle_end_of_input(&format!("the connection broke: {error}"));
                }
                Err(_) => return self.session.handle_timeout(Instant::now().max(self.session.deadline())),
            }
        }
        if let Some(stream) = &mut self.stream
            && !output.is_empty()
            && let Err(error) = stream.flush().await
        {
            self.session.handle_end_of_input(&format!("the connection broke: {error}"));
        }
    }

    async fn handshake(&mut self, tls: &Arc<ClientConfig>, host: &str) -> io::Result<()> {
        let Some(stream) = self.stream.take() else { return Err(io::ErrorKind::NotConnected.into()) };
        let deadline = tokio::time::Instant::from_std(self.session.deadline());
        let shaken = tokio::time::timeout_at(deadline, stream.into_tls(tls.clone(), host)).await;
        let stream = shaken.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        tracing::debug!(host, tls = stream.tls_description(), "TLS established");
        self.stream = Some(stream);
        self.session.handle_tls_established(Instant::now());
        Ok(())
    }

    async fn send_content(&mut self, body: &mut Body) {
        loop {
            match body.next_chunk().await {
                Ok(Some(chunk)) => self.session.push_content(&chunk, Instant::now()),
                Ok(None) => return self.session.finish_content(Instant::now()),
                // The server must not take half a message for a whole one: the end is never sent.
                Err(error) => {
                    return self
                        .session
                        .handle_end_of_input(&format!("the queued message cannot be read: {error}"));
                }
            }
            self.flush().await;
            if self.session.is_closed() {
                return;
            }
        }
    }

    fn accepted_decision(&self) -> Decision {
        if self.session.offers_dsn() { Decision::PassedOn } else { Decision::Relayed }
    }

    /// The results are in; a server that is slow to say goodbye may not hold them up.
    async fn quit(&mut self) {
        while let Some(event) = self.session.next_event() {
            if event == Event::Ready {
                self.session.quit(Instant::now());
            }
        }
        let output = self.session.take_output();
        if let Some(mut stream) = self.stream.take() {
            tokio::spawn(async move {
                let goodbye = async {
                    stream.write_all(&output).await?;
                    stream.flush().await?;
                    stream.read_u8().await?;
                    stream.shutdown().await
                };
                // Nothing depends on it.
                let _ = tokio::time::timeout(postern_smtp::client::timeouts::QUIT, goodbye).await;
            });
        }
    }
}

/// What one step on the connection did.
enum Exchanged {
    Written(usize),
    Read(Vec<u8>),
}

/// Writes a part of `output`, or reads what the server says, whichever is possible first.
async fn exchange(stream: &mut ClientStream, output: &[u8]) -> io::Result<Exchanged> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut buffer = [0; 4096];
    tokio::select! {
        biased;
        length = reader.read(&mut buffer) => Ok(Exchanged::Read(buffer.get(..length?).unwrap_or_default().to_vec())),
        length = writer.write(output) => match length? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            length => Ok(Exchanged::Written(length)),
        },
    }
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

/// The NOTIFY parameter, where it differs from what the server assumes without it (RFC 3461 §4.1).
fn notify_value(notify: Notify) -> Option<String> {
    if notify == Notify::default() {
        return None;
    }
    let words = [("SUCCESS", notify.success), ("FAILURE", notify.failure), ("DELAY", notify.delay)];
    let chosen: Vec<&str> = words.into_iter().filter(|(_, on)| *on).map(|(word, _)| word).collect();
    Some(if chosen.is_empty() { "NEVER".to_owned() } else { chosen.join(",") })
}

fn no_tls(reply: Option<Reply>) -> String {
    match reply {
        Some(reply) => format!("the server refuses TLS: {reply}"),
        None => "the server does not offer TLS".to_owned(),
    }
}

fn closed_reason(closed: &Closed) -> String {
    match closed {
        Closed::NoTls(reply) => no_tls(reply.clone()),
        Closed::Quit => "the session was ended".to_owned(),
        Closed::Refused(reply) => format!("the server does not want to talk: {reply}"),
        Closed::Broken(cause) => cause.clone(),
    }
}
