//! What a session is told when it begins: role, name, limits and timeouts.

use std::time::Duration;

use jiff::Timestamp;

/// The settings of a service, shared by its sessions.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// The name in the greeting.
    pub hostname: String,
    /// Which service this is.
    pub role: Role,
    /// Whether STARTTLS is offered on connections that begin in clear.
    pub starttls: bool,
    /// How long a client may have a message wait before it is sent; not offered where absent.
    pub future_release: Option<FutureRelease>,
    /// Sizes and counts.
    pub limits: Limits,
    /// Patience.
    pub timeouts: Timeouts,
}

/// The bounds of FUTURERELEASE, as EHLO announces them (RFC 4865).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FutureRelease {
    /// The longest wait, in seconds.
    pub interval: u32,
    /// The latest time.
    pub until: Timestamp,
}

/// The two services of RFC 5598 §4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Takes mail from other servers for the users here (port 25).
    Mta,
    /// Takes mail from authenticated users for anybody (ports 465 and 587; RFC 6409).
    Msa,
}

/// Sizes and counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of a message.
    pub message_octets: u64,
    /// Recipients of a message; at least 100 (RFC 5321 §4.5.3.1.8).
    pub recipients: usize,
    /// Refusals before the session is closed; an accepted message sets the count back.
    pub errors: usize,
    /// Failed authentications before the session is closed.
    pub authentication_failures: usize,
    /// Commands that lead to nothing (NOOP, RSET, …) before the session is closed.
    pub idle_commands: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            message_octets: 50 * 1024 * 1024,
            recipients: 200,
            errors: 20,
            authentication_failures: 3,
            idle_commands: 100,
        }
    }
}

/// Patience (RFC 5321 §4.5.3.2.7: a server waits at least five minutes for a command).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the next whole command or response.
    pub command: Duration,
    /// For the next octets of a message.
    pub data_block: Duration,
    /// For a whole message, so that a trickle ends too.
    pub message: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            command: Duration::from_secs(300),
            data_block: Duration::from_secs(300),
            message: Duration::from_secs(2 * 3600),
        }
    }
}
