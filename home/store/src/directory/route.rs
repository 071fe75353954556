//! Where mail for an address goes: from alias to alias and forward to forward, until mailboxes and addresses elsewhere are
//! reached.
//!
//! In: a snapshot and an address of one of its domains. Out: the mailboxes and the addresses outside, each once; and the
//! circle, where there is one: the transaction that would close it is undone. Should a circle stand in the tables all the
//! same, it ends where it began.

use std::collections::BTreeSet;

use postern_message::address::EmailAddress;

use super::snapshot::Snapshot;
use crate::account::AccountId;

/// Where mail for one address goes; never nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Route {
    /// Mailboxes here, each once.
    pub accounts: Vec<AccountId>,
    /// Addresses elsewhere, each once.
    pub outside: Vec<Onward>,
}

impl Route {
    /// Adds where another recipient of the same message leads.
    pub fn join(&mut self, other: Route) {
        self.accounts.extend(other.accounts);
        self.accounts.sort();
        self.accounts.dedup();
        for onward in other.outside {
            if self.outside.iter().all(|known| known.to != onward.to) {
                self.outside.push(onward);
            }
        }
    }
}

/// An address elsewhere to which mail is sent on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onward {
    /// The address elsewhere.
    pub to: EmailAddress,
    /// The address here that sends on: a user's or an alias.
    pub by: EmailAddress,
    /// Who is told when the next server does not take it: the user who forwards, or the first user that the alias leads to,
    /// or else who reads the postmaster's mail.
    pub account: Option<AccountId>,
    /// Whether that user has a copy.
    pub kept: Kept,
}

/// Whether what is sent on is also in the mailbox of the user who sends it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is.
    Copy,
    /// It is not: should it come back, all of it must be told.
    Nothing,
}

/// What stands at an address.
pub(super) enum Found<'a> {
    /// A mailbox.
    User(AccountId),
    /// An alias with this address of its own and these targets.
    Alias(&'a EmailAddress, &'a Targets),
    /// A mask that is switched off: as if nothing were there, also no catch-all.
    Nobody,
}

/// What an alias leads to.
#[derive(Debug, Clone, Default)]
pub(super) struct Targets {
    pub(super) accounts: Vec<AccountId>,
    /// Aliases here and addresses elsewhere.
    pub(super) addresses: Vec<EmailAddress>,
}

/// What a user has sent on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// Where to.
    pub target: EmailAddress,
    /// Whether the mailbox gets it too.
    pub kept: Kept,
}

/// Follows an address to its ends; `None` where it leads nowhere.
pub(super) fn route(snapshot: &Snapshot, address: &EmailAddress) -> Option<Route> {
    let mut walk = Walk::new(snapshot);
    walk.follow(address);
    let mut route = Route::default();
    route.join(walk.route);
    (!route.accounts.is_empty() || !route.outside.is_empty()).then_some(route)
}

/// The addresses of a circle that this address leads into, the first one again at the end.
pub(super) fn circle(snapshot: &Snapshot, address: &EmailAddress) -> Option<Vec<EmailAddress>> {
    let mut walk = Walk::new(snapshot);
    walk.follow(address);
    walk.circle
}

struct Walk<'a> {
    snapshot: &'a Snapshot,
    /// What leads to where the walk is now.
    path: Vec<EmailAddress>,
    /// What has been followed to its ends.
    done: BTreeSet<EmailAddress>,
    circle: Option<Vec<EmailAddress>>,
    route: Route,
}

impl<'a> Walk<'a> {
    fn new(snapshot: &'a Snapshot) -> Self {
        Self { snapshot, path: Vec::new(), done: BTreeSet::new(), circle: None, route: Route::default() }
    }

    fn follow(&mut self, address: &EmailAddress) {
        match self.snapshot.find(address) {
            Some(Found::User(account)) => self.follow_user(account),
            Some(Found::Alias(alias, targets)) => {
                self.step(alias, |walk| walk.follow_alias(alias, targets));
            }
            Some(Found::Nobody) | None => {}
        }
    }

    fn follow_user(&mut self, account: AccountId) {
        let snapshot = self.snapshot;
        let (Some(user), Some(forward)) = (snapshot.user(account), snapshot.forward(account)) else {
            return self.route.accounts.push(account);
        };
        if forward.kept == Kept::Copy {
            self.route.accounts.push(account);
        }
        self.step(&user.address, |walk| {
            walk.follow_target(&forward.target, &user.address, Some(account), forward.kept);
        });
    }

    fn follow_alias(&mut self, alias: &EmailAddress, targets: &Targets) {
        targets.accounts.iter().for_each(|account| self.follow_user(*account));
        let told = targets.accounts.first().copied().or_else(|| self.snapshot.first_user(alias.domain()));
        for target in &targets.addresses {
            self.follow_target(target, alias, told, Kept::Nothing);
        }
    }

    fn follow_target(
        &mut self,
        to: &EmailAddress,
        by: &EmailAddress,
        account: Option<AccountId>,
        kept: Kept,
    ) {
        if self.snapshot.is_local(to.domain()) {
            return self.follow(to);
        }
        self.route.outside.push(Onward { to: to.clone(), by: by.clone(), account, kept });
    }

    /// Goes on from an address that leads further, unless the walk has been there.
    fn step(&mut self, address: &EmailAddress, go_on: impl FnOnce(&mut Self)) {
        if let Some(first) = self.path.iter().position(|passed| passed == address) {
            let round = self.path.iter().skip(first).chain([address]);
            self.circle.get_or_insert(round.cloned().collect());
        } else if self.done.insert(address.clone()) {
            self.path.push(address.clone());
            go_on(self);
            self.path.pop();
        }
    }
}
