//! Answers the questions of a session on port 25.

use std::{net::IpAddr, sync::Arc};

use postern_message::address::DomainName;
use postern_smtp::server::{AuthVerdict, Event, ForwardPath, Refusal, ReversePath};
use postern_store::{
    directory::{Resolution, Route},
    journal::Service,
};
use tracing::info;

use super::{Parts, message, recipient};
use crate::{
    net::{Connection, Host},
    smtp::{
        incoming::Incoming,
        session::SmtpSession,
        story::{self, Teller},
    },
};

/// What stands behind one session.
pub(super) struct InboundHost {
    pub(super) parts: Arc<Parts>,
    pub(super) hostname: DomainName,
    pub(super) client: IpAddr,
    pub(super) teller: Teller,
    /// Where the current message goes: mailboxes and addresses elsewhere, each once.
    pub(super) route: Route,
    /// The reverse-path of the current transaction.
    reverse_path: ReversePath,
    incoming: Option<Incoming>,
}

impl InboundHost {
    pub(super) fn new(parts: Arc<Parts>, hostname: DomainName, connection: &Connection) -> InboundHost {
        InboundHost {
            teller: Teller::new(parts.journal.clone(), &connection.session_id),
            parts,
            hostname,
            client: connection.peer.address(),
            route: Route::default(),
            reverse_path: ReversePath::Null,
            incoming: None,
        }
    }

    fn recipient(&mut self, forward_path: &ForwardPath) -> Result<(), Refusal> {
        let directory = &self.parts.directory;
        let resolution = match forward_path {
            ForwardPath::Address(address) => recipient::resolve(directory, address, &self.reverse_path)?,
            ForwardPath::Postmaster => directory.postmaster(),
            ForwardPath::Literal(_) => Resolution::NotLocal,
        };
        match resolution {
            Resolution::Local(route) => {
                self.route.join(route);
                Ok(())
            }
            Resolution::UnknownUser => Err(Refusal::UnknownUser),
            Resolution::NotLocal => Err(Refusal::RelayDenied),
        }
    }

    async fn message(&mut self, session: &SmtpSession) -> Result<String, Refusal> {
        let incoming = self.incoming.take().ok_or(Refusal::Temporary)?;
        message::accept(self, session, incoming).await
    }

    fn reset(&mut self) {
        self.route = Route::default();
        self.incoming = None;
    }
}

impl Host<SmtpSession> for InboundHost {
    async fn handle_event(&mut self, session: &mut SmtpSession, event: Event) {
        match event {
            Event::Mail { reverse_path, .. } => {
                self.reset();
                self.reverse_path = reverse_path.clone();
                self.teller.begin(story::began(Service::Mta, self.client, session, &reverse_path));
                info!(sender = %reverse_path, helo = session.core.helo(), story = %self.teller.story(), "MAIL");
                session.core.mail_verdict(Ok(()));
            }
            Event::Recipient { forward_path, .. } => {
                let verdict = self.recipient(&forward_path);
                info!(recipient = %forward_path, ?verdict, "RCPT");
                self.teller.recipient(&forward_path, &verdict);
                session.core.recipient_verdict(verdict);
            }
            Event::Data => {
                self.incoming = Some(Incoming::new(&self.parts.store));
                session.core.data_verdict(Ok(()));
            }
            Event::Chunk(chunk) => {
                if let Some(incoming) = &mut self.incoming {
                    incoming.write(&chunk);
                }
            }
            Event::Message => {
                let verdict = self.message(session).await;
                match &verdict {
                    Ok(text) => info!(outcome = text, "message accepted"),
                    Err(refusal) => info!(?refusal, "message refused"),
                }
                self.teller.message(&verdict);
                self.reset();
                session.core.message_verdict(verdict);
            }
            Event::Abort => self.reset(),
            // AUTH is not offered on this port, so these are never asked.
            Event::Password { .. } => session.core.password_verdict(AuthVerdict::Unavailable),
            Event::ScramKeys { .. } => session.core.scram_verdict(None),
            Event::Authenticated { .. } | Event::AuthenticationFailed { .. } => {}
        }
    }
}
