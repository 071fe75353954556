//! SORT (RFC 5256 §3), with RETURN (ESORT, RFC 5267 §3.1), and DISPLAYFROM and DISPLAYTO (SORT=DISPLAY, RFC 5957).

use super::encode_name;
use super::search::{CharsetLabel, Search, SearchReturn, charset, encode_returns, return_options};
use crate::parser::{ParseError, Parser, Result};
use crate::request::{Answer, Request};
use crate::response::{Completion, encode};
use crate::session::core::{Core, Expunges, Numbering};
use crate::session::task::{Input, Progress, Task, refused};
use crate::types::{SearchKey, SortCriterion};

/// What to find, and in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// What is compared, the most important first.
    pub criteria: Vec<SortCriterion>,
    /// What to find.
    pub search: Search,
}

impl Sort {
    pub(super) fn parse(numbering: Numbering, parser: &mut Parser<'_>) -> Result<Sort> {
        parser.space()?;
        let returns = match parser.eat_keyword("RETURN") {
            true => Some(return_options(parser)?),
            false => None,
        };
        // RFC 5267 §3.1 knows no SAVE: `$` has no order; RFC 9394 has pages of SEARCH only.
        let is_of_search =
            |option: &SearchReturn| matches!(option, SearchReturn::Save | SearchReturn::Partial(_));
        if returns.iter().flatten().any(is_of_search) {
            return Err(ParseError::Syntax("SORT has no SAVE and no PARTIAL"));
        }
        let criteria = parser.list("Expected sort criteria", SortCriterion::parse)?;
        if criteria.is_empty() {
            return Err(ParseError::Syntax("Empty list of sort criteria"));
        }
        parser.space()?;
        let charset = charset(parser)?;
        let key = SearchKey::parse_program(parser, charset)?;
        Ok(Sort { criteria, search: Search { numbering, returns, charset: CharsetLabel::Absent, key } })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        encode_name(self.search.numbering, "SORT", out);
        encode_returns(self.search.returns.as_deref(), out);
        encode::parenthesised(&self.criteria, SortCriterion::encode, out);
        out.extend_from_slice(b" UTF-8 ");
        self.search.key.encode(out);
    }

    fn start(&self, core: &mut Core) -> std::result::Result<Progress, Completion> {
        let (mailbox, key) = self.search.resolved(core)?;
        Ok(Progress::Ask(Request::Sort { mailbox, key, criteria: self.criteria.clone() }))
    }
}

impl Task for Sort {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start => self.start(core).unwrap_or_else(Progress::Done),
            Input::Answer(Answer::Found(found)) => {
                self.search.found(core, &found, "SORT");
                Completion::ok("SORT completed").into()
            }
            other => refused(other),
        }
    }

    fn expunges(&self) -> Expunges {
        self.search.expunges()
    }
}
