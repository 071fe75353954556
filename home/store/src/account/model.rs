//! Random operations, done to an account and to a model in memory that is too simple to be wrong; after each, both
//! must show the same mailboxes, and `changes_since` of every earlier moment must lead from what was then to what is
//! now.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::{Store, Timestamp};

const MAILBOXES: [&str; 3] = ["INBOX", "Archive", "Trash"];

#[derive(Debug, Clone)]
enum Operation {
    Append {
        mailbox: usize,
        content: u8,
        flags: Flags,
        count: usize,
    },
    StoreFlags {
        mailbox: usize,
        uids: UidSet,
        change: FlagChange,
        stale: bool,
    },
    Copy {
        from: usize,
        uids: UidSet,
        to: usize,
    },
    Move {
        from: usize,
        uids: UidSet,
        to: usize,
    },
    Expunge {
        mailbox: usize,
        which: Expunge,
    },
    /// Deletes and makes again.
    Recreate {
        mailbox: usize,
    },
    Reopen,
}

/// A mailbox in the model: by UID the flags and the content.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    messages: BTreeMap<u32, (Flags, u8)>,
    uid_next: u32,
}

fn flags() -> impl Strategy<Value = Flags> {
    let system = prop::sample::subsequence(
        vec![SystemFlags::SEEN, SystemFlags::DELETED, SystemFlags::FLAGGED, SystemFlags::DRAFT],
        0..3,
    );
    let keywords = prop::sample::subsequence(vec!["$one", "$two", "three"], 0..3);
    (system, keywords).prop_map(|(system, keywords)| Flags {
        system: system.into_iter().fold(SystemFlags::empty(), |all, flag| all | flag),
        keywords: keywords.into_iter().map(|name| Keyword::new(name).unwrap()).collect(),
    })
}

fn uids() -> impl Strategy<Value = UidSet> {
    let ranges = prop::collection::vec((1u32..25, 0u32..6), 0..4);
    ranges
        .prop_map(|ranges| UidSet::from_ranges(ranges.into_iter().map(|(first, more)| first..=first + more)))
}

fn operation() -> impl Strategy<Value = Operation> {
    let mailbox = || 0..MAILBOXES.len();
    let change = (flags(), 0..5).prop_map(|(flags, kind)| match kind {
        0 => FlagChange::Add(flags),
        1 => FlagChange::Remove(flags),
        2 => FlagChange::Replace(flags).within(Rights::SEEN.flags()),
        3 => FlagChange::Replace(flags).within(Rights::WRITE.flags()),
        _ => FlagChange::Replace(flags),
    });
    let which = (uids(), 0..3).prop_map(|(uids, kind)| match kind {
        0 => Expunge::Deleted,
        1 => Expunge::DeletedOf(uids),
        _ => Expunge::Exactly(uids),
    });
    prop_oneof![
        6 => (mailbox(), 0u8..8, flags(), 1usize..4)
            .prop_map(|(mailbox, content, flags, count)| Operation::Append { mailbox, content, flags, count }),
        4 => (mailbox(), uids(), change, any::<bool>())
            .prop_map(|(mailbox, uids, change, stale)| Operation::StoreFlags { mailbox, uids, change, stale }),
        2 => (mailbox(), uids(), mailbox()).prop_map(|(from, uids, to)| Operation::Copy { from, uids, to }),
        2 => (mailbox(), uids(), mailbox()).prop_map(|(from, uids, to)| Operation::Move { from, uids, to }),
        2 => (mailbox(), which).prop_map(|(mailbox, which)| Operation::Expunge { mailbox, which }),
        1 => (1..MAILBOXES.len()).prop_map(|mailbox| Operation::Recreate { mailbox }),
        1 => Just(Operation::Reopen),
    ]
}

/// Two of the contents are large enough for files.
fn content(number: u8) -> String {
    let filling = "0123456789abcde\n".repeat(if number < 2 { 5_000 } else { 5 });
    format!("Subject: content {number}\r\n\r\n{filling}")
}

struct World {
    store: Store,
    account: Account,
    directory: tempfile::TempDir,
    model: Vec<Model>,
    /// What each mailbox was at earlier mod-sequences, with its UID generation.
    history: Vec<(usize, UidValidity, ModSeq, BTreeMap<u32, Flags>)>,
}

impl World {
    fn new() -> World {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(crate::seal::tests::state_dir(directory.path())).unwrap();
        let account = store.account(AccountId(1)).unwrap();
        let model = vec![Model { uid_next: 1, ..Model::default() }; MAILBOXES.len()];
        World { store, account, directory, model, history: Vec::new() }
    }

    fn id(&self, mailbox: usize) -> MailboxId {
        self.account.mailbox_named(MAILBOXES[mailbox]).unwrap().id
    }

    fn perform(&mut self, operation: Operation) {
        match operation {
            Operation::Append { mailbox, content, flags, count } => {
                self.append(mailbox, content, &flags, count);
            }
            Operation::StoreFlags { mailbox, uids, change, stale } => {
                self.store_flags(mailbox, &uids, &change, stale);
            }
            Operation::Copy { from, uids, to } => {
                let copied = self.account.copy(self.id(from), &uids, self.id(to)).unwrap();
                assert_eq!(copied.uids, self.model_copy(from, &uids, to));
            }
            Operation::Move { from, uids, to } => {
                let moved = self.account.move_messages(self.id(from), &uids, self.id(to)).unwrap();
                assert_eq!(moved.uids, self.model_copy(from, &uids, to));
                let gone: UidSet = moved.uids.iter().map(|(uid, _)| *uid).collect();
                self.model[from].messages.retain(|uid, _| !gone.contains(Uid::new(*uid).unwrap()));
            }
            Operation::Expunge { mailbox, which } => self.expunge(mailbox, which),
            Operation::Recreate { mailbox } => {
                self.account.delete_mailbox(self.id(mailbox)).unwrap();
                self.account.create_mailbox(MAILBOXES[mailbox], None).unwrap();
                self.model[mailbox] = Model { uid_next: 1, ..Model::default() };
            }
            Operation::Reopen => {
                // Another account takes the place, so that nothing holds the files while they are opened again.
                self.account =
                    Store::open(&self.directory.path().join("other")).unwrap().account(AccountId(2)).unwrap();
                self.store = Store::open(crate::seal::tests::state_dir(self.directory.path())).unwrap();
                self.account = self.store.account(AccountId(1)).unwrap();
            }
        }
    }

    fn append(&mut self, mailbox: usize, number: u8, flags: &Flags, count: usize) {
        let append = || {
            let mut staging = self.store.stage();
            staging.write(content(number).as_bytes()).unwrap();
            let message = Arc::new(staging.finish().unwrap());
            Append { message, flags: flags.clone(), internal_date: Timestamp::UNIX_EPOCH }
        };
        let messages = (0..count).map(|_| append()).collect();
        let appended = self.account.append(self.id(mailbox), messages).unwrap();
        for appended in appended {
            let uid = self.model[mailbox].add(flags.clone(), number);
            assert_eq!(appended.uid, uid);
        }
    }

    fn store_flags(&mut self, mailbox: usize, uids: &UidSet, change: &FlagChange, stale: bool) {
        let id = self.id(mailbox);
        // With the first mod-sequence every message has changed since.
        let since = stale.then_some(ModSeq(1));
        let stored = self.account.store_flags(id, uids, change.clone(), since).unwrap();
        let meant: Vec<u32> = self.model[mailbox]
            .messages
            .keys()
            .copied()
            .filter(|uid| uids.contains(Uid::new(*uid).unwrap()))
            .collect();
        if stale {
            assert!(stored.messages.is_empty());
            assert_eq!(stored.modified.iter().map(Uid::get).collect::<Vec<_>>(), meant);
            return;
        }
        for uid in &meant {
            let (flags, _) = self.model[mailbox].messages.get_mut(uid).unwrap();
            apply(flags, change);
        }
        assert_eq!(stored.messages.iter().map(|message| message.uid.get()).collect::<Vec<_>>(), meant);
    }

    fn model_copy(&mut self, from: usize, uids: &UidSet, to: usize) -> Vec<(Uid, Uid)> {
        let sources: Vec<(u32, (Flags, u8))> =
            self.model[from].messages.iter().map(|(uid, message)| (*uid, message.clone())).collect();
        let meant = sources.into_iter().filter(|(uid, _)| uids.contains(Uid::new(*uid).unwrap()));
        meant
            .map(|(uid, (flags, content))| (Uid::new(uid).unwrap(), self.model[to].add(flags, content)))
            .collect()
    }

    fn expunge(&mut self, mailbox: usize, which: Expunge) {
        let gone = self.account.expunge(self.id(mailbox), which.clone()).unwrap();
        let goes = |uid: u32, flags: &Flags| {
            let uid = Uid::new(uid).unwrap();
            let deleted = flags.system.contains(SystemFlags::DELETED);
            match &which {
                Expunge::Deleted => deleted,
                Expunge::DeletedOf(uids) => deleted && uids.contains(uid),
                Expunge::Exactly(uids) => uids.contains(uid),
            }
        };
        let messages = &mut self.model[mailbox].messages;
        let before: Vec<u32> = messages.keys().copied().collect();
        messages.retain(|uid, (flags, _)| !goes(*uid, flags));
        let lost = before.into_iter().filter(|uid| !messages.contains_key(uid)).filter_map(Uid::new);
        assert_eq!(gone, lost.collect());
    }

    /// Compares every mailbox with the model, and its history with the present.
    fn check(&mut self) {
        for mailbox in 0..MAILBOXES.len() {
            let snapshot = self.account.snapshot(self.id(mailbox)).unwrap();
            let model = &self.model[mailbox];
            let shown: BTreeMap<u32, Flags> =
                snapshot.messages.iter().map(|state| (state.uid.get(), sorted(&state.flags))).collect();
            let expected: BTreeMap<u32, Flags> =
                model.messages.iter().map(|(uid, (flags, _))| (*uid, sorted(flags))).collect();
            assert_eq!(shown, expected);
            assert_eq!(snapshot.mailbox.uid_next, model.uid_next);
            assert_eq!(snapshot.mailbox.messages as usize, expected.len());
            let unseen = expected.values().filter(|flags| !flags.system.contains(SystemFlags::SEEN)).count();
            assert_eq!(snapshot.mailbox.unseen as usize, unseen);
            self.check_changes(mailbox, &snapshot, &expected);
            let Mailbox { uid_validity, highest_mod_seq, .. } = snapshot.mailbox;
            self.history.push((mailbox, uid_validity, highest_mod_seq, expected));
        }
    }

    fn check_changes(&self, mailbox: usize, now: &Snapshot, expected: &BTreeMap<u32, Flags>) {
        for (_, validity, since, then) in self.history.iter().filter(|(index, ..)| *index == mailbox) {
            if *validity != now.mailbox.uid_validity {
                assert!(*validity < now.mailbox.uid_validity);
                continue;
            }
            let changes = self.account.changes_since(now.mailbox.id, *since).unwrap();
            let mut state = then.clone();
            state.retain(|uid, _| !changes.vanished.contains(Uid::new(*uid).unwrap()));
            for changed in &changes.changed {
                assert!(changed.mod_seq > *since);
                state.insert(changed.uid.get(), sorted(&changed.flags));
            }
            assert_eq!(&state, expected);
        }
    }

    fn check_contents(&self) {
        for (mailbox, model) in self.model.iter().enumerate() {
            for message in self.account.messages(self.id(mailbox), &UidSet::all(), Detail::Structure) {
                let message = message.unwrap();
                let (_, number) = &model.messages[&message.uid.get()];
                let octets = self.account.read_blob(message.email.blob, 0..u64::MAX).unwrap();
                assert_eq!(octets, content(*number).as_bytes());
            }
        }
        assert_eq!(self.account.verify().unwrap(), Vec::<String>::new());
    }
}

impl Model {
    fn add(&mut self, flags: Flags, content: u8) -> Uid {
        let uid = self.uid_next;
        self.uid_next += 1;
        self.messages.insert(uid, (flags, content));
        Uid::new(uid).unwrap()
    }
}

fn apply(flags: &mut Flags, change: &FlagChange) {
    match change {
        FlagChange::Replace(new) => *flags = new.clone(),
        FlagChange::ReplaceWithin(new, mask) => {
            flags.system = flags.system.without(mask.system) | new.system;
            if mask.keywords {
                flags.keywords.clone_from(&new.keywords);
            }
        }
        FlagChange::Add(new) => {
            flags.system = flags.system | new.system;
            let missing = new.keywords.iter().filter(|keyword| !flags.keywords.contains(keyword)).cloned();
            let missing: Vec<Keyword> = missing.collect();
            flags.keywords.extend(missing);
        }
        FlagChange::Remove(old) => {
            flags.system = flags.system.without(old.system);
            flags.keywords.retain(|keyword| !old.keywords.contains(keyword));
        }
    }
}

fn sorted(flags: &Flags) -> Flags {
    let mut flags = flags.clone();
    flags.keywords.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    flags
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn an_account_does_what_the_model_does(operations in prop::collection::vec(operation(), 1..40)) {
        let mut world = World::new();
        world.check();
        for operation in operations {
            world.perform(operation);
            world.check();
        }
        world.check_contents();
    }
}
