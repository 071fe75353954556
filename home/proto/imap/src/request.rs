//! What the session asks of the world behind it, and what it is told.
//!
//! The session asks one [`Request`] at a time and goes on when it has the [`Answer`]. Answers that do not belong
//! to their request are our own fault and end the command with `NO [SERVERBUG]`.

mod answer;

use postern_sasl::Password;

pub use answer::{
    AclEntry, Annotated, Annotation, Answer, Changes, Copied, Counters, Flagged, Found, Grantable,
    MailboxInfo, MailboxKind, MailboxStatus, Positions, Quota, QuotaOf, Refusal, Snapshot, Stored, Watched,
};

pub use crate::commands::Replaced;
use crate::thread::Algorithm;
use crate::types::{DateTime, Flag, MailboxName, MessageUrl, Rights, SearchKey, SortCriterion, SpecialUse};

/// The store's lasting number of a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxId {
    /// The account that it is in.
    pub account: u32,
    /// Its number there.
    pub mailbox: i64,
}

/// A question or an order.
#[derive(Debug)]
pub enum Request {
    /// Is this the user's password? Answered by `Verdict`; must cost the same for an unknown user.
    VerifyPassword {
        /// Login name.
        login: String,
        /// What the client sent.
        password: Password,
    },
    /// Which SCRAM keys has the user? Answered by `ScramKeys`, a decoy for an unknown user.
    ScramKeys {
        /// Login name.
        login: String,
    },
    /// Somebody failed to prove who they are. Answered by `FailureCounted`, after a while that makes guessing slow.
    CountFailure,
    /// The user has proved who they are: open the account. Answered by `Done`.
    OpenAccount {
        /// Login name.
        login: String,
    },
    /// All mailboxes. Answered by `Mailboxes`.
    Mailboxes,
    /// What there is for the user to see; from now on the session is to be told of changes to every account that a mailbox may
    /// be in, other users' included. Answered by `Watched`.
    Watch {
        /// Whether annotations are followed, and up to where they are known: of an account that is not here nothing is.
        annotations: Option<Positions>,
    },
    /// Counters of a mailbox. Answered by `Status`.
    Status(MailboxName),
    /// Answered by `Created`.
    Create {
        /// Its parents are made too.
        mailbox: MailboxName,
        /// CREATE (USE ...), RFC 6154 §3.
        special_use: Option<SpecialUse>,
    },
    /// Answered by `Done`.
    Delete(MailboxName),
    /// Answered by `Done`.
    Rename {
        /// The old name.
        from: MailboxName,
        /// The new name.
        to: MailboxName,
    },
    /// Answered by `Done`.
    Subscribe(MailboxName, Subscription),
    /// Opens a mailbox. Answered by `Opened`.
    Open(MailboxName, Access),
    /// What has happened to the mailbox. Answered by `Changes`.
    Changes {
        /// The selected mailbox.
        mailbox: MailboxId,
        /// Everything after this mod-sequence.
        since: u64,
    },
    /// Messages of the selected mailbox. Answered by `Messages`.
    Messages {
        /// The selected mailbox.
        mailbox: MailboxId,
        /// Ascending.
        uids: Vec<u32>,
        /// Which members to fill.
        wanted: Wanted,
    },
    /// Octets of a raw message. Answered by `Content`: all of them, or a refusal.
    Content {
        /// The selected mailbox.
        mailbox: MailboxId,
        /// The message.
        uid: u32,
        /// First octet.
        start: u64,
        /// Number of octets; at most [`crate::CHUNK`], but for a header that is filtered.
        length: u64,
    },
    /// Changes flags. Answered by `Stored`.
    StoreFlags {
        /// The selected mailbox.
        mailbox: MailboxId,
        /// Ascending.
        uids: Vec<u32>,
        /// What to do with the flags.
        change: FlagChange,
        /// The flags.
        flags: Vec<Flag>,
        /// Messages that changed after this mod-sequence are left alone (RFC 7162 §3.1.3).
        unchanged_since: Option<u64>,
    },
    /// Copies or moves messages. Answered by `Copied`.
    Copy {
        /// The selected mailbox.
        mailbox: MailboxId,
        /// Ascending.
        uids: Vec<u32>,
        /// Where to.
        to: MailboxName,
        /// Whether the originals stay.
        mode: CopyMode,
    },
    /// Removes messages that are marked `\Deleted`. Answered by `Expunged`.
    Expunge {
        /// The selected mailbox.
        mailbox: MailboxId,
        /// Only these, ascending; `None` for all.
        uids: Option<Vec<u32>>,
    },
    /// Which of the messages match? Answered by `Found`.
    Search {
        /// The selected mailbox.
        mailbox: MailboxId,
        /// Sequence numbers, `$`, `*` and RECENT are already turned into UIDs.
        key: SearchKey,
    },
    /// Which of the messages match, and in which order? Answered by `Found`, in that order.
    Sort {
        /// The selected mailbox.
        mailbox: MailboxId,
        /// As in `Search`.
        key: SearchKey,
        /// The most important first.
        criteria: Vec<SortCriterion>,
    },
    /// Which conversations do the messages that match make ([`thread::threads`](crate::thread::threads))? Answered by
    /// `Threads`.
    Threads {
        /// The selected mailbox.
        mailbox: MailboxId,
        /// As in `Search`.
        key: SearchKey,
        /// What is a conversation.
        algorithm: Algorithm,
        /// The largest UID that the session knows: later messages are left out.
        up_to: u32,
    },
    /// How much is held, and how much may be? Answered by `Quotas`, or a refusal where there is no such root.
    Quota(QuotaOf),
    /// All annotations of a mailbox, or of the account (RFC 5464). Answered by `Annotations`.
    Annotations(Option<MailboxName>),
    /// Sets annotations, all or none. Answered by `Done`; refused with `OverQuota` when there would be too many.
    Annotate {
        /// Of what; of the account, if absent.
        mailbox: Option<MailboxName>,
        /// Names and values; those without one are removed.
        entries: Vec<(String, Option<Vec<u8>>)>,
    },
    /// Who may do what with a mailbox? Answered by `Acl`.
    Acl(MailboxName),
    /// Changes what one identifier may do with a mailbox. Answered by `Done`.
    SetAcl {
        /// The mailbox.
        mailbox: MailboxName,
        /// A user, `anyone`, or either with `-` in front.
        identifier: String,
        /// What to do with the rights.
        change: RightsChange,
        /// The rights.
        rights: Rights,
    },
    /// What can an identifier be given? Answered by `Grantable`.
    ListRights {
        /// The mailbox.
        mailbox: MailboxName,
        /// As in `SetAcl`.
        identifier: String,
    },
    /// What may the user do with a mailbox? Answered by `Rights`.
    MyRights(MailboxName),
    /// The user goes, the connection stays. Answered by `Done`.
    CloseAccount,
    /// A message is about to come for this mailbox. Answered by `Done`, or a refusal when it cannot be taken.
    AppendBegin {
        /// Where to.
        mailbox: MailboxName,
        /// Octets of the literal that comes first; 0 where a URL does.
        size: u64,
        /// The message that goes when this one is stored (RFC 8508).
        replaces: Option<Replaced>,
    },
    /// Another literal of the same message is about to come. Answered by `Done`, or a refusal.
    AppendLiteral {
        /// Its octets.
        size: u64,
    },
    /// The message goes on with octets of another one (RFC 4469). Answered by `Taken`, or refused with `BadUrl`.
    AppendUrl {
        /// Where they are.
        url: MessageUrl,
        /// The selected mailbox.
        selected: Option<MailboxId>,
        /// There may be no more octets than these.
        at_most: u64,
    },
    /// The next octets of the message. Answered by `Done`.
    AppendData(Vec<u8>),
    /// The message is complete, and another one comes that is stored with it. Answered by `Done`, or a refusal.
    AppendNext {
        /// Octets of the literal that comes first; 0 where a URL does.
        size: u64,
        /// The flags of the message that is complete.
        flags: Vec<Flag>,
        /// Its INTERNALDATE; now, if absent.
        internal_date: Option<DateTime>,
    },
    /// The last message is complete: store all of them durably, or none. Answered by `Appended`.
    AppendCommit {
        /// Where to.
        mailbox: MailboxName,
        /// Its flags.
        flags: Vec<Flag>,
        /// Its INTERNALDATE; now, if absent.
        internal_date: Option<DateTime>,
    },
    /// Forget the messages. Answered by `Done`.
    AppendAbort,
}

impl Request {
    /// Whether it may change the selected mailbox.
    pub fn writes(&self) -> bool {
        matches!(
            self,
            Request::StoreFlags { .. }
                | Request::Copy { .. }
                | Request::Expunge { .. }
                | Request::AppendCommit { .. }
                | Request::Rename { .. }
        )
    }
}

/// SUBSCRIBE or UNSUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subscription {
    /// On the list of LSUB.
    Subscribed,
    /// Not on it.
    Unsubscribed,
}

/// SELECT or EXAMINE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// SELECT
    ReadWrite,
    /// EXAMINE
    ReadOnly,
}

/// COPY or MOVE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyMode {
    /// The originals stay.
    Copy,
    /// The originals go, in the same transaction (RFC 6851).
    Move,
}

/// What STORE does with its flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagChange {
    /// FLAGS
    Replace,
    /// +FLAGS
    Add,
    /// -FLAGS
    Remove,
}

/// What SETACL does with its rights (RFC 4314 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RightsChange {
    /// These and no others; none at all removes the entry.
    Replace,
    /// `+`
    Add,
    /// `-`
    Remove,
}

/// Which members of [`Message`] are needed beside its flags.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// INTERNALDATE, SAVEDATE and RFC822.SIZE
    pub arrival: bool,
    /// ENVELOPE
    pub envelope: bool,
    /// BODYSTRUCTURE, or the spans of parts.
    pub structure: bool,
    /// EMAILID and THREADID
    pub object_ids: bool,
    /// PREVIEW
    pub preview: bool,
    /// Header fields of the message itself.
    pub header: WantedHeader,
    /// Its octets, where they are not many.
    pub octets: bool,
}

/// How much of a message's header is needed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum WantedHeader {
    /// Nothing.
    #[default]
    Nothing,
    /// The fields of these names, at least, and the empty line.
    Fields(Vec<Vec<u8>>),
    /// All of it.
    Whole,
}
