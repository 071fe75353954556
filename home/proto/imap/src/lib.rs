//! IMAP4rev1 and IMAP4rev2, the server's side: framing, commands, responses, and the session. Pure: no sockets, clock or store.
//!
//! * In: octets from the client; answers from the host, which owns the store.
//! * Out: octets for the client; requests to the host, one at a time.
//! * Refused: everything that the grammar does not allow, commands in the wrong state, literals above the limits
//!   (before the client has sent them where it waits, else by closing the connection).
//!
//! Data flows through the modules in this order: [`framer`] cuts octets into commands, [`parser`] and [`types`]
//! turn their words into values, [`commands`] has a file for each command, [`session`] runs them one by one,
//! [`request`] is what they ask of the host, [`response`] writes what they answer.
//!
//! | extension | RFC | |
//! |---|---|---|
//! | IMAP4rev1 | RFC 3501 | all but STARTTLS: the service is behind implicit TLS |
//! | IMAP4rev2 | RFC 9051 | once enabled, see [`session::Extension`] |
//! | LITERAL+ | RFC 7888 | |
//! | SASL-IR | RFC 4959 | |
//! | AUTH=PLAIN, AUTH=SCRAM-SHA-256, AUTH=SCRAM-SHA-256-PLUS | RFC 4616, RFC 7677 | in `postern-sasl` |
//! | ID | RFC 2971 | |
//! | ENABLE | RFC 5161 | CONDSTORE, QRESYNC, IMAP4rev2, UIDONLY, UTF8=ACCEPT |
//! | IDLE | RFC 2177 | |
//! | NOTIFY | RFC 5465 | no events of annotations |
//! | NAMESPACE | RFC 2342 | |
//! | ACL, LIST-MYRIGHTS | RFC 4314, RFC 8440 | the host knows the rights |
//! | CHILDREN | RFC 3348 | |
//! | LIST-EXTENDED, LIST-STATUS | RFC 5258, RFC 5819 | |
//! | SPECIAL-USE, CREATE-SPECIAL-USE | RFC 6154 | one use for each mailbox |
//! | UIDPLUS | RFC 4315 | |
//! | UNSELECT | RFC 3691 | |
//! | MOVE | RFC 6851 | |
//! | ESEARCH, SEARCHRES, WITHIN | RFC 4731, RFC 5182, RFC 5032 | |
//! | PARTIAL | RFC 9394 | |
//! | UIDONLY | RFC 9586 | |
//! | INPROGRESS | RFC 9585 | that a command is under way, not how far it is |
//! | STATUS=SIZE | RFC 8438 | |
//! | CONDSTORE, QRESYNC | RFC 7162 | one mod-sequence for all of a message's flags |
//! | OBJECTID, SAVEDATE, PREVIEW | RFC 8474, RFC 8514, RFC 8970 | |
//! | UTF8=ACCEPT | RFC 6855 | messages go to every client as they are, and come so from every client |
//! | APPENDLIMIT | RFC 7889 | the same for every mailbox |
//! | SORT, THREAD=ORDEREDSUBJECT, THREAD=REFERENCES | RFC 5256 | |
//! | ESORT, SORT=DISPLAY | RFC 5267, RFC 5957 | no contexts |
//! | BINARY | RFC 3516 | |
//! | MULTIAPPEND | RFC 3502 | at most 100 messages at once, together as large as one may be |
//! | UNAUTHENTICATE | RFC 8437 | |
//! | REPLACE | RFC 8508 | |
//! | CATENATE | RFC 4469 | URLs of this server's messages, without a scheme (RFC 5092) |
//! | METADATA | RFC 5464 | own mailboxes; of the account, private entries |
//! | COMPRESS=DEFLATE | RFC 4978 | after login only |
//! | QUOTA=RES-STORAGE, QUOTA=RES-MESSAGE | RFC 9208 | a root for the account, and one for each mailbox |
//!
//! `Deviates:` a message with UTF-8 in its header is sent as it is to clients that have not enabled UTF8=ACCEPT too (RFC 6855 §8
//! asks for conformance with RFC 5322 then; §7 names surrogates). A surrogate has another size and content than the message, so
//! that signatures fail and a client that learns UTF-8 keeps the wrong one; programs show raw UTF-8 well, or as strange letters.
//!
//! The host's part is a loop over [`Session::poll`]; `postern-home` has it in `access::imap`.

pub mod commands;
pub mod framer;
pub mod parser;
pub mod request;
pub mod response;
pub mod session;
pub mod thread;
pub mod types;

pub use session::{Config, Output, Session, State};

/// Octets of a message that are asked for at once, and of output that are given out at once.
pub const CHUNK: usize = 64 * 1024;

/// Parses one command of arbitrary octets, and checks that what it means survives being written and read again.
pub fn fuzz_command(octets: &[u8]) {
    for names in [types::NameEncoding::ModifiedUtf7, types::NameEncoding::Utf8] {
        if let Ok(command) = commands::parse(octets, names) {
            let mut written = Vec::new();
            command.encode(names, &mut written);
            assert_eq!(commands::parse(&written, names), Ok(command), "{}", written.escape_ascii());
        }
        let _ = commands::parse_append(octets, names);
    }
}

/// Frames arbitrary octets, at once and one by one, and checks that the frames are the same.
pub fn fuzz_framer(octets: &[u8]) {
    let whole = framer::read_all([octets]);
    let single = framer::read_all(octets.chunks(1));
    assert_eq!(whole, single);
}
