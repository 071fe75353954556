//! Who may do what with whose mailboxes, over the administration interface.
//!
//! In: a mailbox, an identifier, rights. Out: the entries of the access control lists (RFC 4314). Refused: users and mailboxes
//! that are not there, entries for the owner, and to end what was never granted.

use postern_shared::http::StatusCode;
use postern_store::account::{Account, Grantee, MailboxId, Rights, RightsChange, Sign};
use postern_store::directory::{DirectoryError, User};

use super::wire::share::{MailboxOf, Share};
use super::wire::{Done, OfAccounts};
use super::{Admin, Refusal};
use crate::access::imap::acl;

/// Every entry, owner by owner.
pub(super) fn list(admin: &Admin) -> Result<OfAccounts<Share>, Refusal> {
    // Who never had mail has nothing to share, and need not be opened for it.
    let on_disk = admin.store.accounts()?;
    let directory = admin.directory.snapshot();
    let owners = directory.users().filter(|owner| on_disk.contains(&owner.account));
    Ok(OfAccounts::gather(owners, |owner| shares_of(admin, owner)))
}

fn shares_of(admin: &Admin, owner: &User) -> postern_store::Result<Vec<Share>> {
    let account = admin.store.account(owner.account)?;
    let mut shares = Vec::new();
    for mailbox in account.mailboxes()?.into_iter().filter(|mailbox| mailbox.selectable) {
        let of = MailboxOf { owner: owner.address.clone(), mailbox: mailbox.name };
        for grant in account.acl(mailbox.id)? {
            let with = acl::identifier_of(&admin.directory, &grant);
            shares.extend(with.map(|with| Share { of: of.clone(), with, rights: grant.rights }));
        }
    }
    Ok(shares)
}

/// Grants these rights and no others.
pub(super) fn set(admin: &Admin, share: Share) -> Result<Share, Refusal> {
    let Entry { account, mailbox, grantee, sign } = entry(admin, &share)?;
    account.set_acl(mailbox, grantee, sign, RightsChange::Replace(share.rights))?;
    tracing::info!(of = %share.of, with = share.with, rights = %share.rights, "mailbox shared");
    Ok(share)
}

/// Removes an entry.
pub(super) fn remove(admin: &Admin, share: Share) -> Result<Done, Refusal> {
    let Entry { account, mailbox, grantee, sign } = entry(admin, &share)?;
    let is_it = |grant: &postern_store::account::Grant| grant.grantee == grantee && grant.sign == sign;
    if !account.acl(mailbox)?.iter().any(is_it) {
        let sentence = format!("{} is not shared with {}.", share.of, share.with);
        return Err(Refusal(StatusCode::NOT_FOUND, sentence));
    }
    account.set_acl(mailbox, grantee, sign, RightsChange::Replace(Rights::empty()))?;
    tracing::info!(of = %share.of, with = share.with, "mailbox shared no more");
    Ok(Done {})
}

/// Where an entry stands.
struct Entry {
    account: Account,
    mailbox: MailboxId,
    grantee: Grantee,
    sign: Sign,
}

fn entry(admin: &Admin, share: &Share) -> Result<Entry, Refusal> {
    let snapshot = admin.directory.snapshot();
    let owner = &share.of.owner;
    let owner = snapshot.user_at(owner).ok_or_else(|| DirectoryError::UnknownUser(owner.clone()))?.account;
    let (grantee, sign) = acl::meaning(&admin.directory, &share.with).ok_or_else(|| {
        Refusal(StatusCode::NOT_FOUND, format!("there is no user {}; `anyone` is every user.", share.with))
    })?;
    if grantee == Grantee::Account(owner) {
        return Err(Refusal(StatusCode::CONFLICT, "the owner has every right already.".to_owned()));
    }
    let account = admin.store.account(owner)?;
    let mailbox = account.mailbox_named(&share.of.mailbox)?.id;
    Ok(Entry { account, mailbox, grantee, sign })
}
