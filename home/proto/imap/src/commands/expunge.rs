//! EXPUNGE (RFC 9051 §6.4.3) and UID EXPUNGE (RFC 9051 §6.4.9, RFC 4315 §2.1).

use crate::parser::{Parser, Result};
use crate::request::{Access, Answer, Request};
use crate::response::{Code, Completion};
use crate::session::core::{Core, Numbering};
use crate::session::enabled::Extension;
use crate::session::task::{Input, Progress, Task, refused};
use crate::types::SequenceSet;

/// Removes messages marked `\Deleted`: all, or only those of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expunge {
    /// UID EXPUNGE's set.
    pub uids: Option<SequenceSet>,
}

impl Expunge {
    pub(super) fn parse_uid(parser: &mut Parser<'_>) -> Result<Expunge> {
        parser.space()?;
        Ok(Expunge { uids: Some(parser.sequence_set()?) })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match &self.uids {
            None => out.extend_from_slice(b"EXPUNGE"),
            Some(set) => {
                out.extend_from_slice(b"UID EXPUNGE ");
                set.encode(out);
            }
        }
    }

    fn start(&self, core: &Core) -> std::result::Result<Progress, Completion> {
        let Some(selected) = &core.selected else {
            return Err(Completion::bad("No mailbox selected"));
        };
        if selected.access == Access::ReadOnly {
            return Err(read_only());
        }
        let uids = match &self.uids {
            None => None,
            Some(set) => Some(core.resolve(set, Numbering::Uid)?.iter().map(|message| message.uid).collect()),
        };
        Ok(Progress::Ask(Request::Expunge { mailbox: selected.mailbox, uids }))
    }
}

impl Task for Expunge {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start => self.start(core).unwrap_or_else(Progress::Done),
            Input::Answer(Answer::Expunged(uids)) => {
                if let Some(selected) = &mut core.selected {
                    selected.hold(&uids);
                }
                core.tell_expunged();
                removed(core, Completion::ok("EXPUNGE completed"), &uids).into()
            }
            other => refused(other),
        }
    }
}

/// RFC 7162 §3.2.7: a client that resynchronises hears how far it has come.
pub(super) fn removed(core: &Core, completion: Completion, uids: &[u32]) -> Completion {
    match core.enabled.has(Extension::QResync) && !uids.is_empty() {
        true => completion.with(Code::HighestModSeq(0)),
        false => completion,
    }
}

/// EXAMINE opened the mailbox.
pub(super) fn read_only() -> Completion {
    Completion::no("NOPERM", "Mailbox is selected read-only")
}
