//! What a session gives to its shell.

use std::time::Instant;

use postern_sasl::{Failure, Password};

use crate::deliver_by::DeliverBy;

use super::{BodyType, ForwardPath, Hold, RcptParameters, ReversePath};

/// What the session wants next.
#[derive(Debug)]
pub enum Output {
    /// Send these octets.
    Send(Vec<u8>),
    /// Give this to the host.
    Event(Event),
    /// Begin the TLS handshake.
    StartTls,
    /// Wait for input, at most until then.
    Wait {
        /// When to call `handle_timeout`.
        deadline: Option<Instant>,
    },
    /// Flush and close.
    Close,
}

/// What the host must answer or know.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// May this sender send? Answered by `mail_verdict`.
    Mail {
        /// The sender.
        reverse_path: ReversePath,
        /// Octets announced by SIZE.
        size: Option<u64>,
        /// How the body is encoded.
        body: BodyType,
        /// When it may be sent at the earliest, where the client says so.
        hold: Option<Hold>,
        /// Within which time it is to be delivered, where the client says so.
        deliver_by: Option<DeliverBy>,
    },
    /// Is this recipient taken? Answered by `recipient_verdict`.
    Recipient {
        /// The recipient.
        forward_path: ForwardPath,
        /// What is to be reported of it.
        parameters: RcptParameters,
    },
    /// Is there room for a message? Answered by `data_verdict`.
    Data,
    /// The next octets of the message, stuffed dots removed. Not answered.
    Chunk(Vec<u8>),
    /// The message is complete: make it durable or refuse it. Answered by `message_verdict`.
    Message,
    /// The transaction is over without a message; what was staged can go. Not answered.
    Abort,
    /// Is this the user's password? Answered by `password_verdict`.
    Password {
        /// The user.
        login: String,
        /// What the client claims the password is.
        password: Password,
    },
    /// Which keys prove this user? Answered by `scram_verdict`.
    ScramKeys {
        /// The user.
        login: String,
    },
    /// The client has proved to be this user. Not answered.
    Authenticated {
        /// The user.
        login: String,
    },
    /// The client has failed to. The refusal leaves when the host has handled this, so that it can make the
    /// client wait. Not answered.
    AuthenticationFailed {
        /// Why, for the log.
        failure: Failure,
    },
}
