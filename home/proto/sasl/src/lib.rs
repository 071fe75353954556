//! SASL: what SMTP submission and IMAP share when a user proves who they are, and in [`client`] how home proves itself to a
//! relay. Pure.
//!
//! The server's side:
//!
//! * In: the client's responses, already base64-decoded by the protocol around this one.
//! * Out: challenges to send, questions to the directory (is this the password? which SCRAM keys has this
//!   user?), and at the end the login name that was proved.
//! * Refused: malformed messages, channel binding that was not offered or is another connection's, a client that could
//!   bind and was made believe that we cannot, an authorization identity other than the
//!   user's own, messages out of order, anything above [`MAX_RESPONSE`] octets.
//! * RFC 4422 (framework), RFC 4616 (PLAIN), RFC 5802 and RFC 7677 (SCRAM-SHA-256 and -PLUS), RFC 9266 and RFC 5929
//!   (the channel bindings tls-exporter and tls-server-end-point).
//!
//! The order of a conversation:
//!
//! ```text
//! Exchange::new(mechanism, bindings) ── begin() or respond(initial) ──► Step::Challenge ── respond() ──► …
//!                                                        └──► Step::Question  ── password_verdict() /
//!                                                             scram_credentials() ──► …
//!                                                        └──► Step::Success { login }
//!                                                        └──► Err(Failure): the exchange is over
//! ```
//!
//! Guessing: an unknown user must cost and look the same as a known one. The directory answers a SCRAM
//! question for an unknown user with [`ScramCredentials::decoy`], and a PLAIN question with a hash computed in vain.
//!
//! Deviates: user names and passwords are compared as UTF-8 octets; SASLprep (RFC 4013) is not applied, so that a
//! password means the same in PLAIN and in SCRAM.

pub mod client;

mod binding;
mod exchange;
mod mechanism;
mod plain;
mod scram;
mod secret;

pub use binding::{BindingType, ChannelBindings};
pub use exchange::{Exchange, Failure, MAX_RESPONSE, Question, Step, Verdict};
pub use mechanism::Mechanism;
pub use plain::PlainMessage;
pub use scram::{MIN_ITERATIONS, ScramCredentials};
pub use secret::Password;
