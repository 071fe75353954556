//! Answers the questions of a submission session.

use std::{net::IpAddr, sync::Arc};

use jiff::Timestamp;
use postern_message::address::{DomainName, EmailAddress};
use postern_smtp::server::{self, Event, ForwardPath, Hold, RcptParameters, Refusal, ReversePath};
use postern_store::directory::{Resolution, User};
use postern_store::journal::Service;
use postern_store::queue::{Deadline, NewRecipient, Notify};
use tracing::info;

use super::{Parts, message, release};
use crate::{
    login::Attempts,
    net::{Connection, Host},
    smtp::{
        incoming::Incoming,
        session::SmtpSession,
        story::{self, Teller},
    },
};

/// What stands behind one session.
pub(super) struct SubmissionHost {
    pub(super) parts: Arc<Parts>,
    pub(super) hostname: DomainName,
    pub(super) attempts: Attempts,
    pub(super) client: IpAddr,
    pub(super) teller: Teller,
    /// Who has authenticated.
    pub(super) user: Option<User>,
    /// Where the current message goes.
    pub(super) recipients: Vec<NewRecipient>,
    /// When it may go at the earliest.
    pub(super) not_before: Option<Timestamp>,
    /// When it is to be delivered at the latest.
    pub(super) deadline: Option<Deadline>,
    incoming: Option<Incoming>,
}

impl SubmissionHost {
    pub(super) fn new(parts: Arc<Parts>, hostname: DomainName, connection: &Connection) -> SubmissionHost {
        let attempts =
            Attempts::new(parts.directory.clone(), parts.failures.clone(), connection.peer.address());
        SubmissionHost {
            client: connection.peer.address(),
            teller: Teller::new(parts.journal.clone(), &connection.session_id),
            parts,
            hostname,
            attempts,
            user: None,
            recipients: Vec::new(),
            not_before: None,
            deadline: None,
            incoming: None,
        }
    }

    /// The null reverse-path is the sender's of a receipt (RFC 8098 §2.1); the author is checked all the same.
    fn sender(&self, reverse_path: &ReversePath) -> Result<(), Refusal> {
        let user = self.user.as_ref().ok_or(Refusal::AuthenticationRequired)?;
        match reverse_path {
            ReversePath::Null => Ok(()),
            ReversePath::Address(address) if self.parts.directory.may_send_as(user.account, address) => {
                Ok(())
            }
            ReversePath::Address(_) | ReversePath::Literal(_) => Err(Refusal::SenderNotAllowed),
        }
    }

    fn hold(&mut self, hold: Option<Hold>) -> Result<(), Refusal> {
        let longest = self.parts.policy.future_release();
        self.not_before = hold.map(|hold| release::time(hold, longest, Timestamp::now())).transpose()?;
        Ok(())
    }

    fn recipient(&mut self, forward_path: &ForwardPath, parameters: RcptParameters) -> Result<(), Refusal> {
        let address = match forward_path {
            ForwardPath::Address(address) => address.clone(),
            ForwardPath::Postmaster => self.postmaster().ok_or(Refusal::UnknownUser)?,
            ForwardPath::Literal(_) => return Err(Refusal::BadRecipient),
        };
        match self.parts.directory.resolve(&address) {
            Resolution::Local(_) | Resolution::NotLocal => {
                self.recipients.push(NewRecipient {
                    forward_path: address,
                    notify: parameters.notify.map_or_else(Notify::default, notify),
                    original_recipient: parameters.original_recipient,
                });
                Ok(())
            }
            Resolution::UnknownUser => Err(Refusal::UnknownUser),
        }
    }

    /// The bare `postmaster` is that of the user's own domain.
    fn postmaster(&self) -> Option<EmailAddress> {
        let user = self.user.as_ref()?;
        EmailAddress::parse(&format!("postmaster@{}", user.address.domain())).ok()
    }

    async fn message(&mut self, session: &SmtpSession) -> Result<String, Refusal> {
        let incoming = self.incoming.take().ok_or(Refusal::Temporary)?;
        message::accept(self, session, incoming).await
    }

    fn reset(&mut self) {
        self.recipients.clear();
        self.not_before = None;
        self.deadline = None;
        self.incoming = None;
    }
}

impl Host<SmtpSession> for SubmissionHost {
    async fn handle_event(&mut self, session: &mut SmtpSession, event: Event) {
        match event {
            Event::Mail { reverse_path, hold, deliver_by, .. } => {
                self.reset();
                self.deadline = deliver_by.map(|by| release::deadline(by, Timestamp::now()));
                self.teller.begin(story::began(Service::Msa, self.client, session, &reverse_path));
                let verdict = self.sender(&reverse_path).and_then(|()| self.hold(hold));
                info!(sender = %reverse_path, ?verdict, story = %self.teller.story(), "MAIL");
                self.teller.sender(&verdict);
                session.core.mail_verdict(verdict);
            }
            Event::Recipient { forward_path, parameters } => {
                let verdict = self.recipient(&forward_path, parameters);
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
            Event::Password { login, password } => self.password(session, login, password).await,
            Event::ScramKeys { login } => self.scram_keys(session, &login),
            Event::Authenticated { login } => self.authenticated(&login),
            Event::AuthenticationFailed { failure } => self.authentication_failed(failure).await,
        }
    }
}

fn notify(asked: server::Notify) -> Notify {
    let server::Notify { success, failure, delay } = asked;
    Notify { success, failure, delay }
}
