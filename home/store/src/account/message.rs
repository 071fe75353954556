//! Messages, what is read of them and what operations answer.

use std::sync::Arc;

use super::{EmailId, Flags, Mailbox, MailboxId, ModSeq, ThreadId, Uid, UidSet, UidValidity};
use crate::Timestamp;
use crate::blob::BlobId;
use crate::stage::StagedMessage;
use crate::structure::{Envelope, Structure};

/// What a session must know of every message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageState {
    /// Its UID.
    pub uid: Uid,
    /// When it was added or its flags changed last.
    pub mod_seq: ModSeq,
    /// Its flags.
    pub flags: Flags,
}

/// A mailbox and the state of its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The mailbox.
    pub mailbox: Mailbox,
    /// Messages in UID order.
    pub messages: Vec<MessageState>,
    /// Messages with this UID or a larger one are `\Recent`.
    pub recent: u32,
}

/// What happened in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The mailbox now; `mailbox.highest_mod_seq` is where the next call goes on.
    pub mailbox: Mailbox,
    /// Messages added or changed, in UID order. Those with UIDs the caller did not know are new.
    pub changed: Vec<MessageState>,
    /// UIDs that were expunged.
    pub vanished: UidSet,
}

/// A message to store.
#[derive(Debug, Clone)]
pub struct Append {
    /// Its octets.
    pub message: Arc<StagedMessage>,
    /// Its flags.
    pub flags: Flags,
    /// When it was received (INTERNALDATE).
    pub internal_date: Timestamp,
}

/// A message that was stored (APPENDUID, RFC 9051 §6.3.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// The mailbox's UID generation.
    pub uid_validity: UidValidity,
    /// Its UID.
    pub uid: Uid,
    /// The content's identity.
    pub email: EmailId,
}

/// What STORE did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The flags of every message of the set that exists and passed, changed or not, in UID order.
    pub messages: Vec<MessageState>,
    /// UIDs left alone because they had changed since (MODIFIED).
    pub modified: UidSet,
}

/// What COPY or MOVE did (COPYUID, RFC 9051 §6.4.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The target's UID generation.
    pub uid_validity: UidValidity,
    /// Old and new UIDs, in ascending order of both.
    pub uids: Vec<(Uid, Uid)>,
}

/// What to expunge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expunge {
    /// Every message with `\Deleted` (EXPUNGE, CLOSE).
    Deleted,
    /// The messages of this set that have `\Deleted` (UID EXPUNGE).
    DeletedOf(UidSet),
    /// These messages, whatever their flags (JMAP, administration).
    Exactly(UidSet),
}

/// How much of each message is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Everything but envelope and structure.
    Summary,
    /// With the envelope.
    Envelope,
    /// With the structure, and the envelope in it.
    Structure,
}

/// How much of each message's header is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// Nothing.
    None,
    /// At least the fields of [`crate::structure::is_kept`].
    Kept,
    /// All of it, up to 1 MiB.
    Whole,
}

/// A message in a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its UID.
    pub uid: Uid,
    /// When it was added or its flags changed last.
    pub mod_seq: ModSeq,
    /// Its flags.
    pub flags: Flags,
    /// When it came into this mailbox (SAVEDATE, RFC 8514).
    pub save_date: Timestamp,
    /// Its content.
    pub email: Email,
}

/// A message's immutable content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// Its identity.
    pub id: EmailId,
    /// Its conversation.
    pub thread: ThreadId,
    /// Its octets.
    pub blob: BlobId,
    /// Octets (RFC822.SIZE).
    pub size: u64,
    /// Octets of the header with its closing empty line.
    pub header_size: u64,
    /// When it was received (INTERNALDATE).
    pub internal_date: Timestamp,
    /// The moment in its Date field, or the internal date where that makes no sense (RFC 5256 §2.2).
    pub sent_date: Timestamp,
    /// Whether it has a part that a person would call an attachment (JMAP `hasAttachment`).
    pub has_attachment: bool,
    /// The beginning of its text, at most 200 characters (RFC 8970).
    pub preview: String,
    /// The envelope, where it alone was asked for.
    pub envelope: Option<Envelope>,
    /// Envelope and body structure, where asked for.
    pub structure: Option<Structure>,
    /// Header fields as they stand in the message, with the empty line, where asked for.
    pub header: Option<Vec<u8>>,
    /// All octets, where asked for and not many.
    pub octets: Option<Vec<u8>>,
}
