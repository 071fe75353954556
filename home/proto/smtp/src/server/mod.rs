//! The server's side of SMTP, for both roles: MTA (port 25) and MSA (submission).
//!
//! * In: octets from the client, the hour, and the host's answers to questions.
//! * Out: octets for the client, questions ([`Event`]) and deadlines.
//! * Refused: line ends other than CRLF in commands and in data (so that nothing can be smuggled), lines,
//!   messages and recipient lists above the limits, commands out of order, and what the host refuses.
//! * RFC 5321; RFC 1870 (SIZE), RFC 2920 (PIPELINING), RFC 3030 (CHUNKING), RFC 6152 (8BITMIME), RFC 6531 (SMTPUTF8), RFC 3461 (DSN; on submission only, see `session::greeting`), RFC 2034 and
//!   RFC 3463 (ENHANCEDSTATUSCODES), RFC 4865 (FUTURERELEASE, on submission), RFC 8689 (REQUIRETLS), RFC 9422 (LIMITS), RFC 3207 (STARTTLS), RFC 4954 (AUTH), RFC 6409 (submission).
//!
//! Data flows through the files in this order: [`framer`] cuts lines and message data, [`command`] parses a line,
//! [`session`] keeps the state and asks the host, [`reply`] and [`refusal`] word the answer.
//!
//! BINARYMIME (RFC 3030 §3) is not offered. A server that takes a binary message has to hand it on to servers that do not: it
//! would have to re-encode what was signed. And no bare CR or LF is taken here, in chunks either, so that nothing can be smuggled.
//!
//! `Deviates:` a text line may be longer than RFC 5321 §4.5.3.1.6 allows; data is streamed, so length costs
//! nothing, and real senders break this limit. White space after `MAIL FROM:` and `RCPT TO:` is accepted.

pub mod framer;

pub mod command;

pub mod session;

pub mod refusal;
pub mod reply;

pub mod fuzz;

pub use command::dsn::{Notify, Ret};
pub use command::parameters::{Hold, MailParameters, RcptParameters};
pub use command::path::{ForwardPath, ReversePath};
pub use refusal::Refusal;
pub use reply::Reply;
pub use session::{
    AuthVerdict, BodyType, Envelope, Event, FutureRelease, Limits, Output, Role, Session, SessionConfig,
    Timeouts, Transport,
};
