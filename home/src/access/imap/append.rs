//! APPEND and REPLACE: the messages of one command, on their way into a mailbox.
//!
//! In: octets, and where the octets of other messages are (RFC 4469). Out: messages, stored all or none (RFC 3502), or one
//! in the place of another (RFC 8508). Refused: what the quotas have no room for, before its octets
//! come; the store looks once more when it stores them. A step that fails takes everything with it that was staged, so
//! that a client which goes on or waits after a refusal holds nothing on the disk.

use std::sync::Arc;

use postern_imap::request::{Answer, MailboxId, Refusal};
use postern_imap::types::{DateTime, Flag};
use postern_store::account::{Append, Appended, Detail, Expunge, QuotaRoot, Uid};
use postern_store::{Error, Result, Staging, Store, Timestamp};

use super::accounts::Permitted;
use super::catenate::Part;
use super::{convert, transfer};

/// Octets of another message that are read at once.
const STEP: u64 = 1024 * 1024;

/// Messages that are being received.
pub(super) struct Appending {
    store: Store,
    into: Permitted,
    /// The one whose octets come now.
    staging: Staging,
    /// Those that are complete.
    complete: Vec<Append>,
    /// Octets of them all.
    announced: u64,
    /// What goes when they are stored.
    replaces: Option<Replaced>,
}

/// A message that makes room for another one.
pub(super) struct Replaced {
    from: Permitted,
    uid: Uid,
    size: u64,
}

impl Replaced {
    /// Finds the message; nothing if it is gone.
    pub(super) fn find(from: Permitted, uid: u32) -> Result<Option<Replaced>> {
        let uids = convert::uid_set(&[uid]);
        let message = from.account.messages(from.mailbox, &uids, Detail::Summary).next().transpose()?;
        Ok(message.map(|message| Replaced { from, uid: message.uid, size: message.email.size }))
    }
}

impl Appending {
    /// Begins with the first message, which has `size` octets.
    ///
    /// # Errors
    /// `OverQuota`
    pub(super) fn begin(
        store: &Store,
        into: Permitted,
        size: u64,
        replaces: Option<Replaced>,
    ) -> Result<Appending> {
        let appending = Appending {
            store: store.clone(),
            into,
            staging: store.stage(),
            complete: Vec::new(),
            announced: size,
            replaces,
        };
        appending.check_room()?;
        Ok(appending)
    }

    /// Takes octets of the message.
    pub(super) fn data(mut self, octets: &[u8]) -> Result<Appending> {
        self.staging.write(octets)?;
        Ok(self)
    }

    /// The message goes on with a literal of `size` octets.
    ///
    /// # Errors
    /// `OverQuota`
    pub(super) fn literal(mut self, size: u64) -> Result<Appending> {
        self.announced = self.announced.saturating_add(size);
        self.check_room()?;
        Ok(self)
    }

    /// The message goes on with these octets of another one.
    ///
    /// # Errors
    /// `OverQuota`; `NotFound` when they have gone meanwhile.
    pub(super) fn copy(self, part: &Part) -> Result<Appending> {
        let mut appending = self.literal(part.size())?;
        let mut at = 0;
        while at < part.size() {
            let octets = part.read(at, STEP)?;
            if octets.is_empty() {
                return Err(Error::Corrupt("a message is shorter than its structure says".to_owned()));
            }
            appending.staging.write(&octets)?;
            at += octets.len() as u64;
        }
        Ok(appending)
    }

    /// The message is complete, and one of `size` octets follows.
    ///
    /// # Errors
    /// `OverQuota`
    pub(super) fn next(self, flags: &[Flag], date: Option<DateTime>, size: u64) -> Result<Appending> {
        let mut appending = self.complete(flags, date)?;
        appending.announced = appending.announced.saturating_add(size);
        appending.check_room()?;
        Ok(appending)
    }

    /// The mailbox that the messages are for.
    pub(super) fn target(&self) -> MailboxId {
        self.into.id()
    }

    /// The mailbox of the message that goes.
    pub(super) fn origin(&self) -> Option<MailboxId> {
        self.replaces.as_ref().map(|old| old.from.id())
    }

    /// The last message is complete: stores them all, each with those of its flags that the user may set now.
    pub(super) fn commit(self, into: &Permitted, flags: &[Flag], date: Option<DateTime>) -> Result<Answer> {
        let Appending { mut complete, replaces, .. } = self.complete(flags, date)?;
        for append in &mut complete {
            append.flags = into.rights.flags().of(&append.flags);
        }
        let appended = match replaces {
            None => into.account.append(into.mailbox, complete)?,
            Some(old) => match replace(&old, into, complete.into_iter().next().ok_or_else(nothing)?)? {
                Some(appended) => vec![appended],
                None => return Ok(Answer::Refused(Refusal::Expunged)),
            },
        };
        let first = appended.first().ok_or_else(nothing)?;
        let uids = appended.iter().map(|appended| appended.uid.get()).collect();
        Ok(Answer::Appended { uid_validity: first.uid_validity.0, uids })
    }

    fn complete(mut self, flags: &[Flag], date: Option<DateTime>) -> Result<Appending> {
        let message = std::mem::replace(&mut self.staging, self.store.stage()).finish()?;
        let internal_date = date.map_or_else(Timestamp::now, convert::timestamp);
        let flags = convert::flags_to_store(flags)?;
        self.complete.push(Append { message: Arc::new(message), flags, internal_date });
        Ok(self)
    }

    /// Whether the quotas leave room for all messages so far and the one that comes now.
    fn check_room(&self) -> Result<()> {
        let messages = self.complete.len() as u64 + 1;
        for root in [QuotaRoot::Account, QuotaRoot::Mailbox(self.into.mailbox)] {
            let goes = self.replaces.as_ref().filter(|old| old.is_under(root, &self.into));
            let mut usage = self.into.account.quota(root)?;
            usage.octets = usage.octets.saturating_sub(goes.map_or(0, |old| old.size));
            usage.messages = usage.messages.saturating_sub(goes.map_or(0, |_| 1));
            if !usage.has_room_for(messages, self.announced) {
                return Err(Error::OverQuota);
            }
        }
        Ok(())
    }
}

impl Replaced {
    /// Whether the quota root of the new message's place is the old one's too.
    fn is_under(&self, root: QuotaRoot, into: &Permitted) -> bool {
        let same_account = self.from.account.id() == into.account.id();
        same_account && (root == QuotaRoot::Account || self.from.mailbox == into.mailbox)
    }
}

/// Nothing if the old message has gone meanwhile. Between two accounts the new message is durable before the old one goes:
/// what a crash leaves is there twice, never lost.
fn replace(old: &Replaced, into: &Permitted, new: Append) -> Result<Option<Appended>> {
    let Replaced { from, uid, .. } = old;
    if from.account.id() == into.account.id() {
        return from.account.replace(from.mailbox, *uid, into.mailbox, new);
    }
    let gone = convert::uid_set(&[uid.get()]);
    if from.account.states(from.mailbox, &gone)?.is_empty() {
        return Ok(None);
    }
    let appended = into.account.append(into.mailbox, vec![new])?;
    if let Err(error) = from.account.expunge(from.mailbox, Expunge::Exactly(gone)) {
        transfer::take_back(into, appended.iter().map(|appended| appended.uid).collect());
        return Err(error);
    }
    Ok(appended.into_iter().next())
}

fn nothing() -> Error {
    Error::Fault("nothing was appended".to_owned())
}
