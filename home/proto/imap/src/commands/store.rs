//! STORE (RFC 9051 §6.4.6), with UNCHANGEDSINCE (RFC 7162 §3.1.3).

use super::encode_name;
use super::expunge::read_only;
use crate::parser::{ParseError, Parser, Result};
use crate::request::{Access, Answer, FlagChange, Request, Stored};
use crate::response::{Code, Completion, flag_list};
use crate::session::core::{Core, Expunges, Numbering};
use crate::session::task::{Input, Progress, Task, refused};
use crate::types::{Flag, SequenceSet};

/// Which flags of which messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// What the set's numbers are.
    pub numbering: Numbering,
    /// The messages.
    pub set: SequenceSet,
    /// Messages that changed after this mod-sequence are left alone.
    pub unchanged_since: Option<u64>,
    /// Replace, add or remove.
    pub change: FlagChange,
    /// Whether the client wants to hear the result.
    pub response: StoreResponse,
    /// The flags.
    pub flags: Vec<Flag>,
}

/// FLAGS or FLAGS.SILENT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreResponse {
    /// Each message's flags are told.
    Told,
    /// They are not.
    Silent,
}

impl Store {
    pub(super) fn parse(numbering: Numbering, parser: &mut Parser<'_>) -> Result<Store> {
        parser.space()?;
        let set = parser.sequence_set()?;
        parser.space()?;
        let unchanged_since = match parser.eat(b'(') {
            true => Some(modifier(parser)?),
            false => None,
        };
        let change = match parser.peek() {
            Some(b'+') => FlagChange::Add,
            Some(b'-') => FlagChange::Remove,
            _ => FlagChange::Replace,
        };
        if change != FlagChange::Replace {
            parser.take_while(|octet| octet == b'+' || octet == b'-', "Expected FLAGS")?;
        }
        let response = match parser.keyword()?.as_str() {
            "FLAGS" => StoreResponse::Told,
            "FLAGS.SILENT" => StoreResponse::Silent,
            _ => return Err(ParseError::Syntax("Expected FLAGS")),
        };
        parser.space()?;
        Ok(Store { numbering, set, unchanged_since, change, response, flags: flags(parser)? })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        encode_name(self.numbering, "STORE", out);
        self.set.encode(out);
        if let Some(mod_seq) = self.unchanged_since {
            out.extend_from_slice(format!(" (UNCHANGEDSINCE {mod_seq})").as_bytes());
        }
        out.extend_from_slice(match self.change {
            FlagChange::Replace => b" ",
            FlagChange::Add => b" +",
            FlagChange::Remove => b" -",
        });
        out.extend_from_slice(match self.response {
            StoreResponse::Told => b"FLAGS ",
            StoreResponse::Silent => b"FLAGS.SILENT ",
        });
        flag_list(&self.flags, crate::response::Recent::Old, out);
    }

    fn start(&self, core: &mut Core) -> std::result::Result<Progress, Completion> {
        if self.unchanged_since.is_some() {
            core.enable_cond_store();
        }
        let messages = core.resolve(&self.set, self.numbering)?;
        let Some(selected) = &core.selected else {
            return Err(Completion::bad("No mailbox selected"));
        };
        if selected.access == Access::ReadOnly {
            return Err(read_only());
        }
        if messages.is_empty() {
            return Err(Completion::ok("STORE completed"));
        }
        Ok(Progress::Ask(Request::StoreFlags {
            mailbox: selected.mailbox,
            uids: messages.iter().map(|message| message.uid).collect(),
            change: self.change,
            flags: self.flags.clone(),
            unchanged_since: self.unchanged_since,
        }))
    }

    fn stored(&self, core: &mut Core, stored: &Stored) -> Completion {
        for message in &stored.messages {
            match self.response {
                StoreResponse::Told => core.tell_flags(message, self.numbering),
                // RFC 7162 §3.1.3: .SILENT keeps quiet about the flags only.
                StoreResponse::Silent => core.tell_mod_seq(message, self.numbering),
            }
        }
        let Some(selected) = &mut core.selected else {
            return Completion::bad("No mailbox selected");
        };
        selected.know(&stored.messages);
        let number = |uid: &u32| match self.numbering {
            Numbering::Uid => Some(*uid),
            Numbering::Sequence => selected.view.sequence_of(*uid),
        };
        match stored.modified.is_empty() {
            true => Completion::ok("STORE completed"),
            false => Completion::ok("Some messages had changed")
                .with(Code::Modified(stored.modified.iter().filter_map(number).collect())),
        }
    }
}

impl Task for Store {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start => self.start(core).unwrap_or_else(Progress::Done),
            Input::Answer(Answer::Stored(stored)) => self.stored(core, &stored).into(),
            other => refused(other),
        }
    }

    fn expunges(&self) -> Expunges {
        match self.numbering {
            Numbering::Sequence => Expunges::Held,
            Numbering::Uid => Expunges::Told,
        }
    }
}

/// `UNCHANGEDSINCE mod-sequence-valzer)` after the opening parenthesis.
fn modifier(parser: &mut Parser<'_>) -> Result<u64> {
    if !parser.eat_keyword("UNCHANGEDSINCE") {
        return Err(ParseError::Syntax("Unknown STORE modifier"));
    }
    parser.space()?;
    let mod_seq = parser.number64()?;
    parser.expect(b')', "Unknown STORE modifier")?;
    parser.space()?;
    Ok(mod_seq)
}

/// `flag-list`, or flags without parentheses.
fn flags(parser: &mut Parser<'_>) -> Result<Vec<Flag>> {
    if parser.peek() == Some(b'(') {
        return parser.flag_list();
    }
    let mut flags = vec![parser.flag()?];
    while parser.eat(b' ') {
        flags.push(parser.flag()?);
    }
    Ok(flags)
}
