//! LIST (RFC 9051 §6.3.9), with LIST-EXTENDED (RFC 5258), LIST-STATUS (RFC 5819), LIST-MYRIGHTS (RFC 8440),
//! SPECIAL-USE (RFC 6154) and CHILDREN (RFC 3348).
//!
//! Of LIST-EXTENDED: selection by SUBSCRIBED, SPECIAL-USE, REMOTE (there are none) and RECURSIVEMATCH; return of
//! SUBSCRIBED, CHILDREN, SPECIAL-USE, MYRIGHTS and STATUS; several patterns. Every response has the child attribute, asked
//! for or not, as RFC 3348 §3 has it.

mod answer;
mod pattern;

use super::status::encode_items;
use crate::parser::{ParseError, Parser, Result};
use crate::response::encode;
use crate::session::task::Task;
use crate::types::{NameEncoding, StatusItem};

pub(crate) use answer::{Extended, Tree as NameTree, tell_name};
pub(crate) use pattern::Pattern;

/// Longest patterns of one command together, in octets: more than the longest name of a mailbox.
const PATTERN_OCTETS: usize = 1024;

/// What to list, and what to tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct List {
    /// Which mailboxes (RFC 5258 §3.1).
    pub selection: Vec<ListSelection>,
    /// Stands before every pattern.
    pub reference: String,
    /// With `*` and `%`, decoded.
    pub patterns: Vec<String>,
    /// What to tell of them (RFC 5258 §3.2).
    pub returns: Vec<ListReturn>,
}

/// Selection options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListSelection {
    /// SUBSCRIBED
    Subscribed,
    /// REMOTE
    Remote,
    /// RECURSIVEMATCH
    RecursiveMatch,
    /// SPECIAL-USE
    SpecialUse,
}

/// Return options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListReturn {
    /// SUBSCRIBED
    Subscribed,
    /// CHILDREN
    Children,
    /// SPECIAL-USE
    SpecialUse,
    /// MYRIGHTS (RFC 8440)
    MyRights,
    /// STATUS
    Status(Vec<StatusItem>),
}

impl ListSelection {
    const NAMES: [(ListSelection, &'static str); 4] = [
        (ListSelection::Subscribed, "SUBSCRIBED"),
        (ListSelection::Remote, "REMOTE"),
        (ListSelection::RecursiveMatch, "RECURSIVEMATCH"),
        (ListSelection::SpecialUse, "SPECIAL-USE"),
    ];

    fn parse(parser: &mut Parser<'_>) -> Result<ListSelection> {
        let word = parser.keyword()?;
        let found = ListSelection::NAMES.iter().find(|(_, name)| *name == word);
        found.map(|(option, _)| *option).ok_or(ParseError::Syntax("Unknown LIST selection option"))
    }

    fn name(self) -> &'static str {
        ListSelection::NAMES.iter().find(|(option, _)| *option == self).map_or("", |(_, name)| name)
    }
}

impl ListReturn {
    fn parse(parser: &mut Parser<'_>) -> Result<ListReturn> {
        match parser.keyword()?.as_str() {
            "SUBSCRIBED" => Ok(ListReturn::Subscribed),
            "CHILDREN" => Ok(ListReturn::Children),
            "SPECIAL-USE" => Ok(ListReturn::SpecialUse),
            "MYRIGHTS" => Ok(ListReturn::MyRights),
            "STATUS" => {
                parser.space()?;
                Ok(ListReturn::Status(StatusItem::parse_list(parser)?))
            }
            _ => Err(ParseError::Syntax("Unknown LIST return option")),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            ListReturn::Subscribed => out.extend_from_slice(b"SUBSCRIBED"),
            ListReturn::Children => out.extend_from_slice(b"CHILDREN"),
            ListReturn::SpecialUse => out.extend_from_slice(b"SPECIAL-USE"),
            ListReturn::MyRights => out.extend_from_slice(b"MYRIGHTS"),
            ListReturn::Status(items) => {
                out.extend_from_slice(b"STATUS ");
                encode_items(items, out);
            }
        }
    }
}

impl List {
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<List> {
        parser.space()?;
        let mut list = List::default();
        if parser.peek() == Some(b'(') {
            list.selection = parser.list("Expected selection options", ListSelection::parse)?;
            parser.space()?;
        }
        list.check_selection()?;
        list.reference = parser.mailbox()?.as_str().to_owned();
        parser.space()?;
        list.patterns = match parser.peek() {
            Some(b'(') => parser.list("Expected patterns", Parser::list_mailbox)?,
            _ => vec![parser.list_mailbox()?],
        };
        list.check_length()?;
        if parser.eat(b' ') {
            list.parse_returns(parser)?;
        }
        Ok(list)
    }

    /// Each name is held against each character of each pattern.
    fn check_length(&self) -> Result<()> {
        let octets: usize =
            self.patterns.iter().map(|pattern| self.reference.len().saturating_add(pattern.len())).sum();
        match octets > PATTERN_OCTETS {
            true => Err(ParseError::Syntax("The patterns are too long")),
            false => Ok(()),
        }
    }

    /// RFC 5258 §3.1: RECURSIVEMATCH modifies another option, and cannot stand alone or with REMOTE only.
    fn check_selection(&self) -> Result<()> {
        let modifier = self.selection.contains(&ListSelection::RecursiveMatch);
        let base =
            |option: &ListSelection| matches!(option, ListSelection::Subscribed | ListSelection::SpecialUse);
        match modifier && !self.selection.iter().any(base) {
            true => Err(ParseError::Syntax("RECURSIVEMATCH needs another selection option")),
            false => Ok(()),
        }
    }

    fn parse_returns(&mut self, parser: &mut Parser<'_>) -> Result<()> {
        if !parser.eat_keyword("RETURN") {
            return Err(parser.error("Expected RETURN"));
        }
        parser.space()?;
        self.returns = parser.list("Expected return options", ListReturn::parse)?;
        Ok(())
    }

    pub(super) fn encode(&self, names: NameEncoding, out: &mut Vec<u8>) {
        out.extend_from_slice(b"LIST ");
        if !self.selection.is_empty() {
            encode::parenthesised(
                &self.selection,
                |option, out| out.extend_from_slice(option.name().as_bytes()),
                out,
            );
            out.push(b' ');
        }
        encode::mailbox(&names.encode(&self.reference), out);
        out.push(b' ');
        let pattern = |text: &String, out: &mut Vec<u8>| encode::string(names.encode(text).as_bytes(), out);
        match self.patterns.as_slice() {
            [only] => pattern(only, out),
            several => encode::parenthesised(several, pattern, out),
        }
        if !self.returns.is_empty() {
            out.extend_from_slice(b" RETURN ");
            encode::parenthesised(&self.returns, ListReturn::encode, out);
        }
    }

    pub(super) fn into_task(self) -> Box<dyn Task> {
        answer::task(self)
    }
}
