//! Where mail lies in a directory: each mailbox with its name.
//!
//! In: a path and, if it is known, a form. Out: a [`Folder`] for each mailbox, INBOX first. Refused: a path that is neither
//! form. Links below the path are listed, so that they are named, and not followed, see `open`. Names are read as `export` writes them, so that what was exported comes back under its name.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use postern_imap::types::NameEncoding;

use super::maildir::Maildir;
use super::mbox::{Mbox, Quoting};
use super::open::{self, Kind};
use super::{Source, octets, takeout};
use crate::export::mbox::ENDING;
use crate::export::name::unescape;

/// The form in which mail is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// A directory for each mailbox, a file for each message (Maildir++)
    Maildir,
    /// A file for each mailbox; `>From ` and `>>From ` lose one `>` (mboxrd), or none where Content-Length is right (mboxcl2)
    Mbox,
    /// The same, where only `>From ` loses its `>` (mboxo)
    Mboxo,
    /// What Google Takeout gives of Gmail: its .zip, the unpacked folder, or the .mbox in it; labels become mailboxes
    Takeout,
}

/// One mailbox in a directory.
#[derive(Debug, PartialEq, Eq)]
pub struct Folder {
    /// Its name here.
    pub mailbox: String,
    /// Its directory or its file.
    pub path: PathBuf,
    /// Octets that there are to read.
    pub octets: u64,
    pub(super) form: Form,
}

impl Folder {
    /// Whether its messages say themselves where they belong.
    pub(super) fn is_takeout(&self) -> bool {
        self.form == Form::Takeout
    }

    pub(super) fn open(&self) -> io::Result<Box<dyn Source>> {
        Ok(match self.form {
            Form::Maildir => Box::new(Maildir::open(&self.path)?),
            Form::Mbox => Box::new(Mbox::open(&self.path, Quoting::Every)?),
            Form::Mboxo => Box::new(Mbox::open(&self.path, Quoting::First)?),
            Form::Takeout => Box::new(takeout::open(&self.path, &self.mailbox)?),
        })
    }
}

/// The mailboxes at `path`; `under` is the mailbox that takes INBOX's place, and above which the others go.
///
/// # Errors
/// Where `path` cannot be read, or is not of the form.
pub fn folders(path: &Path, form: Option<Form>, under: Option<&str>) -> io::Result<Vec<Folder>> {
    // The operator's own path may lead over links.
    let path = &path.canonicalize()?;
    if form == Some(Form::Takeout) || (form.is_none() && takeout::is_archive(path)) {
        return match under {
            None => takeout::folders(path),
            Some(_) => {
                Err(io::Error::other("Takeout's labels say where each message goes; leave --mailbox out"))
            }
        };
    }
    let is_maildir = open::kind(&path.join("cur")) == Kind::Directory;
    let form = form.unwrap_or(if is_maildir { Form::Maildir } else { Form::Mbox });
    let mut found = match form {
        Form::Maildir if is_maildir => maildir_folders(path)?,
        Form::Maildir => return Err(io::Error::other("not a Maildir: it has no directory `cur`")),
        Form::Mbox | Form::Mboxo if path.is_dir() => mbox_files(path, "")?,
        Form::Mbox | Form::Mboxo | Form::Takeout => vec![("INBOX".to_owned(), path.to_owned())],
    };
    found.sort_by_key(|(name, _)| (name != "INBOX", name.clone()));
    let folders = found.into_iter().map(|(name, path)| {
        let octets = if form == Form::Maildir { maildir_octets(&path) } else { octets(&path) };
        Folder { mailbox: below(under, name), octets, path, form }
    });
    Ok(folders.collect())
}

fn below(under: Option<&str>, name: String) -> String {
    match under {
        None => name,
        Some(under) if name == "INBOX" => under.to_owned(),
        Some(under) => format!("{under}/{name}"),
    }
}

/// Maildir++: `.A.B` beside `cur` is the mailbox A/B.
fn maildir_folders(path: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = vec![("INBOX".to_owned(), path.to_owned())];
    for folder in open::entries(path)? {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(name) = name.strip_prefix('.')
            && (open::kind(&folder) == Kind::Link || open::kind(&folder.join("cur")) == Kind::Directory)
        {
            found.push((folder_name(name), folder));
        }
    }
    Ok(found)
}

/// Modified UTF-7, as Dovecot and Courier write it; what is not, counts as it stands.
fn folder_name(name: &str) -> String {
    let name = NameEncoding::ModifiedUtf7.decode(name.as_bytes()).unwrap_or_else(|| name.to_owned());
    name.split('.').map(unescape).collect::<Vec<_>>().join("/")
}

/// Files that begin as an mbox does, in directories of directories; what is hidden is passed over.
fn mbox_files(directory: &Path, above: &str) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for path in open::entries(directory)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        match open::kind(&path) {
            Kind::Directory => found.extend(mbox_files(&path, &format!("{above}{name}/"))?),
            Kind::File if !begins_as_mbox(&path)? => {}
            Kind::File | Kind::Link => found.push((mailbox_of(above, &name), path)),
            Kind::Other => {}
        }
    }
    Ok(found)
}

/// With its ending, a file that `export` wrote; without, Dovecot's, in modified UTF-7.
fn mailbox_of(above: &str, file: &str) -> String {
    let (path, is_own) = match file.strip_suffix(ENDING) {
        Some(level) => (format!("{above}{level}"), true),
        None => (format!("{above}{file}"), false),
    };
    let path = if is_own { path } else { NameEncoding::ModifiedUtf7.decode(path.as_bytes()).unwrap_or(path) };
    let name = path.split('/').map(unescape).collect::<Vec<_>>().join("/");
    if name.eq_ignore_ascii_case("INBOX") { "INBOX".to_owned() } else { name }
}

/// An empty file is a mailbox without messages.
fn begins_as_mbox(path: &Path) -> io::Result<bool> {
    let mut begin = Vec::new();
    open::file(path)?.take(5).read_to_end(&mut begin)?;
    Ok(begin == b"From " || (begin.is_empty() && path.to_string_lossy().ends_with(ENDING)))
}

fn maildir_octets(path: &Path) -> u64 {
    let entries =
        ["cur", "new"].into_iter().filter_map(|part| open::entries(&path.join(part)).ok()).flatten();
    entries.map(|entry| octets(&entry)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_files_have_the_names_of_their_mailboxes() {
        assert_eq!(folder_name("Work.2026"), "Work/2026");
        assert_eq!(folder_name("Gr&APwA3w-e"), "Grüße");
        assert_eq!(folder_name("v1\\2e2"), "v1.2");
        assert_eq!(folder_name("R&D"), "R&D", "no UTF-7");
        assert_eq!(mailbox_of("", "inbox"), "INBOX");
        assert_eq!(mailbox_of("Work/", "2026.mbox"), "Work/2026");
        assert_eq!(mailbox_of("", "a\\2embox.mbox"), "a.mbox");
        assert_eq!(mailbox_of("Gr&APwA3w-e/", "a"), "Grüße/a");
        assert_eq!(mailbox_of("Gr&APwA3w-e/", "a.mbox"), "Gr&APwA3w-e/a");
    }
}
