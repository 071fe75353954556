//! STATUS (RFC 9051 §6.3.11), with RECENT (RFC 3501), SIZE (RFC 8438), HIGHESTMODSEQ (RFC 7162 §3.1.7), MAILBOXID
//! (RFC 8474 §4.3), APPENDLIMIT (RFC 7889 §3.1) and DELETED-STORAGE (RFC 9208 §4.1.4).

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
            Input::Start => {
                if self.items.contains(&StatusItem::HighestModSeq) {
                    core.enable_cond_store();
                }
                Progress::Ask(Request::Status(self.mailbox.clone()))
            }
            Input::Answer(Answer::Status(status)) => {
                tell(core, &self.mailbox, &self.items, &status);
                Completion::ok("STATUS completed").into()
            }
            other => refused(other),
        }
    }
}

/// Writes `* STATUS name (...)`.
pub(crate) fn tell(core: &mut Core, mailbox: &MailboxName, items: &[StatusItem], status: &MailboxStatus) {
    let append_limit = core.config.max_message;
    let out = &mut core.output;
    out.extend_from_slice(b"* STATUS ");
    encode::mailbox(&core.names.encode(mailbox.as_str()), out);
    out.push(b' ');
    let pair = |item: &StatusItem, out: &mut Vec<u8>| {
        let value = value(*item, status, append_limit);
        out.extend_from_slice(format!("{} {value}", item.name()).as_bytes());
    };
    encode::parenthesised(items, pair, out);
    out.extend_from_slice(b"\r\n");
}

/// Writes the items as a client would.
pub(super) fn encode_items(items: &[StatusItem], out: &mut Vec<u8>) {
    encode::parenthesised(items, |item, out| out.extend_from_slice(item.name().as_bytes()), out);
}

fn value(item: StatusItem, status: &MailboxStatus, append_limit: u64) -> String {
    let number: u64 = match item {
        StatusItem::Messages => status.messages.into(),
        StatusItem::Recent => status.recent.into(),
        StatusItem::UidNext => status.uid_next.into(),
        StatusItem::UidValidity => status.uid_validity.into(),
        StatusItem::Unseen => status.unseen.into(),
        StatusItem::Deleted => status.deleted.into(),
        StatusItem::Size => status.size,
        StatusItem::DeletedStorage => status.deleted_size,
        StatusItem::HighestModSeq => status.mod_seq,
        StatusItem::AppendLimit => append_limit,
        StatusItem::MailboxId => return format!("({})", status.object_id),
    };
    number.to_string()
}
