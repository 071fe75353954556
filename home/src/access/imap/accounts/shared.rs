//! What the other users share: their mailboxes, and the annotations of those.
//!
//! In: the directory's users, and each one's access control lists. Out: the mailboxes that the user may list, under the names
//! that the user knows them by; the levels below which nothing can be seen just now.

use std::sync::PoisonError;

use postern_imap::request::Refusal;
use postern_imap::types::{DELIMITER, MailboxName};
use postern_store::account::{self as store, Account, AccountId, AnnotationChange, ModSeq, Rights};
use postern_store::directory::User;
use tokio::sync::watch;
use tracing::error;

use super::{Accounts, other_user};
use crate::access::imap::refusal::Result;

/// Another user's mailbox that the user is told of.
pub(in crate::access::imap) struct Shared {
    pub(in crate::access::imap) name: MailboxName,
    pub(in crate::access::imap) account: AccountId,
    pub(in crate::access::imap) mailbox: store::Mailbox,
    pub(in crate::access::imap) rights: Rights,
}

/// The mailbox, or nothing for the account, and the entry.
pub(in crate::access::imap) type AnnotationName = (Option<MailboxName>, String);

/// What the others share with the user.
#[derive(Default)]
pub(in crate::access::imap) struct SharedList {
    /// Owner by owner.
    pub(in crate::access::imap) mailboxes: Vec<Shared>,
    /// The levels of those whose account cannot be read just now.
    pub(in crate::access::imap) unseen: Vec<MailboxName>,
}

impl Accounts {
    /// The other users' mailboxes that the user may list. One owner's account that cannot be read keeps nothing else back, for
    /// the others' mailboxes, and the user's own, are as good as ever.
    ///
    /// # Errors
    /// `Unavailable` when the accounts cannot be listed.
    pub(in crate::access::imap) fn shared(&self) -> Result<SharedList> {
        let directory = self.directory.snapshot();
        let on_disk = self.store.accounts()?;
        let mut list = SharedList::default();
        for owner in directory.users().filter(|owner| self.may_share(owner, &on_disk)) {
            match self.shared_by(owner) {
                Ok(listed) => list.mailboxes.extend(listed),
                Err(error) => {
                    self.complain_once(owner, &error);
                    list.unseen.push(MailboxName::new(&other_user(&owner.address)));
                }
            }
        }
        Ok(list)
    }

    /// Changes of all accounts that something may be shared from, whether it is or not; those that cannot be opened are passed
    /// over.
    ///
    /// # Errors
    /// `Unavailable` when the accounts cannot be listed.
    pub(in crate::access::imap) fn changes_of_others(&self) -> Result<Vec<watch::Receiver<ModSeq>>> {
        let directory = self.directory.snapshot();
        let on_disk = self.store.accounts()?;
        let owners = directory.users().filter(|owner| self.may_share(owner, &on_disk));
        Ok(owners.filter_map(|owner| Some(self.store.account(owner.account).ok()?.watch())).collect())
    }

    /// The annotations of an account that the user may read and that changed since a mod-sequence, with the names of their
    /// mailboxes; and the mod-sequence up to which that is complete.
    ///
    /// # Errors
    /// `Unavailable`, and what the store says.
    pub(in crate::access::imap) fn annotated(
        &self,
        id: AccountId,
        since: Option<ModSeq>,
    ) -> Result<(ModSeq, Vec<AnnotationName>)> {
        let account = self.account(id)?;
        let (until, changes) = account.annotations_changed(self.user, since)?;
        let mut named = Vec::new();
        for AnnotationChange { mailbox, entry } in changes {
            match mailbox {
                None if id == self.user => named.push((None, entry)),
                None => {}
                Some(mailbox) if may_annotate(self.permitted(account.clone(), mailbox)?.rights) => {
                    named.push((Some(self.name_in(&account, mailbox)?), entry));
                }
                Some(_) => {}
            }
        }
        Ok((until, named))
    }

    /// The name that the user knows a mailbox by.
    fn name_in(&self, account: &Account, mailbox: store::MailboxId) -> Result<MailboxName> {
        let name = account.mailbox(mailbox)?.name;
        if account.id() == self.user {
            return Ok(MailboxName::new(&name));
        }
        let owner = self.directory.user(account.id()).ok_or(Refusal::NonExistent)?;
        Ok(MailboxName::new(&format!("{}{DELIMITER}{name}", other_user(&owner.address))))
    }

    /// Who never had mail has nothing to share, and need not be opened for it.
    fn may_share(&self, owner: &User, on_disk: &[AccountId]) -> bool {
        owner.account != self.user && on_disk.contains(&owner.account)
    }

    fn shared_by(&self, owner: &User) -> postern_store::Result<Vec<Shared>> {
        let shared = self.store.account(owner.account)?.shared_with(self.user)?.into_iter();
        let listed = shared.filter(|(_, rights)| rights.contains(Rights::LOOKUP));
        let named = listed.map(|(mailbox, rights)| {
            let name = format!("{}{DELIMITER}{}", other_user(&owner.address), mailbox.name);
            Shared { name: MailboxName::new(&name), account: owner.account, mailbox, rights }
        });
        Ok(named.collect())
    }

    /// One line in a session: programs list every minute.
    fn complain_once(&self, owner: &User, error: &postern_store::Error) {
        let is_new = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner).insert(owner.account);
        if is_new {
            error!(owner = %owner.address, %error, "mailboxes shared by this user are not listed");
        }
    }
}

/// Whether these rights let a user set and read the annotations of a mailbox (RFC 5464 §3.3).
pub(in crate::access::imap) fn may_annotate(rights: Rights) -> bool {
    let any = Rights::READ.and(Rights::SEEN).and(Rights::WRITE).and(Rights::INSERT).and(Rights::POST);
    rights.contains(Rights::LOOKUP) && rights.intersects(any)
}
