//! Messages that each belong in one mailbox or in several of an account.
//!
//! In: staged messages with their places. Out: they are in the mailboxes, which are made where they are missing; in
//! [`Intake::commit`], which returns when they are durable. What a mailbox held before with the same octets and the same
//! date is passed over there, as often as it was there. Refused: nothing that the store takes; a message that it refuses for good is
//! named in the report, and the others go on.

use std::collections::HashMap;
use std::sync::Arc;

use postern_store::account::{Account, Append, Flags, Holdings, MailboxId, SpecialUse};
use postern_store::{Error, StagedMessage, Timestamp};

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
    id: MailboxId,
    held: Holdings,
    waiting: Vec<Append>,
    imported: Imported,
}

/// Takes messages in; see the module.
pub(super) struct Intake<'a> {
    account: &'a Account,
    mailboxes: HashMap<Place, Open>,
    lost: Vec<String>,
}

impl<'a> Intake<'a> {
    pub(super) fn new(account: &'a Account) -> Intake<'a> {
        Intake { account, mailboxes: HashMap::new(), lost: Vec::new() }
    }

    /// Keeps a message for the next commit.
    pub(super) fn take(
        &mut self,
        message: &Arc<StagedMessage>,
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
            if mailbox.held.take(message.hash(), internal_date) {
                mailbox.imported.present += 1;
            } else {
                let message = Arc::clone(message);
                mailbox.waiting.push(Append { message, flags: flags.clone(), internal_date });
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
            std::collections::hash_map::Entry::Occupied(open) => return Ok(open.into_mut()),
            std::collections::hash_map::Entry::Vacant(vacant) => vacant,
        };
        let id = match place {
            Place::Special(special_use) => self.account.mailbox_for(*special_use)?,
            Place::Named(name) => self.account.mailbox_named_or_made(name)?,
        };
        let name = self.account.mailbox(id)?.name;
        let imported = Imported { mailbox: name, messages: 0, present: 0 };
        let held = self.account.holdings(id)?;
        Ok(opened.insert(Open { id, held, waiting: Vec::new(), imported }))
    }

    /// Stores what waits; durable on return.
    ///
    /// # Errors
    /// What the store refuses for now, the quota among it; what waited is forgotten then and must be taken again.
    pub(super) fn commit(&mut self) -> Result<(), Error> {
        for mailbox in self.mailboxes.values_mut() {
            let waiting = std::mem::take(&mut mailbox.waiting);
            if waiting.is_empty() {
                continue;
            }
            match self.account.append(mailbox.id, waiting.clone()) {
                Ok(stored) => mailbox.imported.messages += stored.len() as u64,
                Err(Error::Permanent(_)) => {
                    for append in waiting {
                        store_alone(self.account, mailbox, append, &mut self.lost)?;
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

/// One message that the store refuses for good does not take the others with it. If only its keywords are too much for the
/// account, it goes without.
fn store_alone(
    account: &Account,
    mailbox: &mut Open,
    append: Append,
    lost: &mut Vec<String>,
) -> Result<(), Error> {
    let (mut bare, received) = (append.clone(), append.internal_date);
    bare.flags.keywords.clear();
    for (append, what) in [(append, "keywords of the message"), (bare, "the message")] {
        match account.append(mailbox.id, vec![append]) {
            Ok(stored) => {
                mailbox.imported.messages += stored.len() as u64;
                return Ok(());
            }
            Err(Error::Permanent(why)) => {
                lost.push(format!("{}: {what} of {received}: {why}", mailbox.imported.mailbox));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
