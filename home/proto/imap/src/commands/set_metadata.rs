//! SETMETADATA (RFC 5464 §4.3). Of the account as a whole, only private entries can be set: what is shared there would be
//! every user's of the home (RFC 5464 §3.3).

use super::get_metadata::{encode_mailbox, mailbox_or_account};
use crate::parser::{ParseError, Parser, Result};
use crate::request::Answer;
use crate::request::{Refusal, Request};
use crate::response::{Code, Completion, encode};
use crate::session::core::Core;
use crate::session::task::{Input, Progress, Task, done_or_refused};
use crate::types::{Entry, MailboxName, NameEncoding};

/// The largest value, in octets (RFC 5464 §4.1 asks for 1,024).
const MAX_VALUE: usize = 16 * 1024;

/// What to set, of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetMetadata {
    /// The mailbox; the account, if absent.
    pub mailbox: Option<MailboxName>,
    /// Entries and their values; those without one are removed.
    pub entries: Vec<(Entry, Option<Vec<u8>>)>,
}

impl SetMetadata {
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<SetMetadata> {
        parser.space()?;
        let mailbox = mailbox_or_account(parser)?;
        parser.space()?;
        let entries = parser.list("Expected entries", |parser| {
            let entry = Entry::parse(parser)?;
            if !entry.can_be_set() {
                return Err(ParseError::Syntax("Invalid entry name"));
            }
            parser.space()?;
            let value =
                if parser.peek() == Some(b'~') { Some(parser.literal8()?) } else { parser.nstring()? };
            Ok((entry, value))
        })?;
        match entries.is_empty() {
            true => Err(ParseError::Syntax("Expected entries")),
            false => Ok(SetMetadata { mailbox, entries }),
        }
    }

    pub(super) fn encode(&self, names: NameEncoding, out: &mut Vec<u8>) {
        out.extend_from_slice(b"SETMETADATA ");
        encode_mailbox(self.mailbox.as_ref(), names, out);
        out.push(b' ');
        let pair = |(entry, value): &(Entry, Option<Vec<u8>>), out: &mut Vec<u8>| {
            entry.encode(out);
            out.push(b' ');
            encode::nstring(value.as_deref(), out);
        };
        encode::parenthesised(&self.entries, pair, out);
    }

    fn start(&mut self) -> Progress {
        let too_large = |value: &Option<Vec<u8>>| value.as_ref().is_some_and(|value| value.len() > MAX_VALUE);
        if self.entries.iter().any(|(_, value)| too_large(value)) {
            return Completion::no("METADATA", "Value too large").with(Code::MaxSize(MAX_VALUE)).into();
        }
        if self.mailbox.is_none() && self.entries.iter().any(|(entry, _)| entry.is_shared()) {
            return Completion::no("NOPERM", "Shared entries of the server are read-only").into();
        }
        let entries = std::mem::take(&mut self.entries);
        let entries = entries.into_iter().map(|(entry, value)| (entry.as_str().to_owned(), value)).collect();
        Progress::Ask(Request::Annotate { mailbox: self.mailbox.clone(), entries })
    }
}

impl Task for SetMetadata {
    fn resume(&mut self, _: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start => self.start(),
            Input::Answer(Answer::Refused(Refusal::OverQuota)) => {
                Completion::no("METADATA TOOMANY", "Too many entries").into()
            }
            other => done_or_refused(other, "SETMETADATA completed"),
        }
    }
}
