//! What the two SMTP services of home, inbound and submission, have in common.
//!
//! * [`session`] puts the pure session core under the driver of `net`.
//! * [`incoming`] takes a message from the session to the staging area.
//! * [`failure`] turns storage errors into refusals.
//! * [`story`] tells the journal.
//! * [`tls_wish`] reads what the sender says of TLS.

pub mod session;

pub mod incoming;

pub mod failure;

pub mod story;

pub mod tls_wish;

/// Heard by a client that may not have one connection more (RFC 5321 §3.8).
pub const BUSY: &str = "421 4.7.0 too many connections, try again later\r\n";
