//! APPEND: the messages of one command, on their way into a mailbox.
//!
//! In: octets. Out: messages, stored all or none (RFC 3502). Refused: what the quotas have no room for, before its octets
//! come; the store looks once more when it stores them. A step that fails takes everything with it that was staged, so
//! that a client which goes on or waits after a refusal holds nothing on the disk.

use std::sync::Arc;

use postern_imap::request::Answer;
use postern_imap::types::{DateTime, Flag};
use postern_store::account::{Account, Append, MailboxId, QuotaRoot};
use postern_store::{Error, Result, Staging, Store, Timestamp};

use super::convert;

/// Messages that are being received.
pub(super) struct Appending {
    store: Store,
    account: Account,
    mailbox: MailboxId,
    /// The one whose octets come now.
    staging: Staging,
    /// Those that are complete.
    complete: Vec<Append>,
    /// Octets of them all.
    announced: u64,
}

impl Appending {
    /// Begins with the first message, which has `size` octets.
    ///
    /// # Errors
    /// `OverQuota`
    pub(super) fn begin(
        store: &Store,
        account: &Account,
        mailbox: MailboxId,
        size: u64,
    ) -> Result<Appending> {
        let appending = Appending {
            store: store.clone(),
            account: account.clone(),
            mailbox,
            staging: store.stage(),
            complete: Vec::new(),
            announced: size,
        };
        appending.check_room()?;
        Ok(appending)
    }

    /// Takes octets of the message.
    pub(super) fn data(mut self, octets: &[u8]) -> Result<Appending> {
        self.staging.write(octets)?;
        Ok(self)
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

    /// The last message is complete: stores them all.
    pub(super) fn commit(self, flags: &[Flag], date: Option<DateTime>) -> Result<Answer> {
        let Appending { account, mailbox, complete, .. } = self.complete(flags, date)?;
        let appended = account.append(mailbox, complete)?;
        let first = appended.first().ok_or_else(|| Error::Fault("nothing was appended".to_owned()))?;
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
        let over = |more: u64, used: u64, limit: Option<u64>| {
            limit.is_some_and(|limit| used.saturating_add(more) > limit)
        };
        let messages = self.complete.len() as u64 + 1;
        for root in [QuotaRoot::Account, QuotaRoot::Mailbox(self.mailbox)] {
            let usage = self.account.quota(root)?;
            if over(self.announced, usage.octets, usage.limits.octets)
                || over(messages, usage.messages, usage.limits.messages)
            {
                return Err(Error::OverQuota);
            }
        }
        Ok(())
    }
}
