//! STATUS (RFC 9051 §6.3.11), with SIZE (RFC 8438) and RECENT (RFC 3501).

use crate::parser::{Parser, Result};
use crate::request::{Answer, MailboxStatus, Request};
use crate::response::{Completion, encode};
use crate::session::core::Core;
use crate::session::task::{Input, Progress, Task, refused};
use crate::types::{MailboxName, NameEncoding, StatusItem};

/// Which mailbox, and what of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The mailbox.
    pub mailbox: MailboxName,
    /// What is asked, in order.
    pub items: Vec<StatusItem>,
}

impl Status {
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Status> {
        parser.space()?;
        let mailbox = parser.mailbox()?;
        parser.space()?;
        Ok(Status { mailbox, items: StatusItem::parse_list(parser)? })
    }

    pub(super) fn encode(&self, names: NameEncoding, out: &mut Vec<u8>) {
        out.extend_from_slice(b"STATUS ");
        encode::mailbox(&names.encode(self.mailbox.as_str()), out);
        out.push(b' ');
        encode_items(&self.items, out);
    }
}

impl Task for Status {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start => Progress::Ask(Request::Status(self.mailbox.clone())),
            Input::Answer(Answer::Status(status)) => {
                tell(core, &self.mailbox, &self.items, status);
                Completion::ok("STATUS completed").into()
            }
            other => refused(other),
        }
    }
}

/// Writes `* STATUS name (...)`.
pub(super) fn tell(core: &mut Core, mailbox: &MailboxName, items: &[StatusItem], status: MailboxStatus) {
    let out = &mut core.output;
    out.extend_from_slice(b"* STATUS ");
    encode::mailbox(&core.names.encode(mailbox.as_str()), out);
    out.push(b' ');
    let pair = |item: &StatusItem, out: &mut Vec<u8>| {
        out.extend_from_slice(format!("{} {}", item.name(), value(*item, status)).as_bytes());
    };
    encode::parenthesised(items, pair, out);
    out.extend_from_slice(b"\r\n");
}

/// Writes the items as a client would.
pub(super) fn encode_items(items: &[StatusItem], out: &mut Vec<u8>) {
    encode::parenthesised(items, |item, out| out.extend_from_slice(item.name().as_bytes()), out);
}

fn value(item: StatusItem, status: MailboxStatus) -> u64 {
    match item {
        StatusItem::Messages => status.messages.into(),
        StatusItem::Recent => status.recent.into(),
        StatusItem::UidNext => status.uid_next.into(),
        StatusItem::UidValidity => status.uid_validity.into(),
        StatusItem::Unseen => status.unseen.into(),
        StatusItem::Deleted => status.deleted.into(),
        StatusItem::Size => status.size,
    }
}
