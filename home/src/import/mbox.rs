//! An mbox file.
//!
//! In: a file as `export`, Dovecot, mutt, Thunderbird or Python write it: a line `From SENDER DATE` before each message.
//! Out: the messages, with CRLF. Flags come from the fields `Status` and `X-Status`, keywords from `X-Keywords`; these, and
//! what else programs note in a header for themselves, are not part of the message. Where `Content-Length` leads to the next
//! message the body is taken as it stands (mboxcl2); elsewhere a line that was quoted loses one `>`. Refused: a file that
//! does not begin with `From `.
//!
//! *A sender can write these fields, too.* So none of them leaves out a message: the first one of a file, which
//! programs keep for themselves, is known by the subject that it always has besides its `X-IMAP`. None of them deletes one where the file is not an export, or leads past a message's own end unless a whole separator is there.
//!
//! RFC 4155 describes the family; dates are UTC, as there, or in the zone that they name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use postern_store::Timestamp;
use postern_store::account::{Flags, Keyword, SystemFlags};

use super::maildir::write_with_crlf;
use super::{Head, Source, Unread, open};

/// Keywords of one message; further ones are passed over. People have a few.
const KEYWORDS_MAX: usize = 32;
/// A longer separator is none where `Content-Length` leads.
const LONGEST_SEPARATOR: usize = 1024;
/// A longer line is read in pieces.
const LONGEST_LINE: u64 = 256 * 1024;
/// A field that is longer is not one of those that are looked at.
const LONGEST_FIELD: usize = 64 * 1024;

/// Fields that programs keep in an mbox for themselves.
const NOTES: [&str; 7] =
    ["Status", "X-Status", "X-Keywords", "X-UID", "X-IMAP", "X-IMAPbase", "Content-Length"];

/// Those that `export` writes, at the beginning of a header.
const OWN_NOTES: [&str; 3] = ["Status", "X-Status", "X-Keywords"];

/// Those that Google Takeout writes there.
const LABELS: &str = "X-Gmail-Labels";
const THREAD: &str = "X-GM-THRID";

/// The subject of the message in which programs that use the C-Client library keep their own affairs. Whoever else writes it
/// asks for what comes of it.
const INTERNAL_SUBJECT: &str = "DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA";

/// Letters of `Status` and `X-Status`.
const LETTERS: [(char, SystemFlags); 5] = [
    ('R', SystemFlags::SEEN),
    ('A', SystemFlags::ANSWERED),
    ('F', SystemFlags::FLAGGED),
    ('T', SystemFlags::DRAFT),
    ('D', SystemFlags::DELETED),
];

/// Which lines were quoted when the file was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quoting {
    /// `From ` after any number of `>` (mboxrd).
    Every,
    /// `From ` at the beginning of a line (mboxo).
    First,
}

pub(super) struct Mbox {
    path: PathBuf,
    file: Box<dyn BufRead>,
    /// The same file and its octets, to look ahead in; none where the file is read out of an archive.
    ahead: Option<(File, u64)>,
    quoting: Quoting,
    notes: Notes,
    position: u64,
    line: Vec<u8>,
    /// The line that is read next begins a line of the file.
    at_line_start: bool,
    /// The separator that was read before the next message.
    separator: Option<Timestamp>,
    /// The next message is the file's first.
    at_first: bool,
}

impl Mbox {
    pub(super) fn open(path: &Path, quoting: Quoting) -> io::Result<Mbox> {
        let file = open::file(path)?;
        let ahead = Some((file.try_clone()?, file.metadata()?.len()));
        Mbox::begin(
            Box::new(BufReader::with_capacity(256 * 1024, file)),
            ahead,
            path,
            quoting,
            Notes::Unknown,
        )
    }

    /// One that Google Takeout made; `path` is for people.
    pub(super) fn of_takeout(file: Box<dyn BufRead>, path: &Path) -> io::Result<Mbox> {
        Mbox::begin(file, None, path, Quoting::Every, Notes::Takeout)
    }

    fn begin(
        file: Box<dyn BufRead>,
        ahead: Option<(File, u64)>,
        path: &Path,
        quoting: Quoting,
        notes: Notes,
    ) -> io::Result<Mbox> {
        let mut mbox = Mbox {
            path: path.to_owned(),
            file,
            ahead,
            quoting,
            notes,
            position: 0,
            line: Vec::new(),
            at_line_start: true,
            separator: None,
            at_first: true,
        };
        mbox.read_line()?;
        mbox.separator = separator(&mbox.line);
        if mbox.separator.is_none() && !mbox.line.is_empty() {
            return Err(io::Error::other("not an mbox: it does not begin with a line `From SENDER DATE`"));
        }
        Ok(mbox)
    }

    /// Reads a line, or a piece of a long one, with its end; nothing at the end of the file.
    fn read_line(&mut self) -> io::Result<()> {
        self.at_line_start = self.line.is_empty() || self.line.ends_with(b"\n");
        self.line.clear();
        let read = self.file.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut self.line)?;
        self.position += read as u64;
        Ok(())
    }

    fn read_message(&mut self, received: Timestamp, octets: &mut dyn Write) -> io::Result<Option<Head>> {
        let mut header = Header { notes: self.notes, ..Header::default() };
        self.read_header(&mut header, octets)?;
        match header.content_length.and_then(|length| self.position.checked_add(length)) {
            _ if self.separator.is_some() => {}
            Some(end) if self.is_end(end)? => self.copy_body(end, octets)?,
            _ => self.read_body(octets)?,
        }
        if std::mem::take(&mut self.at_first) && header.is_internal() {
            return Ok(None);
        }
        Ok(Some(Head { flags: header.flags, internal_date: received, labels: header.labels }))
    }

    /// Reads fields up to the empty line, or to a separator, and writes those that are the message's own.
    fn read_header(&mut self, header: &mut Header, octets: &mut dyn Write) -> io::Result<()> {
        let mut field = Vec::new();
        loop {
            self.read_line()?;
            let continues =
                !self.at_line_start || self.line.starts_with(b" ") || self.line.starts_with(b"\t");
            if !(continues && field.len() < LONGEST_FIELD) {
                header.end_field(&field, octets)?;
                field.clear();
            }
            self.separator = separator(&self.line).filter(|_| self.at_line_start);
            if self.line.is_empty() || self.separator.is_some() {
                return Ok(());
            }
            if self.at_line_start && is_empty(&self.line) {
                octets.write_all(b"\r\n")?;
                return Ok(());
            }
            field.extend_from_slice(&self.line);
        }
    }

    /// Whether a message ends at this place: the file does, or a separator follows.
    fn is_end(&self, end: u64) -> io::Result<bool> {
        let mut next = [0; LONGEST_SEPARATOR];
        let Some((file, _)) = self.ahead.as_ref().filter(|(_, length)| end <= *length) else {
            return Ok(false);
        };
        let read = file.read_at(&mut next, end)?;
        let next = next.get(..read).unwrap_or_default();
        let next = next.strip_prefix(b"\r").unwrap_or(next);
        Ok(next.is_empty() || next == b"\n" || next.strip_prefix(b"\n").is_some_and(begins_with_separator))
    }

    fn copy_body(&mut self, end: u64, octets: &mut dyn Write) -> io::Result<()> {
        let mut last = b'\n';
        while self.position < end {
            let piece = self.file.fill_buf()?;
            let wanted = usize::try_from(end - self.position).unwrap_or(usize::MAX);
            let piece = piece.get(..piece.len().min(wanted)).unwrap_or_default();
            if piece.is_empty() {
                break;
            }
            last = write_with_crlf(piece, last, octets)?;
            let taken = piece.len();
            self.file.consume(taken);
            self.position += taken as u64;
        }
        self.line.clear();
        self.read_line()?;
        while is_empty(&self.line) {
            self.read_line()?;
        }
        self.separator = separator(&self.line);
        match self.separator {
            None if !self.line.is_empty() => Err(io::Error::other("changed while it was read")),
            _ => Ok(()),
        }
    }

    /// Reads lines up to an empty one with a separator behind it.
    fn read_body(&mut self, octets: &mut dyn Write) -> io::Result<()> {
        let (mut withheld, mut last) = (Vec::new(), b'\n');
        // The header's own empty line may be all that stands before the next message.
        let mut after_empty = true;
        loop {
            self.read_line()?;
            if self.line.is_empty() {
                return Ok(());
            }
            if self.at_line_start && after_empty {
                self.separator = separator(&self.line);
                if self.separator.is_some() {
                    return Ok(());
                }
            }
            last = write_with_crlf(&withheld, last, octets)?;
            withheld.clear();
            after_empty = self.at_line_start && is_empty(&self.line);
            if after_empty {
                withheld.clone_from(&self.line);
            } else {
                last = write_with_crlf(self.unquoted(), last, octets)?;
            }
        }
    }

    fn unquoted(&self) -> &[u8] {
        let line = self.line.as_slice();
        let Some(inner) = line.strip_prefix(b">").filter(|_| self.at_line_start) else { return line };
        let marks = match self.quoting {
            Quoting::Every => inner.iter().take_while(|octet| **octet == b'>').count(),
            Quoting::First => 0,
        };
        if inner.get(marks..).is_some_and(|rest| rest.starts_with(b"From ")) { inner } else { line }
    }
}

impl Source for Mbox {
    fn next(&mut self, octets: &mut dyn Write) -> Option<Result<Head, Unread>> {
        loop {
            let received = self.separator.take()?;
            match self.read_message(received, octets) {
                Ok(None) => {}
                Ok(Some(head)) => return Some(Ok(head)),
                Err(error) => return Some(Err(Unread::new(self.path.display(), error))),
            }
        }
    }

    fn position(&self) -> u64 {
        self.position
    }
}

/// What the fields of one message tell.
#[derive(Default)]
struct Header {
    flags: Flags,
    content_length: Option<u64>,
    has_x_imap: bool,
    has_internal_subject: bool,
    notes: Notes,
    /// As Takeout writes them, folded and encoded.
    labels: Option<String>,
}

/// Where notes stand.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Notes {
    /// No field was read yet.
    #[default]
    Unknown,
    /// At the beginning, as `export` writes them: what comes later is the message's own.
    First,
    Anywhere,
    Nowhere,
    /// Takeout's two fields, at the beginning.
    Takeout,
}

impl Header {
    /// Writes a field, unless it is a note.
    fn end_field(&mut self, field: &[u8], octets: &mut dyn Write) -> io::Result<()> {
        let name = field.split(|octet| *octet == b':').next().unwrap_or_default();
        let is = |note: &str| name.eq_ignore_ascii_case(note.as_bytes());
        if self.notes == Notes::Takeout && !field.is_empty() {
            let value =
                || String::from_utf8_lossy(field.get(name.len() + 1..).unwrap_or_default()).into_owned();
            match () {
                () if is(LABELS) => self.labels = Some(value()),
                () if is(THREAD) => {}
                () => self.notes = Notes::Nowhere,
            }
            if self.notes == Notes::Takeout {
                return Ok(());
            }
        }
        let note = NOTES.into_iter().find(|note| is(note));
        self.notes = match (self.notes, note) {
            (Notes::Unknown, Some("Status")) => Notes::First,
            (Notes::Unknown, _) if !field.is_empty() => Notes::Anywhere,
            (Notes::First, note) if !note.is_some_and(|note| OWN_NOTES.contains(&note)) => Notes::Nowhere,
            (notes, _) => notes,
        };
        match note {
            Some(note) if self.notes != Notes::Nowhere => {
                let value = field.get(name.len() + 1..).unwrap_or_default();
                self.take(note, &String::from_utf8_lossy(value));
            }
            _ => {
                self.has_internal_subject |= is_internal_subject(field);
                write_with_crlf(field, b'\n', octets)?;
            }
        }
        Ok(())
    }

    /// Whether the message is none: a mail program keeps its own affairs in it.
    fn is_internal(&self) -> bool {
        self.has_x_imap && self.has_internal_subject
    }

    fn take(&mut self, note: &str, value: &str) {
        match note {
            "Status" | "X-Status" => {
                let flags = LETTERS.iter().filter(|(letter, _)| value.contains(*letter));
                let flags = flags.filter(|(letter, _)| *letter != 'D' || self.notes == Notes::First);
                self.flags.system = flags.fold(self.flags.system, |all, (_, flag)| all | *flag);
            }
            "X-Keywords" => {
                let free = KEYWORDS_MAX.saturating_sub(self.flags.keywords.len());
                let keywords = value.split_whitespace().filter_map(|name| Keyword::new(name).ok());
                self.flags.keywords.extend(keywords.take(free));
            }
            "X-IMAP" => self.has_x_imap = true,
            "Content-Length" => self.content_length = value.trim().parse().ok(),
            _ => {}
        }
    }
}

fn is_internal_subject(field: &[u8]) -> bool {
    let field = String::from_utf8_lossy(field);
    let parts = field.split_once(':');
    parts
        .is_some_and(|(name, value)| name.eq_ignore_ascii_case("Subject") && value.trim() == INTERNAL_SUBJECT)
}

fn is_empty(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n")
}

fn begins_with_separator(octets: &[u8]) -> bool {
    let mut lines = octets.split_inclusive(|octet| *octet == b'\n');
    lines.next().is_some_and(|line| separator(line).is_some())
}

/// The date of a line `From SENDER DATE`; nothing where it is none.
fn separator(line: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(line.strip_prefix(b"From ")?).ok()?;
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    words.windows(3).enumerate().find_map(|(at, date)| {
        let [month, day, time] = date else { return None };
        date_of(month, day, time, words.get(at + 3..)?)
    })
}

/// `Nov 14 22:13:20`, and a year and perhaps a zone in any order.
fn date_of(month: &str, day: &str, time: &str, rest: &[&str]) -> Option<Timestamp> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = (1..).zip(MONTHS).find(|(_, name)| *name == month)?.0;
    let mut parts = time.splitn(3, ':').map(|part| part.parse::<i8>().ok());
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().map_or(Some(0), |second| second)?;
    let year = rest.iter().find(|word| word.len() == 4).and_then(|word| word.parse::<i16>().ok())?;
    let date = DateTime::new(year, month, day.parse().ok()?, hour, minute, second.min(59), 0).ok()?;
    let zone = rest.iter().find_map(|word| offset(word)).unwrap_or(Offset::UTC);
    Some(date.to_zoned(TimeZone::fixed(zone)).ok()?.timestamp())
}

/// `+0100`
fn offset(word: &str) -> Option<Offset> {
    let (sign, digits) = match word.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let number: i32 = digits.parse().ok().filter(|_| digits.len() == 4)?;
    Offset::from_seconds(sign * (number / 100 * 3600 + number % 100 * 60)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, quoting: Quoting) -> Vec<(String, Flags, i64)> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        let mut mbox = Mbox::open(file.path(), quoting).expect("an mbox");
        let mut found = Vec::new();
        loop {
            let mut octets = Vec::new();
            let Some(head) = mbox.next(&mut octets) else { return found };
            let Head { flags, internal_date, .. } = head.expect("read");
            found.push((String::from_utf8(octets).expect("text"), flags, internal_date.as_second()));
        }
    }

    const FROM: &str = "From ana@home.example Tue Nov 14 22:13:20 2023\n";

    #[test]
    fn messages_end_before_a_separator_only() {
        let text = format!(
            "{FROM}Subject: one\n\nFrom here to there.\n\nFrom now on\n>From me\n>>From you\n\n{FROM}Subject: two\n\n\
             {FROM}Subject: three\r\n\r\nend"
        );
        let texts = |quoting| read(&text, quoting).into_iter().map(|(text, ..)| text).collect::<Vec<_>>();
        let first = "Subject: one\r\n\r\nFrom here to there.\r\n\r\nFrom now on\r\nFrom me\r\n";
        let others = ["Subject: two\r\n\r\n", "Subject: three\r\n\r\nend"];
        assert_eq!(texts(Quoting::Every), [&format!("{first}>From you\r\n"), others[0], others[1]]);
        assert_eq!(texts(Quoting::First), [&format!("{first}>>From you\r\n"), others[0], others[1]]);
    }

    #[test]
    fn notes_become_flags_and_go() {
        let text = format!(
            "{FROM}Subject: a\nX-UID: 7\nStatus: RO\nX-Status: AF\nX-Keywords: $Work (no Later   \nTo: b\n\nx\n"
        );
        let [(octets, flags, date)] = read(&text, Quoting::Every).try_into().expect("one");
        assert_eq!(octets, "Subject: a\r\nTo: b\r\n\r\nx\r\n");
        assert_eq!(flags.system, SystemFlags::SEEN | SystemFlags::ANSWERED | SystemFlags::FLAGGED);
        assert_eq!(flags.keywords.iter().map(Keyword::as_str).collect::<Vec<_>>(), ["$Work", "Later"]);
        assert_eq!(date, 1_700_000_000);
        let own = format!("{FROM}Status: O\nSubject: a\nStatus: mine\n\n");
        assert_eq!(read(&own, Quoting::Every)[0].0, "Subject: a\r\nStatus: mine\r\n\r\n");
        let internal = format!("{FROM}Subject: {INTERNAL_SUBJECT}\nX-IMAP: 1 2\n\nx\n\n{FROM}Subject: a\n\n");
        assert_eq!(read(&internal, Quoting::Every).len(), 1);
    }

    #[test]
    fn a_length_that_leads_to_the_next_message_is_believed() {
        let body = format!("\n{FROM}not a header\n>From me\n");
        let message = |length: usize| format!("{FROM}Content-Length: {length}\nSubject: a\n\n{body}\n");
        let whole = message(body.len()).repeat(2);
        let found = read(&whole, Quoting::Every);
        let expected = format!("Subject: a\r\n\r\n{}", body.replace('\n', "\r\n"));
        assert_eq!(found.iter().map(|(text, ..)| text.as_str()).collect::<Vec<_>>(), [&expected, &expected]);
        assert_eq!(read(&message(body.len() - 1), Quoting::Every).len(), 2, "a wrong one is not");
    }

    #[test]
    fn fields_of_a_sender_lose_no_message() {
        let text = format!(
            "{FROM}Subject: a\n\n\n{FROM}Subject: b\nX-IMAP: 1\nX-Status: DF\n\nx\n\n{FROM}Subject: c\n\n"
        );
        let found = read(&text, Quoting::Every);
        let subjects = found.iter().map(|(text, ..)| text.get(..10));
        assert_eq!(subjects.collect::<Vec<_>>(), ["Subject: a", "Subject: b", "Subject: c"].map(Some));
        assert_eq!(found[1].1.system, SystemFlags::FLAGGED, "not deleted");
        let first = format!("{FROM}Subject: a\nX-IMAP: 1\n\nx\n");
        assert_eq!(read(&first, Quoting::Every).len(), 1, "the first one is a message too");
        let exported = format!("{FROM}Status: RO\nX-Status: D\nX-IMAP: 1\nSubject: a\n\nx\n");
        let [(octets, flags, _)] = read(&exported, Quoting::Every).try_into().expect("one");
        assert_eq!(octets, "X-IMAP: 1\r\nSubject: a\r\n\r\nx\r\n");
        assert_eq!(flags.system, SystemFlags::SEEN | SystemFlags::DELETED);
    }

    #[test]
    fn no_length_of_a_sender_ends_the_file() {
        let subjects = |field: &str| {
            let text = format!(
                "{FROM}Subject: a\n\n\n{FROM}{field}\n\none\n\nFrom here\ntwo\n\n{FROM}Subject: c\n\n"
            );
            let found = read(&text, Quoting::Every);
            (found.len(), found.get(1).map(|(text, ..)| text.contains("From here\r\ntwo\r\n")))
        };
        // To the line end before the message's own separator, and to a line that only begins as one.
        let header = FROM.len() + "Content-Length: 18446744073709551615\n\n".len();
        for length in (u64::MAX - 2 * header as u64..=u64::MAX).chain(0..16) {
            let expected = (3, Some(true));
            assert_eq!(subjects(&format!("Content-Length: {length}")), expected, "{length}");
        }
    }

    #[test]
    fn a_message_has_only_some_keywords() {
        let many: String = (0..5_000).map(|number| format!(" k{number}")).collect();
        let text = format!("{FROM}X-Keywords:{many}\nSubject: a\n\n");
        assert_eq!(read(&text, Quoting::Every)[0].1.keywords.len(), KEYWORDS_MAX);
    }

    #[test]
    fn dates_are_read_as_programs_write_them() {
        for line in [
            "From - Tue Nov 14 22:13:20 2023",
            "From a b@c Tue Nov 14 23:13:20 2023 +0100",
            "From MAILER-DAEMON Tue Nov 14 17:13:20 -0500 2023",
            "From x Tue Nov 14 22:13:20 UTC 2023",
        ] {
            assert_eq!(separator(line.as_bytes()).map(Timestamp::as_second), Some(1_700_000_000), "{line}");
        }
        for line in [
            "From here to there",
            "From x Tue Nov 14",
            "from x Tue Nov 14 22:13:20 2023",
            "From x Nov 99 1:2:3 2023",
        ] {
            assert_eq!(separator(line.as_bytes()), None, "{line}");
        }
    }
}
