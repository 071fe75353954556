//! COPY (RFC 9051 §6.4.7) and MOVE (RFC 9051 §6.4.8, RFC 6851), with COPYUID (RFC 4315 §3).

use super::encode_name;
use super::expunge::{read_only, removed};
use crate::parser::{Parser, Result};
use crate::request::{Access, Answer, Copied, CopyMode, Refusal, Request};
use crate::response::{Code, Completion, encode};
use crate::session::core::{Core, Numbering, missing_mailbox};
use crate::session::task::{Input, Progress, Task, refused};
use crate::types::{MailboxName, NameEncoding, SequenceSet};

/// Which messages, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// COPY or MOVE.
    pub mode: CopyMode,
    /// What the set's numbers are.
    pub numbering: Numbering,
    /// The messages.
    pub set: SequenceSet,
    /// The destination.
    pub to: MailboxName,
}

impl Copy {
    pub(super) fn parse(name: &str, numbering: Numbering, parser: &mut Parser<'_>) -> Result<Copy> {
        let mode = if name == "MOVE" { CopyMode::Move } else { CopyMode::Copy };
        parser.space()?;
        let set = parser.sequence_set()?;
        parser.space()?;
        let to = parser.mailbox()?;
        Ok(Copy { mode, numbering, set, to })
    }

    pub(super) fn encode(&self, names: NameEncoding, out: &mut Vec<u8>) {
        let name = if self.mode == CopyMode::Move { "MOVE" } else { "COPY" };
        encode_name(self.numbering, name, out);
        self.set.encode(out);
        out.push(b' ');
        encode::mailbox(&names.encode(self.to.as_str()), out);
    }

    fn start(&self, core: &Core) -> std::result::Result<Progress, Completion> {
        let messages = core.resolve(&self.set, self.numbering)?;
        let Some(selected) = &core.selected else {
            return Err(Completion::bad("No mailbox selected"));
        };
        if selected.access == Access::ReadOnly && self.mode == CopyMode::Move {
            return Err(read_only());
        }
        if messages.is_empty() {
            return Err(self.completed());
        }
        let uids = messages.iter().map(|message| message.uid).collect();
        let (mailbox, to, mode) = (selected.mailbox, self.to.clone(), self.mode);
        Ok(Progress::Ask(Request::Copy { mailbox, uids, to, mode }))
    }

    fn completed(&self) -> Completion {
        Completion::ok(match self.mode {
            CopyMode::Copy => "COPY completed",
            CopyMode::Move => "MOVE completed",
        })
    }

    fn copied(&self, core: &mut Core, copied: Copied) -> Completion {
        let gone: Vec<u32> = copied.uids.iter().map(|pair| pair.0).collect();
        let code = Code::CopyUid { uid_validity: copied.uid_validity, uids: copied.uids };
        if gone.is_empty() {
            return Completion::no("EXPUNGEISSUED", "Those messages are gone");
        }
        if self.mode == CopyMode::Copy {
            return self.completed().with(code);
        }
        // RFC 6851 §4.3: COPYUID comes before the EXPUNGE responses.
        Completion::ok("Moved").with(code).encode("*", &mut core.output);
        if let Some(selected) = &mut core.selected {
            selected.hold(&gone);
        }
        core.tell_expunged();
        removed(core, self.completed(), &gone)
    }
}

impl Task for Copy {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start => self.start(core).unwrap_or_else(Progress::Done),
            Input::Answer(Answer::Copied(copied)) => self.copied(core, copied).into(),
            Input::Answer(Answer::Refused(Refusal::NonExistent)) => missing_mailbox(&self.to).into(),
            other => refused(other),
        }
    }
}
