//! DATA and the message (RFC 5321 §4.1.1.4).

use std::time::Instant;

use super::{Asked, Event, Phase, Refusal, Session};
use crate::server::{
    framer::{DataFramer, Progress},
    reply::Reply,
};

/// A message on its way in.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    framer: DataFramer,
    octets: u64,
    /// When the wait for it began.
    pub(super) began: Option<Instant>,
}

impl Incoming {
    /// Why the message will be refused, as far as is known.
    fn fault(&self, limit: u64) -> Option<Refusal> {
        if self.framer.has_bare_line_end() {
            return Some(Refusal::BareLineEndInData);
        }
        (self.octets > limit).then_some(Refusal::MessageTooBig)
    }
}

impl Session {
    pub(super) fn data_command(&mut self) {
        match &self.transaction {
            None => self.refuse(&Refusal::BadSequence("send MAIL first")),
            // RFC 3030 §2: a message comes by one of the two.
            Some(_) if self.chunked.is_some() => {
                self.refuse(&Refusal::BadSequence("BDAT has begun; go on with BDAT, or send RSET"));
            }
            Some(envelope) if envelope.forward_paths.is_empty() => self.refuse(&Refusal::NoValidRecipients),
            Some(_) => self.ask(Event::Data, Asked::Data),
        }
    }

    /// Answers [`Event::Data`].
    pub fn data_verdict(&mut self, verdict: Result<(), Refusal>) {
        let asked = self.take_asked(|asked| match asked {
            Asked::Data => Ok(None),
            Asked::FirstChunk(chunk) => Ok(Some(chunk)),
            other => Err(other),
        });
        match (asked, verdict) {
            (None, _) => return,
            (Some(Some(chunk)), verdict) => self.first_chunk_verdict(chunk, verdict),
            (Some(None), Err(refusal)) => self.refuse(&refusal),
            (Some(None), Ok(())) => {
                self.reply(&Reply::without_status(354, vec!["end with <CRLF>.<CRLF>".to_owned()]));
                self.phase = Phase::Data(Incoming::default());
            }
        }
        self.process();
    }

    /// Takes what there is of the message; false when more must come.
    pub(super) fn take_data(&mut self) -> bool {
        let Phase::Data(incoming) = &mut self.phase else { return false };
        let limit = self.config.limits.message_octets;
        let mut chunk = Vec::with_capacity(self.input.len());
        let progress = incoming.framer.take(&self.input, &mut chunk);
        incoming.octets = incoming.octets.saturating_add(chunk.len() as u64);
        let fault = incoming.fault(limit);
        if fault.is_none() && !chunk.is_empty() {
            self.events.push_back(Event::Chunk(chunk));
        }
        match progress {
            Progress::More => {
                self.input.clear();
                false
            }
            Progress::End { consumed } => {
                self.input.drain(..consumed);
                self.end_of_data(fault);
                true
            }
        }
    }

    fn end_of_data(&mut self, fault: Option<Refusal>) {
        self.waiting_since = None;
        match fault {
            None => self.ask(Event::Message, Asked::Message),
            Some(refusal) => {
                self.phase = Phase::Commands;
                self.abort_transaction();
                self.refuse(&refusal);
            }
        }
    }

    /// Answers [`Event::Message`]: `Ok` only when the message is durable, with what to tell the client.
    pub fn message_verdict(&mut self, verdict: Result<String, Refusal>) {
        let asked = self.take_asked(|asked| match asked {
            Asked::Message => Ok(()),
            other => Err(other),
        });
        if asked.is_none() {
            return;
        }
        self.transaction = None;
        self.chunked = None;
        match verdict {
            Ok(text) => {
                self.errors = 0;
                self.idle_commands = 0;
                self.accept(250, "2.0.0", &text);
            }
            Err(refusal) => self.refuse(&refusal),
        }
        self.process();
    }
}
