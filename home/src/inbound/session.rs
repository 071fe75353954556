//! Answers the questions of a session on port 25.

use std::{net::IpAddr, sync::Arc, time::Instant};

use postern_message::{address::DomainName, authres::MethodResult};
use postern_smtp::server::{AuthVerdict, Envelope, Event, ForwardPath, Refusal, ReversePath};
use postern_store::{
    account::AccountId,
    directory::{Resolution, Route},
    journal::{self, Service},
};
use tokio::task::block_in_place;
use tracing::info;

use super::checks::client::{Acquaintance, Client};
use super::checks::{self, Outcome, Said, Verdict, helo::Us, null_sender};
use super::{Parts, message, recipient};
use crate::{
    config::Severity,
    link::EdgeAddresses,
    net::{Connection, Host},
    smtp::{
        failure,
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
    acquaintance: Acquaintance,
    /// What the checks of the envelope came to, once a recipient of ours was named.
    verdicts: Option<Vec<Verdict>>,
}

impl InboundHost {
    pub(super) fn new(
        parts: Arc<Parts>,
        hostname: DomainName,
        connection: &Connection,
        acquaintance: Acquaintance,
    ) -> InboundHost {
        InboundHost {
            teller: Teller::new(parts.journal.clone(), &connection.session_id),
            parts,
            hostname,
            client: connection.peer.address(),
            route: Route::default(),
            reverse_path: ReversePath::Null,
            incoming: None,
            acquaintance,
            verdicts: None,
        }
    }

    /// What is known of the client; waits for it.
    pub(super) async fn client(&mut self) -> Arc<Client> {
        self.acquaintance.made().await
    }

    /// Writes a verdict down.
    ///
    /// # Errors
    /// Its refusal, where it is one.
    pub(super) fn heed(&self, verdict: &Verdict) -> Result<(), Refusal> {
        let Verdict { check, outcome, reason } = verdict;
        info!(check, ?outcome, reason, "checked");
        if !reason.is_empty() {
            self.teller.tell(journal::Event::Checked { check: (*check).into(), finding: reason.clone() });
        }
        verdict.refusal().cloned().map_or(Ok(()), Err)
    }

    /// Writes down what the checks of the sender came to.
    pub(super) fn tell_results(&self, results: &[MethodResult]) {
        for result in results {
            info!(%result, "authentication");
        }
        let results = results.iter().map(ToString::to_string).collect();
        self.teller.tell(journal::Event::Authenticated { results });
    }

    async fn recipient(&mut self, session: &SmtpSession, forward_path: &ForwardPath) -> Result<(), Refusal> {
        let directory = &self.parts.directory;
        let resolution = match forward_path {
            ForwardPath::Address(address) => recipient::resolve(directory, address, &self.reverse_path)?,
            ForwardPath::Postmaster => directory.postmaster(),
            ForwardPath::Literal(_) => Resolution::NotLocal,
        };
        match resolution {
            Resolution::Local(route) => {
                let envelope = session.core.envelope().ok_or(Refusal::Temporary)?;
                self.check_envelope(session, envelope, forward_path).await?;
                self.check_room(&route.accounts, envelope.size.unwrap_or(0))?;
                self.route.join(route);
                Ok(())
            }
            Resolution::UnknownUser => Err(Refusal::UnknownUser),
            Resolution::NotLocal => Err(Refusal::RelayDenied),
        }
    }

    /// Makes the checks of the envelope, or calls to mind what they came to.
    async fn check_envelope(
        &mut self,
        session: &SmtpSession,
        envelope: &Envelope,
        forward_path: &ForwardPath,
    ) -> Result<(), Refusal> {
        let verdicts = match self.verdicts.take() {
            Some(verdicts) => verdicts,
            None => self.verdicts_on(session, envelope).await,
        };
        let refusal = verdicts.iter().find_map(Verdict::refusal).cloned();
        self.verdicts = Some(verdicts);
        if let Some(refusal) = refusal.filter(|_| !is_postmaster(forward_path)) {
            return Err(refusal);
        }
        match self.parts.policy.null_sender {
            Severity::Off => Ok(()),
            severity => {
                let taken = envelope.forward_paths.len();
                let verdict = null_sender::judge(severity, &envelope.reverse_path, taken);
                if verdict.outcome == Outcome::Pass { Ok(()) } else { self.heed(&verdict) }
            }
        }
    }

    async fn verdicts_on(&mut self, session: &SmtpSession, envelope: &Envelope) -> Vec<Verdict> {
        let (client, parts) = (self.client().await, &self.parts);
        let addresses = parts.edge.borrow().as_ref().map(EdgeAddresses::of_mail).unwrap_or_default();
        let is_local = |domain: &DomainName| parts.directory.is_local(domain);
        let us = Us { hostname: &self.hostname, is_local: &is_local, addresses: &addresses };
        let said = Said { helo: session.core.helo(), reverse_path: &envelope.reverse_path };
        let verdicts = checks::of_envelope(&parts.policy, &parts.resolver, &us, &client, said).await;
        for verdict in &verdicts {
            // All are written down; the first refusal is found among them.
            let _ = self.heed(verdict);
        }
        verdicts
    }

    /// A full mailbox is said before the message comes, and of that recipient alone.
    fn check_room(&self, accounts: &[AccountId], octets: u64) -> Result<(), Refusal> {
        let has_room = |account: &AccountId| {
            let account = self.parts.store.account(*account)?;
            account.has_room_for(1, octets)
        };
        for account in accounts {
            match block_in_place(|| has_room(account)) {
                Ok(true) => {}
                Ok(false) => return Err(Refusal::MailboxFull),
                Err(error) => return Err(failure::refusal(&error)),
            }
        }
        Ok(())
    }

    async fn message(&mut self, session: &SmtpSession) -> Result<String, Refusal> {
        let incoming = self.incoming.take().ok_or(Refusal::Temporary)?;
        message::accept(self, session, incoming).await
    }

    fn reset(&mut self) {
        self.route = Route::default();
        self.incoming = None;
        self.verdicts = None;
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
                let measure = self.parts.rate.judge(self.client, Instant::now());
                let verdict = if measure.outcome == Outcome::Pass { Ok(()) } else { self.heed(&measure) };
                self.teller.sender(&verdict);
                session.core.mail_verdict(verdict);
            }
            Event::Recipient { forward_path, .. } => {
                let verdict = self.recipient(session, &forward_path).await;
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

/// Who must be reachable, so that a person can ask why the others are not (RFC 5321 §4.5.1).
fn is_postmaster(forward_path: &ForwardPath) -> bool {
    match forward_path {
        ForwardPath::Postmaster => true,
        ForwardPath::Address(address) => address.local_part().folded() == "postmaster",
        ForwardPath::Literal(_) => false,
    }
}
