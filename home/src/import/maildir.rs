//! A folder of a Maildir.
//!
//! In: a directory with `cur` and `new`, as any program writes it. Out: its messages in the order in which they came: flags
//! from the letters behind `:2,`, keywords by the file `dovecot-keywords`, the date from the file's modification time. A
//! file whose first line ends with CRLF counts as it stands; in others LF becomes CRLF.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use postern_store::Timestamp;
use postern_store::account::{Flags, Keyword};

use super::open::{self, Kind};
use super::{Head, Source, Unread};
use crate::export::maildir::LETTERS;

/// What the letter P stands for: passed on.
const FORWARDED: &str = "$Forwarded";

/// Octets of `dovecot-keywords` that are read; it has 26 lines.
const LONGEST_KEYWORDS: u64 = 64 * 1024;

/// Octets of a file that are read at once.
const STEP: usize = 256 * 1024;

pub(super) struct Maildir {
    files: std::vec::IntoIter<PathBuf>,
    keywords: HashMap<char, Keyword>,
    position: u64,
}

impl Maildir {
    pub(super) fn open(directory: &Path) -> io::Result<Maildir> {
        let mut files = Vec::new();
        for part in ["cur", "new"] {
            // What is no file is not left out here: opening it fails, and the report names it.
            let is_message =
                |path: &PathBuf| open::kind(path) != Kind::Directory && !name(path).starts_with('.');
            files.extend(entries(&directory.join(part))?.into_iter().filter(is_message));
        }
        files.sort_by_cached_key(|path| order(path));
        let mut keywords = String::new();
        if let Ok(file) = open::file(&directory.join("dovecot-keywords")) {
            // Without it the messages have no keywords, and nothing else is amiss.
            let _ = file.take(LONGEST_KEYWORDS).read_to_string(&mut keywords);
        }
        Ok(Maildir { files: files.into_iter(), keywords: keywords_of(&keywords), position: 0 })
    }

    fn read(&mut self, path: &Path, octets: &mut dyn Write) -> io::Result<Head> {
        let file = open::file(path)?;
        let metadata = file.metadata()?;
        self.position += metadata.len();
        copy(BufReader::with_capacity(STEP, file), octets)?;
        let internal_date = Timestamp::try_from(metadata.modified()?).map_err(io::Error::other)?;
        Ok(Head { flags: flags(&name(path), &self.keywords), internal_date, labels: None })
    }
}

impl Source for Maildir {
    fn next(&mut self, octets: &mut dyn Write) -> Option<Result<Head, Unread>> {
        let path = self.files.next()?;
        Some(self.read(&path, octets).map_err(|error| Unread::new(path.display(), error)))
    }

    fn position(&self) -> u64 {
        self.position
    }
}

/// A folder that nobody has read may lack one of its directories.
fn entries(directory: &Path) -> io::Result<Vec<PathBuf>> {
    match open::entries(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries,
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Files that `export` wrote go by their UID, others by the time at which they came, and the name that they got then.
fn order(path: &Path) -> (Option<u32>, SystemTime, String) {
    let name = name(path);
    let uid = name.split_once(".postern").and_then(|(before, _)| before.rsplit('.').next()?.parse().ok());
    let modified = fs::symlink_metadata(path).and_then(|metadata| metadata.modified());
    (uid, modified.unwrap_or(SystemTime::UNIX_EPOCH), name)
}

/// Lines of a number and a name: 0 is the letter a.
fn keywords_of(file: &str) -> HashMap<char, Keyword> {
    let keyword = |line: &str| {
        let (number, name) = line.split_once(' ')?;
        let letter =
            number.parse().ok().filter(|number| *number < 26).map(|number: u8| char::from(b'a' + number));
        Some((letter?, Keyword::new(name.trim()).ok()?))
    };
    file.lines().filter_map(keyword).collect()
}

fn flags(name: &str, keywords: &HashMap<char, Keyword>) -> Flags {
    let mut flags = Flags::default();
    // Some file systems cannot have a colon; programs there write `;` or `!`.
    let info =
        name.rsplit_once([':', ';', '!']).and_then(|(_, info)| info.strip_prefix("2,")).unwrap_or_default();
    for letter in info.chars() {
        if let Some((flag, _)) = LETTERS.iter().find(|(_, known)| *known == letter) {
            flags.system = flags.system | *flag;
        } else if letter == 'P' {
            flags.keywords.extend(Keyword::new(FORWARDED).ok());
        } else {
            flags.keywords.extend(keywords.get(&letter).cloned());
        }
    }
    flags
}

/// Copies a file's octets; where its first line ends with LF alone, LF becomes CRLF.
fn copy(mut file: impl BufRead, octets: &mut dyn Write) -> io::Result<()> {
    let mut piece = Vec::with_capacity(STEP);
    let mut last = file.by_ref().take(STEP as u64).read_until(b'\n', &mut piece).map(|_| 0)?;
    if !piece.ends_with(b"\n") || piece.ends_with(b"\r\n") {
        octets.write_all(&piece)?;
        io::copy(&mut file, octets)?;
        return Ok(());
    }
    while !piece.is_empty() {
        last = write_with_crlf(&piece, last, octets)?;
        piece.clear();
        file.by_ref().take(STEP as u64).read_to_end(&mut piece)?;
    }
    Ok(())
}

/// Writes octets with a CR before each LF that has none; `last` is the octet before them. Gives the last one.
pub(super) fn write_with_crlf(mut octets: &[u8], mut last: u8, to: &mut dyn Write) -> io::Result<u8> {
    while let Some(at) = octets.iter().position(|octet| *octet == b'\n') {
        let (line, rest) = octets.split_at(at);
        to.write_all(line)?;
        if line.last().copied().unwrap_or(last) != b'\r' {
            to.write_all(b"\r")?;
        }
        to.write_all(b"\n")?;
        last = b'\n';
        octets = rest.get(1..).unwrap_or_default();
    }
    to.write_all(octets)?;
    Ok(octets.last().copied().unwrap_or(last))
}

#[cfg(test)]
mod tests {
    use postern_store::account::SystemFlags;

    use super::*;

    fn copied(text: &str) -> String {
        let mut octets = Vec::new();
        copy(text.as_bytes(), &mut octets).expect("copied");
        String::from_utf8(octets).expect("text")
    }

    #[test]
    fn lines_end_with_crlf() {
        assert_eq!(copied("a: b\n\nc\r\nd"), "a: b\r\n\r\nc\r\nd");
        assert_eq!(copied("a: b\r\n\r\nbare\nline\r\n"), "a: b\r\n\r\nbare\nline\r\n", "as it came");
        assert_eq!(copied(""), "");
        let mut octets = Vec::new();
        let last = write_with_crlf(b"a\r", 0, &mut octets).expect("written");
        write_with_crlf(b"\nb\n", last, &mut octets).expect("written");
        assert_eq!(octets, b"a\r\nb\r\n", "between two pieces");
    }

    #[test]
    fn a_name_tells_the_flags() {
        let keywords = keywords_of("0 $Work\n1 (no\n2 Later\n");
        let found = flags("1700000000.M1P2.host,S=10,W=11:2,FSacPz", &keywords);
        assert_eq!(found.system, SystemFlags::FLAGGED | SystemFlags::SEEN);
        let names: Vec<&str> = found.keywords.iter().map(Keyword::as_str).collect();
        assert_eq!(names, ["$Work", "Later", "$Forwarded"]);
        assert!(flags("1700000000.M1P2.host", &keywords).is_empty());
        assert!(flags("1700000000.M1P2.host:1,S", &keywords).is_empty(), "an experimental form");
    }
}
