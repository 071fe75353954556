//! What a mail program reads from: IMAP today.

pub mod imap;
