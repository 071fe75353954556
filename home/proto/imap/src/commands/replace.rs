//! REPLACE and UID REPLACE (RFC 8508): an APPEND that takes the place of a message of the selected mailbox, in one
//! transaction.

use super::append::Append;
use super::encode_name;
use super::expunge::{read_only, removed};
use crate::parser::{Parser, Result};
use crate::request::{Access, MailboxId};
use crate::response::{Code, Completion};
use crate::session::core::{Core, Numbering};
use crate::types::{Number, SequenceSet};

/// The message that goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replace {
    /// What its number is.
    pub numbering: Numbering,
    /// Its number.
    pub message: Number,
}

/// The message, found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replaced {
    /// The selected mailbox.
    pub mailbox: MailboxId,
    /// The message.
    pub uid: u32,
}

impl Replace {
    /// Reads what stands behind the command's name, as [`Append::parse`] does.
    pub(super) fn parse(numbering: Numbering, parser: &mut Parser<'_>) -> Result<Append> {
        parser.space()?;
        let message = match parser.eat(b'*') {
            true => Number::Largest,
            false => Number::Exactly(parser.nz_number()?),
        };
        Append::parse_behind(Some(Replace { numbering, message }), parser)
    }

    pub(super) fn encode(self, out: &mut Vec<u8>) {
        encode_name(self.numbering, "REPLACE", out);
        self.set().encode(out);
        out.push(b' ');
    }

    fn set(self) -> SequenceSet {
        SequenceSet::Ranges(vec![(self.message, self.message)])
    }

    /// The message that is meant.
    ///
    /// # Errors
    /// There is none, or the mailbox was opened by EXAMINE.
    pub(super) fn resolve(self, core: &Core) -> std::result::Result<Replaced, Completion> {
        let messages = core.resolve(&self.set(), self.numbering)?;
        let Some(selected) = &core.selected else {
            return Err(Completion::bad("No mailbox selected"));
        };
        if selected.access == Access::ReadOnly {
            return Err(read_only());
        }
        let message = messages.first().ok_or_else(|| Completion::no("NONEXISTENT", "No such message"))?;
        Ok(Replaced { mailbox: selected.mailbox, uid: message.uid })
    }
}

impl Replaced {
    /// Tells what was done. RFC 8508 §4.3: APPENDUID comes before the EXPUNGE response.
    pub(super) fn tell(self, core: &mut Core, code: Code) -> Completion {
        Completion::ok("Replacement message stored").with(code).encode("*", &mut core.output);
        if let Some(selected) = &mut core.selected {
            selected.hold(&[self.uid]);
        }
        removed(core, Completion::ok("REPLACE completed"), &[self.uid])
    }
}
