//! The index of one account: filled in batches, asked at any time.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use super::fold::without_accents;
use super::terms::{self, Pattern, Term, Trigram};
use super::{Certainty, Field, Hits, fold, schema};
use crate::Result;
use crate::account::{EmailId, ModSeq};
use crate::db::Database;
use crate::place::Place;

/// With more terms than this that hold a needle, reading the messages is no slower.
const MOST_TERMS: usize = 20_000;
/// Terms that are taken from one email: a long book has as many.
const MOST_TERMS_OF_EMAIL: usize = 30_000;
/// Terms asked for in one query of `document`.
const TERMS_AT_ONCE: usize = 500;

/// An open index.
#[derive(Debug)]
pub(crate) struct Index {
    database: Database,
}

/// How far the index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Emails up to this one are indexed.
    pub(crate) email: EmailId,
    /// Emails destroyed up to this mod-sequence are removed.
    pub(crate) mod_seq: ModSeq,
}

impl Progress {
    /// Whether this tells of something that had not happened when an account was at `other`.
    pub(crate) fn is_beyond(self, other: Progress) -> bool {
        self.email > other.email || self.mod_seq > other.mod_seq
    }
}

/// The columns of `document`, in their order.
const COLUMNS: [Column; 7] = [
    Column::Subject,
    Column::Sender,
    Column::Recipient,
    Column::Copy,
    Column::BlindCopy,
    Column::Header,
    Column::Body,
];

/// A column of `document`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Subject,
    Sender,
    Recipient,
    Copy,
    BlindCopy,
    /// Names of all fields, and values of the other ones.
    Header,
    Body,
}

impl Column {
    /// Where the value of a field goes, its name in lower case.
    pub(crate) fn of_field(name: &str) -> Column {
        match name {
            "subject" => Column::Subject,
            "from" => Column::Sender,
            "to" => Column::Recipient,
            "cc" => Column::Copy,
            "bcc" => Column::BlindCopy,
            _ => Column::Header,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Column::Subject => "subject",
            Column::Sender => "sender",
            Column::Recipient => "recipient",
            Column::Copy => "copy",
            Column::BlindCopy => "blind_copy",
            Column::Header => "header",
            Column::Body => "body",
        }
    }
}

impl Field {
    fn columns(self) -> &'static [Column] {
        match self {
            Field::Subject => &[Column::Subject],
            Field::From => &[Column::Sender],
            Field::To => &[Column::Recipient],
            Field::Cc => &[Column::Copy],
            Field::Bcc => &[Column::BlindCopy],
            Field::Header => &[
                Column::Subject,
                Column::Sender,
                Column::Recipient,
                Column::Copy,
                Column::BlindCopy,
                Column::Header,
            ],
            Field::Body => &[Column::Body],
            Field::Text => &COLUMNS,
        }
    }
}

/// The terms of one email, by column; of an email with very many, some.
#[derive(Debug)]
pub(crate) struct Document {
    email: EmailId,
    size: usize,
    is_partial: bool,
    terms: [BTreeSet<String>; COLUMNS.len()],
    /// The trigrams of its codes, in whichever column.
    codes: BTreeSet<Trigram>,
}

impl Document {
    pub(crate) fn new(email: EmailId) -> Document {
        Document { email, size: 0, is_partial: false, terms: Default::default(), codes: BTreeSet::new() }
    }

    /// An email that cannot be read now: whoever asks for a text reads it again, when it may have been mended.
    pub(crate) fn unreadable(email: EmailId) -> Document {
        Document { is_partial: true, ..Document::new(email) }
    }

    /// Takes a folded text into a column.
    pub(crate) fn add(&mut self, column: Column, text: &str) {
        let Some(terms) = self.terms.get_mut(column as usize) else { return };
        terms::visit(text, |term| {
            let term = match term {
                Term::Word(word) => word,
                Term::Code(code) => return self.codes.extend(terms::trigrams(code)),
            };
            if terms.contains(term) {
                return;
            }
            if self.size >= MOST_TERMS_OF_EMAIL {
                self.is_partial = true;
                return;
            }
            terms.insert(term.to_owned());
            self.size += 1;
        });
    }

    /// Terms that it has, and how many terms' memory its trigrams take.
    pub(crate) fn size(&self) -> usize {
        self.size + self.codes.len() / 8
    }

    /// Whether a part of the email is not in it.
    pub(crate) fn is_partial(&self) -> bool {
        self.is_partial
    }
}

impl Index {
    /// Opens the index at `place`, or makes one there.
    pub(crate) fn open(place: &Place) -> Result<Index> {
        Ok(Index { database: Database::open(place, &schema::SCHEMA)? })
    }

    /// Removes the file with what SQLite keeps beside it.
    pub(crate) fn remove(path: &Path) -> Result<()> {
        for suffix in ["", "-wal", "-shm"] {
            let file = PathBuf::from(format!("{}{suffix}", path.display()));
            match std::fs::remove_file(&file) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(crate::files::at(&file, &error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Terms of all emails that it ever took in.
    #[cfg(test)]
    pub(crate) fn words(&self) -> Result<u64> {
        self.database
            .read(|connection| Ok(connection.query_row("SELECT count(*) FROM term", [], |row| row.get(0))?))
    }

    /// Emails that were taken out again.
    pub(crate) fn destroyed(&self) -> Result<u64> {
        self.database.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT destroyed FROM progress")?;
            Ok(statement.query_row([], |row| row.get(0))?)
        })
    }

    pub(crate) fn progress(&self) -> Result<Progress> {
        self.database.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT email_id, mod_seq FROM progress")?;
            Ok(statement.query_row([], |row| Ok(Progress { email: row.get(0)?, mod_seq: row.get(1)? }))?)
        })
    }

    /// Takes documents in and destroyed emails out, and notes how far the index is then. Nothing is done where it is not at
    /// `from` any more, because somebody else was faster.
    pub(crate) fn advance(
        &self,
        documents: Vec<Document>,
        destroyed: Vec<EmailId>,
        from: Progress,
        to: Progress,
    ) -> Result<()> {
        self.database.write(move |connection| {
            let moved = connection
                .prepare_cached(
                    "UPDATE progress SET email_id = ?1, mod_seq = ?2, destroyed = destroyed + ?3
                     WHERE email_id = ?4 AND mod_seq = ?5",
                )?
                .execute(params![to.email, to.mod_seq, destroyed.len(), from.email, from.mod_seq])?;
            if moved == 0 {
                return Ok(());
            }
            let mut vocabulary = Vocabulary { connection, known: HashMap::new() };
            for document in &documents {
                vocabulary.insert(document)?;
            }
            let mut partial =
                connection.prepare_cached("INSERT OR IGNORE INTO partial (email_id) VALUES (?1)")?;
            for document in documents.iter().filter(|document| document.is_partial) {
                partial.execute([document.email])?;
            }
            let mut delete = connection.prepare_cached("DELETE FROM document WHERE rowid = ?1")?;
            let mut delete_codes = connection.prepare_cached("DELETE FROM code WHERE rowid = ?1")?;
            let mut forget = connection.prepare_cached("DELETE FROM partial WHERE email_id = ?1")?;
            for email in &destroyed {
                delete.execute([email])?;
                delete_codes.execute([email])?;
                forget.execute([email])?;
            }
            Ok(())
        })
    }

    /// The emails that hold a needle; nothing where reading them is no slower than asking.
    pub(crate) fn find(&self, field: Field, needle: &str) -> Result<Option<Hits>> {
        let needle = fold(needle);
        let Some(pattern) = terms::pattern(&needle) else { return Ok(None) };
        self.database.read(|connection| {
            let known = connection
                .prepare_cached("SELECT email_id FROM progress")?
                .query_row([], |row| row.get(0))?;
            let Some(Candidates { emails, in_codes }) = candidates(connection, field, &pattern)? else {
                return Ok(None);
            };
            let certainty = if pattern.is_enough { Certainty::Exact } else { Certainty::Candidates };
            let mut statement = connection.prepare_cached("SELECT email_id FROM partial")?;
            let mut partial: HashSet<EmailId> =
                statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
            partial.extend(in_codes);
            Ok(Some(Hits { emails, partial, known, certainty }))
        })
    }
}

/// Gives terms their numbers.
struct Vocabulary<'c> {
    connection: &'c Connection,
    /// Those that this batch has met.
    known: HashMap<String, i64>,
}

impl Vocabulary<'_> {
    fn insert(&mut self, document: &Document) -> Result<()> {
        let mut columns = Vec::with_capacity(COLUMNS.len());
        for terms in &document.terms {
            let numbers = terms.iter().map(|term| Ok(token(self.number(term)?)));
            columns.push(numbers.collect::<Result<Vec<_>>>()?.join(" "));
        }
        // An email that a crash let in twice is put in the place of itself.
        self.connection.prepare_cached("DELETE FROM document WHERE rowid = ?1")?.execute([document.email])?;
        self.connection.prepare_cached("DELETE FROM code WHERE rowid = ?1")?.execute([document.email])?;
        self.insert_codes(document)?;
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO document (rowid, subject, sender, recipient, copy, blind_copy, header, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        insert.raw_bind_parameter(1, document.email)?;
        for (position, column) in columns.iter().enumerate() {
            insert.raw_bind_parameter(position + 2, column)?;
        }
        insert.raw_execute()?;
        Ok(())
    }

    fn insert_codes(&self, document: &Document) -> Result<()> {
        if document.codes.is_empty() {
            return Ok(());
        }
        let trigrams: Vec<_> =
            document.codes.iter().map(|trigram| String::from_utf8_lossy(trigram)).collect();
        self.connection
            .prepare_cached("INSERT INTO code (rowid, trigrams) VALUES (?1, ?2)")?
            .execute(params![document.email, trigrams.join(" ")])?;
        Ok(())
    }

    fn number(&mut self, term: &str) -> Result<i64> {
        if let Some(number) = self.known.get(term) {
            return Ok(*number);
        }
        let number = match self.look_up(term)? {
            Some(number) => number,
            None => self.add(term)?,
        };
        self.known.insert(term.to_owned(), number);
        Ok(number)
    }

    fn look_up(&self, term: &str) -> Result<Option<i64>> {
        use rusqlite::OptionalExtension;
        let mut statement = self.connection.prepare_cached("SELECT term_id FROM term WHERE term = ?1")?;
        Ok(statement.query_row([term], |row| row.get(0)).optional()?)
    }

    fn add(&self, term: &str) -> Result<i64> {
        let plain = without_accents(term);
        let plain = if plain == term { "" } else { &plain };
        let number = self
            .connection
            .prepare_cached("INSERT INTO term (term, plain) VALUES (?1, ?2) RETURNING term_id")?
            .query_row([term, plain], |row| row.get(0))?;
        self.connection
            .prepare_cached("INSERT INTO term_trigram (rowid, term, plain) VALUES (?1, ?2, ?3)")?
            .execute(params![number, term, plain])?;
        Ok(number)
    }
}

/// A term's number as a word of `document`.
fn token(number: i64) -> String {
    format!("{number:x}")
}

/// The emails that hold every part of a pattern in words, and those that may hold some in codes.
struct Candidates {
    emails: HashSet<EmailId>,
    in_codes: HashSet<EmailId>,
}

/// Nothing where no part narrows the search down.
fn candidates(connection: &Connection, field: Field, pattern: &Pattern<'_>) -> Result<Option<Candidates>> {
    let mut found: Option<Candidates> = None;
    for part in &pattern.parts {
        let terms = terms_that_hold(connection, part)?;
        if terms.len() > MOST_TERMS {
            continue;
        }
        let emails = emails_with(connection, field, &terms)?;
        let in_codes = emails_with_codes(connection, part)?;
        found = Some(match found {
            None => Candidates { emails, in_codes },
            Some(before) => before.narrowed(&emails, &in_codes),
        });
    }
    Ok(found)
}

impl Candidates {
    /// Those that hold another part too.
    fn narrowed(self, emails: &HashSet<EmailId>, in_codes: &HashSet<EmailId>) -> Candidates {
        let both = |email: &EmailId| emails.contains(email) || in_codes.contains(email);
        let in_codes = self.in_codes.iter().copied().filter(both);
        let words = self.emails.iter().copied();
        let (words, mixed): (HashSet<EmailId>, HashSet<EmailId>) =
            words.filter(both).partition(|email| emails.contains(email));
        Candidates { emails: words, in_codes: in_codes.chain(mixed).collect() }
    }
}

/// The emails whose codes have all trigrams of a part; of one that is too short for that, all with codes.
fn emails_with_codes(connection: &Connection, part: &str) -> Result<HashSet<EmailId>> {
    if !part.is_ascii() {
        return Ok(HashSet::new());
    }
    let all: BTreeSet<Trigram> = terms::trigrams(part.as_bytes()).collect();
    let all: Vec<String> = all.iter().map(|one| format!("\"{}\"", String::from_utf8_lossy(one))).collect();
    let sql = match all.is_empty() {
        true => "SELECT rowid FROM code WHERE ?1 = ''",
        false => "SELECT rowid FROM code WHERE code MATCH ?1",
    };
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([all.join(" AND ")], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn terms_that_hold(connection: &Connection, part: &str) -> Result<Vec<i64>> {
    let (sql, needle) = match part.chars().count() {
        0..=2 => ("SELECT term_id FROM term WHERE instr(term, ?1) > 0 LIMIT ?2", part.to_owned()),
        // A run has no quotation marks.
        _ => (
            "SELECT rowid FROM term_trigram WHERE term_trigram MATCH ?1 LIMIT ?2",
            format!("term : \"{part}\""),
        ),
    };
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![needle, MOST_TERMS + 1], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn emails_with(connection: &Connection, field: Field, terms: &[i64]) -> Result<HashSet<EmailId>> {
    let columns: Vec<&str> = field.columns().iter().map(|column| column.name()).collect();
    let mut statement = connection.prepare_cached("SELECT rowid FROM document WHERE document MATCH ?1")?;
    let mut found = HashSet::new();
    for some in terms.chunks(TERMS_AT_ONCE) {
        let any = some.iter().map(|term| format!("\"{}\"", token(*term))).collect::<Vec<_>>().join(" OR ");
        let query = format!("{{{}}} : ({any})", columns.join(" "));
        for row in statement.query_map([query], |row| row.get(0))? {
            found.insert(row?);
        }
    }
    Ok(found)
}
