//! What the session is told.

use std::collections::BTreeMap;

use postern_sasl::ScramCredentials;

use super::{Access, MailboxId, Subscription};
use crate::thread::Forest;
use crate::types::{Flag, MailboxName, Message, Rights, SpecialUse};

/// The world's answer.
#[derive(Debug)]
pub enum Answer {
    /// It is done.
    Done,
    /// It is not done.
    Refused(Refusal),
    /// To `VerifyPassword`: whether it is the user's password.
    Verdict(postern_sasl::Verdict),
    /// To `ScramKeys`.
    ScramKeys {
        /// The keys, or a decoy.
        credentials: ScramCredentials,
        /// Fresh randomness, printable, no comma.
        nonce: String,
    },
    /// To `CountFailure`.
    FailureCounted,
    /// To `Mailboxes`.
    Mailboxes(Vec<MailboxInfo>),
    /// To `Watch`.
    Watched(Watched),
    /// To `Status`.
    Status(MailboxStatus),
    /// To `Open`.
    Opened(Snapshot),
    /// To `Changes`.
    Changes(Changes),
    /// To `Messages`: as many of the first ones as may be held in memory at once.
    Messages {
        /// In the order in which they were asked for; those that are gone are left out.
        found: Vec<Message>,
        /// How many of the UIDs this answers: at least the first.
        answered: usize,
    },
    /// To `Content`.
    Content(Vec<u8>),
    /// To `Create`: the mailbox's lasting name (RFC 8474 §4.1).
    Created(String),
    /// To `StoreFlags`.
    Stored(Stored),
    /// To `Copy`.
    Copied(Copied),
    /// To `Expunge`: what was removed, ascending.
    Expunged(Vec<u32>),
    /// To `Threads`.
    Threads(Forest),
    /// To `Annotations`: by name.
    Annotations(Vec<Annotation>),
    /// To `Acl`: the owner first.
    Acl(Vec<AclEntry>),
    /// To `ListRights`.
    Grantable(Grantable),
    /// To `MyRights`.
    Rights(Rights),
    /// To `Quota`: the roots that were meant.
    Quotas(Vec<Quota>),
    /// To `Search`: ascending by UID; to `Sort`.
    Found(Vec<Found>),
    /// To `AppendUrl`: how many octets that were.
    Taken(u64),
    /// To `AppendCommit`.
    Appended {
        /// The mailbox's.
        uid_validity: u32,
        /// The new messages', ascending.
        uids: Vec<u32>,
    },
}

/// Why something was not done. The cause is in the host's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such mailbox.
    NonExistent,
    /// There is one already.
    AlreadyExists,
    /// It has children that would be orphaned.
    HasChildren,
    /// It cannot be done with this mailbox.
    Cannot,
    /// The message is gone.
    Expunged,
    /// There is no such message part.
    BadUrl,
    /// It would become larger than allowed.
    TooLarge,
    /// The user has not the right to do it (RFC 4314 §4).
    NoPermission,
    /// Nobody here has that identifier.
    UnknownIdentifier,
    /// The account is full.
    OverQuota,
    /// Temporary: try later.
    Unavailable,
    /// Our own fault.
    Fault,
}

/// A mailbox in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailboxInfo {
    /// Its name.
    pub name: MailboxName,
    /// What there is under that name.
    pub kind: MailboxKind,
    /// Its purpose.
    pub special_use: Option<SpecialUse>,
    /// Whether the user subscribed to it.
    pub subscription: Subscription,
    /// What the user may do with it.
    pub rights: Rights,
    /// How it stands; there is nothing to count behind a name that is only subscribed.
    pub counters: Option<Counters>,
}

/// Of accounts, the mod-sequence up to which something is known.
pub type Positions = BTreeMap<u32, u64>;

/// What a user sees at one moment, for NOTIFY (RFC 5465).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    /// As for `Mailboxes`.
    pub mailboxes: Vec<MailboxInfo>,
    /// Levels of names below which nothing can be seen just now. Nothing is known to have changed there.
    pub unseen: Vec<MailboxName>,
    /// What was annotated anew; nothing, where annotations are not followed.
    pub annotated: Vec<Annotated>,
    /// Up to where that is complete, of the accounts that could be seen.
    pub positions: Positions,
}

/// Annotations that were set or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotated {
    /// Of what; of the account, if absent.
    pub mailbox: Option<MailboxName>,
    /// Their names.
    pub entries: Vec<String>,
}

/// What can be told of a mailbox without looking into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Its lasting number.
    pub mailbox: MailboxId,
    /// As in [`MailboxStatus`].
    pub messages: u32,
    /// As in [`MailboxStatus`].
    pub uid_next: u32,
    /// As in [`MailboxStatus`].
    pub uid_validity: u32,
    /// As in [`MailboxStatus`].
    pub unseen: u32,
    /// As in [`MailboxStatus`].
    pub mod_seq: u64,
}

/// Who may do what (RFC 4314 §3.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclEntry {
    /// A user, `anyone`, or either with `-` in front.
    pub identifier: String,
    /// What is given, or taken away.
    pub rights: Rights,
}

/// What somebody can be given (RFC 4314 §3.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grantable {
    /// What cannot be taken away.
    pub always: Rights,
    /// What can be given, those of one entry together.
    pub optional: Vec<Rights>,
}

/// What a name in a list stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailboxKind {
    /// A mailbox.
    Selectable,
    /// A name that only has mailboxes below it (`\Noselect`).
    NotSelectable,
    /// Nothing; the name is subscribed (`\NonExistent`).
    Subscription,
}

/// The counters of a mailbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailboxStatus {
    /// Number of messages.
    pub messages: u32,
    /// Messages that no session has been told of.
    pub recent: u32,
    /// The next UID, or greater.
    pub uid_next: u32,
    /// Generation of the UIDs.
    pub uid_validity: u32,
    /// Messages without `\Seen`.
    pub unseen: u32,
    /// Messages with `\Deleted`.
    pub deleted: u32,
    /// Octets of all messages.
    pub size: u64,
    /// Octets of the messages with `\Deleted`.
    pub deleted_size: u64,
    /// The largest mod-sequence of its messages and removals (RFC 7162 §3.1.7).
    pub mod_seq: u64,
    /// Its name for good (MAILBOXID, RFC 8474 §4.3).
    pub object_id: String,
}

/// A mailbox as it was when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its lasting number.
    pub mailbox: MailboxId,
    /// Its name for good (MAILBOXID, RFC 8474 §4.2).
    pub object_id: String,
    /// Generation of the UIDs.
    pub uid_validity: u32,
    /// The next UID, or greater.
    pub uid_next: u32,
    /// The mod-sequence up to which this is complete.
    pub mod_seq: u64,
    /// UIDs of all messages, ascending.
    pub uids: Vec<u32>,
    /// The first UID that no session before this one was told of.
    pub recent_from: u32,
    /// UID of the first message without `\Seen`.
    pub first_unseen: Option<u32>,
    /// Keywords in use.
    pub keywords: Vec<String>,
    /// What the user's rights leave of the access that was asked for (RFC 4314 §5.2).
    pub access: Access,
    /// The flags that the user may change for good, keywords as far as they are in use.
    pub permanent_flags: Vec<Flag>,
    /// Whether the user may make new keywords.
    pub new_keywords: bool,
}

/// What happened to a mailbox since a mod-sequence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The mod-sequence up to which this is complete.
    pub mod_seq: u64,
    /// Messages that came or whose flags changed, ascending by UID.
    pub changed: Vec<Flagged>,
    /// UIDs that are gone, ascending.
    pub expunged: Vec<u32>,
}

/// A message's flags at a mod-sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flagged {
    /// The message.
    pub uid: u32,
    /// When they were last changed.
    pub mod_seq: u64,
    /// All of them, without `\Recent`.
    pub flags: Vec<Flag>,
}

/// What STORE did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// The messages that still exist, with their flags as they are now, ascending.
    pub messages: Vec<Flagged>,
    /// UIDs left alone because they had changed since, ascending.
    pub modified: Vec<u32>,
}

/// A named value (RFC 5464 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// Its name, in lower case.
    pub entry: String,
    /// Its value.
    pub value: Vec<u8>,
}

/// Which quota roots are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuotaOf {
    /// The one of this name; the account's is empty.
    Root(String),
    /// All that limit this mailbox, which need not exist.
    Mailbox(MailboxName),
}

/// What is held under a quota root, and what may be; `None` is unlimited.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quota {
    /// Its name.
    pub root: String,
    /// Octets of all messages.
    pub octets: u64,
    /// How many there may be.
    pub max_octets: Option<u64>,
    /// Messages.
    pub messages: u64,
    /// How many there may be.
    pub max_messages: Option<u64>,
}

/// A message that a search found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The message.
    pub uid: u32,
    /// Its mod-sequence.
    pub mod_seq: u64,
}

/// What COPY or MOVE made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// The destination's.
    pub uid_validity: u32,
    /// For each message that existed: its UID here and there, ascending in both.
    pub uids: Vec<(u32, u32)>,
}
