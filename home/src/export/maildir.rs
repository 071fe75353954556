//! Maildir++ as Dovecot and Courier read it.
//!
//! ```text
//! TARGET/{cur,new,tmp}            INBOX
//! TARGET/.Work.2026/{cur,new,tmp} Work/2026, in modified UTF-7 (RFC 3501 §5.1.3); `.` in a level is `\2e`, see `name`
//! …/cur/SECONDS.UID.postern,S=OCTETS:2,FLAGS    modification time: when the message was received
//! …/dovecot-keywords              the names of the flags a to z
//! ```
//!
//! A message's octets are as they came, with CRLF.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use postern_imap::types::NameEncoding;
use postern_store::account::{Flags, SystemFlags};

use super::{Readable, name};

/// System flags by their letters, which stand in this order.
pub(crate) const LETTERS: [(SystemFlags, char); 5] = [
    (SystemFlags::DRAFT, 'D'),
    (SystemFlags::FLAGGED, 'F'),
    (SystemFlags::ANSWERED, 'R'),
    (SystemFlags::SEEN, 'S'),
    (SystemFlags::DELETED, 'T'),
];
const KEYWORDS: usize = 26;

pub(super) fn write(messages: &mut Readable<'_>, directory: &Path) -> io::Result<()> {
    for part in ["cur", "new", "tmp"] {
        fs::create_dir_all(directory.join(part))?;
    }
    if messages.mailbox.name != "INBOX" {
        File::create(directory.join("maildirfolder"))?;
    }
    let mut keywords = Vec::new();
    messages.each(|message, octets| {
        let seconds = message.email.internal_date.as_second();
        let letters = letters(&message.flags, &mut keywords);
        let name = format!("{seconds}.{}.postern,S={}:2,{letters}", message.uid, message.email.size);
        let (unfinished, finished) = (directory.join("tmp").join(&name), directory.join("cur").join(&name));
        let mut file = File::create_new(&unfinished)?;
        loop {
            let piece = octets.next();
            if piece.is_empty() {
                break;
            }
            file.write_all(&piece)?;
        }
        if octets.failed.is_some() {
            return fs::remove_file(&unfinished);
        }
        let received = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        file.set_modified(SystemTime::UNIX_EPOCH + received)?;
        fs::rename(unfinished, finished)
    })?;
    if !keywords.is_empty() {
        let lines = keywords.iter().enumerate().map(|(number, name)| format!("{number} {name}\n"));
        fs::write(directory.join("dovecot-keywords"), lines.collect::<String>())?;
    }
    Ok(())
}

/// The directory of a mailbox.
pub(super) fn path(target: &Path, mailbox: &str) -> PathBuf {
    if mailbox == "INBOX" {
        return target.to_owned();
    }
    let level = |level: &str| name::escape(level, |_, character| character == '.');
    let levels: Vec<String> = mailbox.split('/').map(level).collect();
    let name = NameEncoding::ModifiedUtf7.encode(&format!(".{}", levels.join(".")));
    target.join(name::fit(name, name::LONGEST))
}

/// The flags' letters, in the order of ASCII; keywords past the twenty-sixth have none.
fn letters(flags: &Flags, keywords: &mut Vec<String>) -> String {
    let system = LETTERS.iter().filter(|(flag, _)| flags.system.contains(*flag)).map(|(_, letter)| *letter);
    let mut letters: Vec<char> = system.collect();
    for keyword in &flags.keywords {
        let known = keywords.iter().position(|name| name == keyword.as_str());
        let index = known.unwrap_or_else(|| {
            keywords.push(keyword.as_str().to_owned());
            keywords.len() - 1
        });
        if index < KEYWORDS {
            letters.extend(u8::try_from(index).ok().map(|index| char::from(b'a' + index)));
        }
    }
    letters.sort_unstable();
    letters.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_have_their_directories() {
        let target = Path::new("/t");
        assert_eq!(path(target, "INBOX"), Path::new("/t"));
        assert_eq!(path(target, "Work/v1.2/Grüße"), Path::new("/t/.Work.v1\\2e2.Gr&APwA3w-e"));
        assert_eq!(path(target, ".."), Path::new("/t/.\\2e\\2e"));
    }
}
