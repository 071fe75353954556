//! What the commands of a session share: its state, the selected mailbox, and the output.
//!
//! Untagged updates (RFC 9051 §5.2, §7.5.1): new messages and flags are told whenever the session is told of
//! them; removals only where the command allows it, for sequence numbers must not shift under FETCH, STORE or SEARCH.

use std::collections::HashSet;

use postern_sasl::ChannelBindings;

use crate::request::{Access, Changes, Flagged, MailboxId, Request, Snapshot};
use crate::response::{Code, Completion, Recent, flag_list};
use crate::session::enabled::{Enabled, Extension};
use crate::session::notify::Watch;
use crate::session::view::MessageView;
use crate::types::{MailboxName, MessageRef, NameEncoding, SequenceSet, encode_uids};

/// Limits and texts that the operator may set.
#[derive(Debug, Clone)]
pub struct Config {
    /// Largest message that APPEND takes, in octets.
    pub max_message: u64,
    /// Wrong passwords before the connection is closed.
    pub max_login_failures: u32,
    /// What binds an exchange to this TLS connection.
    pub bindings: ChannelBindings,
}

impl Default for Config {
    fn default() -> Config {
        Config { max_message: 50 * 1024 * 1024, max_login_failures: 3, bindings: ChannelBindings::default() }
    }
}

/// RFC 9051 §3; the selected state is `Core::selected`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nobody yet.
    NotAuthenticated,
    /// The user has proved who they are.
    Authenticated {
        /// Login name.
        login: String,
    },
}

/// Numbers of a command: sequence numbers, or UIDs after the word UID.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// Sequence numbers.
    Sequence,
    /// UIDs.
    Uid,
}

/// Whether a command's end may tell of removals (RFC 9051 §7.5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expunges {
    /// Sequence numbers may shift.
    Told,
    /// They may not.
    Held,
}

/// Whether both sides compress (RFC 4978).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Compression {
    #[default]
    Off,
    /// From the end of the command that runs.
    Wanted,
    On,
    /// Until the end of the command that runs (RFC 8437 §4.1).
    Unwanted,
}

/// Said when the selected mailbox may no longer be read (RFC 4314 §5.1.1); the connection ends with it.
pub(crate) const RIGHTS_LOST: &str = "BYE You may no longer read this mailbox";

/// State, selected mailbox, output.
#[derive(Debug)]
pub struct Core {
    pub(crate) config: Config,
    /// Of the command that runs.
    pub(crate) tag: String,
    pub(crate) state: State,
    pub(crate) selected: Option<Selected>,
    pub(crate) names: NameEncoding,
    pub(crate) enabled: Enabled,
    pub(crate) output: Vec<u8>,
    pub(crate) login_failures: u32,
    /// The host has said that the account changed.
    pub(crate) changed: bool,
    /// What is told without being asked for, since NOTIFY (RFC 5465).
    pub(crate) watch: Option<Watch>,
    pub(crate) compression: Compression,
    /// Set when the connection is to end after the output is sent.
    pub(crate) closing: bool,
}

/// The selected mailbox.
#[derive(Debug)]
pub struct Selected {
    pub(crate) mailbox: MailboxId,
    pub(crate) access: Access,
    pub(crate) view: MessageView,
    /// Changes up to here are in the view, or held.
    pub(crate) mod_seq: u64,
    pub(crate) recent_from: u32,
    /// Removals that the client has not been told of, ascending.
    held: Vec<u32>,
    /// The mod-sequence up to which everything was told when the first of them was held.
    held_since: u64,
    /// Flag changes that the client knows already: UID and mod-sequence.
    known: HashSet<(u32, u64)>,
    /// What `$` stands for (RFC 5182): UIDs, ascending.
    pub(crate) saved: Vec<u32>,
}

impl Core {
    pub(crate) fn new(config: Config) -> Core {
        Core {
            config,
            tag: String::new(),
            state: State::NotAuthenticated,
            selected: None,
            names: NameEncoding::default(),
            enabled: Enabled::default(),
            output: Vec::new(),
            login_failures: 0,
            changed: false,
            watch: None,
            compression: Compression::Off,
            closing: false,
        }
    }

    /// Forgets who was logged in, and everything that came of it.
    pub(crate) fn reset(&mut self) {
        self.state = State::NotAuthenticated;
        self.selected = None;
        self.names = NameEncoding::default();
        self.enabled = Enabled::default();
        self.changed = false;
        self.watch = None;
        if self.compression == Compression::On {
            self.compression = Compression::Unwanted;
        }
    }

    /// Writes an untagged line.
    pub(crate) fn untagged(&mut self, line: &str) {
        self.output.extend_from_slice(b"* ");
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
    }

    /// Says that the command that runs takes its time, and nothing of how far it is. A tag that would end the response code is left
    /// out (RFC 9585 §4).
    pub(crate) fn tell_in_progress(&mut self) {
        let tag = match self.tag.contains(']') {
            true => "NIL".to_owned(),
            false => format!("\"{}\"", self.tag),
        };
        self.untagged(&format!("OK [INPROGRESS ({tag} NIL NIL)] Still at it"));
    }

    /// Selects what the store opened.
    pub(crate) fn select(&mut self, snapshot: &Snapshot) {
        self.selected = Some(Selected {
            mailbox: snapshot.mailbox,
            access: snapshot.access,
            view: MessageView::new(snapshot.uids.iter().copied()),
            mod_seq: snapshot.mod_seq,
            recent_from: snapshot.recent_from,
            held: Vec::new(),
            held_since: snapshot.mod_seq,
            known: HashSet::new(),
            saved: Vec::new(),
        });
    }

    /// Takes changes into the view and tells the client of them, except removals that are held.
    pub(crate) fn apply_changes(&mut self, changes: Changes, expunges: Expunges) {
        let Some(selected) = &mut self.selected else {
            return;
        };
        let known = std::mem::take(&mut selected.known);
        let largest = selected.view.largest_uid();
        selected.hold(&changes.expunged);
        selected.mod_seq = selected.mod_seq.max(changes.mod_seq);
        let (news, arrivals): (Vec<_>, Vec<_>) =
            changes.changed.into_iter().partition(|message| message.uid <= largest);
        if expunges == Expunges::Told {
            self.tell_expunged();
        }
        let flags = self.watch.as_ref().is_none_or(Watch::follows_flags);
        for message in news.into_iter().filter(|_| flags) {
            if !known.contains(&(message.uid, message.mod_seq)) {
                self.tell_flags(&message, Numbering::Sequence);
            }
        }
        self.add_arrivals(&arrivals);
    }

    fn add_arrivals(&mut self, arrivals: &[Flagged]) {
        let Some(selected) = &mut self.selected else {
            return;
        };
        // After removals that were told with it: as many may have come as went.
        let before = selected.view.exists();
        for message in arrivals {
            selected.view.append(message.uid);
        }
        let (exists, recent) = (selected.view.exists(), selected.recent_count());
        if let Some(watch) = &mut self.watch {
            watch.note_arrivals(arrivals.iter().map(|message| message.uid));
        }
        if exists != before {
            self.untagged(&format!("{exists} EXISTS"));
            if !self.enabled.has(Extension::Imap4Rev2) {
                self.untagged(&format!("{recent} RECENT"));
            }
        }
    }

    /// An account changed, by whatever hand.
    pub(crate) fn note_change(&mut self) {
        self.changed = true;
        if let Some(watch) = &mut self.watch {
            watch.note_change();
        }
    }

    /// Whether something happened that may be told while nothing was asked for.
    pub(crate) fn has_news(&self) -> bool {
        let selected = self.selected.as_ref().filter(|_| self.follows_selected());
        match &self.watch {
            None => self.changed && selected.is_some(),
            Some(watch) => {
                let tells = watch.expunges() == Expunges::Told;
                let held = selected.is_some_and(|selected| tells && !selected.held.is_empty());
                watch.is_due() || held || (self.changed && selected.is_some())
            }
        }
    }

    fn follows_selected(&self) -> bool {
        self.watch.as_ref().is_none_or(Watch::follows_selected)
    }

    /// What to ask for the selected mailbox, if the account changed.
    pub(crate) fn changes_wanted(&mut self) -> Option<Request> {
        let follows = self.follows_selected();
        let selected = self.selected.as_mut()?;
        if !follows {
            selected.known.clear();
        }
        let since = selected.mod_seq;
        let asks = std::mem::take(&mut self.changed) && follows;
        asks.then_some(Request::Changes { mailbox: selected.mailbox, since })
    }

    /// Tells of all removals that were held.
    pub(crate) fn tell_expunged(&mut self) {
        let Some(selected) = &mut self.selected else {
            return;
        };
        let gone = std::mem::take(&mut selected.held);
        let sequences = selected.view.remove(&gone);
        // RFC 7162 §3.2.10.2, RFC 9586 §3.4
        if self.enabled.has(Extension::QResync) || self.enabled.has(Extension::UidOnly) {
            return self.tell_vanished("VANISHED ", &gone);
        }
        for sequence in sequences {
            self.output.extend_from_slice(format!("* {sequence} EXPUNGE\r\n").as_bytes());
        }
    }

    /// Writes `* VANISHED 3:5`, or with `(EARLIER)`; nothing for no UIDs, which must be ascending.
    pub(crate) fn tell_vanished(&mut self, label: &str, uids: &[u32]) {
        if uids.is_empty() {
            return;
        }
        self.output.extend_from_slice(b"* ");
        self.output.extend_from_slice(label.as_bytes());
        encode_uids(uids.iter().copied(), &mut self.output);
        self.output.extend_from_slice(b"\r\n");
    }

    /// Tells of flags, if the message is in the view.
    pub(crate) fn tell_flags(&mut self, message: &Flagged, numbering: Numbering) {
        if self.begin_update(message, numbering) {
            let recent = self.recent(message.uid);
            self.output.extend_from_slice(b"FLAGS ");
            flag_list(&message.flags, recent, &mut self.output);
            self.end_update(message, " ");
        }
    }

    /// Tells of a mod-sequence without the flags, if the message is in the view and the client keeps them.
    pub(crate) fn tell_mod_seq(&mut self, message: &Flagged, numbering: Numbering) {
        if self.enabled.has(Extension::CondStore) && self.begin_update(message, numbering) {
            self.end_update(message, "");
        }
    }

    /// Begins a FETCH response that was not asked for. RFC 7162 §3.2.4: with the UID, once mod-sequences are told.
    fn begin_update(&mut self, message: &Flagged, numbering: Numbering) -> bool {
        let view = self.selected.as_ref().map(|selected| &selected.view);
        let Some(sequence) = view.and_then(|view| view.sequence_of(message.uid)) else {
            return false;
        };
        self.begin_message(MessageRef { sequence, uid: message.uid });
        // RFC 9051 §7.5.2: every one that was not asked for has the UID.
        let always = self.enabled.has(Extension::CondStore) || self.enabled.has(Extension::Imap4Rev2);
        // RFC 5465 §5.1: so has every one after NOTIFY.
        let always = always || self.watch.is_some();
        if (numbering == Numbering::Uid || always) && !self.enabled.has(Extension::UidOnly) {
            self.output.extend_from_slice(format!("UID {} ", message.uid).as_bytes());
        }
        true
    }

    fn end_update(&mut self, message: &Flagged, separator: &str) {
        if self.enabled.has(Extension::CondStore) {
            self.output.extend_from_slice(format!("{separator}MODSEQ ({})", message.mod_seq).as_bytes());
        }
        self.output.extend_from_slice(b")\r\n");
    }

    /// Whether `\Recent` is shown for a message; IMAP4rev2 knows no such flag (RFC 9051 Appendix E).
    pub(crate) fn recent(&self, uid: u32) -> Recent {
        let recent = self.selected.as_ref().is_some_and(|selected| uid >= selected.recent_from);
        Recent::when(recent && !self.enabled.has(Extension::Imap4Rev2))
    }

    /// Writes what every FETCH response begins with; RFC 9586 §3.3 has the UID in front.
    pub(crate) fn begin_message(&mut self, MessageRef { sequence, uid }: MessageRef) {
        let start = match self.enabled.has(Extension::UidOnly) {
            true => format!("* {uid} UIDFETCH ("),
            false => format!("* {sequence} FETCH ("),
        };
        self.output.extend_from_slice(start.as_bytes());
    }

    /// Refuses sequence numbers where the client has said that it uses none.
    ///
    /// # Errors
    /// RFC 9586 §3: BAD with UIDREQUIRED.
    pub(crate) fn require_uids(&self, numbering: Numbering) -> Result<(), Completion> {
        match numbering {
            Numbering::Sequence if self.enabled.has(Extension::UidOnly) => {
                Err(Completion::bad("UIDONLY is enabled: there are no message numbers")
                    .with(Code::Word("UIDREQUIRED")))
            }
            _ => Ok(()),
        }
    }

    /// From now on responses are as the extension has them.
    pub(crate) fn enable(&mut self, extension: Extension) {
        match extension {
            Extension::CondStore => self.enable_cond_store(),
            Extension::UidOnly => self.enabled.insert(extension),
            Extension::Imap4Rev2 => {
                self.enabled.insert(extension);
                // RFC 9051 §5.1
                self.names = NameEncoding::Utf8;
            }
            Extension::Utf8Accept => {
                self.enabled.insert(extension);
                // RFC 6855 §3
                self.names = NameEncoding::Utf8;
            }
            Extension::QResync => {
                self.enabled.insert(extension);
                self.enable_cond_store();
            }
        }
    }

    /// What every CONDSTORE enabling command does (RFC 7162 §3.1): the first one tells HIGHESTMODSEQ.
    pub(crate) fn enable_cond_store(&mut self) {
        if self.enabled.has(Extension::CondStore) {
            return;
        }
        self.enabled.insert(Extension::CondStore);
        self.tell_highest_mod_seq();
    }

    fn tell_highest_mod_seq(&mut self) {
        if let Some(selected) = &self.selected {
            let mod_seq = selected.told_mod_seq();
            self.untagged(&format!("OK [HIGHESTMODSEQ {mod_seq}] Highest"));
        }
    }

    /// Writes the end of the command that runs.
    pub(crate) fn conclude(&mut self, mut completion: Completion) {
        let holds = self.selected.as_ref().is_some_and(|selected| !selected.held.is_empty());
        // RFC 7162 §3.2: mod-sequences above that of a removal may have been told before the removal is.
        if holds && self.enabled.has(Extension::QResync) {
            self.tell_highest_mod_seq();
        }
        if let (Some(Code::HighestModSeq(mod_seq)), Some(selected)) = (&mut completion.code, &self.selected) {
            *mod_seq = selected.told_mod_seq();
        }
        completion.encode(&self.tag, &mut self.output);
    }

    /// The messages that a set names.
    ///
    /// # Errors
    /// RFC 9051 §9 `seq-number`: a sequence number above EXISTS is BAD; [`Core::require_uids`].
    pub(crate) fn resolve(
        &self,
        set: &SequenceSet,
        numbering: Numbering,
    ) -> Result<Vec<MessageRef>, Completion> {
        let Some(selected) = &self.selected else {
            return Err(Completion::bad("No mailbox selected"));
        };
        self.require_uids(numbering)?;
        let view = &selected.view;
        if *set == SequenceSet::Saved {
            return Ok(view.by_uid(&selected.saved.iter().map(|&uid| (uid, uid)).collect::<Vec<_>>()));
        }
        match numbering {
            Numbering::Uid => Ok(view.by_uid(&set.resolve(view.largest_uid()))),
            Numbering::Sequence => {
                let ranges = set.resolve(view.exists());
                let too_large = ranges.last().is_some_and(|range| range.1 > view.exists());
                if too_large && view.exists() > 0 {
                    return Err(Completion::bad("Message number out of range"));
                }
                Ok(view.by_sequence(&ranges))
            }
        }
    }
}

impl Selected {
    /// Remembers removals to be told later.
    pub(crate) fn hold(&mut self, uids: &[u32]) {
        let view = &self.view;
        if self.held.is_empty() {
            self.held_since = self.mod_seq;
        }
        self.held.extend(uids.iter().filter(|&&uid| view.sequence_of(uid).is_some()));
        self.held.sort_unstable();
        self.held.dedup();
        self.saved.retain(|uid| self.held.binary_search(uid).is_err());
    }

    /// The mod-sequence up to which the client has been told of everything.
    pub(crate) fn told_mod_seq(&self) -> u64 {
        if self.held.is_empty() { self.mod_seq } else { self.held_since }
    }

    /// The client will know these flags by the end of the command.
    pub(crate) fn know(&mut self, messages: &[Flagged]) {
        self.known.extend(messages.iter().map(|message| (message.uid, message.mod_seq)));
    }

    /// Messages that show `\Recent`.
    pub(crate) fn recent_count(&self) -> usize {
        self.view.by_uid(&[(self.recent_from, u32::MAX)]).len()
    }
}

/// INBOX is always there; the name of any other mailbox may be gone.
pub(crate) fn missing_mailbox(mailbox: &MailboxName) -> Completion {
    let code = if mailbox.refusal().is_some() { "CANNOT" } else { "TRYCREATE" };
    Completion::no(code, "No such mailbox")
}

#[cfg(test)]
mod tests;
