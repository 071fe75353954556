//! What LIST answers.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::{List, ListReturn, ListSelection, Pattern};
use crate::commands::{my_rights, status};
use crate::request::{Answer, MailboxInfo, MailboxKind, Request, Subscription};
use crate::response::{Completion, encode};
use crate::session::core::Core;
use crate::session::task::{Input, Progress, Task, refused};
use crate::types::{DELIMITER, MailboxAttributes, MailboxName, Rights, StatusItem};

pub(super) fn task(command: List) -> Box<dyn Task> {
    Box::new(Listing { command, waiting: Vec::new(), asked: None })
}

/// All mailboxes by name.
pub(crate) type Tree<'a> = BTreeMap<&'a str, &'a MailboxInfo>;

/// The lines are told one by one, as each may need the mailbox's counters after it.
#[derive(Debug)]
struct Listing {
    command: List,
    /// Lines to tell, the last first.
    waiting: Vec<Line>,
    /// The mailbox whose counters were asked.
    asked: Option<MailboxName>,
}

#[derive(Debug)]
struct Line {
    name: MailboxName,
    attributes: MailboxAttributes,
    extended: Extended,
    selectable: bool,
    /// What is told of the user's rights.
    rights: Option<Rights>,
}

/// What is said beside the attributes that every name has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Extended {
    None,
    /// RECURSIVEMATCH: a descendant is subscribed (RFC 5258 §3.5).
    ChildInfo,
    /// It was renamed (RFC 5465 §5.4).
    OldName(MailboxName),
    /// It may not be read (RFC 5465 §3.1).
    NoAccess,
}

/// Tells of a name that nobody asked for (RFC 5465 §5.4, §5.5).
pub(crate) fn tell_name(core: &mut Core, name: &MailboxName, tree: &Tree<'_>, extended: &Extended) {
    let itself = tree.get(name.as_str()).copied();
    let subscribed = itself.is_some_and(|mailbox| mailbox.subscription == Subscription::Subscribed);
    let mut attributes = attributes(name, tree, subscribed.then_some("\\Subscribed"));
    if *extended == Extended::NoAccess {
        attributes.push("\\NoAccess");
    }
    tell_line(core, name, &MailboxAttributes(attributes), extended);
}

impl Task for Listing {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start if self.command.patterns.iter().all(String::is_empty) => {
                // RFC 9051 §6.3.9: an empty pattern asks for the delimiter.
                core.untagged(&format!("LIST (\\Noselect) \"{DELIMITER}\" \"\""));
                Completion::ok("LIST completed").into()
            }
            Input::Start => {
                if self.status_items().is_some_and(|items| items.contains(&StatusItem::HighestModSeq)) {
                    core.enable_cond_store();
                }
                Progress::Ask(Request::Mailboxes)
            }
            Input::Answer(Answer::Mailboxes(mailboxes)) => {
                self.waiting = self.lines(&mailboxes);
                self.waiting.reverse();
                self.go_on(core)
            }
            Input::Answer(Answer::Status(counters)) => {
                if let (Some(mailbox), Some(items)) = (self.asked.take(), self.status_items()) {
                    status::tell(core, &mailbox, items, &counters);
                }
                self.go_on(core)
            }
            // A mailbox that went meanwhile has no STATUS; the list goes on.
            Input::Answer(Answer::Refused(_)) if self.asked.take().is_some() => self.go_on(core),
            other => refused(other),
        }
    }
}

impl Listing {
    fn go_on(&mut self, core: &mut Core) -> Progress {
        while let Some(line) = self.waiting.pop() {
            line.tell(core);
            if line.selectable && self.status_items().is_some() {
                self.asked = Some(line.name.clone());
                return Progress::Ask(Request::Status(line.name));
            }
        }
        Completion::ok("LIST completed").into()
    }

    fn status_items(&self) -> Option<&[StatusItem]> {
        self.command.returns.iter().find_map(|option| match option {
            ListReturn::Status(items) => Some(items.as_slice()),
            _ => None,
        })
    }

    fn lines(&self, mailboxes: &[MailboxInfo]) -> Vec<Line> {
        let patterns: Vec<Pattern> = self
            .command
            .patterns
            .iter()
            .map(|pattern| Pattern::new(&self.command.reference, pattern))
            .collect();
        let matches = |name: &str| patterns.iter().any(|pattern| pattern.matches(name));
        let tree: Tree<'_> = mailboxes.iter().map(|mailbox| (mailbox.name.as_str(), mailbox)).collect();
        let mut names: Vec<MailboxName> = with_ancestors(mailboxes);
        names.retain(|name| matches(name.as_str()));
        names.iter().filter_map(|name| self.line(name, &tree)).collect()
    }

    /// The line of a name that matches, unless the selection options rule it out.
    fn line(&self, name: &MailboxName, tree: &Tree<'_>) -> Option<Line> {
        let itself = tree.get(name.as_str()).copied();
        let below = || below(tree, name);
        let selected = itself.is_some_and(|mailbox| self.selects(mailbox));
        let kind = itself.map_or(MailboxKind::Subscription, |mailbox| mailbox.kind);
        let recursive = self.command.selection.contains(&ListSelection::RecursiveMatch);
        let leads_to_one = recursive && below().any(|mailbox| self.selects(mailbox));
        // Without selection options, names that only lead to others are told of too.
        let bare = itself.is_none() && self.command.selection.is_empty();
        if !selected && !leads_to_one && !bare {
            return None;
        }
        let subscribed = itself.and_then(|mailbox| self.subscribed_attribute(mailbox));
        Some(Line {
            name: name.clone(),
            attributes: MailboxAttributes(attributes(name, tree, subscribed)),
            extended: if leads_to_one { Extended::ChildInfo } else { Extended::None },
            selectable: kind == MailboxKind::Selectable,
            // RFC 8440 §4: not for one that is there only for those below it.
            rights: itself
                .filter(|_| selected && kind == MailboxKind::Selectable)
                .filter(|_| self.command.returns.contains(&ListReturn::MyRights))
                .map(|mailbox| mailbox.rights.clone()),
        })
    }

    /// RFC 5258 §3.1: all selection options must hold. A name without mailbox is listed as a subscription only.
    fn selects(&self, mailbox: &MailboxInfo) -> bool {
        let by_subscription = self.command.selection.contains(&ListSelection::Subscribed);
        let listed = mailbox.kind != MailboxKind::Subscription || by_subscription;
        listed
            && self.command.selection.iter().all(|option| match option {
                ListSelection::Subscribed => mailbox.subscription == Subscription::Subscribed,
                ListSelection::SpecialUse => mailbox.special_use.is_some(),
                ListSelection::Remote | ListSelection::RecursiveMatch => true,
            })
    }

    /// RFC 5258 §3.1: selecting by subscription implies returning it.
    fn subscribed_attribute(&self, mailbox: &MailboxInfo) -> Option<&'static str> {
        let wanted = self.command.returns.contains(&ListReturn::Subscribed)
            || self.command.selection.contains(&ListSelection::Subscribed);
        (wanted && mailbox.subscription == Subscription::Subscribed).then_some("\\Subscribed")
    }
}

impl Line {
    fn tell(&self, core: &mut Core) {
        tell_line(core, &self.name, &self.attributes, &self.extended);
        if let Some(rights) = &self.rights {
            my_rights::tell(core, &self.name, rights);
        }
    }
}

fn tell_line(core: &mut Core, name: &MailboxName, attributes: &MailboxAttributes, extended: &Extended) {
    let out = &mut core.output;
    out.extend_from_slice(b"* LIST ");
    attributes.encode(out);
    out.extend_from_slice(format!(" \"{DELIMITER}\" ").as_bytes());
    encode::mailbox(&core.names.encode(name.as_str()), out);
    match extended {
        Extended::ChildInfo => out.extend_from_slice(b" (\"CHILDINFO\" (\"SUBSCRIBED\"))"),
        Extended::OldName(old) => {
            out.extend_from_slice(b" (\"OLDNAME\" (");
            encode::mailbox(&core.names.encode(old.as_str()), out);
            out.extend_from_slice(b"))");
        }
        Extended::None | Extended::NoAccess => {}
    }
    out.extend_from_slice(b"\r\n");
}

/// What every line says of a name; `subscribed` where that is to be told.
fn attributes(name: &MailboxName, tree: &Tree<'_>, subscribed: Option<&'static str>) -> Vec<&'static str> {
    let itself = tree.get(name.as_str()).copied();
    let mut attributes = Vec::new();
    match itself.map_or(MailboxKind::Subscription, |mailbox| mailbox.kind) {
        MailboxKind::Selectable => {}
        MailboxKind::NotSelectable => attributes.push("\\Noselect"),
        MailboxKind::Subscription => attributes.push("\\NonExistent"),
    }
    let has_children = below(tree, name).next().is_some();
    attributes.push(if has_children { "\\HasChildren" } else { "\\HasNoChildren" });
    attributes.extend(subscribed);
    attributes
        .extend(itself.and_then(|mailbox| mailbox.special_use).map(|special_use| special_use.attribute()));
    attributes
}

/// All names and the names above them, INBOX first, the others in order.
fn with_ancestors(mailboxes: &[MailboxInfo]) -> Vec<MailboxName> {
    let mut names: Vec<MailboxName> = Vec::new();
    for mailbox in mailboxes {
        let name = mailbox.name.as_str();
        let ancestors = name.match_indices(DELIMITER).filter_map(|(at, _)| name.get(..at));
        names.extend(ancestors.map(MailboxName::new));
        names.push(mailbox.name.clone());
    }
    names.sort_by(|one, other| (!one.is_inbox(), one).cmp(&(!other.is_inbox(), other)));
    names.dedup();
    names
}

/// The mailboxes below a name, which stand together in the order of names.
fn below<'a>(tree: &'a Tree<'_>, name: &MailboxName) -> impl Iterator<Item = &'a MailboxInfo> {
    let start = format!("{name}{DELIMITER}");
    let from = (Bound::Included(start.as_str()), Bound::Unbounded);
    let all = tree.range::<str, _>(from).map(|(name, mailbox)| (*name, *mailbox));
    all.take_while(move |(name, _)| name.starts_with(&start)).map(|(_, mailbox)| mailbox)
}
