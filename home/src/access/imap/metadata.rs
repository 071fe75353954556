//! Annotations of the user's own mailboxes and account, for METADATA (RFC 5464).

use postern_imap::request::Annotation;
use postern_imap::types::MailboxName;
use postern_store::Result;
use postern_store::account::{self as store, Account};

/// All entries of a mailbox, or of the account.
pub(super) fn list(account: &Account, of: Option<&MailboxName>) -> Result<Vec<Annotation>> {
    let annotations = account.annotations(mailbox(account, of)?)?;
    Ok(annotations.into_iter().map(|it| Annotation { entry: it.entry, value: it.value }).collect())
}

/// Sets entries, or removes those without a value.
pub(super) fn set(
    account: &Account,
    of: Option<&MailboxName>,
    entries: Vec<(String, Option<Vec<u8>>)>,
) -> Result<()> {
    account.annotate(mailbox(account, of)?, entries)
}

/// RFC 5464 §4.1: names that cannot be selected have annotations too.
fn mailbox(account: &Account, of: Option<&MailboxName>) -> Result<Option<store::MailboxId>> {
    of.map(|name| account.mailbox_named(name.as_str()).map(|mailbox| mailbox.id)).transpose()
}
