//! Annotations for METADATA (RFC 5464): of the user's own account, and of all mailboxes that the user's rights reach (§3.3).
//! Private entries are of who sets them, also in another user's mailbox; shared ones are the mailbox's.

use std::collections::BTreeSet;

use postern_imap::request::{Annotated, Annotation, Positions, Refusal};
use postern_imap::types::MailboxName;
use postern_store::account::{self as store, Account, AccountId, ModSeq, Rights};

use super::accounts::{Accounts, Need, Shared, may_annotate};
use super::refusal::Result;

/// All entries of a mailbox, or of the account, that the user may read.
pub(super) fn list(accounts: &Accounts, of: Option<&MailboxName>) -> Result<Vec<Annotation>> {
    let (account, mailbox) = reached(accounts, of)?;
    let annotations = account.annotations(mailbox, accounts.user())?;
    Ok(annotations.into_iter().map(|it| Annotation { entry: it.entry, value: it.value }).collect())
}

/// Sets entries, or removes those without a value.
pub(super) fn set(
    accounts: &Accounts,
    of: Option<&MailboxName>,
    entries: Vec<(String, Option<Vec<u8>>)>,
) -> Result<()> {
    let (account, mailbox) = reached(accounts, of)?;
    Ok(account.annotate(mailbox, accounts.user(), entries)?)
}

/// What was set or removed since these positions, in the user's own account and in those of what is shared; and the new
/// positions. An account that cannot be read just now has none, and is looked at from its old one the next time.
pub(super) fn changed(
    accounts: &Accounts,
    shared: &[Shared],
    since: &Positions,
) -> (Vec<Annotated>, Positions) {
    let (mut annotated, mut positions): (Vec<Annotated>, _) = (Vec::new(), Positions::new());
    let watched: BTreeSet<u32> =
        shared.iter().map(|shared| shared.account.0).chain([accounts.user().0]).collect();
    for id in watched {
        let since = since.get(&id).copied().map(ModSeq);
        let Ok((until, named)) = accounts.annotated(AccountId(id), since) else { continue };
        positions.insert(id, until.0);
        for (mailbox, entry) in named {
            match annotated.last_mut() {
                Some(last) if last.mailbox == mailbox => last.entries.push(entry),
                _ => annotated.push(Annotated { mailbox, entries: vec![entry] }),
            }
        }
    }
    (annotated, positions)
}

/// RFC 5464 §4.1: names that cannot be selected have annotations too.
fn reached(accounts: &Accounts, of: Option<&MailboxName>) -> Result<(Account, Option<store::MailboxId>)> {
    let Some(name) = of else { return Ok((accounts.own().clone(), None)) };
    let (permitted, _) = accounts.existing(&accounts.locate(name)?, Need::Any(Rights::ALL))?;
    match (may_annotate(permitted.rights), permitted.rights.contains(Rights::LOOKUP)) {
        (true, _) => Ok((permitted.account, Some(permitted.mailbox))),
        (false, true) => Err(Refusal::NoPermission.into()),
        (false, false) => Err(Refusal::NonExistent.into()),
    }
}
