//! What a mail program reads from: IMAP and POP3.

pub mod imap;
pub mod pop3;
