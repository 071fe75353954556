//! Stored messages, by content.

/// A stored message's octets. Immutable; stays valid until the last copy of the message in the account is expunged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlobId(pub i64);
