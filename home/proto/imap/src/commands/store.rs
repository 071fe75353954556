//! STORE (RFC 9051 §6.4.6).

use super::encode_name;
use super::expunge::read_only;
use crate::parser::{ParseError, Parser, Result};
use crate::request::{Access, Answer, FlagChange, Request};
use crate::response::{Completion, flag_list};
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
        Ok(Store { numbering, set, change, response, flags: flags(parser)? })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        encode_name(self.numbering, "STORE", out);
        self.set.encode(out);
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

    fn start(&self, core: &Core) -> std::result::Result<Progress, Completion> {
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
        }))
    }
}

impl Task for Store {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start => self.start(core).unwrap_or_else(Progress::Done),
            Input::Answer(Answer::Stored(messages)) => {
                if self.response == StoreResponse::Told {
                    messages.iter().for_each(|message| core.tell_flags(message, self.numbering));
                }
                if let Some(selected) = &mut core.selected {
                    selected.know(&messages);
                }
                Completion::ok("STORE completed").into()
            }
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
