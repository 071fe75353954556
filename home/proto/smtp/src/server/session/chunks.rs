//! BDAT: a message in chunks of a stated length (RFC 3030 §2).
//!
//! A chunk's octets follow its command whether it is taken or not, so a chunk that is refused is read and dropped
//! before the reply, and never looked at as commands; what cannot be dropped within [`DROPPED_MESSAGES`] closes the
//! session, and so does a BDAT whose length is not understood.
//!
//! | BDAT comes | |
//! |---|---|
//! | without MAIL | dropped, refused |
//! | without accepted RCPT, or refused by the host | dropped, refused, transaction over |
//! | first of the transaction | the host is asked as for DATA |
//! | when the message grows too big, or its line ends are not CRLF | dropped, refused, transaction over |
//! | else | given to the host; 250, or after `LAST` the message's verdict |

use std::time::Instant;

use super::{Asked, Event, Phase, Refusal, Session};
use crate::server::{command::Chunk, framer::LineEnds};

/// How many times the largest message is dropped before the session is closed.
const DROPPED_MESSAGES: u64 = 2;

/// A message that comes in chunks.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    line_ends: LineEnds,
    octets: u64,
    /// When the wait for it began.
    pub(super) began: Option<Instant>,
}

/// A chunk on its way in.
#[derive(Debug)]
pub(super) struct IncomingChunk {
    left: u64,
    last: bool,
    /// Why it is dropped.
    refusal: Option<Refusal>,
}

impl Session {
    pub(super) fn bdat_command(&mut self, chunk: Chunk) {
        match self.may_send_chunk(chunk) {
            Ok(()) if self.chunked.is_none() => self.ask(Event::Data, Asked::FirstChunk(chunk)),
            Ok(()) => self.begin_chunk(chunk),
            Err(refusal) => self.drop_chunk(chunk, refusal),
        }
    }

    fn may_send_chunk(&self, chunk: Chunk) -> Result<(), Refusal> {
        let envelope = self.transaction.as_ref().ok_or(Refusal::BadSequence("send MAIL first"))?;
        if envelope.forward_paths.is_empty() {
            return Err(Refusal::NoValidRecipients);
        }
        let before = self.chunked.as_ref().map_or(0, |chunked| chunked.octets);
        let fits = before.saturating_add(chunk.octets) <= self.config.limits.message_octets;
        if fits { Ok(()) } else { Err(Refusal::MessageTooBig) }
    }

    /// Goes on after the host's word on the first chunk.
    pub(super) fn first_chunk_verdict(&mut self, chunk: Chunk, verdict: Result<(), Refusal>) {
        match verdict {
            Ok(()) => {
                self.chunked = Some(Chunked::default());
                self.begin_chunk(chunk);
            }
            Err(refusal) => self.drop_chunk(chunk, refusal),
        }
    }

    fn begin_chunk(&mut self, chunk: Chunk) {
        if chunk.octets == 0 && !chunk.last {
            self.count_idle_command();
        }
        self.enter_chunk(chunk, None);
    }

    fn drop_chunk(&mut self, chunk: Chunk, refusal: Refusal) {
        self.dropped_octets = self.dropped_octets.saturating_add(chunk.octets);
        if self.dropped_octets > DROPPED_MESSAGES.saturating_mul(self.config.limits.message_octets) {
            self.reply(&refusal.reply());
            return self.close_with(&Refusal::TooManyErrors);
        }
        self.enter_chunk(chunk, Some(refusal));
    }

    fn enter_chunk(&mut self, Chunk { octets, last }: Chunk, refusal: Option<Refusal>) {
        if !matches!(self.phase, Phase::Closing) {
            self.phase = Phase::Chunk(IncomingChunk { left: octets, last, refusal });
        }
    }

    /// Takes what there is of the chunk; false when more must come.
    pub(super) fn take_chunk(&mut self) -> bool {
        let Phase::Chunk(chunk) = &mut self.phase else { return false };
        let length = usize::try_from(chunk.left).unwrap_or(usize::MAX).min(self.input.len());
        chunk.left -= length as u64;
        let (complete, dropped) = (chunk.left == 0, chunk.refusal.is_some());
        let octets: Vec<u8> = self.input.drain(..length).collect();
        if !dropped {
            self.keep_of_chunk(octets);
        }
        if complete {
            self.end_of_chunk();
        }
        complete
    }

    fn keep_of_chunk(&mut self, octets: Vec<u8>) {
        let Some(chunked) = &mut self.chunked else { return };
        chunked.octets = chunked.octets.saturating_add(octets.len() as u64);
        chunked.line_ends.take(&octets);
        if !octets.is_empty() && !chunked.line_ends.has_bare() {
            self.events.push_back(Event::Chunk(octets));
        }
    }

    fn end_of_chunk(&mut self) {
        self.waiting_since = None;
        let Phase::Chunk(chunk) = std::mem::replace(&mut self.phase, Phase::Commands) else { return };
        match chunk.refusal.or_else(|| self.fault_of_chunks(chunk.last)) {
            Some(refusal) => {
                // Else the chunks that follow would be taken for the whole message.
                self.abort_transaction();
                self.refuse(&refusal);
            }
            None if chunk.last => self.ask(Event::Message, Asked::Message),
            None => self.accept(250, "2.0.0", "chunk received"),
        }
    }

    fn fault_of_chunks(&self, last: bool) -> Option<Refusal> {
        let line_ends = &self.chunked.as_ref()?.line_ends;
        let bare = if last { line_ends.end_with_bare() } else { line_ends.has_bare() };
        bare.then_some(Refusal::BareLineEndInData)
    }
}
