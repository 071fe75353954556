//! A message as the store gives it to the session.

use std::sync::Arc;

use crate::types::{BodyStructure, DateTime, Envelope, Flag};

/// A message of the selected mailbox: where it stands, and its lasting number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageRef {
    /// Sequence number in this session's view.
    pub sequence: u32,
    /// Unique identifier.
    pub uid: u32,
}

/// What the store knows about a message. Members that were not asked for may be absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Unique identifier.
    pub uid: u32,
    /// Modification sequence (RFC 7162).
    pub mod_seq: u64,
    /// Flags, without `\Recent`.
    pub flags: Vec<Flag>,
    /// When it came and how large it is, where asked for.
    pub arrival: Option<Arrival>,
    /// ENVELOPE, where asked for.
    pub envelope: Option<Arc<Envelope>>,
    /// The structure with the spans of all parts, where asked for.
    pub structure: Option<Arc<BodyStructure>>,
    /// EMAILID and THREADID, where asked for.
    pub object_ids: Option<ObjectIds>,
    /// The beginning of its text (RFC 8970), where asked for.
    pub preview: Option<String>,
    /// Header fields as they stand in the message, with the empty line, where asked for.
    pub header: Option<Vec<u8>>,
    /// All octets, where asked for and not many; else they are to be asked for.
    pub octets: Option<Vec<u8>>,
}

/// When a message came, and how large it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// When it arrived.
    pub internal_date: DateTime,
    /// When it came into this mailbox (SAVEDATE, RFC 8514).
    pub save_date: DateTime,
    /// Octets of the raw message.
    pub size: u64,
}

/// The lasting names of a content and of its conversation (RFC 8474 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectIds {
    /// EMAILID
    pub email: String,
    /// THREADID
    pub thread: String,
}
