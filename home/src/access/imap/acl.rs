//! GETACL, SETACL, LISTRIGHTS, MYRIGHTS: translates identifiers to accounts and back (RFC 4314 §2, §3).
//!
//! In: identifiers. Out: entries. Refused: identifiers of nobody; groups (`$family`, `group=family`) are such, for there are
//! none. The owner has every right, and neither entry nor negative entry can change that; asking for it is refused.

use postern_imap::request::{AclEntry, Grantable, Refusal, RightsChange};
use postern_imap::types::{MailboxName, Rights as Letters};
use postern_store::account::{self as store, AccountId, Grant, Grantee, Rights, Sign};
use postern_store::directory::Directory;

use super::accounts::{Accounts, Need, Permitted};
use super::convert;
use super::refusal::Result;

const ANYONE: &str = "anyone";

/// What MYRIGHTS needs: one of these (RFC 4314 §4).
fn any_to_be_told() -> Need {
    let reading = Rights::LOOKUP | Rights::READ | Rights::INSERT;
    Need::Any(reading | Rights::CREATE | Rights::DELETE_MAILBOX | Rights::ADMINISTER)
}

/// The owner, then everybody else that has something. Entries of accounts without a user are passed over.
pub(super) fn list(accounts: &Accounts, directory: &Directory, name: &MailboxName) -> Result<Vec<AclEntry>> {
    let permitted = administered(accounts, name)?;
    let entry = |grant: &Grant| {
        let identifier = identifier_of(directory, grant)?;
        Some(AclEntry { identifier, rights: convert::letters(grant.rights) })
    };
    let grants = permitted.account.acl(permitted.mailbox)?;
    let owner = address_of(directory, permitted.account.id());
    let owner = owner.map(|identifier| AclEntry { identifier, rights: convert::letters(Rights::ALL) });
    Ok(owner.into_iter().chain(grants.iter().filter_map(entry)).collect())
}

pub(super) fn set(
    accounts: &Accounts,
    directory: &Directory,
    name: &MailboxName,
    identifier: &str,
    change: (RightsChange, Letters),
) -> Result<()> {
    let permitted = administered(accounts, name)?;
    let (grantee, sign) = meaning(directory, identifier).ok_or(Refusal::UnknownIdentifier)?;
    if grantee == Grantee::Account(permitted.account.id()) {
        return Err(Refusal::Cannot.into());
    }
    let rights: Rights = change.1.as_str().parse()?;
    let change = match change.0 {
        RightsChange::Replace => store::RightsChange::Replace(rights),
        RightsChange::Add => store::RightsChange::Add(rights),
        RightsChange::Remove => store::RightsChange::Remove(rights),
    };
    Ok(permitted.account.set_acl(permitted.mailbox, grantee, sign, change)?)
}

/// No two rights are tied together, so each can be given alone, and so can `c` and `d` (RFC 4314 §2.1.1).
pub(super) fn grantable(
    accounts: &Accounts,
    directory: &Directory,
    name: &MailboxName,
    identifier: &str,
) -> Result<Grantable> {
    let permitted = administered(accounts, name)?;
    let (grantee, _) = meaning(directory, identifier).ok_or(Refusal::UnknownIdentifier)?;
    if grantee == Grantee::Account(permitted.account.id()) {
        return Ok(Grantable { always: convert::letters(Rights::ALL), optional: Vec::new() });
    }
    let all = Rights::ALL.to_string();
    let optional = all.chars().filter_map(|letter| Letters::new(&letter.to_string())).collect();
    Ok(Grantable { always: Letters::default(), optional })
}

pub(super) fn mine(accounts: &Accounts, name: &MailboxName) -> Result<Letters> {
    let (permitted, _) = accounts.named(name, any_to_be_told())?;
    Ok(convert::letters(permitted.rights))
}

fn administered(accounts: &Accounts, name: &MailboxName) -> Result<Permitted> {
    Ok(accounts.named(name, Need::All(Rights::ADMINISTER))?.0)
}

/// Whom an identifier means: a user, `anyone`, or either with `-` in front; `None`: nobody.
pub(crate) fn meaning(directory: &Directory, identifier: &str) -> Option<(Grantee, Sign)> {
    let (login, sign) = match identifier.strip_prefix('-') {
        Some(login) => (login, Sign::Negative),
        None => (identifier, Sign::Positive),
    };
    if login == ANYONE {
        return Some((Grantee::Anyone, sign));
    }
    let user = directory.user_by_login(login)?;
    Some((Grantee::Account(user.account), sign))
}

/// The identifier of an entry; `None` where its account has no user any more.
pub(crate) fn identifier_of(directory: &Directory, grant: &Grant) -> Option<String> {
    let login = match grant.grantee {
        Grantee::Anyone => ANYONE.to_owned(),
        Grantee::Account(account) => address_of(directory, account)?,
    };
    Some(match grant.sign {
        Sign::Positive => login,
        Sign::Negative => format!("-{login}"),
    })
}

fn address_of(directory: &Directory, account: AccountId) -> Option<String> {
    directory.user(account).map(|user| user.address.to_string())
}
