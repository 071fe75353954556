//! What a client that gave NOTIFY is told of mailboxes (RFC 5465), by comparing what there was with what there is.
//!
//! In: the mailboxes with their counters, after each change of an account. Out: STATUS and LIST lines for what the client
//! asked for, and METADATA lines ([`annotated`]). At most [`MOST_WATCHED`] mailboxes are remembered; beyond that everything
//! stops with NOTIFICATIONOVERFLOW. What cannot be seen for a while, as of an account that cannot be opened, counts as unchanged
//! until it is seen again: a client that is told that a mailbox is gone may throw away what it has of it.
//!
//! Deviates: STATUS is told of the client's own changes too, which §5 says SHOULD be left out; LIST is not.

mod annotated;

use std::collections::BTreeMap;

use crate::commands::{Event, EventGroup, Extended, Filter, NameTree, tell_name, tell_status};
use crate::request::{
    Answer, Counters, MailboxId, MailboxInfo, MailboxKind, MailboxStatus, Request, Subscription, Watched,
};
use crate::session::core::{Core, Expunges};
use crate::session::enabled::Extension;
use crate::types::{DELIMITER, FetchItem, MailboxName, StatusItem};
use annotated::Annotations;

/// Most mailboxes that are remembered for one client.
pub(crate) const MOST_WATCHED: usize = 2_000;

type Mailboxes = BTreeMap<MailboxName, MailboxInfo>;

/// What is watched, and what was last seen there.
#[derive(Debug)]
pub(crate) struct Watch {
    groups: Vec<EventGroup>,
    known: Mailboxes,
    /// An account changed since.
    due: bool,
    /// Names that the client itself made, removed, renamed or subscribed to since.
    own: Vec<MailboxName>,
    /// The same of its request that is under way.
    asked: Vec<MailboxName>,
    /// Messages of the selected mailbox that are to be shown.
    arrivals: Vec<u32>,
    annotations: Annotations,
}

/// A line to be told.
enum News {
    Status(MailboxName, Vec<StatusItem>),
    Listed(MailboxName, Extended),
}

impl Watch {
    pub(crate) fn new(groups: &[EventGroup]) -> Watch {
        Watch {
            groups: groups.to_vec(),
            known: Mailboxes::new(),
            due: false,
            own: Vec::new(),
            asked: Vec::new(),
            arrivals: Vec::new(),
            annotations: Annotations::default(),
        }
    }

    /// What is to be asked for.
    pub(crate) fn request(&self) -> Request {
        Request::Watch { annotations: self.follows_annotations().then(|| self.annotations.positions()) }
    }

    /// Remembers what there is.
    pub(crate) fn begin(mut self, watched: Watched) -> Watch {
        self.known = by_name(watched.mailboxes);
        self.annotations.advance(watched.positions);
        self
    }

    /// An account changed.
    pub(crate) fn note_change(&mut self) {
        self.due = self.follows_others();
    }

    fn follows_others(&self) -> bool {
        self.groups.iter().any(|group| !group.filter.is_selected())
    }

    /// The client is about to change names itself.
    pub(crate) fn note_request(&mut self, request: &Request) {
        self.annotations.note_request(request);
        self.asked = match request {
            Request::Create { mailbox, .. } => vec![mailbox.without_final_delimiter()],
            Request::Delete(name) | Request::Subscribe(name, _) => vec![name.clone()],
            Request::Rename { from, to } => vec![from.clone(), to.clone()],
            _ => Vec::new(),
        };
    }

    /// It has done so, and need not be told (RFC 5465 §5).
    pub(crate) fn note_answer(&mut self, answer: &Answer) {
        let asked = std::mem::take(&mut self.asked);
        self.annotations.note_answer(answer);
        if self.follows_others() && !matches!(answer, Answer::Refused(_)) {
            self.own.extend(asked);
        }
    }

    pub(crate) fn is_due(&self) -> bool {
        self.due || !self.arrivals.is_empty()
    }

    /// What is to be asked for now, if anything is.
    pub(crate) fn take_due(&mut self) -> Option<Request> {
        std::mem::take(&mut self.due).then(|| self.request())
    }

    fn selected_group(&self) -> Option<&EventGroup> {
        self.groups.iter().find(|group| group.filter.is_selected() && !group.events.is_empty())
    }

    /// Whether anything is told of the selected mailbox (RFC 5465 §3.1).
    pub(crate) fn follows_selected(&self) -> bool {
        self.selected_group().is_some()
    }

    /// Whether flags are told of it.
    pub(crate) fn follows_flags(&self) -> bool {
        self.selected_group().is_some_and(|group| group.events.contains(&Event::FlagChange))
    }

    /// What may be told of it while no command runs.
    pub(crate) fn expunges(&self) -> Expunges {
        match self.selected_group().map(|group| &group.filter) {
            Some(Filter::Selected) => Expunges::Told,
            _ => Expunges::Held,
        }
    }

    /// What is shown of new messages.
    pub(crate) fn attributes(&self) -> &[FetchItem] {
        let events = self.selected_group().map(|group| group.events.as_slice()).unwrap_or_default();
        let items = events.iter().find_map(|event| match event {
            Event::MessageNew(items) => Some(items.as_slice()),
            _ => None,
        });
        items.unwrap_or_default()
    }

    /// Messages came to the selected mailbox.
    pub(crate) fn note_arrivals(&mut self, uids: impl Iterator<Item = u32>) {
        if !self.attributes().is_empty() {
            self.arrivals.extend(uids);
        }
    }

    pub(crate) fn take_arrivals(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.arrivals)
    }

    fn wants(&self, mailbox: &MailboxInfo, event: impl Fn(&Event) -> bool) -> bool {
        let mut groups = self.groups.iter().filter(|group| group.filter.matches(mailbox));
        groups.any(|group| group.events.iter().any(&event))
    }

    fn wants_name(&self, mailbox: &MailboxInfo) -> bool {
        !self.own.contains(&mailbox.name) && self.wants(mailbox, |event| *event == Event::MailboxName)
    }

    fn wants_messages(&self, mailbox: &MailboxInfo) -> bool {
        is_readable(mailbox) && self.wants(mailbox, |event| matches!(event, Event::MessageNew(_)))
    }

    fn wants_flags(&self, mailbox: &MailboxInfo) -> bool {
        is_readable(mailbox) && self.wants(mailbox, |event| *event == Event::FlagChange)
    }

    /// RFC 5465 §3.1: the mailboxes that may be listed but not read.
    pub(crate) fn tell_no_access(&self, core: &mut Core) {
        let tree = tree(&self.known);
        let closed = self.known.values().filter(|mailbox| !is_readable(mailbox));
        for mailbox in
            closed.filter(|mailbox| mailbox.kind == MailboxKind::Selectable && self.wants(mailbox, |_| true))
        {
            tell_name(core, &mailbox.name, &tree, &Extended::NoAccess);
        }
    }

    /// RFC 5465 §3.1: how the mailboxes stand that will be told of.
    pub(crate) fn tell_status(&self, core: &mut Core) {
        for mailbox in self.known.values().filter(|mailbox| self.wants_messages(mailbox)) {
            let Some(counters) = others_counters(mailbox, core) else { continue };
            let mut items = vec![StatusItem::Messages, StatusItem::UidNext, StatusItem::UidValidity];
            if self.wants_flags(mailbox) {
                items.push(StatusItem::HighestModSeq);
            }
            tell_status(core, &mailbox.name, &items, &status(counters));
        }
    }

    /// Tells what is different from what was known, and remembers it. `None`: there is too much to remember.
    fn tell(mut self, core: &mut Core, watched: Watched) -> Option<Watch> {
        let Watched { mailboxes, unseen, annotated, positions } = watched;
        let now = self.with_unseen(by_name(mailboxes), &unseen);
        if now.len() > MOST_WATCHED {
            core.untagged("OK [NOTIFICATIONOVERFLOW] Too many mailboxes to watch");
            return None;
        }
        let tree = tree(&now);
        for news in self.news(&now, core) {
            match news {
                News::Listed(name, extended) => tell_name(core, &name, &tree, &extended),
                News::Status(name, items) => {
                    if let Some(counters) = now.get(&name).and_then(|mailbox| mailbox.counters) {
                        tell_status(core, &name, &items, &status(counters));
                    }
                }
            }
        }
        self.tell_annotated(core, &now, &annotated);
        self.annotations.advance(positions);
        self.known = now;
        self.own.clear();
        Some(self)
    }

    /// What is seen now, and what was known where nothing can be seen. Subscriptions are the user's own and always seen.
    fn with_unseen(&self, mut now: Mailboxes, unseen: &[MailboxName]) -> Mailboxes {
        let hidden = |name: &MailboxName| unseen.iter().any(|level| is_below(name, level));
        for mailbox in self.known.values().filter(|mailbox| is_mailbox(mailbox) && hidden(&mailbox.name)) {
            let subscription =
                now.get(&mailbox.name).map_or(Subscription::Unsubscribed, |now| now.subscription);
            now.insert(mailbox.name.clone(), MailboxInfo { subscription, ..mailbox.clone() });
        }
        now
    }

    fn news(&self, now: &Mailboxes, core: &Core) -> Vec<News> {
        let mut news = self.names(now);
        for (name, mailbox) in now {
            let Some(before) = self.known.get(name) else { continue };
            news.extend(self.subscription(before, mailbox));
            news.extend(self.access(before, mailbox));
            news.extend(self.messages(before, mailbox, core));
        }
        news
    }

    /// RFC 5465 §5.4: names that came, went or changed, and those above them.
    fn names(&self, now: &Mailboxes) -> Vec<News> {
        let old_names: BTreeMap<MailboxId, &MailboxName> = self
            .known
            .values()
            .filter_map(|mailbox| Some((mailbox.counters?.mailbox, &mailbox.name)))
            .filter(|(_, name)| !exists(now, name))
            .collect();
        let old_name = |mailbox: &MailboxInfo| old_names.get(&mailbox.counters?.mailbox).copied();
        let came: Vec<&MailboxInfo> = now
            .values()
            .filter(|mailbox| is_mailbox(mailbox) && !exists(&self.known, &mailbox.name))
            .collect();
        let renamed: Vec<(&MailboxName, &MailboxInfo)> =
            came.iter().filter_map(|mailbox| Some((old_name(mailbox)?, *mailbox))).collect();
        let mut news = Vec::new();
        let mut above = Vec::new();
        for mailbox in &came {
            match old_name(mailbox) {
                Some(old) if self.wants_name(mailbox) && !moved_with_parent(old, mailbox, &renamed) => {
                    news.push(News::Listed(mailbox.name.clone(), Extended::OldName(old.clone())));
                }
                None if self.wants_name(mailbox) => {
                    above.extend(parent(&mailbox.name));
                    news.push(News::Listed(mailbox.name.clone(), Extended::None));
                }
                _ => {}
            }
        }
        let gone = self.known.values().filter(|mailbox| is_mailbox(mailbox) && !exists(now, &mailbox.name));
        for mailbox in gone.filter(|mailbox| self.wants_name(mailbox)) {
            if !renamed.iter().any(|(old, _)| **old == mailbox.name) {
                above.extend(parent(&mailbox.name));
                news.push(News::Listed(mailbox.name.clone(), Extended::None));
            }
        }
        above.sort();
        above.dedup();
        let known_above = above.iter().filter(|name| exists(&self.known, name));
        let told = known_above.filter_map(|name| now.get(name)).filter(|mailbox| self.wants_name(mailbox));
        news.extend(told.map(|mailbox| News::Listed(mailbox.name.clone(), Extended::None)));
        news
    }

    /// RFC 5465 §5.5.
    fn subscription(&self, before: &MailboxInfo, now: &MailboxInfo) -> Option<News> {
        let wanted = |mailbox| self.wants(mailbox, |event| *event == Event::SubscriptionChange);
        let told = before.subscription != now.subscription
            && !self.own.contains(&now.name)
            && (wanted(before) || wanted(now));
        told.then(|| News::Listed(now.name.clone(), Extended::None))
    }

    /// RFC 5465 §5.9.
    fn access(&self, before: &MailboxInfo, now: &MailboxInfo) -> Option<News> {
        let extended = match (is_readable(before), is_readable(now)) {
            (true, false) => Extended::NoAccess,
            (false, true) => Extended::None,
            _ => return None,
        };
        self.wants(now, |_| true).then(|| News::Listed(now.name.clone(), extended))
    }

    /// RFC 5465 §5.1 to §5.3, in a mailbox that is not selected.
    fn messages(&self, before: &MailboxInfo, now: &MailboxInfo, core: &Core) -> Option<News> {
        let (then, counters) = (before.counters?, others_counters(now, core)?);
        let moved = (then.messages, then.uid_next) != (counters.messages, counters.uid_next);
        let remade = then.uid_validity != counters.uid_validity;
        let mod_seqs = core.enabled.has(Extension::CondStore);
        let flags = self.wants_flags(now);
        let flagged = then.unseen != counters.unseen || (mod_seqs && then.mod_seq != counters.mod_seq);
        let told = self.wants_messages(now) && (moved || remade || (flags && flagged));
        if !told {
            return None;
        }
        let mut items = vec![StatusItem::Messages, StatusItem::UidNext, StatusItem::UidValidity];
        if flags {
            items.push(StatusItem::Unseen);
        }
        if mod_seqs {
            items.push(StatusItem::HighestModSeq);
        }
        Some(News::Status(now.name.clone(), items))
    }
}

impl Core {
    /// Tells of the mailboxes that are watched.
    pub(crate) fn tell_watched(&mut self, watched: Watched) {
        let Some(watch) = self.watch.take() else { return };
        // RFC 5465 §5.8: as after NOTIFY NONE.
        let watch = watch.tell(self, watched).unwrap_or_else(|| Watch::new(&[]));
        self.watch = Some(watch);
    }
}

/// The counters of a mailbox that is not the selected one, of which other things are told (RFC 5465 §3.1).
fn others_counters(mailbox: &MailboxInfo, core: &Core) -> Option<Counters> {
    let selected = core.selected.as_ref().map(|selected| selected.mailbox);
    mailbox.counters.filter(|counters| Some(counters.mailbox) != selected)
}

fn status(counters: Counters) -> MailboxStatus {
    let Counters { mailbox: _, messages, uid_next, uid_validity, unseen, mod_seq } = counters;
    MailboxStatus { messages, uid_next, uid_validity, unseen, mod_seq, ..MailboxStatus::default() }
}

fn by_name(mailboxes: Vec<MailboxInfo>) -> Mailboxes {
    mailboxes.into_iter().map(|mailbox| (mailbox.name.clone(), mailbox)).collect()
}

fn tree(mailboxes: &Mailboxes) -> NameTree<'_> {
    mailboxes.iter().map(|(name, mailbox)| (name.as_str(), mailbox)).collect()
}

fn is_mailbox(mailbox: &MailboxInfo) -> bool {
    mailbox.kind != MailboxKind::Subscription
}

fn is_readable(mailbox: &MailboxInfo) -> bool {
    mailbox.rights.as_str().contains('r')
}

fn exists(mailboxes: &Mailboxes, name: &MailboxName) -> bool {
    mailboxes.get(name).is_some_and(is_mailbox)
}

fn is_below(name: &MailboxName, level: &MailboxName) -> bool {
    name.as_str().strip_prefix(level.as_str()).is_some_and(|rest| rest.starts_with(DELIMITER))
}

fn parent(name: &MailboxName) -> Option<MailboxName> {
    name.as_str().rsplit_once(DELIMITER).map(|(above, _)| MailboxName::new(above))
}

/// RFC 5465 §5.4: of what is renamed because the mailbox above it is, nothing is told.
fn moved_with_parent(old: &MailboxName, now: &MailboxInfo, renamed: &[(&MailboxName, &MailboxInfo)]) -> bool {
    let (above_old, above_now) = (parent(old), parent(&now.name));
    renamed.iter().any(|(from, to)| Some(*from) == above_old.as_ref() && Some(&to.name) == above_now.as_ref())
}
