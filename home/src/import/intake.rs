//! Messages that each belong in one mailbox or in several of an account.
//!
//! In: staged messages with their places. Out: they are in the mailboxes, which are made where they are missing; in
//! [`Intake::commit`], which returns when they are durable. What a mailbox held before with the same octets and the same
//! date is passed over there, as often as it was there. Refused: nothing that the store takes; a message that it refuses for good is
//! named in the report, and the others go on.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use postern_store::account::{Account, Append, Flags, Holdings, Mailbox, MailboxId, SpecialUse};
use postern_store::{BlobHash, Error, StagedMessage, Timestamp};

use super::imap::Effect;
use super::{Imported, Report};

/// Where a message belongs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// The mailbox of this use, whatever it is called here.
    Special(SpecialUse),
    /// The mailbox of this name.
    Named(String),
}

/// For what has no other place.
pub(super) const ARCHIVE: Place = Place::Special(SpecialUse::Archive);

/// A mailbox that is filled.
struct Open {
    /// `None` where it is only counted.
    id: Option<MailboxId>,
    held: Holdings,
    waiting: Vec<Append>,
    imported: Imported,
}

/// A message on its way.
pub(super) enum Message {
    Staged(Arc<StagedMessage>),
    /// Only its hash: it is counted.
    Hashed(BlobHash),
}

/// Takes messages in, or counts them; see the module.
pub(super) struct Intake<'a> {
    /// One that is not there yet holds nothing.
    account: Option<&'a Account>,
    effect: Effect,
    mailboxes: HashMap<Place, Open>,
    lost: Vec<String>,
}

impl<'a> Intake<'a> {
    /// What is taken is stored.
    pub(super) fn new(account: &'a Account) -> Intake<'a> {
        Intake { account: Some(account), effect: Effect::Done, mailboxes: HashMap::new(), lost: Vec::new() }
    }

    /// What is taken is counted.
    pub(super) fn counting(account: Option<&'a Account>) -> Intake<'a> {
        Intake { account, effect: Effect::Counted, mailboxes: HashMap::new(), lost: Vec::new() }
    }

    /// Keeps a message for the next commit.
    pub(super) fn take(
        &mut self,
        message: &Message,
        flags: &Flags,
        internal_date: Timestamp,
        places: &[Place],
    ) -> Result<(), Error> {
        for place in places {
            let mailbox = match self.mailbox(place) {
                // A name that cannot be here does not lose the message.
                Err(Error::Permanent(why)) if *place != ARCHIVE => {
                    self.lost.push(format!("the mailbox of {place:?}, whose messages are in Archive: {why}"));
                    self.mailbox(&ARCHIVE)?
                }
                mailbox => mailbox?,
            };
            let hash = match message {
                Message::Staged(message) => message.hash(),
                Message::Hashed(hash) => *hash,
            };
            match message {
                _ if mailbox.held.take(hash, internal_date) => mailbox.imported.present += 1,
                Message::Hashed(_) => mailbox.imported.messages += 1,
                Message::Staged(message) => {
                    let message = Arc::clone(message);
                    mailbox.waiting.push(Append { message, flags: flags.clone(), internal_date });
                }
            }
        }
        Ok(())
    }

    /// Makes a mailbox that may stay empty.
    ///
    /// # Errors
    /// As the store refuses it.
    pub(super) fn prepare(&mut self, place: &Place) -> Result<(), Error> {
        self.mailbox(place).map(drop)
    }

    /// Names something that could not be brought in.
    pub(super) fn lose(&mut self, what: String) {
        self.lost.push(what);
    }

    fn mailbox(&mut self, place: &Place) -> Result<&mut Open, Error> {
        let opened = match self.mailboxes.entry(place.clone()) {
            Entry::Occupied(open) => return Ok(open.into_mut()),
            Entry::Vacant(vacant) => vacant,
        };
        let found = match (self.account, self.effect) {
            (Some(account), Effect::Done) => Some(account.mailbox(made(account, place)?)?),
            (Some(account), Effect::Counted) => there(account, place)?,
            (None, _) => None,
        };
        let held = match (self.account, &found) {
            (Some(account), Some(mailbox)) => account.holdings(mailbox.id)?,
            _ => Holdings::default(),
        };
        let (id, mailbox) = match (found, place) {
            (Some(mailbox), _) => (Some(mailbox.id), mailbox.name),
            (None, Place::Special(special_use)) => (None, special_use.name().to_owned()),
            (None, Place::Named(name)) => (None, name.clone()),
        };
        let imported = Imported { mailbox, messages: 0, present: 0 };
        Ok(opened.insert(Open { id, held, waiting: Vec::new(), imported }))
    }

    /// Stores what waits; durable on return.
    ///
    /// # Errors
    /// What the store refuses for now, the quota among it; what waited is forgotten then and must be taken again.
    pub(super) fn commit(&mut self) -> Result<(), Error> {
        let Some(account) = self.account else { return Ok(()) };
        for mailbox in self.mailboxes.values_mut() {
            let Some(id) = mailbox.id else { continue };
            let waiting = std::mem::take(&mut mailbox.waiting);
            if waiting.is_empty() {
                continue;
            }
            match account.append(id, waiting.clone()) {
                Ok(stored) => mailbox.imported.messages += stored.len() as u64,
                Err(Error::Permanent(_)) => {
                    for append in waiting {
                        store_alone(account, id, append, &mut mailbox.imported, &mut self.lost)?;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What came in, mailbox by mailbox.
    pub(super) fn into_report(self) -> Report {
        let mut mailboxes: Vec<_> = self.mailboxes.into_values().map(|open| open.imported).collect();
        mailboxes.sort_by(|one, other| one.mailbox.cmp(&other.mailbox));
        Report { mailboxes, lost: self.lost }
    }
}

fn made(account: &Account, place: &Place) -> Result<MailboxId, Error> {
    match place {
        Place::Special(special_use) => account.mailbox_for(*special_use),
        Place::Named(name) => account.mailbox_named_or_made(name),
    }
}

/// The same, and nothing is made.
fn there(account: &Account, place: &Place) -> Result<Option<Mailbox>, Error> {
    let mailboxes = account.mailboxes()?;
    Ok(match place {
        Place::Special(special_use) => {
            mailboxes.into_iter().find(|mailbox| mailbox.special_use == Some(*special_use))
        }
        Place::Named(name) => mailboxes.into_iter().find(|mailbox| mailbox.name == *name),
    })
}

/// One message that the store refuses for good does not take the others with it. If only its keywords are too much for the
/// account, it goes without.
fn store_alone(
    account: &Account,
    mailbox: MailboxId,
    append: Append,
    imported: &mut Imported,
    lost: &mut Vec<String>,
) -> Result<(), Error> {
    let (mut bare, received) = (append.clone(), append.internal_date);
    bare.flags.keywords.clear();
    for (append, what) in [(append, "keywords of the message"), (bare, "the message")] {
        match account.append(mailbox, vec![append]) {
            Ok(stored) => {
                imported.messages += stored.len() as u64;
                return Ok(());
            }
            Err(Error::Permanent(why)) => {
                lost.push(format!("{}: {what} of {received}: {why}", imported.mailbox));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
