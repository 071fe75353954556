//! What the session asks of the world behind it, and what it is told.
//!
//! The session asks one [`Request`] at a time and goes on when it has the [`Answer`].

use postern_sasl::{Password, ScramCredentials, Verdict};

use crate::maildrop::Contents;

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
    /// The user has proved who they are: lock the maildrop and tell what is in it. Answered by `Opened`.
    Open {
        /// Login name.
        login: String,
    },
    /// Octets of a message. Answered by `Content`: all of them that there are, at least one.
    Content {
        /// UID of the message.
        uid: u32,
        /// First octet.
        start: u64,
        /// Number of octets, at most [`crate::CHUNK`].
        length: u64,
    },
    /// The session ends well: remove and mark messages durably, both or neither. Answered by `Updated`.
    Update {
        /// UIDs of messages to remove, ascending.
        deleted: Vec<u32>,
        /// UIDs of messages to mark as read, ascending.
        retrieved: Vec<u32>,
    },
}

/// The world's answer.
#[derive(Debug)]
pub enum Answer {
    /// To `VerifyPassword`.
    Verdict(Verdict),
    /// To `ScramKeys`.
    ScramKeys {
        /// The keys, or a decoy.
        credentials: ScramCredentials,
        /// Fresh randomness, printable, no comma.
        nonce: String,
    },
    /// To `CountFailure`.
    FailureCounted,
    /// To `Open`.
    Opened(Contents),
    /// To `Content`.
    Content(Vec<u8>),
    /// To `Update`.
    Updated,
    /// It is not done.
    Refused(Refusal),
}

/// Why something was not done. The cause is in the host's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Another session has the maildrop.
    InUse,
    /// Temporary: try later.
    Unavailable,
    /// The message has been removed by other means, IMAP for one.
    Gone,
    /// Our own fault.
    Fault,
}
