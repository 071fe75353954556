//! GETMETADATA (RFC 5464 §4.2), with MAXSIZE and DEPTH.
//!
//! Deviates: the options may stand before the mailbox, as in the RFC's grammar, or behind it, as in its examples.

use crate::parser::{ParseError, Parser, Result};
use crate::request::{Annotation, Answer, Request};
use crate::response::{Code, Completion, encode};
use crate::session::core::Core;
use crate::session::task::{Input, Progress, Task, refused};
use crate::types::{Entry, MailboxName, NameEncoding};

/// Which entries, of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetMetadata {
    /// Larger values are left out.
    pub max_size: Option<u32>,
    /// What of the entries below those that are named.
    pub depth: Depth,
    /// The mailbox; the account, if absent.
    pub mailbox: Option<MailboxName>,
    /// The entries that are named.
    pub entries: Vec<Entry>,
}

/// DEPTH (RFC 5464 §4.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Depth {
    /// None of them.
    #[default]
    Zero,
    /// One level of them.
    One,
    /// All of them.
    Infinity,
}

impl Depth {
    const NAMES: [(Depth, &'static str); 3] =
        [(Depth::Zero, "0"), (Depth::One, "1"), (Depth::Infinity, "INFINITY")];

    fn reaches(self, levels: usize) -> bool {
        match self {
            Depth::Zero => levels == 0,
            Depth::One => levels <= 1,
            Depth::Infinity => true,
        }
    }
}

impl GetMetadata {
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<GetMetadata> {
        let mut command =
            GetMetadata { max_size: None, depth: Depth::Zero, mailbox: None, entries: Vec::new() };
        parser.space()?;
        if parser.peek() == Some(b'(') {
            command.parse_options(parser)?;
            parser.space()?;
        }
        command.mailbox = mailbox_or_account(parser)?;
        parser.space()?;
        let options_follow = matches!(parser.rest(), [b'(', next, ..] if next.is_ascii_alphabetic());
        if options_follow {
            command.parse_options(parser)?;
            parser.space()?;
        }
        command.entries = match parser.peek() {
            Some(b'(') => parser.list("Expected entries", Entry::parse)?,
            _ => vec![Entry::parse(parser)?],
        };
        match command.entries.is_empty() {
            true => Err(ParseError::Syntax("Expected entries")),
            false => Ok(command),
        }
    }

    fn parse_options(&mut self, parser: &mut Parser<'_>) -> Result<()> {
        let options = parser.list("Expected options", |parser| {
            let word = parser.keyword()?;
            parser.space()?;
            match word.as_str() {
                "MAXSIZE" => self.max_size = Some(parser.number()?),
                "DEPTH" => {
                    let word = parser.keyword()?;
                    let found = Depth::NAMES.iter().find(|(_, name)| *name == word);
                    self.depth = found.ok_or(ParseError::Syntax("Invalid DEPTH"))?.0;
                }
                _ => return Err(ParseError::Syntax("Unknown option")),
            }
            Ok(())
        });
        options.map(|_| ())
    }

    pub(super) fn encode(&self, names: NameEncoding, out: &mut Vec<u8>) {
        out.extend_from_slice(b"GETMETADATA ");
        let depth = Depth::NAMES.iter().find(|(depth, _)| *depth == self.depth).map_or("", |(_, name)| name);
        let mut options = vec![format!("DEPTH {depth}")];
        options.extend(self.max_size.map(|size| format!("MAXSIZE {size}")));
        out.extend_from_slice(format!("({}) ", options.join(" ")).as_bytes());
        encode_mailbox(self.mailbox.as_ref(), names, out);
        out.push(b' ');
        encode::parenthesised(&self.entries, Entry::encode, out);
    }

    fn tell(&self, core: &mut Core, annotations: &[Annotation]) -> Completion {
        let wanted = |annotation: &&Annotation| {
            let levels = self.entries.iter().filter_map(|entry| entry.levels_above(&annotation.entry));
            levels.into_iter().any(|levels| self.depth.reaches(levels))
        };
        let fits = |annotation: &Annotation| {
            self.max_size.is_none_or(|most| annotation.value.len() as u64 <= most.into())
        };
        let (told, long): (Vec<_>, Vec<_>) =
            annotations.iter().filter(wanted).partition(|annotation| fits(annotation));
        let missing = self.entries.iter().filter(|entry| {
            self.depth == Depth::Zero
                && !annotations.iter().any(|annotation| annotation.entry == entry.as_str())
        });
        let none = missing.map(|entry| (entry.as_str(), None));
        let lines: Vec<(&str, Option<&[u8]>)> =
            told.iter().map(|it| (it.entry.as_str(), Some(it.value.as_slice()))).chain(none).collect();
        if !lines.is_empty() {
            self.write(core, &lines);
        }
        match long.iter().map(|annotation| annotation.value.len()).max() {
            Some(largest) => Completion::ok("GETMETADATA completed").with(Code::LongEntries(largest as u64)),
            None => Completion::ok("GETMETADATA completed"),
        }
    }

    fn write(&self, core: &mut Core, lines: &[(&str, Option<&[u8]>)]) {
        let names = core.names;
        let out = &mut core.output;
        out.extend_from_slice(b"* METADATA ");
        encode_mailbox(self.mailbox.as_ref(), names, out);
        out.push(b' ');
        let pair = |(entry, value): &(&str, Option<&[u8]>), out: &mut Vec<u8>| {
            encode::astring(entry.as_bytes(), out);
            out.push(b' ');
            match value {
                Some(value) if value.contains(&0) => encode::literal8(value, out),
                value => encode::nstring(*value, out),
            }
        };
        encode::parenthesised(lines, pair, out);
        out.extend_from_slice(b"\r\n");
    }
}

impl Task for GetMetadata {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start => Progress::Ask(Request::Annotations(self.mailbox.clone())),
            Input::Answer(Answer::Annotations(annotations)) => self.tell(core, &annotations).into(),
            other => refused(other),
        }
    }
}

/// Tells which entries changed, without their values (RFC 5464 §4.4.2).
pub(crate) fn tell_annotated(core: &mut Core, mailbox: Option<&MailboxName>, entries: &[&str]) {
    let names = core.names;
    let out = &mut core.output;
    out.extend_from_slice(b"* METADATA ");
    encode_mailbox(mailbox, names, out);
    for entry in entries {
        out.push(b' ');
        encode::astring(entry.as_bytes(), out);
    }
    out.extend_from_slice(b"\r\n");
}

/// A mailbox's name; the empty one stands for the account (RFC 5464 §4.1).
pub(super) fn mailbox_or_account(parser: &mut Parser<'_>) -> Result<Option<MailboxName>> {
    Ok(Some(parser.mailbox()?).filter(|name| !name.as_str().is_empty()))
}

pub(super) fn encode_mailbox(mailbox: Option<&MailboxName>, names: NameEncoding, out: &mut Vec<u8>) {
    encode::mailbox(&names.encode(mailbox.map_or("", MailboxName::as_str)), out);
}
