//! Words of a master file, line by line (RFC 1035 §5.1).
//!
//! In: text. Out: lines of words; one that is continued in parentheses is one line. Refused, with the line's number: a
//! quotation mark or a parenthesis that is not closed or never opened, and control characters. After a flaw the reading
//! goes on with the next line.

use crate::zone::presentation::Word;

/// One line, or several in parentheses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// The number of the first of them, from 1.
    pub(super) number: usize,
    /// Whether it begins with a blank: the owner is that of the line before.
    pub(super) is_indented: bool,
    /// At least one.
    pub(super) words: Vec<Word>,
}

/// What keeps words from being told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// No second one on the line.
    #[error("a quotation mark is not closed on its line")]
    Quote,
    /// `)` alone.
    #[error("a parenthesis is closed that was not opened")]
    NotOpened,
    /// `(` to the end of the file.
    #[error("a parenthesis is not closed")]
    NotClosed,
    /// Neither printable nor a blank.
    #[error("there is a control character; write it as \\DDD, its decimal number")]
    Control,
    /// More than one record where one is expected.
    #[error("this is more than one line")]
    Lines,
}

/// The words of one record's data, as they stand in a master file.
///
/// # Errors
/// [`Flaw`].
pub fn words(text: &str) -> Result<Vec<Word>, Flaw> {
    let mut lines = Lexer::new(text);
    let first = lines.next().transpose().map_err(|(_, flaw)| flaw)?;
    match lines.next() {
        None => Ok(first.map(|line| line.words).unwrap_or_default()),
        Some(_) => Err(Flaw::Lines),
    }
}

/// The words of one record's data as arguments of a command, where a semicolon begins no comment.
///
/// # Errors
/// [`Flaw`].
pub fn words_of_arguments(text: &str) -> Result<Vec<Word>, Flaw> {
    if text.contains(char::is_control) {
        return Err(Flaw::Control);
    }
    let mut lexer = Lexer { comments: Comments::Words, ..Lexer::new(text) };
    let first = lexer.next().transpose().map_err(|(_, flaw)| flaw)?;
    Ok(first.map(|line| line.words).unwrap_or_default())
}

/// What a semicolon means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comments {
    /// The rest of the line is one.
    Left,
    /// Nothing: it is part of a word.
    Words,
}

/// Takes text, gives lines.
pub(super) struct Lexer<'a> {
    rest: &'a str,
    number: usize,
    comments: Comments,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text, number: 1, comments: Comments::Left }
    }

    fn bump(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next()?;
        self.rest = chars.as_str();
        self.number += usize::from(next == '\n');
        Some(next)
    }

    fn skip_to_end_of_line(&mut self) {
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        self.rest = self.rest.get(end..).unwrap_or_default();
    }

    /// One line; nothing at the end of the text.
    fn line(&mut self) -> Result<Option<Line>, Flaw> {
        let (mut words, mut depth) = (Vec::new(), 0usize);
        let (mut number, mut is_indented) = (self.number, self.starts_blank());
        while let Some(next) = self.rest.chars().next() {
            match next {
                '\n' if depth == 0 && !words.is_empty() => break,
                '\n' if depth == 0 => {
                    self.bump();
                    (number, is_indented) = (self.number, self.starts_blank());
                }
                ' ' | '\t' | '\r' | '\n' => drop(self.bump()),
                ';' if self.comments == Comments::Left => self.skip_to_end_of_line(),
                '(' => {
                    depth += 1;
                    self.bump();
                }
                ')' => {
                    depth = depth.checked_sub(1).ok_or(Flaw::NotOpened)?;
                    self.bump();
                }
                '"' => {
                    self.bump();
                    words.push(Word { text: self.quoted()?, is_quoted: true });
                }
                _ => words.push(Word::bare(self.bare()?)),
            }
        }
        if depth > 0 {
            return Err(Flaw::NotClosed);
        }
        Ok((!words.is_empty()).then_some(Line { number, is_indented, words }))
    }

    fn starts_blank(&self) -> bool {
        self.rest.starts_with([' ', '\t'])
    }

    /// To the closing quotation mark.
    fn quoted(&mut self) -> Result<String, Flaw> {
        let mut text = String::new();
        loop {
            match self.rest.chars().next() {
                None | Some('\n') => return Err(Flaw::Quote),
                Some('"') => {
                    self.bump();
                    return Ok(text);
                }
                Some(next) => self.character(next, &mut text)?,
            }
        }
    }

    /// To the next blank. A quoted part, as in `alpn="h2,h3"`, belongs to the word with its quotation marks.
    fn bare(&mut self) -> Result<String, Flaw> {
        let mut text = String::new();
        loop {
            match self.rest.chars().next() {
                None | Some(' ' | '\t' | '\r' | '\n' | '(' | ')') => return Ok(text),
                Some(';') if self.comments == Comments::Left => return Ok(text),
                Some('"') => {
                    self.bump();
                    text = text + "\"" + &self.quoted()? + "\"";
                }
                Some(next) => self.character(next, &mut text)?,
            }
        }
    }

    /// One character, or a backslash with what it escapes.
    fn character(&mut self, next: char, text: &mut String) -> Result<(), Flaw> {
        if next.is_control() && next != '\t' {
            return Err(Flaw::Control);
        }
        self.bump();
        text.push(next);
        match self.rest.chars().next() {
            Some(escaped) if next == '\\' && !escaped.is_control() => {
                self.bump();
                text.push(escaped);
            }
            _ => {}
        }
        Ok(())
    }
}

impl Iterator for Lexer<'_> {
    type Item = Result<Line, (usize, Flaw)>;

    fn next(&mut self) -> Option<Self::Item> {
        let outcome = self.line();
        let number = self.number;
        outcome
            .map_err(|flaw| {
                // An unclosed parenthesis has eaten the rest; anything else has spoilt its line only.
                self.skip_to_end_of_line();
                (number, flaw)
            })
            .transpose()
    }
}
