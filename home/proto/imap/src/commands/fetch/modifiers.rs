//! What stands behind the items of FETCH (RFC 4466 §2.4): CHANGEDSINCE and VANISHED (RFC 7162 §3.1.4.1, §3.2.6),
//! PARTIAL (RFC 9394 §3.3).

use crate::parser::{ParseError, Parser, Result};
use crate::types::PartialRange;

/// `fetch-modifiers`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchModifiers {
    /// Only messages that changed after this mod-sequence.
    pub changed_since: Option<u64>,
    /// What to tell of messages of the set that are gone.
    pub vanished: Vanished,
    /// Only this page of the set's messages.
    pub partial: Option<PartialRange>,
}

/// Whether removals since CHANGEDSINCE are told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Vanished {
    /// They are not.
    #[default]
    Untold,
    /// `* VANISHED (EARLIER)` comes before the messages.
    Told,
}

impl FetchModifiers {
    /// `[SP "(" modifier *(SP modifier) ")"]`
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<FetchModifiers> {
        let mut modifiers = FetchModifiers::default();
        if !parser.eat(b' ') {
            return Ok(modifiers);
        }
        parser.list("Expected FETCH modifiers", |parser| modifiers.take(parser))?;
        // RFC 7162 §3.2.6
        if modifiers.vanished == Vanished::Told && modifiers.changed_since.is_none() {
            return Err(ParseError::Syntax("VANISHED needs CHANGEDSINCE"));
        }
        Ok(modifiers)
    }

    fn take(&mut self, parser: &mut Parser<'_>) -> Result<()> {
        match parser.keyword()?.as_str() {
            "CHANGEDSINCE" => {
                parser.space()?;
                self.changed_since = Some(parser.number64()?);
            }
            "VANISHED" => self.vanished = Vanished::Told,
            "PARTIAL" if self.partial.is_none() => {
                parser.space()?;
                self.partial = Some(PartialRange::parse(parser)?);
            }
            _ => return Err(ParseError::Syntax("Unknown FETCH modifier")),
        }
        Ok(())
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut words = Vec::new();
        words.extend(self.partial.map(|range| {
            let mut word = b"PARTIAL ".to_vec();
            range.encode(&mut word);
            String::from_utf8_lossy(&word).into_owned()
        }));
        words.extend(self.changed_since.map(|mod_seq| format!("CHANGEDSINCE {mod_seq}")));
        words.extend((self.vanished == Vanished::Told).then(|| "VANISHED".to_owned()));
        if !words.is_empty() {
            out.extend_from_slice(format!(" ({})", words.join(" ")).as_bytes());
        }
    }
}
