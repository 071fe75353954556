//! The core as the network's driver sees it.

use std::time::Instant;

use postern_imap::request::Request;
use postern_imap::{Config, Session};
use postern_store::account::ModSeq;
use tokio::sync::watch;

use crate::net::{LineSession, Output, TlsParameters};

/// The core, and the account's changes once there is an account.
pub(super) struct ImapSession {
    pub(super) core: Session,
    changes: Option<watch::Receiver<ModSeq>>,
    /// Of the account of the selected mailbox, if it is another user's.
    changes_of_other: Option<watch::Receiver<ModSeq>>,
    /// Of the accounts that others may share something from, since NOTIFY.
    changes_of_watched: Vec<watch::Receiver<ModSeq>>,
}

impl ImapSession {
    pub(super) fn new(config: Config) -> ImapSession {
        let core = Session::new(config, Instant::now());
        ImapSession { core, changes: None, changes_of_other: None, changes_of_watched: Vec::new() }
    }

    /// From now on the session is told when the account changes.
    pub(super) fn follow(&mut self, changes: watch::Receiver<ModSeq>) {
        self.changes = Some(changes);
    }

    /// From now on it is told when this account changes too, instead of any before it.
    pub(super) fn follow_other(&mut self, changes: Option<watch::Receiver<ModSeq>>) {
        // What changed between the opening of the mailbox and now was told to nobody.
        if changes.is_some() {
            self.core.handle_change();
        }
        self.changes_of_other = changes;
    }

    /// From now on it is told when one of these accounts changes too, instead of any before them.
    pub(super) fn follow_watched(&mut self, changes: Vec<watch::Receiver<ModSeq>>) {
        self.changes_of_watched = changes;
    }

    /// From now on it is told nothing.
    pub(super) fn follow_nothing(&mut self) {
        (self.changes, self.changes_of_other) = (None, None);
        self.changes_of_watched.clear();
    }

    /// A change that was committed before a command came is told at the end of that command, whichever of the two
    /// the driver heard of first.
    fn tell_changes(&mut self) {
        let two = [&mut self.changes, &mut self.changes_of_other].into_iter().flatten();
        for changes in two.chain(&mut self.changes_of_watched) {
            if changes.has_changed().unwrap_or(false) {
                changes.mark_unchanged();
                self.core.handle_change();
            }
        }
    }
}

impl LineSession for ImapSession {
    type Event = Request;

    fn handle_input(&mut self, input: &[u8], now: Instant) {
        self.core.handle_input(input, now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.core.handle_timeout(now);
    }

    /// Never called: the service begins with TLS, and the core does not ask for it.
    fn handle_tls(&mut self, _: TlsParameters, _: Instant) {}

    fn handle_shutdown(&mut self, _: Instant) {
        self.core.handle_shutdown();
    }

    fn poll_output(&mut self, _: Instant) -> Output<Request> {
        self.tell_changes();
        match self.core.poll() {
            postern_imap::Output::Send(octets) => Output::Send(octets),
            postern_imap::Output::Request(request) => Output::Event(request),
            postern_imap::Output::Wait { deadline } => Output::Wait { deadline: Some(deadline) },
            postern_imap::Output::Close => Output::Close,
        }
    }
}
