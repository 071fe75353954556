//! Mail brought in: from a Maildir, from mbox files or Google Takeout (`takeout`), and from other servers ([`imap`], run by [`jobs`]).
//!
//! What follows is the former.
//!
//! In: a directory or a file, and the account of one user, which nobody else has open. Out: its messages in mailboxes of
//! the same names, with octets, flags, keywords and dates of receipt, and a [`Report`]. Refused: what is neither form. A
//! message that cannot be read, and a mailbox whose name cannot be, are named in the report, and the rest is brought in.
//!
//! *No message twice.* One that its mailbox holds already, with the same octets and the same date, is passed over, as often
//! as it is there. So an import that was killed is begun again and goes on where it was; nothing is kept for that.

pub mod imap;
pub mod jobs;

mod folders;
mod intake;
mod labels;
mod maildir;
mod mbox;
mod open;
mod takeout;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use postern_store::account::{Account, Append, Flags, Holdings, MailboxId};
use postern_store::{BlobHash, Error, Staging, Store, Timestamp};
use serde::{Deserialize, Serialize};

pub use folders::{Folder, Form, folders};

/// Messages, and octets of messages, that are stored in one commit.
const BATCH: usize = 64;
const BATCH_OCTETS: u64 = 16 * 1024 * 1024;

/// What stands beside a message's octets.
#[derive(Debug)]
struct Head {
    flags: Flags,
    internal_date: Timestamp,
    /// Gmail's, where the source has them.
    labels: Option<String>,
}

/// A mailbox that is read, one message after the other.
trait Source {
    /// Writes the next message's octets, with CRLF at the end of lines; `None` at the end.
    fn next(&mut self, octets: &mut dyn Write) -> Option<Result<Head, Unread>>;

    /// Octets of the source that are behind.
    fn position(&self) -> u64;
}

/// Why a message was not read.
#[derive(Debug)]
struct Unread {
    what: String,
    error: io::Error,
}

/// What is done with the messages.
pub enum Mode<'a> {
    /// They are stored.
    Store(&'a Store),
    /// They are only counted.
    Count,
}

/// What was brought in, and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Each mailbox that was found.
    pub mailboxes: Vec<Imported>,
    /// A line for each thing that could not be read or stored.
    pub lost: Vec<String>,
}

/// What came into one mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Its name.
    pub mailbox: String,
    /// Messages brought in, or to be.
    pub messages: u64,
    /// Messages that were there already.
    pub present: u64,
}

impl Report {
    /// Messages brought in, or to be.
    pub fn messages(&self) -> u64 {
        self.mailboxes.iter().map(|imported| imported.messages).sum()
    }

    /// Messages that were there already.
    pub fn present(&self) -> u64 {
        self.mailboxes.iter().map(|imported| imported.present).sum()
    }

    /// Takes in what another part of the same import did.
    fn add(&mut self, more: Report) {
        for one in more.mailboxes {
            match self.mailboxes.iter_mut().find(|known| known.mailbox == one.mailbox) {
                Some(known) => {
                    known.messages += one.messages;
                    known.present += one.present;
                }
                None => self.mailboxes.push(one),
            }
        }
        self.lost.extend(more.lost);
    }
}

/// Brings every folder into the account; of an account that is not there yet, everything is counted. `progress` is told the
/// octets behind and the mailbox, often.
///
/// # Errors
/// What the store refuses: everything that was committed before is there, and the same call goes on after it.
pub fn import(
    account: Option<&Account>,
    mode: &Mode<'_>,
    folders: &[Folder],
    mut progress: impl FnMut(u64, &str),
) -> Result<Report, Error> {
    let mut report = Report::default();
    let mut behind = 0;
    for folder in folders {
        let mut tell = |position: u64| progress(behind + position, &folder.mailbox);
        match folder.open() {
            Ok(mut source) if folder.is_takeout() => {
                report.add(takeout::bring(account, mode, source.as_mut(), &mut tell)?);
            }
            Ok(mut source) => match Mailbox::open(account, mode, &folder.mailbox) {
                Ok(mailbox) => mailbox.fill(source.as_mut(), &mut report, &mut tell)?,
                Err(Error::Permanent(why)) => report.lost.push(format!("{}: {why}", folder.path.display())),
                Err(error) => return Err(error),
            },
            Err(error) => report.lost.push(format!("{}: {error}", folder.path.display())),
        }
        behind += folder.octets;
    }
    Ok(report)
}

/// A mailbox that is filled.
struct Mailbox<'a> {
    name: &'a str,
    held: Holdings,
    into: Option<(&'a Store, &'a Account, MailboxId)>,
    waiting: Vec<Append>,
    imported: Imported,
}

impl<'a> Mailbox<'a> {
    fn open(account: Option<&'a Account>, mode: &Mode<'a>, name: &'a str) -> Result<Mailbox<'a>, Error> {
        let found = match (account, mode) {
            (Some(account), Mode::Store(_)) => Some(account.mailbox_named_or_made(name)?),
            (Some(account), Mode::Count) => account.mailbox_named(name).ok().map(|mailbox| mailbox.id),
            (None, _) => None,
        };
        let held = match (account, found) {
            (Some(account), Some(mailbox)) => account.holdings(mailbox)?,
            _ => Holdings::default(),
        };
        let into = match (mode, account, found) {
            (Mode::Store(store), Some(account), Some(mailbox)) => Some((*store, account, mailbox)),
            _ => None,
        };
        let imported = Imported { mailbox: name.to_owned(), messages: 0, present: 0 };
        Ok(Mailbox { name, held, into, waiting: Vec::new(), imported })
    }

    fn fill(
        mut self,
        source: &mut dyn Source,
        report: &mut Report,
        tell: &mut impl FnMut(u64),
    ) -> Result<(), Error> {
        loop {
            let mut sink = match self.into {
                Some((store, ..)) => Sink::Stage(Box::new(store.stage())),
                None => Sink::Hash(Context::new(&SHA256)),
            };
            match source.next(&mut sink) {
                None => break,
                Some(Ok(head)) => self.take(sink, head, report)?,
                Some(Err(unread)) => report.lost.push(format!("{}: {}", self.name, unread.or_fault()?)),
            }
            tell(source.position());
        }
        self.commit(report)?;
        report.mailboxes.push(self.imported);
        Ok(())
    }

    fn take(&mut self, sink: Sink, head: Head, report: &mut Report) -> Result<(), Error> {
        let Head { flags, internal_date, .. } = head;
        match sink {
            Sink::Hash(context) => self.count(hash(context), internal_date),
            Sink::Stage(staging) => {
                let message = Arc::new(staging.finish()?);
                if self.is_held(message.hash(), internal_date) {
                    return Ok(());
                }
                self.waiting.push(Append { message, flags, internal_date });
                let octets: u64 = self.waiting.iter().map(|append| append.message.size()).sum();
                if self.waiting.len() >= BATCH || octets >= BATCH_OCTETS {
                    self.commit(report)?;
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, hash: BlobHash, internal_date: Timestamp) {
        if !self.is_held(hash, internal_date) {
            self.imported.messages += 1;
        }
    }

    fn is_held(&mut self, hash: BlobHash, internal_date: Timestamp) -> bool {
        let is_held = self.held.take(hash, internal_date);
        self.imported.present += u64::from(is_held);
        is_held
    }

    fn commit(&mut self, report: &mut Report) -> Result<(), Error> {
        let Some((_, account, mailbox)) = self.into else { return Ok(()) };
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        match account.append(mailbox, waiting.clone()) {
            Ok(stored) => self.imported.messages += stored.len() as u64,
            Err(Error::Permanent(_)) => {
                for append in waiting {
                    self.store_alone(account, mailbox, append, report)?;
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// One message that the store refuses for good does not take the others with it. If only its keywords are too much
    /// for the account, it goes without.
    fn store_alone(
        &mut self,
        account: &Account,
        mailbox: MailboxId,
        append: Append,
        report: &mut Report,
    ) -> Result<(), Error> {
        let (mut bare, received) = (append.clone(), append.internal_date);
        bare.flags.keywords.clear();
        for (append, lost) in [(append, "keywords of the message"), (bare, "the message")] {
            match account.append(mailbox, vec![append]) {
                Ok(stored) => {
                    self.imported.messages += stored.len() as u64;
                    return Ok(());
                }
                Err(Error::Permanent(why)) => {
                    report.lost.push(format!("{}: {lost} of {received}: {why}", self.name));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Unread {
    fn new(what: impl std::fmt::Display, error: io::Error) -> Unread {
        Unread { what: what.to_string(), error }
    }

    /// A line for the report; but where the octets could not be written to the store, its error.
    fn or_fault(self) -> Result<String, Error> {
        match self.error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(fault) => Err(fault.clone()),
            None => Ok(format!("{}: {}", self.what, self.error)),
        }
    }
}

/// Where a message's octets go.
enum Sink {
    Stage(Box<Staging>),
    Hash(Context),
}

impl Write for Sink {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Sink::Stage(staging) => Write::write(staging.as_mut(), octets),
            Sink::Hash(context) => {
                context.update(octets);
                Ok(octets.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hash(context: Context) -> BlobHash {
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    BlobHash(hash)
}

/// Octets of a file; none of one that cannot be looked at.
fn octets(path: &Path) -> u64 {
    std::fs::symlink_metadata(path).map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests;
