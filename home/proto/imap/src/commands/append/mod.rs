//! APPEND (RFC 9051 §6.3.12), with APPENDUID (RFC 4315 §3), several messages (MULTIAPPEND, RFC 3502), literal8 (BINARY, RFC
//! 3516 §4.4), messages put together on the server (CATENATE, RFC 4469), and literals that are announced as UTF-8
//! (UTF8=ACCEPT, RFC 6855 §4). REPLACE is an APPEND too, see [`replace`](super::replace). The messages flow through and are
//! never held whole.
//!
//! `Deviates:` header fields outside US-ASCII are taken from whoever sends them, in a plain literal and before ENABLE
//! UTF8=ACCEPT too, where RFC 6855 §4 asks for NO. Old mail has such fields, in whatever character set, and a program that
//! brings it from elsewhere would lose it.

mod task;

use std::collections::VecDeque;

use super::replace::Replace;
use crate::framer::LiteralHeader;
use crate::parser::{ParseError, Parser, Result};
use crate::response::{Completion, encode};
use crate::session::core::{Core, State};
use crate::session::task::Task;
use crate::types::{DateTime, Flag, MailboxName, NameEncoding};

/// Everything up to the first literal that is part of a message, or to the end of the command where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// The message that goes, of REPLACE.
    pub replaces: Option<Replace>,
    /// Where to.
    pub mailbox: MailboxName,
    /// What is said of the messages.
    pub pieces: Vec<Piece>,
}

/// What is said between the command's name and its first literal, or between two literals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A message begins, which is a literal.
    Message(AppendMessage),
    /// A message begins, which is a list of parts (CATENATE).
    List(AppendMessage),
    /// The octets of this URL; the first and every other part of a list.
    Url(Vec<u8>),
    /// A literal follows. Nothing can be said before it has come.
    Literal,
    /// The same in `UTF8 (` and `)`.
    Utf8Literal,
    /// The end of a list.
    ListEnd,
}

/// What is said of a message before its octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendMessage {
    /// Its flags.
    pub flags: Vec<Flag>,
    /// Its INTERNALDATE.
    pub internal_date: Option<DateTime>,
}

/// Where in the grammar a literal interrupted the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    /// Another message may follow.
    #[default]
    Messages,
    /// Another part of a list may follow, and an end must.
    Parts,
    /// The end of `UTF8 (` must follow, then as `Messages`.
    Utf8Message,
    /// The end of `UTF8 (` must follow, then as `Parts`.
    Utf8Part,
}

impl Place {
    fn after(pieces: &[Piece]) -> Place {
        let list = pieces.iter().rev().find(|piece| !matches!(piece, Piece::Url(_)) && !piece.is_literal());
        match (list, pieces.last()) {
            (Some(Piece::List(_)), Some(Piece::Utf8Literal)) => Place::Utf8Part,
            (Some(Piece::List(_)), _) => Place::Parts,
            (_, Some(Piece::Utf8Literal)) => Place::Utf8Message,
            _ => Place::Messages,
        }
    }
}

impl Append {
    /// Reads what stands behind the name of APPEND, up to the end of a literal's announcement or of the command.
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Append> {
        Append::parse_behind(None, parser)
    }

    /// Reads what stands behind the message that REPLACE names.
    pub(super) fn parse_behind(replaces: Option<Replace>, parser: &mut Parser<'_>) -> Result<Append> {
        parser.space()?;
        let mailbox = parser.mailbox()?;
        let pieces = Piece::parse_all(parser, &mut Place::default())?;
        if pieces.is_empty() {
            return Err(parser.error("Expected a message"));
        }
        Ok(Append { replaces, mailbox, pieces })
    }

    /// Refuses a command that ends where its literal should come.
    pub(super) fn without_literals(self) -> Result<Append> {
        match self.pieces.last() {
            Some(piece) if piece.is_literal() => Err(ParseError::Syntax("APPEND needs a literal")),
            _ => Ok(self),
        }
    }

    pub(super) fn encode(&self, names: NameEncoding, out: &mut Vec<u8>) {
        match &self.replaces {
            None => out.extend_from_slice(b"APPEND "),
            Some(replaces) => replaces.encode(out),
        }
        encode::mailbox(&names.encode(self.mailbox.as_str()), out);
        let mut before = None;
        for piece in &self.pieces {
            if let (Some(Piece::Url(_)), Piece::Url(_)) = (before.replace(piece), piece) {
                out.push(b' ');
            }
            piece.encode(out);
        }
    }

    /// Refuses the literal before it comes.
    pub(crate) fn permitted(
        &self,
        core: &Core,
        header: LiteralHeader,
    ) -> std::result::Result<(), Completion> {
        match self.replaces {
            _ if core.state == State::NotAuthenticated => Err(Completion::bad("Please log in first")),
            Some(_) if core.selected.is_none() => Err(Completion::bad("No mailbox selected")),
            _ if matches!(self.pieces.as_slice(), [Piece::Message(_), ..]) => {
                task::check_message(&core.config, 0, header)
            }
            _ => Ok(()),
        }
    }

    /// `header` is the announcement of the literal that the pieces end with.
    pub(crate) fn into_task(self, header: Option<LiteralHeader>) -> Box<dyn Task> {
        let place = Place::after(&self.pieces);
        task::task(self.replaces, self.mailbox, VecDeque::from(self.pieces), place, header)
    }
}

impl Piece {
    /// Reads up to the end of a literal's announcement, or of the command.
    fn parse_all(parser: &mut Parser<'_>, place: &mut Place) -> Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        while !pieces.last().is_some_and(Piece::is_literal) {
            match place {
                Place::Messages if parser.rest().is_empty() => break,
                Place::Messages => Piece::parse_message(parser, place, &mut pieces)?,
                Place::Parts if parser.eat(b')') => {
                    pieces.push(Piece::ListEnd);
                    *place = Place::Messages;
                }
                Place::Parts => {
                    parser.space()?;
                    Piece::parse_part(parser, place, &mut pieces)?;
                }
                Place::Utf8Message | Place::Utf8Part => {
                    parser.expect(b')', "Expected the end of UTF8 (")?;
                    *place = if *place == Place::Utf8Part { Place::Parts } else { Place::Messages };
                }
            }
        }
        Ok(pieces)
    }

    /// `SP [flag-list SP] [date-time SP] append-data`
    fn parse_message(parser: &mut Parser<'_>, place: &mut Place, pieces: &mut Vec<Piece>) -> Result<()> {
        let message = AppendMessage::parse(parser)?;
        if parser.eat_keyword("UTF8") {
            pieces.extend([Piece::Message(message), Piece::parse_utf8(parser)?]);
            *place = Place::Utf8Message;
            return Ok(());
        }
        if !parser.eat_keyword("CATENATE") {
            parser.literal_announcement()?;
            pieces.extend([Piece::Message(message), Piece::Literal]);
            return Ok(());
        }
        parser.space()?;
        parser.expect(b'(', "Expected a list of parts")?;
        pieces.push(Piece::List(message));
        *place = Place::Parts;
        Piece::parse_part(parser, place, pieces)
    }

    /// RFC 4469 §5 `cat-part`.
    fn parse_part(parser: &mut Parser<'_>, place: &mut Place, pieces: &mut Vec<Piece>) -> Result<()> {
        if parser.eat_keyword("URL") {
            parser.space()?;
            pieces.push(Piece::Url(parser.astring()?));
        } else if parser.eat_keyword("TEXT") {
            parser.space()?;
            parser.literal_announcement()?;
            pieces.push(Piece::Literal);
        } else if parser.eat_keyword("UTF8") {
            pieces.push(Piece::parse_utf8(parser)?);
            *place = Place::Utf8Part;
        } else {
            return Err(parser.error("Expected TEXT, UTF8 or URL"));
        }
        Ok(())
    }

    /// What follows `UTF8`: `SP "(" literal8 ")"`, up to the literal's octets (RFC 6855 §4).
    fn parse_utf8(parser: &mut Parser<'_>) -> Result<Piece> {
        parser.space()?;
        parser.expect(b'(', "Expected a literal in parentheses")?;
        parser.expect(b'~', "Expected a literal8")?;
        parser.literal_announcement()?;
        Ok(Piece::Utf8Literal)
    }

    /// Whether octets that are part of a message follow.
    fn is_literal(&self) -> bool {
        matches!(self, Piece::Literal | Piece::Utf8Literal)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Piece::Message(message) => message.encode(out),
            Piece::List(message) => {
                message.encode(out);
                out.extend_from_slice(b" CATENATE (");
            }
            Piece::Url(url) => {
                out.extend_from_slice(b"URL ");
                encode::astring(url, out);
            }
            // Commands with literals are never written.
            Piece::Literal | Piece::Utf8Literal => {}
            Piece::ListEnd => out.push(b')'),
        }
    }
}

impl AppendMessage {
    fn parse(parser: &mut Parser<'_>) -> Result<AppendMessage> {
        parser.space()?;
        let flags = match parser.peek() {
            Some(b'(') => {
                let flags = parser.flag_list()?;
                parser.space()?;
                flags
            }
            _ => Vec::new(),
        };
        let internal_date = match parser.peek() {
            Some(b'"') => {
                let date = DateTime::parse(parser)?;
                parser.space()?;
                Some(date)
            }
            _ => None,
        };
        Ok(AppendMessage { flags, internal_date })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        if !self.flags.is_empty() {
            out.push(b' ');
            let name = |flag: &Flag, out: &mut Vec<u8>| out.extend_from_slice(flag.name().as_bytes());
            encode::parenthesised(&self.flags, name, out);
        }
        if let Some(date) = &self.internal_date {
            out.push(b' ');
            date.encode(out);
        }
    }
}
