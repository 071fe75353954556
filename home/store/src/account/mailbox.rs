//! A mailbox as callers see it.

use super::{MailboxId, ModSeq, UidValidity};

/// What a mailbox is for (RFC 6154; JMAP role).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpecialUse {
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
}

impl SpecialUse {
    const NAMES: [(SpecialUse, &'static str); 5] = [
        (SpecialUse::Archive, "Archive"),
        (SpecialUse::Drafts, "Drafts"),
        (SpecialUse::Junk, "Junk"),
        (SpecialUse::Sent, "Sent"),
        (SpecialUse::Trash, "Trash"),
    ];

    /// The use's name without backslash, as in RFC 6154 §2.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(special_use, _)| *special_use == self).map_or("", |(_, name)| name)
    }

    /// The use with this name, without backslash, in any case.
    pub fn parse(name: &str) -> Option<SpecialUse> {
        Self::NAMES
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(name))
            .map(|(special_use, _)| *special_use)
    }
}

/// A mailbox as of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Its identity through renaming.
    pub id: MailboxId,
    /// The mailbox above.
    pub parent: Option<MailboxId>,
    /// The whole name, levels separated by `/`.
    pub name: String,
    /// False for a name that only has mailboxes below it (`\Noselect`).
    pub selectable: bool,
    /// Whether mailboxes are below it.
    pub has_children: bool,
    /// What it is for.
    pub special_use: Option<SpecialUse>,
    /// Whether its name is subscribed.
    pub subscribed: bool,
    /// The generation of its UIDs.
    pub uid_validity: UidValidity,
    /// The next UID; larger than any that was ever given out.
    pub uid_next: u32,
    /// The largest mod-sequence of its messages and expunges (HIGHESTMODSEQ, RFC 7162 §3.1.2.1).
    pub highest_mod_seq: ModSeq,
    /// Messages.
    pub messages: u32,
    /// Messages without `\Seen`.
    pub unseen: u32,
    /// Messages with `\Deleted`.
    pub deleted: u32,
    /// Octets of all messages.
    pub size: u64,
}
