//! NOTIFY (RFC 5465): what the client wants to be told of without asking.
//!
//! In: groups of mailboxes with the events that are wanted of them. Out: STATUS of the mailboxes where that is asked for, LIST
//! with `\NoAccess` for those that may not be read; from then on the news, which [`session::notify`](crate::session) tells.
//! Refused: events that are not known, with BADEVENT; more mailboxes than can be watched, with NOTIFICATIONOVERFLOW;
//! combinations that RFC 5465 §5 forbids.
//!
//! INBOXES is the same as PERSONAL, as §6.3 allows: a filter may file into any mailbox. ServerMetadataChange means the same with
//! any mailboxes that it stands with.

mod answer;
mod event;
mod filter;

use crate::parser::{ParseError, Parser, Result};
use crate::response::encode;
use crate::types::NameEncoding;

pub use event::Event;
pub use filter::Filter;

/// What to tell from now on; what was asked for before is forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notify {
    /// Nothing, not even of the selected mailbox.
    None,
    /// These events.
    Set(StatusIndicator, Vec<EventGroup>),
}

/// Whether the state of the mailboxes is told before the news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusIndicator {
    /// STATUS
    Told,
    /// The client knows it.
    Untold,
}

/// Mailboxes, and what is wanted of them; nothing, where there are no events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventGroup {
    /// Which mailboxes.
    pub filter: Filter,
    /// Which events.
    pub events: Vec<Event>,
}

impl Notify {
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Notify> {
        parser.space()?;
        if parser.eat_keyword("NONE") {
            return Ok(Notify::None);
        }
        if !parser.eat_keyword("SET") {
            return Err(parser.error("Expected SET or NONE"));
        }
        parser.space()?;
        let status = match parser.eat_keyword("STATUS") {
            true => StatusIndicator::Told,
            false => StatusIndicator::Untold,
        };
        if status == StatusIndicator::Told {
            parser.space()?;
        }
        let mut groups = vec![EventGroup::parse(parser)?];
        while parser.eat(b' ') {
            groups.push(EventGroup::parse(parser)?);
        }
        // RFC 5465 §6.1
        match groups.iter().filter(|group| group.filter.is_selected()).count() {
            0 | 1 => Ok(Notify::Set(status, groups)),
            _ => Err(ParseError::Syntax("SELECTED can stand only once")),
        }
    }

    pub(super) fn encode(&self, names: NameEncoding, out: &mut Vec<u8>) {
        let Notify::Set(status, groups) = self else {
            return out.extend_from_slice(b"NOTIFY NONE");
        };
        out.extend_from_slice(b"NOTIFY SET");
        if *status == StatusIndicator::Told {
            out.extend_from_slice(b" STATUS");
        }
        for group in groups {
            out.extend_from_slice(b" (");
            group.filter.encode(names, out);
            out.push(b' ');
            match group.events.as_slice() {
                [] => out.extend_from_slice(b"NONE"),
                events => encode::parenthesised(events, Event::encode, out),
            }
            out.push(b')');
        }
    }
}

impl EventGroup {
    fn parse(parser: &mut Parser<'_>) -> Result<EventGroup> {
        parser.expect(b'(', "Expected mailboxes and events")?;
        let filter = Filter::parse(parser)?;
        parser.space()?;
        let events = match parser.eat_keyword("NONE") {
            true => Vec::new(),
            false => parser.list("Expected events", Event::parse)?,
        };
        parser.expect(b')', "Expected the end of the events")?;
        let group = EventGroup { filter, events };
        group.check().map(|()| group)
    }

    /// RFC 5465 §5, §6.1 and §8.
    fn check(&self) -> Result<()> {
        let has = |wanted: fn(&Event) -> bool| self.events.iter().any(wanted);
        let comes = has(|event| matches!(event, Event::MessageNew(_)));
        let goes = has(|event| *event == Event::MessageExpunge);
        let attributes = has(|event| matches!(event, Event::MessageNew(items) if !items.is_empty()));
        let refused = match () {
            () if comes != goes => "MessageNew and MessageExpunge stand together only",
            () if has(|event| *event == Event::FlagChange) && !comes => "FlagChange needs MessageNew",
            () if self.filter.is_selected() && has(|event| !event.is_of_messages()) => {
                "SELECTED has message events only"
            }
            () if attributes && !self.filter.is_selected() => "Only SELECTED has fetch items",
            () => return Ok(()),
        };
        Err(ParseError::Syntax(refused))
    }
}
