//! Status responses: OK, NO, BAD with their codes (RFC 9051 §7.1, RFC 5530).

use std::borrow::Cow;

use crate::parser::ParseError;
use crate::request::Refusal;
use crate::response::encode;
use crate::types::encode_uids;

/// `resp-cond-state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Done.
    Ok,
    /// Not done.
    No,
    /// Not understood.
    Bad,
}

/// `resp-text-code`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// A code without arguments: `TRYCREATE`, `READ-ONLY`, `NONEXISTENT`, ...
    Word(&'static str),
    /// APPENDUID (RFC 4315 §3)
    AppendUid {
        /// The mailbox's.
        uid_validity: u32,
        /// The messages', ascending (RFC 4315 §3).
        uids: Vec<u32>,
    },
    /// COPYUID (RFC 4315 §3)
    CopyUid {
        /// The destination's.
        uid_validity: u32,
        /// Source and destination, ascending in both.
        uids: Vec<(u32, u32)>,
    },
    /// CAPABILITY with these words.
    Capability(String),
    /// BADURL (RFC 4469 §4.1) with the URL.
    BadUrl(Vec<u8>),
    /// METADATA LONGENTRIES (RFC 5464 §4.2.1) with the size of the largest value that was left out.
    LongEntries(u64),
    /// METADATA MAXSIZE (RFC 5464 §4.3) with the largest size of a value.
    MaxSize(usize),
    /// BADEVENT (RFC 5465 §3.1) with what is supported.
    BadEvent(&'static str),
    /// BADCHARSET with what is supported.
    BadCharset,
    /// HIGHESTMODSEQ (RFC 7162 §3.1.2.1); the number is put in when everything before it has been told.
    HighestModSeq(u64),
    /// MAILBOXID (RFC 8474 §4.1)
    MailboxId(String),
    /// MODIFIED (RFC 7162 §3.1.3) with sequence numbers or UIDs, ascending.
    Modified(Vec<u32>),
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// OK, NO or BAD.
    pub condition: Condition,
    /// The machine's reason.
    pub code: Option<Code>,
    /// The reader's.
    pub text: Cow<'static, str>,
}

impl Completion {
    /// `OK text`
    pub fn ok(text: &'static str) -> Completion {
        Completion { condition: Condition::Ok, code: None, text: text.into() }
    }

    /// `NO [code] text`
    pub fn no(code: &'static str, text: &'static str) -> Completion {
        Completion { condition: Condition::No, code: Some(Code::Word(code)), text: text.into() }
    }

    /// `BAD text`
    pub fn bad(text: &'static str) -> Completion {
        Completion { condition: Condition::Bad, code: None, text: text.into() }
    }

    /// The same with this code.
    pub fn with(mut self, code: Code) -> Completion {
        self.code = Some(code);
        self
    }

    /// Writes `tag OK [CODE] text`, or untagged with `*`.
    pub fn encode(&self, tag: &str, out: &mut Vec<u8>) {
        let condition = match self.condition {
            Condition::Ok => " OK ",
            Condition::No => " NO ",
            Condition::Bad => " BAD ",
        };
        out.extend_from_slice(tag.as_bytes());
        out.extend_from_slice(condition.as_bytes());
        if let Some(code) = &self.code {
            out.push(b'[');
            code.encode(out);
            out.extend_from_slice(b"] ");
        }
        out.extend_from_slice(self.text.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

impl Code {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Code::Word(word) => out.extend_from_slice(word.as_bytes()),
            Code::AppendUid { uid_validity, uids } => {
                out.extend_from_slice(format!("APPENDUID {uid_validity} ").as_bytes());
                encode_uids(uids.iter().copied(), out);
            }
            Code::CopyUid { uid_validity, uids } => {
                out.extend_from_slice(format!("COPYUID {uid_validity} ").as_bytes());
                encode_uids(uids.iter().map(|pair| pair.0), out);
                out.push(b' ');
                encode_uids(uids.iter().map(|pair| pair.1), out);
            }
            Code::Capability(words) => out.extend_from_slice(format!("CAPABILITY {words}").as_bytes()),
            Code::HighestModSeq(mod_seq) => {
                out.extend_from_slice(format!("HIGHESTMODSEQ {mod_seq}").as_bytes());
            }
            Code::MailboxId(id) => out.extend_from_slice(format!("MAILBOXID ({id})").as_bytes()),
            Code::Modified(numbers) => {
                out.extend_from_slice(b"MODIFIED ");
                encode_uids(numbers.iter().copied(), out);
            }
            Code::BadUrl(url) => {
                out.extend_from_slice(b"BADURL ");
                url.iter().for_each(|octet| encode::resp_text(*octet, out));
            }
            Code::LongEntries(size) => {
                out.extend_from_slice(format!("METADATA LONGENTRIES {size}").as_bytes());
            }
            Code::MaxSize(size) => out.extend_from_slice(format!("METADATA MAXSIZE {size}").as_bytes()),
            Code::BadEvent(known) => out.extend_from_slice(format!("BADEVENT ({known})").as_bytes()),
            Code::BadCharset => out.extend_from_slice(b"BADCHARSET (UTF-8 US-ASCII)"),
        }
    }
}

/// What the store refuses, in the words of RFC 5530.
impl From<Refusal> for Completion {
    fn from(refusal: Refusal) -> Completion {
        match refusal {
            Refusal::NonExistent => Completion::no("NONEXISTENT", "No such mailbox"),
            Refusal::AlreadyExists => Completion::no("ALREADYEXISTS", "Mailbox already exists"),
            Refusal::HasChildren => Completion::no("HASCHILDREN", "Mailbox has children"),
            Refusal::Cannot => Completion::no("CANNOT", "That cannot be done with this mailbox"),
            Refusal::Expunged => Completion::no("EXPUNGEISSUED", "That message is gone"),
            Refusal::BadUrl => Completion::no("NONEXISTENT", "No such message part"),
            Refusal::TooLarge => Completion::no("TOOBIG", "Message too large"),
            Refusal::NoPermission => Completion::no("NOPERM", "You have not the right to do that"),
            Refusal::UnknownIdentifier => {
                Completion::no("CANNOT", "No such user here, and there are no groups")
            }
            Refusal::OverQuota => {
                Completion::no("OVERQUOTA", "The account or the mailbox would be over its limit")
            }
            Refusal::Unavailable => Completion::no("UNAVAILABLE", "Temporary failure, try again later"),
            Refusal::Fault => Completion::no("SERVERBUG", "Internal error"),
        }
    }
}

/// What the grammar refuses.
impl From<ParseError> for Completion {
    fn from(error: ParseError) -> Completion {
        match error {
            ParseError::BadCharset => Completion {
                condition: Condition::No,
                code: Some(Code::BadCharset),
                text: "Unsupported character set".into(),
            },
            ParseError::Syntax(text) => Completion::bad(text),
            ParseError::UnknownCommand => Completion::bad("Unknown command"),
            ParseError::Incomplete => Completion::bad("Unexpected end of command"),
        }
    }
}
