//! POP3, the server's side. Pure: no sockets, clock or store.
//!
//! * In: octets from the client; answers from the host, which owns the store.
//! * Out: octets for the client; requests to the host, one at a time.
//! * Refused: passwords before TLS; commands in the wrong state or outside the grammar; lines above the limits.
//!
//! Data flows through the modules in this order: [`lines`] cuts octets into lines, [`command`] gives them a meaning,
//! [`session`] runs them one by one, [`request`] is what they ask of the host, [`maildrop`] remembers what the client has
//! seen and marked, [`multiline`] and [`reply`] write the answers.
//!
//! | extension | RFC | |
//! |---|---|---|
//! | POP3 with TOP and UIDL | RFC 1939 | no APOP: it would need passwords that can be read |
//! | CAPA, RESP-CODES, PIPELINING, EXPIRE NEVER, IMPLEMENTATION | RFC 2449 | |
//! | STLS | RFC 2595 §4 | what came with the command, after it, is dropped |
//! | SASL PLAIN, SCRAM-SHA-256, SCRAM-SHA-256-PLUS | RFC 5034 | in `postern-sasl` |
//! | AUTH-RESP-CODE | RFC 3206 | |
//! | UTF8 USER | RFC 6856 | no LANG |
//!
//! `Deviates:` a message with UTF-8 in its header is sent as it is without UTF8 too (RFC 6856 §2.1 asks for a surrogate or
//! a refusal): to refuse it would keep mail from everybody whose program is old. A bare LF in a message is sent as CRLF, so
//! that no program takes a line for the end that another does not.

pub mod lines;

pub mod command;

pub mod session;

pub mod maildrop;
pub mod request;

pub mod multiline;
pub mod reply;

pub use session::{Config, Output, Session};

/// Octets of a message that are asked for at once, and of output that are given out at once.
pub const CHUNK: usize = 64 * 1024;

/// Parses one line of arbitrary octets, and checks that what it means survives being written and read again.
pub fn fuzz_command(octets: &[u8]) {
    if let Ok(command) = command::Command::parse(octets) {
        assert_eq!(command::Command::parse(&command.encode()), Ok(command));
    }
}

/// Runs a session over arbitrary octets, before login and in the maildrop.
pub fn fuzz_session(octets: &[u8]) {
    session::fuzz::run(octets);
}
