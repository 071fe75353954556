//! The session core as a [`LineSession`], with what TLS agreed on.

use std::{sync::Arc, time::Instant};

use postern_smtp::server::{self, Event, Session, SessionConfig, Transport};

use crate::net::{Connection, LineSession, Output, TlsParameters};

/// A session and its TLS parameters.
#[derive(Debug)]
pub struct SmtpSession {
    /// The protocol.
    pub core: Session,
    /// TLS version, cipher suite and bindings, once TLS is up.
    pub tls: Option<TlsParameters>,
}

impl SmtpSession {
    /// Begins a session on a fresh connection.
    pub fn new(config: SessionConfig, connection: &Connection) -> SmtpSession {
        let tls = connection.stream.tls_parameters();
        let transport = if tls.is_some() { Transport::Tls } else { Transport::Clear };
        let mut core = Session::new(Arc::new(config), transport);
        core.bind_channel(tls.as_ref().map(|tls| tls.bindings.clone()).unwrap_or_default());
        SmtpSession { core, tls }
    }
}

impl LineSession for SmtpSession {
    type Event = Event;

    fn handle_input(&mut self, input: &[u8], now: Instant) {
        self.core.handle_input(input, now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.core.handle_timeout(now);
    }

    fn handle_tls(&mut self, tls: TlsParameters, now: Instant) {
        self.core.handle_tls(now);
        self.core.bind_channel(tls.bindings.clone());
        self.tls = Some(tls);
    }

    fn handle_shutdown(&mut self, now: Instant) {
        self.core.handle_shutdown(now);
    }

    fn poll_output(&mut self, now: Instant) -> Output<Event> {
        match self.core.poll_output(now) {
            server::Output::Send(octets) => Output::Send(octets),
            server::Output::Event(event) => Output::Event(event),
            server::Output::StartTls => Output::StartTls,
            server::Output::Wait { deadline } => Output::Wait { deadline },
            server::Output::Close => Output::Close,
        }
    }
}
