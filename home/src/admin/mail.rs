//! Deleted mail and quotas, over the administration interface.

use postern_shared::http::StatusCode;
use postern_store::account::{Account, QuotaRoot, Removed, Usage};
use postern_store::directory::{DirectoryError, User};

use super::wire::{OfAccounts, OfUser, QuotaListed, QuotaOf, Restore, Restored, SetQuota};
use super::{Admin, Refusal};

pub(super) fn deleted(admin: &Admin, request: OfUser) -> Result<Vec<Removed>, Refusal> {
    Ok(account(admin, &request.user)?.removed()?)
}

/// Puts messages back, one after the other; a message that cannot be put back ends it, and says how far it came.
pub(super) fn restore(admin: &Admin, request: Restore) -> Result<Restored, Refusal> {
    let account = account(admin, &request.user)?;
    let mut restored = Restored { messages: 0 };
    for id in request.ids {
        account.restore(id, admin.store.stage()).map_err(|error| {
            let sentences =
                format!("{} message(s) are back; then, for message {id}: {error}.", restored.messages);
            Refusal(StatusCode::CONFLICT, sentences)
        })?;
        restored.messages += 1;
    }
    tracing::info!(user = %request.user, messages = restored.messages, "deleted mail put back");
    Ok(restored)
}

/// Every user, and every mailbox that has limits of its own.
pub(super) fn quotas(admin: &Admin) -> OfAccounts<QuotaListed> {
    OfAccounts::gather(admin.directory.snapshot().users(), |user| quotas_of(admin, user))
}

fn quotas_of(admin: &Admin, user: &User) -> postern_store::Result<Vec<QuotaListed>> {
    let account = admin.store.account(user.account)?;
    let of = QuotaOf { user: user.address.clone(), mailbox: None };
    let mut listed = vec![QuotaListed { of: of.clone(), usage: account.quota(QuotaRoot::Account)? }];
    for mailbox in account.mailboxes()? {
        let usage = account.quota(QuotaRoot::Mailbox(mailbox.id))?;
        if usage.limits != Default::default() {
            let of = QuotaOf { mailbox: Some(mailbox.name), ..of.clone() };
            listed.push(QuotaListed { of, usage });
        }
    }
    Ok(listed)
}

pub(super) fn set_quota(admin: &Admin, request: SetQuota) -> Result<Usage, Refusal> {
    let account = account(admin, &request.of.user)?;
    let root = match &request.of.mailbox {
        Some(name) => QuotaRoot::Mailbox(account.mailbox_named(name)?.id),
        None => QuotaRoot::Account,
    };
    account.set_quota(root, request.limits)?;
    tracing::info!(of = %request.of, limits = ?request.limits, "quota set");
    Ok(account.quota(root)?)
}

fn account(admin: &Admin, address: &postern_message::address::EmailAddress) -> Result<Account, Refusal> {
    let snapshot = admin.directory.snapshot();
    let user = snapshot.user_at(address).ok_or_else(|| DirectoryError::UnknownUser(address.clone()))?;
    Ok(admin.store.account(user.account)?)
}
