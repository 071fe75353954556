//! RENAME (RFC 9051 §6.3.6). Renaming INBOX moves its messages to the new mailbox and leaves it empty.

use crate::parser::{Parser, Result};
use crate::request::Request;
use crate::response::{Completion, encode};
use crate::session::core::Core;
use crate::session::task::{Input, Progress, Task, done_or_refused};
use crate::types::{DELIMITER, MailboxName, NameEncoding};

/// The old and the new name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    /// An existing mailbox.
    pub from: MailboxName,
    /// A name that is free.
    pub to: MailboxName,
}

impl Rename {
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Rename> {
        parser.space()?;
        let from = parser.mailbox()?;
        parser.space()?;
        let to = parser.mailbox()?.without_final_delimiter();
        Ok(Rename { from, to })
    }

    pub(super) fn encode(&self, names: NameEncoding, out: &mut Vec<u8>) {
        out.extend_from_slice(b"RENAME ");
        encode::mailbox(&names.encode(self.from.as_str()), out);
        out.push(b' ');
        encode::mailbox(&names.encode(self.to.as_str()), out);
    }

    fn refusal(&self) -> Option<Completion> {
        let below = self.to.as_str().strip_prefix(self.from.as_str());
        if below.is_some_and(|rest| rest.starts_with(DELIMITER)) && !self.from.is_inbox() {
            return Some(Completion::no("CANNOT", "A mailbox cannot become its own child"));
        }
        if self.to.is_inbox() {
            return Some(Completion::no("ALREADYEXISTS", "INBOX always exists"));
        }
        self.to.refusal().map(|text| Completion::no("CANNOT", text))
    }
}

impl Task for Rename {
    fn resume(&mut self, _: &mut Core, input: Input) -> Progress {
        if let Input::Start = input {
            return match self.refusal() {
                Some(completion) => completion.into(),
                None => Progress::Ask(Request::Rename { from: self.from.clone(), to: self.to.clone() }),
            };
        }
        done_or_refused(input, "RENAME completed")
    }
}
