//! CREATE (RFC 9051 §6.3.4), with USE (RFC 6154 §3) and MAILBOXID (RFC 8474 §4.1).

use crate::parser::{ParseError, Parser, Result};
use crate::request::{Answer, Refusal, Request};
use crate::response::{Code, Completion, encode};
use crate::session::core::Core;
use crate::session::task::{Input, Progress, Task, refused};
use crate::types::{MailboxName, NameEncoding, SpecialUse};

/// A new mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// Its name, without a final delimiter.
    pub mailbox: MailboxName,
    /// Its purpose.
    pub special_use: Option<SpecialUse>,
}

impl Create {
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Create> {
        parser.space()?;
        let mailbox = parser.mailbox()?.without_final_delimiter();
        let special_use = match parser.eat(b' ') {
            true => use_parameter(parser)?,
            false => None,
        };
        Ok(Create { mailbox, special_use })
    }

    pub(super) fn encode(&self, names: NameEncoding, out: &mut Vec<u8>) {
        out.extend_from_slice(b"CREATE ");
        encode::mailbox(&names.encode(self.mailbox.as_str()), out);
        if let Some(special_use) = self.special_use {
            out.extend_from_slice(format!(" (USE ({}))", special_use.attribute()).as_bytes());
        }
    }
}

impl Task for Create {
    fn resume(&mut self, _: &mut Core, input: Input) -> Progress {
        if let Input::Start = input {
            return match self.mailbox.refusal() {
                Some(text) => Completion::no("CANNOT", text).into(),
                None if self.mailbox.is_inbox() => {
                    Completion::no("ALREADYEXISTS", "INBOX always exists").into()
                }
                None => Progress::Ask(Request::Create {
                    mailbox: self.mailbox.clone(),
                    special_use: self.special_use,
                }),
            };
        }
        match input {
            // RFC 6154 §3: the name is free, so it is the use that stands in the way.
            Input::Answer(Answer::Refused(Refusal::Cannot)) if self.special_use.is_some() => {
                Completion::no("USEATTR", "That use is not available").into()
            }
            Input::Answer(Answer::Created(id)) => {
                Completion::ok("CREATE completed").with(Code::MailboxId(id)).into()
            }
            other => refused(other),
        }
    }
}

/// `(USE (\Sent))`; the store keeps one purpose for each mailbox.
fn use_parameter(parser: &mut Parser<'_>) -> Result<Option<SpecialUse>> {
    parser.expect(b'(', "Expected CREATE parameters")?;
    if !parser.eat_keyword("USE") {
        return Err(ParseError::Syntax("Unknown CREATE parameter"));
    }
    parser.space()?;
    let uses = parser.list("Expected a list of uses", |parser| {
        parser.expect(b'\\', "Expected a use attribute")?;
        SpecialUse::from_name(parser.atom()?).ok_or(ParseError::Syntax("Unknown use attribute"))
    })?;
    parser.expect(b')', "Unknown CREATE parameter")?;
    match uses.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(*only)),
        _ => Err(ParseError::Syntax("Only one use attribute is supported")),
    }
}
