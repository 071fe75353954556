//! The form mboxrd: a file `TARGET/MAILBOX.mbox` for each mailbox, a directory for each level above it. A `.` that begins a
//! level, or its ending `.mbox`, is `\2e`, see `name`.
//!
//! A message begins with `From - DATE`, the moment of its receipt, then come the fields that mail programs read flags
//! from (`Status`, `X-Status`, `X-Keywords`), then its octets with LF at the end of lines. A line that begins with `From `
//! after any number of `>` gets one more. RFC 4155 describes the family; it knows no flags.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use postern_store::account::{Message, SystemFlags};

use super::{Octets, Readable, name};

/// What a file's name ends with.
pub(crate) const ENDING: &str = ".mbox";

pub(super) fn write(messages: &mut Readable<'_>, path: &Path) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut file = BufWriter::new(File::create_new(path)?);
    messages.each(|message, octets| write_message(&mut file, message, octets))?;
    file.flush()
}

/// The file of a mailbox.
pub(super) fn path(target: &Path, mailbox: &str) -> PathBuf {
    let (above, last) = mailbox.rsplit_once('/').map_or((None, mailbox), |(above, last)| (Some(above), last));
    let mut path = target.to_owned();
    let levels = above.into_iter().flat_map(|above| above.split('/'));
    path.extend(levels.map(|level| name::fit(escape(level), name::LONGEST)));
    path.join(name::fit(escape(last), name::LONGEST - ENDING.len()) + ENDING)
}

/// `..` would lead out of the target, and a directory `a.mbox` would be where the file of the mailbox `a` is.
fn escape(level: &str) -> String {
    let ending = level.strip_suffix(ENDING).map(str::len);
    name::escape(level, |at, character| character == '.' && (at == 0 || Some(at) == ending))
}

fn write_message(file: &mut impl Write, message: &Message, octets: &mut Octets<'_>) -> io::Result<()> {
    let mut piece = octets.next();
    if octets.failed.is_some() {
        return Ok(());
    }
    let received = message.email.internal_date.strftime("%a %b %e %H:%M:%S %Y");
    write!(file, "From - {received}\n{}", status(message))?;
    let mut line = Vec::new();
    while !piece.is_empty() {
        for part in piece.split_inclusive(|octet| *octet == b'\n') {
            line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                write_line(file, &line)?;
                line.clear();
            }
        }
        piece = octets.next();
    }
    if !line.is_empty() {
        write_line(file, &line)?;
    }
    file.write_all(b"\n")
}

fn write_line(file: &mut impl Write, line: &[u8]) -> io::Result<()> {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let quoted = text.iter().position(|octet| *octet != b'>').unwrap_or(text.len());
    if text.get(quoted..).is_some_and(|rest| rest.starts_with(b"From ")) {
        file.write_all(b">")?;
    }
    file.write_all(text)?;
    file.write_all(b"\n")
}

fn status(message: &Message) -> String {
    let has = |flag| message.flags.system.contains(flag);
    let seen = if has(SystemFlags::SEEN) { "R" } else { "" };
    let letters = [
        (SystemFlags::ANSWERED, 'A'),
        (SystemFlags::FLAGGED, 'F'),
        (SystemFlags::DRAFT, 'T'),
        (SystemFlags::DELETED, 'D'),
    ];
    let more: String = letters.into_iter().filter(|(flag, _)| has(*flag)).map(|(_, letter)| letter).collect();
    let mut fields = format!("Status: {seen}O\n");
    if !more.is_empty() {
        fields += &format!("X-Status: {more}\n");
    }
    if !message.flags.keywords.is_empty() {
        let keywords: Vec<&str> = message.flags.keywords.iter().map(|keyword| keyword.as_str()).collect();
        fields += &format!("X-Keywords: {}\n", keywords.join(" "));
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_look_like_a_separator_are_quoted() {
        let mut written = Vec::new();
        for line in ["From me\r\n", ">From you\n", "From: x\r\n", " From y\r\n", ">> From\r\n", "end"] {
            write_line(&mut written, line.as_bytes()).expect("written");
        }
        let text = String::from_utf8(written).expect("text");
        assert_eq!(text, ">From me\n>>From you\nFrom: x\n From y\n>> From\nend\n");
    }

    #[test]
    fn no_name_leads_out_of_the_target() {
        assert_eq!(path(Path::new("/t"), "Work/2026"), Path::new("/t/Work/2026.mbox"));
        assert_eq!(path(Path::new("/t"), "../x"), Path::new("/t/\\2e./x.mbox"));
        assert_eq!(path(Path::new("/t"), "a.mbox/b"), Path::new("/t/a\\2embox/b.mbox"));
    }
}
