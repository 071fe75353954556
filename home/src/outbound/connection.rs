//! A connection to another server: the shell around the client session.
//!
//! In: an address, how TLS begins, a login where the server wants one, messages one after the other. Out: what the server said
//! of each recipient.
//! Refused: nothing that the session does not refuse; a login goes out under TLS only.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use postern_sasl::client::Login;
use postern_smtp::client::envelope::Envelope;
use postern_smtp::client::reply::Reply;
use postern_smtp::client::{Closed, Event, RecipientResult, Session, TlsUse, timeouts};
use postern_smtp::deliver_by::ByMode;
use rustls::ClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::body::Body;
use super::idle;
use super::verdict::Decision;
use crate::inner::Network;
use crate::net::dial::{ClientStream, dial};

/// How a session begins.
pub(super) struct Begin<'a> {
    /// The argument of EHLO.
    pub(super) host_name: &'a str,
    /// When TLS begins, if it does.
    pub(super) tls_use: TlsUse,
    /// With whom.
    pub(super) tls: &'a Arc<ClientConfig>,
    /// Who we are there.
    pub(super) login: Option<Login>,
}

/// A connection to one server.
#[derive(Debug)]
pub(super) struct Connection {
    /// `None` while the handshake has it, and after the goodbye.
    stream: Option<ClientStream>,
    session: Session,
    host: String,
    opened: Instant,
    /// Messages that were handed over or tried.
    messages: usize,
    /// Whether octets of the latest message's content went out.
    has_begun: bool,
}

/// Why a server is not ready for a message; for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unready {
    /// TLS could not be had.
    Tls(String),
    /// Anything else.
    Other(String),
}

impl Connection {
    /// Connects to an address of `host`. With [`TlsUse::Implicit`] TLS comes before all else.
    pub(super) async fn open(
        network: &Network,
        server: SocketAddr,
        source: IpAddr,
        host: &str,
        begin: Begin<'_>,
    ) -> Result<Self, Unready> {
        let no_connection = |error: io::Error| Unready::Other(format!("no connection: {error}"));
        let mut stream = dial(network, server, source).await.map_err(no_connection)?;
        if begin.tls_use == TlsUse::Implicit {
            let deadline = tokio::time::Instant::now() + timeouts::TLS_HANDSHAKE;
            stream = shake(stream, begin.tls, host, deadline).await.map_err(Unready::Tls)?;
        }
        let mut session = Session::new(begin.host_name, begin.tls_use, Instant::now());
        if let Some(login) = begin.login {
            session = session.log_in(login);
        }
        let opened = Instant::now();
        Ok(Self {
            stream: Some(stream),
            session,
            host: host.to_owned(),
            opened,
            messages: 0,
            has_begun: false,
        })
    }

    /// Goes on until the server is ready for a message.
    pub(super) async fn make_ready(&mut self, tls: &Arc<ClientConfig>) -> Result<(), Unready> {
        loop {
            match self.next_event().await {
                Event::StartTls => self.handshake(tls).await.map_err(Unready::Tls)?,
                Event::Ready => return Ok(()),
                Event::SendContent | Event::Finished(_) => {}
                Event::Closed(Closed::NoTls(reply)) => return Err(Unready::Tls(no_tls(reply))),
                Event::Closed(closed) => return Err(Unready::Other(closed_reason(&closed))),
            }
        }
    }

    /// Hands over one message after [`Connection::make_ready`], or after another message.
    pub(super) async fn deliver(
        &mut self,
        envelope: Envelope,
        body: &mut Body,
    ) -> Result<(Vec<RecipientResult>, Decision), String> {
        (self.messages, self.has_begun) = (self.messages + 1, false);
        let tells_of_lateness = envelope.deliver_by.is_some_and(|by| by.mode == ByMode::Notify);
        self.session.send(envelope, Instant::now());
        loop {
            match self.next_event().await {
                Event::SendContent => {
                    self.has_begun = true;
                    self.send_content(body).await;
                }
                Event::Finished(results) if tells_of_lateness && !self.session.offers_deliver_by() => {
                    return Ok((results, Decision::Relayed));
                }
                Event::Finished(results) => return Ok((results, self.accepted_decision())),
                Event::Closed(closed) => return Err(closed_reason(&closed)),
                Event::StartTls | Event::Ready => {}
            }
        }
    }

    /// Whether the session ended before anything of the latest message's content went out: then no server has that message
    /// from us, and it may go on another connection at once.
    pub(super) fn ended_before_content(&self) -> bool {
        self.session.is_closed() && !self.has_begun
    }

    /// Whether it may wait for another message.
    pub(super) fn takes_another(&self) -> bool {
        self.session.takes_another()
            && self.messages < idle::MESSAGES_MAX
            && self.opened.elapsed() < idle::AGE_MAX
    }

    /// Whether the server has said nothing since the latest message, and is there, as far as is known. What it might say is
    /// that it leaves.
    pub(super) async fn is_quiet(&mut self) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        let mut octet = [0];
        tokio::select! {
            biased;
            _ = stream.read(&mut octet) => false,
            () = std::future::ready(()) => true,
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

    async fn handshake(&mut self, tls: &Arc<ClientConfig>) -> Result<(), String> {
        let Some(stream) = self.stream.take() else { return Err("no connection".to_owned()) };
        let deadline = tokio::time::Instant::from_std(self.session.deadline());
        self.stream = Some(shake(stream, tls, &self.host, deadline).await?);
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
    pub(super) fn quit(&mut self) {
        self.session.quit(Instant::now());
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

/// Does the TLS handshake; the error is for people.
async fn shake(
    stream: ClientStream,
    tls: &Arc<ClientConfig>,
    host: &str,
    deadline: tokio::time::Instant,
) -> Result<ClientStream, String> {
    let shaken = tokio::time::timeout_at(deadline, stream.into_tls(tls.clone(), host)).await;
    let shaken = shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let stream = shaken.map_err(|error| format!("TLS handshake failed: {error}"))?;
    tracing::debug!(host, tls = stream.tls_description(), "TLS established");
    Ok(stream)
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

fn no_tls(reply: Option<Reply>) -> String {
    match reply {
        Some(reply) => format!("the server refuses TLS: {reply}"),
        None => "the server does not offer TLS".to_owned(),
    }
}

fn closed_reason(closed: &Closed) -> String {
    match closed {
        Closed::NoTls(reply) => no_tls(reply.clone()),
        Closed::NotAuthenticated(Some(reply)) => format!("the server does not take the login: {reply}"),
        Closed::NotAuthenticated(None) => {
            "the server offers none of the ways to log in that are known here (SCRAM-SHA-256, PLAIN, LOGIN)"
                .to_owned()
        }
        Closed::Quit => "the session was ended".to_owned(),
        Closed::Refused(reply) => format!("the server does not want to talk: {reply}"),
        Closed::Broken(cause) => cause.clone(),
    }
}
