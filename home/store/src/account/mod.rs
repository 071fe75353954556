//! One person's mail.

mod flags;
mod id;

pub use flags::{FlagChange, Flags, Keyword, SystemFlags};
pub use id::{AccountId, EmailId, MailboxId, ModSeq, ThreadId, Uid, UidSet, UidValidity};
