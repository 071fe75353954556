//! COPY and MOVE between accounts, and where the user may not set every flag: the octets are read from one mailbox and
//! stored in the other, with their INTERNALDATE and the flags that the user may set there (RFC 4314 §4).
//!
//! In: accounts that allow it. Out: pairs of UIDs. Refused: what the quotas of the target's owner have no room for, before
//! anything is stored; a message whose octets are damaged. A batch is stored whole; what fails after it takes it back, so that
//! all or none are copied (RFC 9051 §6.4.7), unless the power goes in between. A MOVE removes the originals only when all copies are
//! durable: what a crash leaves is there twice, never lost.

use std::sync::Arc;

use postern_store::account::{
    Account, Append, Copied, Detail, Expunge, Message, QuotaRoot, Uid, UidSet, UidValidity,
};
use postern_store::{Error, Result, Store};

use super::accounts::Permitted;

/// Messages on their way at once: the small ones are in memory.
const BATCH: usize = 64;

/// Copies messages; those that are gone are passed over.
pub(super) fn copy(store: &Store, from: &Permitted, uids: &UidSet, to: &Permitted) -> Result<Copied> {
    let messages = from.account.messages(from.mailbox, uids, Detail::Summary);
    let messages = messages.collect::<Result<Vec<Message>>>()?;
    check_room(to, &messages)?;
    let mut copied = Vec::with_capacity(messages.len());
    let mut uid_validity = to.account.mailbox(to.mailbox)?.uid_validity;
    for batch in messages.chunks(BATCH) {
        match copy_batch(store, &from.account, batch, to) {
            Ok((validity, pairs)) => {
                uid_validity = validity;
                copied.extend(pairs);
            }
            Err(error) => {
                take_back(to, copied.iter().map(|(_, made)| *made).collect());
                return Err(error);
            }
        }
    }
    Ok(Copied { uid_validity, uids: copied })
}

/// Copies messages, then removes the originals.
pub(super) fn move_messages(
    store: &Store,
    from: &Permitted,
    uids: &UidSet,
    to: &Permitted,
) -> Result<Copied> {
    let copied = copy(store, from, uids, to)?;
    let gone: UidSet = copied.uids.iter().map(|(uid, _)| *uid).collect();
    match from.account.expunge(from.mailbox, Expunge::Exactly(gone)) {
        Ok(_) => Ok(copied),
        Err(error) => {
            take_back(to, copied.uids.iter().map(|(_, made)| *made).collect());
            Err(error)
        }
    }
}

fn copy_batch(
    store: &Store,
    from: &Account,
    messages: &[Message],
    to: &Permitted,
) -> Result<(UidValidity, Vec<(Uid, Uid)>)> {
    let mask = to.rights.flags();
    let append = |message: &Message| {
        let flags = mask.of(&message.flags);
        let internal_date = message.email.internal_date;
        let copy = from.copy_out(message.email.blob, store.stage())?;
        Ok(Append { message: Arc::new(copy), flags, internal_date })
    };
    let appends = messages.iter().map(append).collect::<Result<Vec<Append>>>()?;
    let appended = to.account.append(to.mailbox, appends)?;
    let first = appended.first().ok_or_else(|| Error::Fault("nothing was copied".to_owned()))?;
    let pairs = messages.iter().zip(&appended).map(|(message, appended)| (message.uid, appended.uid));
    Ok((first.uid_validity, pairs.collect()))
}

/// Looks before anything is stored; the store looks once more at each batch.
fn check_room(to: &Permitted, messages: &[Message]) -> Result<()> {
    let octets: u64 = messages.iter().map(|message| message.email.size).sum();
    for root in [QuotaRoot::Account, QuotaRoot::Mailbox(to.mailbox)] {
        let usage = to.account.quota(root)?;
        if !usage.has_room_for(messages.len() as u64, octets) {
            return Err(Error::OverQuota);
        }
    }
    Ok(())
}

/// What cannot be taken back stays; the client was told that the copy failed.
pub(super) fn take_back(to: &Permitted, made: UidSet) {
    if let Err(error) = to.account.expunge(to.mailbox, Expunge::Exactly(made)) {
        tracing::warn!(%error, "a part of a failed copy stays");
    }
}
