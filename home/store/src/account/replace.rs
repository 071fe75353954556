//! REPLACE: a new message takes the place of an old one, in one transaction (RFC 8508).
//!
//! In: the new message and where it goes, the old one and where it is; that need not be the same mailbox. Out: the new
//! message's UID. The old one goes as by EXPUNGE, and first, so that only what is added beyond it counts towards a quota.

use super::append::{Target, store};
use super::expunge::expunge;
use super::{Account, Append, Appended, Expunge, MailboxId, Uid, UidSet};
use crate::{Error, Result};

impl Account {
    /// Stores `message` in `into` and expunges the message `uid` of `from`. Nothing happens, and there is no answer, if
    /// that one is gone already. Durable on return.
    ///
    /// # Errors
    /// `NotFound` for a mailbox, `OverQuota`, `DiskFull`, `Temporary`.
    pub fn replace(
        &self,
        from: MailboxId,
        uid: Uid,
        into: MailboxId,
        message: Append,
    ) -> Result<Option<Appended>> {
        let incoming = self.incoming(vec![message])?;
        let fate = self.fate();
        self.change(move |change| {
            let old = Expunge::Exactly(UidSet::from_ranges([uid.get()..=uid.get()]));
            if expunge(change, from, &old, fate)?.is_empty() {
                return Ok(None);
            }
            let stored = store(change, Target::Exactly(into), incoming)?;
            let new = stored.into_iter().next();
            new.map(Some).ok_or_else(|| Error::Fault("nothing was stored".to_owned()))
        })
    }
}
