//! What NOTIFY tells of annotations (RFC 5465 §5.6, §5.7): their names, in METADATA lines.
//!
//! The host says which were set or removed since a position in each account's history; what the client itself set is left out.

use super::{Mailboxes, Watch};
use crate::commands::{Event, tell_annotated};
use crate::request::{Annotated, Answer, Positions, Request};
use crate::session::core::Core;
use crate::types::MailboxName;

/// An entry of a mailbox, or of the account.
type Entry = (Option<MailboxName>, String);

/// Up to where annotations are known.
#[derive(Debug, Default)]
pub(super) struct Annotations {
    positions: Positions,
    /// What the client itself set since.
    own: Vec<Entry>,
    /// What its request that is under way sets.
    asked: Vec<Entry>,
}

impl Annotations {
    pub(super) fn positions(&self) -> Positions {
        self.positions.clone()
    }

    /// What was told is known. An account that could not be seen stays where it was.
    pub(super) fn advance(&mut self, positions: Positions) {
        self.positions.extend(positions);
        self.own.clear();
    }

    pub(super) fn note_request(&mut self, request: &Request) {
        self.asked = match request {
            Request::Annotate { mailbox, entries } => {
                entries.iter().map(|(entry, _)| (mailbox.clone(), entry.clone())).collect()
            }
            _ => Vec::new(),
        };
    }

    pub(super) fn note_answer(&mut self, answer: &Answer) {
        let asked = std::mem::take(&mut self.asked);
        if !matches!(answer, Answer::Refused(_)) {
            self.own.extend(asked);
        }
    }

    fn is_own(&self, mailbox: Option<&MailboxName>, entry: &str) -> bool {
        self.own.iter().any(|(own, name)| own.as_ref() == mailbox && name == entry)
    }
}

impl Watch {
    pub(super) fn follows_annotations(&self) -> bool {
        let is_of_them =
            |event: &Event| matches!(event, Event::MailboxMetadataChange | Event::ServerMetadataChange);
        self.groups.iter().any(|group| group.events.iter().any(is_of_them))
    }

    pub(super) fn tell_annotated(&self, core: &mut Core, now: &Mailboxes, annotated: &[Annotated]) {
        for Annotated { mailbox, entries } in annotated {
            let mailbox = mailbox.as_ref();
            let wanted = match mailbox {
                Some(name) => now.get(name).is_some_and(|mailbox| {
                    self.wants(mailbox, |event| *event == Event::MailboxMetadataChange)
                }),
                None => self.groups.iter().any(|group| group.events.contains(&Event::ServerMetadataChange)),
            };
            let entries = entries.iter().map(String::as_str);
            let entries: Vec<&str> =
                entries.filter(|entry| !self.annotations.is_own(mailbox, entry)).collect();
            if wanted && !entries.is_empty() {
                tell_annotated(core, mailbox, &entries);
            }
        }
    }
}
