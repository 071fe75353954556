//! Reads master files (RFC 1035 §5.1), as BIND, NSD, Knot, Cloudflare and Route 53 write them.
//!
//! In: text, and the origin to begin with. Out: entries with the line that each begins on, or what is wrong with it: an
//! entry that cannot be read does not hold up those after it. `$ORIGIN` and `$TTL` (RFC 2308 §4), parentheses, quoted
//! texts, comments, names and owners left out are understood, classes and TTLs in either order. Refused, by line: what is
//! no record, classes other than IN, `$INCLUDE` and `$GENERATE`, since there is one file only.

mod lexer;

use hickory_proto::rr::{Name, RecordType};

use self::lexer::{Lexer, Line};
use super::presentation::{self, Word};

pub use lexer::{Flaw, words, words_of_arguments};

/// One entry: a record whose data have not been read yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The line on which it begins, from 1.
    pub line: usize,
    /// The owner name, absolute.
    pub owner: Name,
    /// Seconds; `None` where neither the entry nor anything before it says.
    pub ttl: Option<u32>,
    /// The type.
    pub record_type: RecordType,
    /// The data's words.
    pub data: Vec<Word>,
    /// Where its relative names are.
    pub origin: Name,
}

/// Why a line is no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// Words cannot even be told apart.
    #[error(transparent)]
    Flaw(#[from] Flaw),
    /// Another file.
    #[error(
        "$INCLUDE names another file: put its content here (`named-compilezone -o whole.zone DOMAIN FILE` does)"
    )]
    Include,
    /// BIND's loop.
    #[error("$GENERATE is BIND's own: `named-compilezone -o whole.zone DOMAIN FILE` writes its records out")]
    Generate,
    /// Another word with a dollar.
    #[error("`{0}` is no directive of a master file: there are $ORIGIN and $TTL")]
    Directive(String),
    /// `$ORIGIN` or `$TTL` with something else.
    #[error("{directive}: expected {expected}, found `{found}`")]
    Argument {
        /// Which.
        directive: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What it has.
        found: String,
    },
    /// No name.
    #[error("`{0}` is no domain name")]
    Owner(String),
    /// Blank at the beginning of the first record.
    #[error("a record that begins with a blank takes its owner from the one before it, and there is none")]
    NoOwner,
    /// Not IN.
    #[error("class {0}: only IN, the internet, is served")]
    Class(String),
    /// Not a type.
    #[error("`{0}` is not a record type; types without a name are written like TYPE65280")]
    Type(String),
    /// Owner and nothing.
    #[error("the type of the record is missing")]
    NoType,
}

/// Reads a whole file. Each outcome is one entry, or a line that is none; directives leave nothing.
pub fn read(text: &str, origin: &Name) -> Vec<Result<Entry, (usize, Mistake)>> {
    let mut reader = Reader { origin: origin.clone(), owner: None, ttl: None, default_ttl: None };
    let outcome = |line: Result<Line, (usize, Flaw)>| match line {
        Ok(line) => {
            let number = line.number;
            reader.line(line).map_err(|mistake| (number, mistake)).transpose()
        }
        Err((number, flaw)) => Some(Err((number, flaw.into()))),
    };
    Lexer::new(text.trim_start_matches('\u{feff}')).filter_map(outcome).collect()
}

/// What earlier lines have said.
struct Reader {
    origin: Name,
    owner: Option<Name>,
    ttl: Option<u32>,
    default_ttl: Option<u32>,
}

impl Reader {
    fn line(&mut self, line: Line) -> Result<Option<Entry>, Mistake> {
        match line.words.split_first() {
            Some((first, rest)) if !line.is_indented && !first.is_quoted && first.text.starts_with('$') => {
                self.directive(&first.text, rest).map(|()| None)
            }
            _ => self.entry(line).map(Some),
        }
    }

    fn directive(&mut self, directive: &str, arguments: &[Word]) -> Result<(), Mistake> {
        let found = || arguments.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
        match (directive.to_ascii_uppercase().as_str(), arguments) {
            ("$ORIGIN", arguments) => {
                let name = match arguments {
                    [word] => presentation::absolute(word, &self.origin),
                    _ => None,
                };
                let wrong =
                    Mistake::Argument { directive: "$ORIGIN", expected: "one domain name", found: found() };
                self.origin = name.ok_or(wrong)?;
            }
            ("$TTL", arguments) => {
                let seconds = match arguments {
                    [word] => presentation::seconds(&word.text),
                    _ => None,
                };
                let expected = "seconds, or a time such as 1h30m";
                self.default_ttl =
                    Some(seconds.ok_or(Mistake::Argument { directive: "$TTL", expected, found: found() })?);
            }
            ("$INCLUDE", _) => return Err(Mistake::Include),
            ("$GENERATE", _) => return Err(Mistake::Generate),
            _ => return Err(Mistake::Directive(directive.to_owned())),
        }
        Ok(())
    }

    fn entry(&mut self, line: Line) -> Result<Entry, Mistake> {
        let mut words = line.words.into_iter().peekable();
        let owner = if line.is_indented {
            self.owner.clone().ok_or(Mistake::NoOwner)?
        } else {
            let word = words.next().ok_or(Mistake::NoType)?;
            let owner = presentation::absolute(&word, &self.origin).filter(|_| !word.is_quoted);
            owner.ok_or_else(|| Mistake::Owner(word.text.clone()))?
        };
        self.owner = Some(owner.clone());
        let (mut ttl, mut class) = (None, None);
        while let Some(word) = words.peek() {
            match (presentation::seconds(&word.text), is_class(&word.text)) {
                (Some(seconds), _) if ttl.is_none() => ttl = Some(seconds),
                (_, true) if class.is_none() => class = Some(word.text.clone()),
                _ => break,
            }
            words.next();
        }
        self.ttl = ttl.or(self.ttl);
        if let Some(class) = class.filter(|class| !class.eq_ignore_ascii_case("IN") && class != "CLASS1") {
            return Err(Mistake::Class(class));
        }
        let word = words.next().ok_or(Mistake::NoType)?;
        let record_type = presentation::type_of(&word.text).filter(|_| !word.is_quoted);
        Ok(Entry {
            line: line.number,
            owner,
            // RFC 2308 §4: $TTL where the entry has none; RFC 1035 §5.1: without it, the last one stated.
            ttl: ttl.or(self.default_ttl).or(self.ttl),
            record_type: record_type.ok_or(Mistake::Type(word.text))?,
            data: words.collect(),
            origin: self.origin.clone(),
        })
    }
}

/// RFC 1035 §3.2.4, RFC 3597 §5.
fn is_class(text: &str) -> bool {
    let text = text.to_ascii_uppercase();
    let number = text.strip_prefix("CLASS").is_some_and(|number| number.parse::<u16>().is_ok());
    number || matches!(text.as_str(), "IN" | "CH" | "HS" | "CS" | "ANY" | "NONE")
}

#[cfg(test)]
mod tests;
