//! What Google Takeout gives of Gmail.
//!
//! In: the .zip as it was downloaded, the folder that it unpacks to, or an .mbox in it; each is read once, as it comes, and nothing
//! is unpacked. Out: each message with its labels (`X-Gmail-Labels`), by which it goes into its mailboxes as one that
//! comes by IMAP does; the two fields that Takeout puts before a header go, so the octets are those that the sender's server gave. Refused: an
//! archive with other compression than deflate, and one whose checksum is wrong.
//!
//! Where an archive was made in parts, each part is brought in by itself. What is spread over mailboxes is stored once.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use flate2::CrcReader;
use flate2::read::DeflateDecoder;
use mail_parser::MessageParser;
use postern_store::Error;
use postern_store::account::{Account, SystemFlags};
use zip::{CompressionMethod, ZipArchive};

use super::folders::{Folder, Form};
use super::intake::{Intake, Message};
use super::mbox::Mbox;
use super::open::{self, Kind};
use super::{BATCH, Head, Mode, Report, Sink, Source, hash, labels, octets};

/// Octets that are read at once.
const STEP: usize = 256 * 1024;

/// Whether this is an archive that only Takeout could have made of mail.
pub(super) fn is_archive(path: &Path) -> bool {
    open::kind(path) == Kind::File && has_ending(path, "zip")
}

/// The mbox files of an archive or a folder, or the file itself.
pub(super) fn folders(path: &Path) -> io::Result<Vec<Folder>> {
    let found = match open::kind(path) {
        Kind::Directory => {
            files(path)?.into_iter().map(|file| (file.display().to_string(), octets(&file), file)).collect()
        }
        _ if is_archive(path) => in_archive(path)?,
        _ => vec![(path.display().to_string(), octets(path), path.to_owned())],
    };
    if found.is_empty() {
        return Err(io::Error::other(
            "no .mbox in it; Takeout puts it into a folder `Mail` of one of the archives",
        ));
    }
    let folder = |(mailbox, octets, path)| Folder { mailbox, path, octets, form: Form::Takeout };
    Ok(found.into_iter().map(folder).collect())
}

fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in open::entries(directory)? {
        match open::kind(&path) {
            Kind::Directory => found.extend(files(&path)?),
            Kind::File if has_ending(&path, "mbox") => found.push(path),
            _ => {}
        }
    }
    found.sort();
    Ok(found)
}

fn in_archive(path: &Path) -> io::Result<Vec<(String, u64, PathBuf)>> {
    let mut archive = ZipArchive::new(BufReader::new(open::file(path)?))?;
    let mut found = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index)?;
        if entry.is_file() && has_ending(Path::new(entry.name()), "mbox") {
            found.push((entry.name().to_owned(), entry.size(), path.to_owned()));
        }
    }
    Ok(found)
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending))
}

/// Opens an mbox file, or the one of this name in an archive.
pub(super) fn open(path: &Path, name: &str) -> io::Result<Mbox> {
    let file: Box<dyn BufRead> = match is_archive(path) {
        true => Box::new(BufReader::with_capacity(STEP, entry(path, name)?)),
        false => Box::new(BufReader::with_capacity(STEP, open::file(path)?)),
    };
    Mbox::of_takeout(file, Path::new(name))
}

/// One file of an archive, unpacked as it is read.
struct Entry {
    octets: CrcReader<Box<dyn Read>>,
    checksum: u32,
}

fn entry(path: &Path, name: &str) -> io::Result<Entry> {
    let mut archive = ZipArchive::new(BufReader::new(open::file(path)?))?;
    let entry = archive.by_name(name)?;
    let begin = entry.data_start().ok_or_else(|| io::Error::other("an entry without a place"))?;
    let (length, method, checksum) = (entry.compressed_size(), entry.compression(), entry.crc32());
    let mut file: File = open::file(path)?;
    file.seek(SeekFrom::Start(begin))?;
    let packed = BufReader::with_capacity(STEP, file.take(length));
    let octets: Box<dyn Read> = match method {
        CompressionMethod::Stored => Box::new(packed),
        CompressionMethod::Deflated => Box::new(DeflateDecoder::new(packed)),
        other => {
            return Err(io::Error::other(format!(
                "packed by {other}, which is not read here; unpack it first"
            )));
        }
    };
    Ok(Entry { octets: CrcReader::new(octets), checksum })
}

impl Read for Entry {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.octets.read(buffer)?;
        if read == 0 && !buffer.is_empty() && self.octets.crc().sum() != self.checksum {
            return Err(io::Error::other("the archive is damaged: its checksum is wrong; download it again"));
        }
        Ok(read)
    }
}

/// Brings all messages of an mbox in, or counts them.
pub(super) fn bring(
    account: Option<&Account>,
    mode: &Mode<'_>,
    source: &mut dyn Source,
    tell: &mut impl FnMut(u64),
) -> Result<Report, Error> {
    let (mut intake, store) = match (mode, account) {
        (Mode::Store(store), Some(account)) => (Intake::new(account), Some(store)),
        _ => (Intake::counting(account), None),
    };
    let mut waiting = 0;
    loop {
        let mut sink = match store {
            Some(store) => Sink::Stage(Box::new(store.stage())),
            None => Sink::Hash(Context::new(&SHA256)),
        };
        match source.next(&mut sink) {
            None => break,
            Some(Err(unread)) => intake.lose(unread.or_fault()?),
            Some(Ok(Head { mut flags, internal_date, labels })) => {
                let message = match sink {
                    Sink::Stage(staging) => Message::Staged(Arc::new(staging.finish()?)),
                    Sink::Hash(context) => Message::Hashed(hash(context)),
                };
                let sorted = labels::sort(labels.as_deref().map(read_labels).unwrap_or_default());
                flags.system = flags.system | sorted.flags.system;
                if !sorted.is_unread {
                    flags.system = flags.system | SystemFlags::SEEN;
                }
                flags.keywords.extend(sorted.flags.keywords);
                intake.take(&message, &flags, internal_date, &sorted.places)?;
                waiting += 1;
            }
        }
        tell(source.position());
        if waiting >= BATCH {
            intake.commit()?;
            waiting = 0;
        }
    }
    intake.commit()?;
    Ok(intake.into_report())
}

/// `Inbox,"a, b",=?UTF-8?Q?Gr=C3=BC=C3=9Fe?=`, folded: labels with commas stand in quotation marks (RFC 2047 for the rest).
fn read_labels(field: &str) -> Vec<String> {
    let header = format!("Subject: {}\r\n\r\n", field.trim());
    let decoded = MessageParser::default().parse_headers(header.as_bytes());
    let decoded = decoded.as_ref().and_then(|message| message.subject()).unwrap_or(field.trim());
    let (mut labels, mut label, mut is_quoted) = (Vec::new(), String::new(), false);
    for character in decoded.chars() {
        match character {
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => labels.push(std::mem::take(&mut label)),
            character => label.push(character),
        }
    }
    labels.push(label);
    labels.into_iter().map(|label| label.trim().to_owned()).filter(|label| !label.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_unfolded_and_decoded() {
        assert_eq!(read_labels(" Inbox,\"a, b\",\r\n Work/2026\r\n"), ["Inbox", "a, b", "Work/2026"]);
        assert_eq!(
            read_labels(" =?UTF-8?Q?Posteingang,Ge=C3=B6ffnet,?=\r\n =?UTF-8?Q?Gr=C3=BC=C3=9Fe?="),
            ["Posteingang", "Geöffnet", "Grüße"]
        );
        assert!(read_labels("").is_empty());
    }
}
