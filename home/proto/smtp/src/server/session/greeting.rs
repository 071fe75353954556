//! The greeting, HELO and EHLO (RFC 5321 §3.1, §4.1.1.1).

use super::{Client, FutureRelease, Helo, Role, Session, Transport};
use crate::server::reply::Reply;

impl Session {
    pub(super) fn greet(&mut self) {
        let text = format!("{} ESMTP Postern", self.config.hostname);
        self.reply(&Reply::without_status(220, vec![text]));
    }

    pub(super) fn helo_command(&mut self, name: &str) {
        self.begin_client(name, false);
        self.reply(&Reply::without_status(250, vec![self.config.hostname.clone()]));
    }

    pub(super) fn ehlo_command(&mut self, name: &str) {
        self.begin_client(name, true);
        let mut lines = vec![self.config.hostname.clone()];
        lines.extend(self.extensions());
        self.reply(&Reply::without_status(250, lines));
    }

    /// HELO and EHLO end a transaction like RSET (RFC 5321 §4.1.4); who has authenticated stays so.
    fn begin_client(&mut self, name: &str, extended: bool) {
        self.abort_transaction();
        if self.client.helo.is_some() {
            self.count_idle_command();
        }
        self.client = Client {
            helo: Some(Helo { name: name.to_owned(), extended }),
            ..std::mem::take(&mut self.client)
        };
    }

    /// Whoever offers DSN has to report a delivery when the sender asks for it (RFC 3461 §5.2). On port 25 that
    /// would be mail to addresses that nobody vouches for; the sender's own server, which is told nothing of DSN
    /// here, reports that the message was relayed.
    pub(super) fn offers_dsn(&self) -> bool {
        self.config.role == Role::Msa
    }

    /// What is offered at this moment.
    fn extensions(&self) -> Vec<String> {
        let mut offered = vec![
            "PIPELINING".to_owned(),
            format!("SIZE {}", self.config.limits.message_octets),
            "8BITMIME".to_owned(),
            "CHUNKING".to_owned(),
            "SMTPUTF8".to_owned(),
            "ENHANCEDSTATUSCODES".to_owned(),
        ];
        // RFC 9422: what is enforced, see `rcpt_command`.
        offered.push(format!("LIMITS RCPTMAX={}", self.config.limits.recipients));
        if self.offers_dsn() {
            offered.push("DSN".to_owned());
        }
        if let Some(FutureRelease { interval, until }) = self.config.future_release {
            offered.push(format!("FUTURERELEASE {interval} {until:.0}"));
        }
        // RFC 2852 §4: no least time.
        if self.config.role == Role::Msa {
            offered.push("DELIVERBY".to_owned());
        }
        // RFC 8689 §2: in a session under TLS only.
        if self.client.transport == Transport::Tls {
            offered.push("REQUIRETLS".to_owned());
        }
        if self.offers_starttls() {
            offered.push("STARTTLS".to_owned());
        }
        if self.config.role == Role::Msa
            && self.client.transport == Transport::Tls
            && self.client.user.is_none()
        {
            offered.push(format!("AUTH {}", self.mechanisms()));
        }
        offered.push("HELP".to_owned());
        offered
    }
}
