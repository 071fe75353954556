//! What STATUS can tell about a mailbox (RFC 9051 §6.3.11).

use crate::parser::{ParseError, Parser, Result};

/// `status-att`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusItem {
    /// MESSAGES
    Messages,
    /// RECENT (RFC 3501 §6.3.10)
    Recent,
    /// UIDNEXT
    UidNext,
    /// UIDVALIDITY
    UidValidity,
    /// UNSEEN
    Unseen,
    /// DELETED
    Deleted,
    /// SIZE (RFC 8438)
    Size,
    /// DELETED-STORAGE (RFC 9208 §4.1.4)
    DeletedStorage,
    /// HIGHESTMODSEQ (RFC 7162 §3.1.7)
    HighestModSeq,
    /// MAILBOXID (RFC 8474 §4.3)
    MailboxId,
    /// APPENDLIMIT (RFC 7889 §3.1)
    AppendLimit,
}

impl StatusItem {
    const ALL: [StatusItem; 11] = [
        StatusItem::Messages,
        StatusItem::Recent,
        StatusItem::UidNext,
        StatusItem::UidValidity,
        StatusItem::Unseen,
        StatusItem::Deleted,
        StatusItem::Size,
        StatusItem::DeletedStorage,
        StatusItem::HighestModSeq,
        StatusItem::MailboxId,
        StatusItem::AppendLimit,
    ];

    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            StatusItem::Messages => "MESSAGES",
            StatusItem::Recent => "RECENT",
            StatusItem::UidNext => "UIDNEXT",
            StatusItem::UidValidity => "UIDVALIDITY",
            StatusItem::Unseen => "UNSEEN",
            StatusItem::Deleted => "DELETED",
            StatusItem::Size => "SIZE",
            StatusItem::DeletedStorage => "DELETED-STORAGE",
            StatusItem::HighestModSeq => "HIGHESTMODSEQ",
            StatusItem::MailboxId => "MAILBOXID",
            StatusItem::AppendLimit => "APPENDLIMIT",
        }
    }

    /// `"(" item *(SP item) ")"`.
    pub(crate) fn parse_list(parser: &mut Parser<'_>) -> Result<Vec<StatusItem>> {
        let items = parser.list("Expected a status list", |parser| {
            let word = parser.keyword()?;
            let known = StatusItem::ALL.into_iter().find(|item| item.name() == word);
            known.ok_or(ParseError::Syntax("Unknown status item"))
        })?;
        if items.is_empty() {
            return Err(ParseError::Syntax("Empty status list"));
        }
        Ok(items)
    }
}
