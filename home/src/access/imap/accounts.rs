//! Where a session may reach: the user's own mailboxes, and those of the home's other users as far as their access control
//! lists allow (RFC 4314), below a namespace of their own (RFC 2342).
//!
//! In: the name or number of a mailbox, and what is to be done there. Out: a [`Permitted`], from which alone the rest of the
//! session gets to an account. Refused: everything that no right allows. The rights are looked up at each request and kept
//! nowhere, so that one that is taken away is gone at once. A mailbox that the user may not list is not told to exist
//! (RFC 4314 §6): whatever fails there fails as if it were not there.
//!
//! | name | stands for |
//! |---|---|
//! | `Other Users/bo@home.example/Work` | `Work` in Bo's account |
//! | `Other Users`, `Other Users/bo@home.example` | nothing: the levels above |
//! | anything else | the user's own mailbox |

mod shared;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::Mutex;

use postern_imap::request::{MailboxId, Refusal};
use postern_imap::types::{DELIMITER, MailboxName, OTHER_USERS, SearchKey};
use postern_store::Store;
use postern_store::account::{self as store, Account, AccountId, ModSeq, Rights};
use postern_store::directory::Directory;
use tokio::sync::watch;

use super::refusal::Result;
pub(super) use shared::{Shared, SharedList, may_annotate};

/// What there must be for something to be done.
#[derive(Debug, Clone, Copy)]
pub(super) enum Need {
    /// All of these rights.
    All(Rights),
    /// One of these rights, or several.
    Any(Rights),
}

/// What reading needs.
pub(super) const READ: Need = Need::All(Rights::READ);

impl Need {
    fn is_met_by(self, rights: Rights) -> bool {
        match self {
            Need::All(needed) => rights.contains(needed),
            Need::Any(needed) => rights.intersects(needed),
        }
    }
}

/// Whose a mailbox is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The user's.
    Own,
    /// Another user's.
    Other,
}

/// A mailbox in which the user may do what was asked.
pub(super) struct Permitted {
    pub(super) account: Account,
    pub(super) mailbox: store::MailboxId,
    pub(super) rights: Rights,
    pub(super) whose: Whose,
}

/// A name that a mailbox has or may have, in the account that it is in.
pub(super) struct Located {
    pub(super) account: Account,
    /// Its name there.
    pub(super) name: String,
    pub(super) whose: Whose,
}

/// The accounts as one user sees them.
pub(super) struct Accounts {
    store: Store,
    directory: Directory,
    user: AccountId,
    own: Account,
    /// Accounts that cannot be read, of which the log has a line.
    unreadable: Mutex<BTreeSet<AccountId>>,
}

impl Accounts {
    pub(super) fn new(store: Store, directory: Directory, own: Account) -> Accounts {
        Accounts { store, directory, user: own.id(), own, unreadable: Mutex::default() }
    }

    /// The user's own account.
    pub(super) fn own(&self) -> &Account {
        &self.own
    }

    /// The mailbox of this name that messages can be in.
    ///
    /// # Errors
    /// `NonExistent` or `NoPermission`
    pub(super) fn named(&self, name: &MailboxName, need: Need) -> Result<(Permitted, store::Mailbox)> {
        let (permitted, mailbox) = self.existing(&self.locate(name)?, need)?;
        if mailbox.selectable { Ok((permitted, mailbox)) } else { Err(Refusal::NonExistent.into()) }
    }

    /// The mailbox of this name, even if it only has others below it.
    ///
    /// # Errors
    /// `NonExistent` or `NoPermission`
    pub(super) fn existing(&self, located: &Located, need: Need) -> Result<(Permitted, store::Mailbox)> {
        let mailbox = located.account.mailbox_named(&located.name)?;
        let permitted = self.permitted(located.account.clone(), mailbox.id)?;
        match (need.is_met_by(permitted.rights), permitted.rights.contains(Rights::LOOKUP)) {
            (true, _) => Ok((permitted, mailbox)),
            (false, true) => Err(Refusal::NoPermission.into()),
            (false, false) => Err(Refusal::NonExistent.into()),
        }
    }

    /// The mailbox of a number that the session got with the mailbox, so that there is no secret in its existence.
    ///
    /// # Errors
    /// `NoPermission`
    pub(super) fn numbered(&self, id: MailboxId, need: Need) -> Result<Permitted> {
        let account = self.account(AccountId(id.account))?;
        let permitted = self.permitted(account, store::MailboxId(id.mailbox))?;
        if need.is_met_by(permitted.rights) { Ok(permitted) } else { Err(Refusal::NoPermission.into()) }
    }

    /// Requires that the user may make a mailbox of this name: of another user, below one that allows it, for only the
    /// owner has a place above all mailboxes. It fails in the same way whether anything is there or not.
    ///
    /// # Errors
    /// `NoPermission`
    pub(super) fn may_create(&self, located: &Located) -> Result<()> {
        if located.whose == Whose::Own {
            return Ok(());
        }
        let mut above = located.name.rmatch_indices(DELIMITER).filter_map(|(at, _)| located.name.get(..at));
        let nearest = above.find_map(|name| located.account.mailbox_named(name).ok());
        let parent = nearest.ok_or(Refusal::NoPermission)?;
        let rights = self.permitted(located.account.clone(), parent.id)?.rights;
        if rights.contains(Rights::CREATE) { Ok(()) } else { Err(Refusal::NoPermission.into()) }
    }

    /// The account that a name is in, whether there is a mailbox or not.
    ///
    /// # Errors
    /// `NonExistent` where no mailbox can be.
    pub(super) fn locate(&self, name: &MailboxName) -> Result<Located> {
        let Some(below) = below_other_users(name.as_str()) else {
            let name = name.as_str().to_owned();
            return Ok(Located { account: self.own.clone(), name, whose: Whose::Own });
        };
        let (login, name) = below.split_once(DELIMITER).ok_or(Refusal::NonExistent)?;
        let owner = self.directory.user_by_login(login).ok_or(Refusal::NonExistent)?;
        if owner.account == self.user {
            return Err(Refusal::NonExistent.into());
        }
        Ok(Located { account: self.account(owner.account)?, name: name.to_owned(), whose: Whose::Other })
    }

    /// As [`Accounts::locate`], for a mailbox that is to be made.
    ///
    /// # Errors
    /// `NoPermission` where nobody can make one.
    pub(super) fn locate_new(&self, name: &MailboxName) -> Result<Located> {
        self.locate(name).map_err(|_| Refusal::NoPermission.into())
    }

    /// What a quota root is of; see [`super::quota`]. An account's is told to whoever may read something there.
    ///
    /// # Errors
    /// `NonExistent`; of another user's, whatever the reason, so that nobody learns who is there.
    pub(super) fn quota_root(&self, root: &str) -> Result<(Account, Option<store::MailboxId>)> {
        let Some(below) = below_other_users(root) else {
            let mailbox = if root.is_empty() { None } else { Some(root.parse()?) };
            return Ok((self.own.clone(), mailbox));
        };
        let (login, mailbox) = below.split_once(DELIMITER).unwrap_or((below, ""));
        self.others_quota_root(login, mailbox).map_err(|_| Refusal::NonExistent.into())
    }

    fn others_quota_root(&self, login: &str, mailbox: &str) -> Result<(Account, Option<store::MailboxId>)> {
        let owner = self.directory.user_by_login(login).ok_or(Refusal::NonExistent)?.account;
        let account = self.account(owner)?;
        if mailbox.is_empty() {
            let shared = account.shared_with(self.user)?;
            let readable = shared.iter().any(|(_, rights)| rights.contains(Rights::READ));
            return if readable { Ok((account, None)) } else { Err(Refusal::NonExistent.into()) };
        }
        let mailbox: store::MailboxId = mailbox.parse()?;
        let permitted = self.numbered(MailboxId { account: owner.0, mailbox: mailbox.0 }, READ)?;
        Ok((permitted.account, Some(permitted.mailbox)))
    }

    /// The name of the quota root of the account that a mailbox is in.
    pub(super) fn quota_root_of(&self, permitted: &Permitted) -> String {
        let owner = self.directory.user(permitted.account.id()).filter(|_| permitted.whose == Whose::Other);
        owner.map(|owner| other_user(&owner.address)).unwrap_or_default()
    }

    /// The number of the user's account.
    pub(super) fn user(&self) -> AccountId {
        self.user
    }

    /// Changes of the account of a mailbox, if it is another user's.
    pub(super) fn changes_of_other(&self, id: MailboxId) -> Option<watch::Receiver<ModSeq>> {
        let account = AccountId(id.account);
        (account != self.user).then(|| self.account(account).ok()).flatten().map(|account| account.watch())
    }

    /// The account of a user of the home. One that has no user any more is not opened, nor one that never had mail: that
    /// would make it.
    fn account(&self, id: AccountId) -> Result<Account> {
        if id == self.user {
            return Ok(self.own.clone());
        }
        self.directory.user(id).ok_or(Refusal::NonExistent)?;
        Ok(self.store.existing_account(id)?)
    }

    /// A mailbox with what the user may do there. The only place where rights come from.
    fn permitted(&self, account: Account, mailbox: store::MailboxId) -> Result<Permitted> {
        if account.id() == self.user {
            return Ok(Permitted { account, mailbox, rights: Rights::ALL, whose: Whose::Own });
        }
        let rights = match self.directory.user(self.user) {
            Some(_) => account.rights_of(self.user, mailbox)?,
            None => Rights::empty(),
        };
        Ok(Permitted { account, mailbox, rights, whose: Whose::Other })
    }
}

impl Permitted {
    /// The number by which the session speaks of it.
    pub(super) fn id(&self) -> MailboxId {
        MailboxId { account: self.account.id().0, mailbox: self.mailbox.0 }
    }

    /// The lasting name of something in this account.
    pub(super) fn object_id(&self, id: impl Display) -> String {
        object_id(self.whose, &self.account, id)
    }

    /// A search key with the lasting names as this account has them.
    pub(super) fn local_key(&self, key: SearchKey) -> SearchKey {
        if self.whose == Whose::Own {
            return key;
        }
        let prefix = self.object_id("");
        let local = |id: String| id.strip_prefix(&prefix).unwrap_or_default().to_owned();
        match key {
            SearchKey::EmailId(id) => SearchKey::EmailId(local(id)),
            SearchKey::ThreadId(id) => SearchKey::ThreadId(local(id)),
            SearchKey::And(keys) => SearchKey::And(keys.into_iter().map(|key| self.local_key(key)).collect()),
            SearchKey::Or(one, other) => {
                SearchKey::Or(Box::new(self.local_key(*one)), Box::new(self.local_key(*other)))
            }
            SearchKey::Not(key) => SearchKey::Not(Box::new(self.local_key(*key))),
            other => other,
        }
    }
}

impl Located {
    /// The lasting name of something in this account.
    pub(super) fn object_id(&self, id: impl Display) -> String {
        object_id(self.whose, &self.account, id)
    }

    /// Whether it is the mailbox where the account's mail arrives.
    pub(super) fn is_inbox(&self) -> bool {
        MailboxName::new(&self.name).is_inbox()
    }
}

/// What is another user's has a lasting name that differs from all of the user's own (RFC 8474 §7).
fn object_id(whose: Whose, account: &Account, id: impl Display) -> String {
    match whose {
        Whose::Own => id.to_string(),
        Whose::Other => format!("A{}-{id}", account.id()),
    }
}

/// The level above the mailboxes of a user, as the others see it.
fn other_user(address: &impl Display) -> String {
    format!("{OTHER_USERS}{DELIMITER}{address}")
}

/// What stands below the level of the other users; empty for that level itself.
fn below_other_users(name: &str) -> Option<&str> {
    match name.strip_prefix(OTHER_USERS)? {
        "" => Some(""),
        rest => rest.strip_prefix(DELIMITER),
    }
}
