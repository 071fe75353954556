//! FETCH and UID FETCH (RFC 9051 §6.4.5), with the macros and the RFC822 items of RFC 3501 §6.4.5; CHANGEDSINCE and
//! VANISHED (RFC 7162); EMAILID, THREADID (RFC 8474), SAVEDATE (RFC 8514), PREVIEW (RFC 8970), BINARY
//! (RFC 3516).

mod answer;
mod binary;
mod header_fields;
mod items;
mod modifiers;
mod transfer;

use super::encode_name;
use crate::parser::{ParseError, Parser, Result};
use crate::response::encode;
use crate::session::core::Numbering;
use crate::session::task::Task;
use crate::types::{FetchItem, SequenceSet};

pub use header_fields::fields as header_fields;
pub use modifiers::{FetchModifiers, Vanished};

/// Which messages, and what of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// What the set's numbers are.
    pub numbering: Numbering,
    /// The messages.
    pub set: SequenceSet,
    /// What is wanted, macros written out, in order.
    pub items: Vec<FetchItem>,
    /// Which of the messages.
    pub modifiers: FetchModifiers,
}

impl Fetch {
    pub(super) fn parse(numbering: Numbering, parser: &mut Parser<'_>) -> Result<Fetch> {
        parser.space()?;
        let set = parser.sequence_set()?;
        parser.space()?;
        let items = match parser.peek() {
            Some(b'(') => parser.list("Expected fetch items", FetchItem::parse)?,
            _ => match macro_items(parser) {
                Some(items) => items,
                None => vec![FetchItem::parse(parser)?],
            },
        };
        if items.is_empty() {
            return Err(ParseError::Syntax("Empty list of fetch items"));
        }
        let modifiers = FetchModifiers::parse(parser)?;
        // RFC 7162 §3.2.6
        if modifiers.vanished == Vanished::Told && numbering == Numbering::Sequence {
            return Err(ParseError::Syntax("VANISHED needs UID FETCH"));
        }
        if modifiers.partial.is_some() && numbering == Numbering::Sequence {
            return Err(ParseError::Syntax("PARTIAL needs UID FETCH"));
        }
        Ok(Fetch { numbering, set, items, modifiers })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        encode_name(self.numbering, "FETCH", out);
        self.set.encode(out);
        out.push(b' ');
        encode::parenthesised(&self.items, FetchItem::encode, out);
        self.modifiers.encode(out);
    }

    pub(crate) fn into_task(self) -> Box<dyn Task> {
        answer::task(self)
    }
}

fn macro_items(parser: &mut Parser<'_>) -> Option<Vec<FetchItem>> {
    use FetchItem::{Body, Envelope, Flags, InternalDate, Rfc822Size};
    if parser.eat_keyword("ALL") {
        return Some(vec![Flags, InternalDate, Rfc822Size, Envelope]);
    }
    if parser.eat_keyword("FAST") {
        return Some(vec![Flags, InternalDate, Rfc822Size]);
    }
    if parser.eat_keyword("FULL") {
        return Some(vec![Flags, InternalDate, Rfc822Size, Envelope, Body]);
    }
    None
}
