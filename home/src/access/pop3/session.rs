//! The core as the network's driver sees it.

use std::time::Instant;

use postern_pop3::request::Request;
use postern_pop3::session::Transport;
use postern_pop3::{Config, Session};

use super::lock::Activity;
use crate::net::{Connection, LineSession, Output, TlsParameters};

/// Wrong passwords before the connection is closed.
const MAX_LOGIN_FAILURES: u32 = 3;

/// The core, and when its client was last heard of.
pub(super) struct Pop3Session {
    pub(super) core: Session,
    pub(super) activity: Activity,
}

impl Pop3Session {
    pub(super) fn new(connection: &Connection) -> Pop3Session {
        let tls = connection.stream.tls_parameters();
        let transport = if tls.is_some() { Transport::Tls } else { Transport::Clear };
        let config = Config { transport, max_login_failures: MAX_LOGIN_FAILURES };
        let now = Instant::now();
        let mut core = Session::new(config, now);
        core.bind_channel(tls.map(|tls| tls.bindings).unwrap_or_default());
        Pop3Session { core, activity: Activity::new(now) }
    }
}

impl LineSession for Pop3Session {
    type Event = Request;

    fn handle_input(&mut self, input: &[u8], now: Instant) {
        self.activity.note(now);
        self.core.handle_input(input, now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.core.handle_timeout(now);
    }

    fn handle_tls(&mut self, tls: TlsParameters, _: Instant) {
        self.core.handle_tls();
        self.core.bind_channel(tls.bindings);
    }

    fn handle_shutdown(&mut self, _: Instant) {
        self.core.handle_end();
    }

    fn poll_output(&mut self, _: Instant) -> Output<Request> {
        match self.core.poll() {
            postern_pop3::Output::Send(octets) => Output::Send(octets),
            postern_pop3::Output::Request(request) => Output::Event(request),
            postern_pop3::Output::StartTls => Output::StartTls,
            postern_pop3::Output::Wait { deadline } => Output::Wait { deadline: Some(deadline) },
            postern_pop3::Output::Close => Output::Close,
        }
    }
}
