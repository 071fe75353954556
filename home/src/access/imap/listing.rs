//! The mailboxes that a user sees, for LIST, LSUB and NOTIFY.

use std::collections::BTreeSet;

use postern_imap::request::{MailboxInfo, MailboxKind, Positions, Subscription, Watched};
use postern_imap::types::{DELIMITER, MailboxName};
use postern_store::account::Rights;

use super::accounts::{Accounts, SharedList};
use super::refusal::Result;
use super::{convert, metadata};

/// All mailboxes, the others' behind the user's own, and the subscribed names that have none; and what the others share.
/// A name of which it cannot be said just now whether there is a mailbox counts as one that cannot be selected.
pub(super) fn look(accounts: &Accounts) -> Result<(Vec<MailboxInfo>, SharedList)> {
    let own = accounts.own();
    let mut names: BTreeSet<String> = own.subscriptions()?.into_iter().collect();
    let subscription = |name: &MailboxName| match names.contains(name.as_str()) {
        true => Subscription::Subscribed,
        false => Subscription::Unsubscribed,
    };
    let mut list: Vec<MailboxInfo> =
        own.mailboxes()?.iter().map(|mailbox| convert::mailbox_info(own.id(), mailbox)).collect();
    let shared = accounts.shared()?;
    for shared in &shared.mailboxes {
        list.push(convert::shared_info(shared, subscription(&shared.name)));
    }
    for mailbox in &list {
        names.remove(mailbox.name.as_str());
    }
    let is_unseen = |name: &str| shared.unseen.iter().any(|level| is_below(name, level.as_str()));
    list.extend(names.iter().map(|name| MailboxInfo {
        name: MailboxName::new(name),
        kind: if is_unseen(name) { MailboxKind::NotSelectable } else { MailboxKind::Subscription },
        special_use: None,
        subscription: Subscription::Subscribed,
        rights: convert::letters(Rights::empty()),
        counters: None,
    }));
    Ok((list, shared))
}

/// The same for NOTIFY, with what was annotated since these positions.
pub(super) fn watch(accounts: &Accounts, annotations: Option<&Positions>) -> Result<Watched> {
    let (mailboxes, shared) = look(accounts)?;
    let (annotated, positions) = match annotations {
        Some(since) => metadata::changed(accounts, &shared.mailboxes, since),
        None => Default::default(),
    };
    Ok(Watched { mailboxes, unseen: shared.unseen, annotated, positions })
}

fn is_below(name: &str, level: &str) -> bool {
    name.strip_prefix(level).is_some_and(|rest| rest.starts_with(DELIMITER))
}
