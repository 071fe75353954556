//! DELETE (RFC 9051 §6.3.5).

use crate::parser::{Parser, Result};
use crate::request::Request;
use crate::response::{Completion, encode};
use crate::session::core::Core;
use crate::session::task::{Input, Progress, Task, done_or_refused};
use crate::types::{MailboxName, NameEncoding};

/// The mailbox to remove with its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete {
    /// Not INBOX.
    pub mailbox: MailboxName,
}

impl Delete {
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Delete> {
        parser.space()?;
        Ok(Delete { mailbox: parser.mailbox()? })
    }

    pub(super) fn encode(&self, names: NameEncoding, out: &mut Vec<u8>) {
        out.extend_from_slice(b"DELETE ");
        encode::mailbox(&names.encode(self.mailbox.as_str()), out);
    }
}

impl Task for Delete {
    fn resume(&mut self, _: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start if self.mailbox.is_inbox() => {
                Completion::no("CANNOT", "INBOX cannot be deleted").into()
            }
            Input::Start => Progress::Ask(Request::Delete(self.mailbox.clone())),
            input => done_or_refused(input, "DELETE completed"),
        }
    }
}
