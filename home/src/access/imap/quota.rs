//! GETQUOTA and GETQUOTAROOT (RFC 9208): the owner's quotas, for everybody who may read there.
//!
//! | root | of |
//! |---|---|
//! | empty | the user's account |
//! | `M5` | one of the user's mailboxes |
//! | `Other Users/bo@home.example` | Bo's account |
//! | `Other Users/bo@home.example/M5` | one of Bo's mailboxes |

use postern_imap::request::{Quota, QuotaOf, Refusal};
use postern_imap::types::{DELIMITER, MailboxName};
use postern_store::account::{MailboxId, QuotaRoot};

use super::accounts::{Accounts, READ, Whose};
use super::convert;
use super::refusal::Result;

pub(super) fn answer(accounts: &Accounts, subject: QuotaOf) -> Result<Vec<Quota>> {
    match subject {
        QuotaOf::Root(name) => Ok(vec![of_root(accounts, &name)?]),
        QuotaOf::Mailbox(name) => of_mailbox(accounts, &name),
    }
}

/// A mailbox without limits of its own has the account's root only. One that is not there has the account's too, if it is
/// the user's account (RFC 9208 §4.1.2).
fn of_mailbox(accounts: &Accounts, name: &MailboxName) -> Result<Vec<Quota>> {
    let Ok((permitted, mailbox)) = accounts.named(name, READ) else {
        let located = accounts.locate(name)?;
        let own = located.whose == Whose::Own;
        let usage = own.then(|| located.account.quota(QuotaRoot::Account)).ok_or(Refusal::NonExistent)?;
        return Ok(vec![convert::quota("", &usage?)]);
    };
    let root = accounts.quota_root_of(&permitted);
    let account = convert::quota(&root, &permitted.account.quota(QuotaRoot::Account)?);
    let own =
        convert::quota(&below(&root, mailbox.id), &permitted.account.quota(QuotaRoot::Mailbox(mailbox.id))?);
    let limited = own.max_octets.is_some() || own.max_messages.is_some();
    Ok(std::iter::once(account).chain(Some(own).filter(|_| limited)).collect())
}

fn of_root(accounts: &Accounts, name: &str) -> Result<Quota> {
    let (account, mailbox) = accounts.quota_root(name)?;
    let root = mailbox.map_or(QuotaRoot::Account, QuotaRoot::Mailbox);
    Ok(convert::quota(name, &account.quota(root)?))
}

fn below(account: &str, mailbox: MailboxId) -> String {
    if account.is_empty() { mailbox.to_string() } else { format!("{account}{DELIMITER}{mailbox}") }
}
