//! What FETCH answers: messages in batches, contents in pieces.
//!
//! | step | asks for | then |
//! |---|---|---|
//! | CHANGEDSINCE is given | `Changes` | tells removals, keeps the messages that changed |
//! | a batch is empty | `Messages`, the next [`BATCH`] or fewer | marks as read, or answers the first |
//! | the batch must be marked as read | `StoreFlags` | answers the first |
//! | an item has content | `Content`, a piece or a whole header | writes it, asks for the next |
//! | much has been written | its sending | writes the next item |
//! | no message is left | | the end |

use std::collections::VecDeque;

use super::binary::{self, Decoding};
use super::header_fields::{self, Filter, Keep};
use super::items::write_item;
use super::{Fetch, Vanished};
use crate::CHUNK;
use crate::commands::select::contains;
use crate::request::{Access, Answer, Changes, FlagChange, Flagged, Refusal, Request, Wanted};
use crate::response::{Completion, encode};
use crate::session::core::{Core, Expunges, Numbering};
use crate::session::enabled::Extension;
use crate::session::task::{Input, Progress, Task, refused};
use crate::types::{FetchItem, Flag, Message, MessageRef, Partial, SectionText, SeenEffect, Span};

/// Messages asked for at once.
const BATCH: usize = 1024;
/// A part's header that is filtered is read up to here, in octets.
const MAX_HEADER: u64 = 1024 * 1024;

pub(super) fn task(command: Fetch) -> Box<dyn Task> {
    Box::new(Fetching {
        command,
        messages: VecDeque::new(),
        batch: VecDeque::new(),
        item: 0,
        content: None,
        missing: false,
    })
}

#[derive(Debug)]
struct Fetching {
    command: Fetch,
    /// Messages not taken yet.
    messages: VecDeque<MessageRef>,
    /// Messages not answered yet; the first may be half answered.
    batch: VecDeque<Message>,
    /// The next item of the first of them.
    item: usize,
    content: Option<Content>,
    /// A message of the set was gone.
    missing: bool,
}

/// An item's octets that are still to be written.
#[derive(Debug)]
enum Content {
    /// As they are.
    Raw(Span),
    /// To be decoded.
    Decoded(Decoding),
    /// A header to be filtered.
    Filtered { header: Span, names: Vec<Vec<u8>>, keep: Keep, partial: Option<Partial> },
}

impl Task for Fetching {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start => self.start(core),
            Input::Answer(Answer::Changes(changes)) => self.take_changes(core, &changes),
            Input::Answer(Answer::Messages { found, answered }) => self.take_batch(core, found, answered),
            Input::Answer(Answer::Stored(stored)) => self.take_seen(core, &stored.messages),
            Input::Answer(Answer::Content(octets)) => self.take_content(core, &octets),
            Input::Sent => self.go_on(core),
            // What cannot be marked as read, for want of room perhaps, can be read all the same.
            // So can what the user may only read (RFC 4314 §4).
            Input::Answer(Answer::Refused(Refusal::Unavailable | Refusal::NoPermission))
                if self.is_marking() =>
            {
                self.go_on(core)
            }
            // A response is half written: nothing else can follow on this connection.
            _ if self.item > 0 => Progress::Close,
            other => refused(other),
        }
    }

    fn is_between_responses(&self) -> bool {
        self.item == 0
    }

    fn expunges(&self) -> Expunges {
        match self.command.numbering {
            Numbering::Sequence => Expunges::Held,
            Numbering::Uid => Expunges::Told,
        }
    }
}

impl Fetching {
    fn start(&mut self, core: &mut Core) -> Progress {
        let modifiers = &self.command.modifiers;
        if modifiers.vanished == Vanished::Told && !core.enabled.has(Extension::QResync) {
            return Completion::bad("QRESYNC is not enabled").into();
        }
        if self.command.numbering == Numbering::Uid && !core.enabled.has(Extension::UidOnly) {
            // RFC 9051 §6.4.9: UID FETCH always answers with the UID.
            self.add_item(FetchItem::Uid);
        }
        if self.command.modifiers.changed_since.is_some() {
            // RFC 7162 §3.1.4.1: CHANGEDSINCE asks for MODSEQ too.
            self.add_item(FetchItem::ModSeq);
        }
        if self.command.items.contains(&FetchItem::ModSeq) {
            core.enable_cond_store();
        }
        match core.resolve(&self.command.set, self.command.numbering) {
            Ok(messages) => {
                let page = self
                    .command
                    .modifiers
                    .partial
                    .map_or(0..messages.len(), |range| range.of(messages.len()));
                self.messages = messages.get(page).unwrap_or_default().to_vec().into();
                match (self.command.modifiers.changed_since, &core.selected) {
                    (Some(since), Some(selected)) => {
                        Progress::Ask(Request::Changes { mailbox: selected.mailbox, since })
                    }
                    _ => self.next_batch(core),
                }
            }
            Err(completion) => completion.into(),
        }
    }

    fn add_item(&mut self, item: FetchItem) {
        if !self.command.items.contains(&item) {
            self.command.items.insert(0, item);
        }
    }

    /// Keeps what changed. RFC 7162 §3.2.6: removals are told before any message, and those that the client has not
    /// been told of yet are none of them (they come without EARLIER, after the messages).
    fn take_changes(&mut self, core: &mut Core, changes: &Changes) -> Progress {
        let changed = |uid: u32| changes.changed.binary_search_by_key(&uid, |message| message.uid).is_ok();
        self.messages.retain(|message| changed(message.uid));
        if let (Vanished::Told, Some(selected)) = (self.command.modifiers.vanished, &core.selected) {
            // `*` is the largest UID that there ever was: what went may have been above those that are left.
            let wanted = self.command.set.resolve(u32::MAX);
            let earlier = |uid: &u32| contains(&wanted, *uid) && selected.view.sequence_of(*uid).is_none();
            let gone: Vec<u32> = changes.expunged.iter().copied().filter(earlier).collect();
            core.tell_vanished("VANISHED (EARLIER) ", &gone);
        }
        self.next_batch(core)
    }

    fn next_batch(&mut self, core: &Core) -> Progress {
        let Some(selected) = core.selected.as_ref().filter(|_| !self.messages.is_empty()) else {
            return self.completed();
        };
        let uids = self.messages.iter().take(BATCH).map(|message| message.uid).collect();
        Progress::Ask(Request::Messages { mailbox: selected.mailbox, uids, wanted: self.wanted() })
    }

    fn completed(&self) -> Progress {
        match self.missing {
            true => Completion::no("EXPUNGEISSUED", "Some of the messages are gone").into(),
            false => Completion::ok("FETCH completed").into(),
        }
    }

    fn wanted(&self) -> Wanted {
        let any = |wants: fn(&FetchItem) -> bool| self.command.items.iter().any(wants);
        Wanted {
            arrival: any(|item| item.is_whole() || item.is_of_arrival()),
            envelope: any(|item| *item == FetchItem::Envelope),
            structure: any(needs_structure),
            object_ids: any(|item| matches!(item, FetchItem::EmailId | FetchItem::ThreadId)),
            preview: any(|item| matches!(item, FetchItem::Preview(_))),
            header: header_fields::wanted(&self.command.items),
            octets: any(|item| item.content().is_some() && Filter::of(item).is_none()),
        }
    }

    fn take_batch(&mut self, core: &mut Core, found: Vec<Message>, answered: usize) -> Progress {
        let answered = answered.clamp(1, self.messages.len().max(1));
        self.messages.drain(..answered.min(self.messages.len()));
        self.missing |= self.command.numbering == Numbering::Sequence && found.len() < answered;
        self.batch = found.into();
        let Some(selected) = core.selected.as_ref().filter(|selected| selected.access == Access::ReadWrite)
        else {
            return self.go_on(core);
        };
        let marks = self.command.items.iter().any(|item| item.seen_effect() == SeenEffect::SetSeen);
        let unseen = |message: &&Message| !message.flags.contains(&Flag::Seen);
        let uids: Vec<u32> = self.batch.iter().filter(unseen).map(|message| message.uid).collect();
        if !marks || uids.is_empty() {
            return self.go_on(core);
        }
        let (mailbox, flags) = (selected.mailbox, vec![Flag::Seen]);
        Progress::Ask(Request::StoreFlags {
            mailbox,
            uids,
            change: FlagChange::Add,
            flags,
            unchanged_since: None,
        })
    }

    /// Between two batches only `Messages` is asked for, and within an answer only `Content`.
    fn is_marking(&self) -> bool {
        self.item == 0 && !self.batch.is_empty()
    }

    /// RFC 9051 §6.4.5: flags that the FETCH changed are told with its answer.
    fn take_seen(&mut self, core: &mut Core, stored: &[Flagged]) -> Progress {
        if let Some(selected) = &mut core.selected {
            selected.know(stored);
        }
        for message in &mut self.batch {
            if let Ok(index) = stored.binary_search_by_key(&message.uid, |flagged| flagged.uid) {
                let Some(flagged) = stored.get(index) else { continue };
                message.flags.clone_from(&flagged.flags);
                message.mod_seq = flagged.mod_seq;
            }
        }
        if !stored.is_empty() {
            self.add_item(FetchItem::Flags);
        }
        // RFC 7162 §3.2.4
        if !stored.is_empty() && core.enabled.has(Extension::CondStore) {
            self.add_item(FetchItem::ModSeq);
            if !core.enabled.has(Extension::UidOnly) {
                self.add_item(FetchItem::Uid);
            }
        }
        self.go_on(core)
    }

    /// Writes items up to the next one with content, message after message, as long as there is room.
    fn go_on(&mut self, core: &mut Core) -> Progress {
        while let Some(message) = self.batch.front() {
            if core.output.len() >= CHUNK {
                return Progress::Written;
            }
            match self.command.items.get(self.item) {
                None => {
                    core.output.extend_from_slice(b")\r\n");
                    self.batch.pop_front();
                    self.item = 0;
                }
                // RFC 3516 §4.3: said before anything of the message is.
                Some(_) if self.item == 0 && self.has_unknown_encoding(message) => {
                    return Completion::no("UNKNOWN-CTE", "Unknown transfer encoding").into();
                }
                Some(item) => {
                    begin_item(self.item, message, core);
                    self.item += 1;
                    self.content = begin_content(item, message, core);
                    if let Some(request) = self.next_piece(core) {
                        return Progress::Ask(request);
                    }
                }
            }
        }
        self.next_batch(core)
    }

    fn has_unknown_encoding(&self, message: &Message) -> bool {
        let mut parts = self.command.items.iter().filter_map(FetchItem::decoded_part);
        parts.any(|part| binary::is_unknown(message, part))
    }

    /// Asks for the next octets of the item under way; `None` when it is complete.
    fn next_piece(&mut self, core: &Core) -> Option<Request> {
        let (start, length) = match self.content.as_ref()? {
            Content::Raw(span) | Content::Decoded(Decoding { span, .. }) => {
                (span.start, span.len().min(CHUNK as u64))
            }
            Content::Filtered { header, .. } => (header.start, header.len().min(MAX_HEADER)),
        };
        let mailbox = core.selected.as_ref()?.mailbox;
        let uid = self.batch.front()?.uid;
        Some(Request::Content { mailbox, uid, start, length })
    }

    fn take_content(&mut self, core: &mut Core, octets: &[u8]) -> Progress {
        match self.content.take() {
            Some(Content::Raw(span)) => {
                encode::literal_data(octets, &mut core.output);
                let start = span.start + octets.len() as u64;
                if octets.is_empty() {
                    return Progress::Close;
                }
                if start < span.end {
                    self.content = Some(Content::Raw(Span { start, end: span.end }));
                }
            }
            Some(Content::Filtered { names, keep, partial, .. }) => {
                let fields = header_fields::filter(octets, &names, keep);
                encode::literal(part_of(&fields, partial), &mut core.output);
            }
            Some(Content::Decoded(decoding)) => {
                if octets.is_empty() {
                    return Progress::Close;
                }
                self.content = decoding.take(octets, &mut core.output).map(Content::Decoded);
            }
            None => return Progress::Close,
        }
        match self.next_piece(core) {
            Some(request) => Progress::Ask(request),
            None => self.go_on(core),
        }
    }
}

impl Content {
    /// Writes what can be written at once: NIL for a part that is not there, or the announcement of octets.
    fn new(
        span: Option<Span>,
        text: Option<SectionText>,
        partial: Option<Partial>,
        out: &mut Vec<u8>,
    ) -> Option<Content> {
        let Some(span) = span else {
            out.extend_from_slice(b"NIL");
            return None;
        };
        let filtered = |names, keep| Some(Content::Filtered { header: span, names, keep, partial });
        match text {
            Some(SectionText::HeaderFields(names)) => filtered(names, Keep::Named),
            Some(SectionText::HeaderFieldsNot(names)) => filtered(names, Keep::Others),
            Some(SectionText::Header | SectionText::Text | SectionText::Mime) | None => {
                let wanted = limit(span, partial);
                encode::literal_header(wanted.len(), out);
                (!wanted.is_empty()).then_some(Content::Raw(wanted))
            }
        }
    }
}

impl Content {
    /// Writes octets that came with the message, so that they need not be asked for.
    fn unless_here(self, message: &Message, out: &mut Vec<u8>) -> Option<Content> {
        let (Content::Raw(span), Some(octets)) = (&self, &message.octets) else { return Some(self) };
        let octets = octets.get(span.start as usize..span.end as usize);
        match octets {
            Some(octets) => {
                encode::literal_data(octets, out);
                None
            }
            None => Some(self),
        }
    }
}

/// The part of a span that a partial range asks for; empty beyond its end (RFC 9051 §6.4.5).
pub(super) fn limit(span: Span, partial: Option<Partial>) -> Span {
    let Some(Partial { offset, count }) = partial else {
        return span;
    };
    let start = span.start.saturating_add(offset).min(span.end);
    Span { start, end: start.saturating_add(count).min(span.end) }
}

fn part_of(octets: &[u8], partial: Option<Partial>) -> &[u8] {
    let Span { start, end } = limit(Span { start: 0, end: octets.len() as u64 }, partial);
    octets.get(start as usize..end as usize).unwrap_or_default()
}

/// Whether the places of the message's parts must be known.
fn needs_structure(item: &FetchItem) -> bool {
    let has_content = item.content().is_some() || item.decoded_part().is_some();
    let is_placed = item.is_whole() || Filter::of(item).is_some();
    matches!(item, FetchItem::Body | FetchItem::BodyStructure) || (has_content && !is_placed)
}

/// Writes what stands before an item: the start of the response, or a space.
fn begin_item(index: usize, message: &Message, core: &mut Core) {
    let sequence =
        core.selected.as_ref().and_then(|selected| selected.view.sequence_of(message.uid)).unwrap_or(0);
    match index {
        0 => core.begin_message(MessageRef { sequence, uid: message.uid }),
        _ => core.output.push(b' '),
    }
}

/// Writes an item, or its label and what can be said of its content at once.
fn begin_content(item: &FetchItem, message: &Message, core: &mut Core) -> Option<Content> {
    if let (Some(filter), Some(header)) = (Filter::of(item), &message.header) {
        item.encode_label(&mut core.output);
        core.output.push(b' ');
        encode::literal(part_of(&filter.apply(header), filter.partial), &mut core.output);
        return None;
    }
    let Some((section, partial)) = item.content() else {
        if item.decoded_part().is_none() {
            write_item(item, message, core);
        }
        return Decoding::begin(item, message, &mut core.output).map(Content::Decoded);
    };
    item.encode_label(&mut core.output);
    core.output.push(b' ');
    let span = match (item.is_whole(), message.arrival) {
        (true, Some(arrival)) => Some(Span { start: 0, end: arrival.size }),
        _ => message.structure.as_ref().and_then(|structure| structure.span(&section)),
    };
    Content::new(span, section.text, partial, &mut core.output)?.unless_here(message, &mut core.output)
}
