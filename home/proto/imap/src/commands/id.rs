//! ID (RFC 2971): what program is at the other end. Ours says no more than its name.

use crate::parser::{ParseError, Parser, Result};
use crate::response::{Completion, encode};
use crate::session::core::Core;
use crate::session::task::{Input, Progress, Task};

/// RFC 2971 §3.3: at most 30 pairs.
const MAX_PAIRS: usize = 30;

/// What the client says of itself; empty for NIL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Id {
    /// Field and value.
    pub parameters: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Id {
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Id> {
        parser.space()?;
        if parser.eat_keyword("NIL") {
            return Ok(Id::default());
        }
        let parameters = parser.list("Expected ID parameters", |parser| {
            let field = parser.string()?;
            parser.space()?;
            Ok((field, parser.nstring()?))
        })?;
        if parameters.len() > MAX_PAIRS {
            return Err(ParseError::Syntax("Too many ID parameters"));
        }
        Ok(Id { parameters })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"ID ");
        if self.parameters.is_empty() {
            return out.extend_from_slice(b"NIL");
        }
        let pair = |(field, value): &(Vec<u8>, Option<Vec<u8>>), out: &mut Vec<u8>| {
            encode::string(field, out);
            out.push(b' ');
            encode::nstring(value.as_deref(), out);
        };
        encode::parenthesised(&self.parameters, pair, out);
    }
}

impl Task for Id {
    fn resume(&mut self, core: &mut Core, _: Input) -> Progress {
        core.untagged("ID (\"name\" \"Postern\")");
        Completion::ok("ID completed").into()
    }
}
