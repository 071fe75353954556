//! What can happen (RFC 5465 §5).

use crate::parser::{Parser, Result};
use crate::response::encode;
use crate::types::FetchItem;

/// `event`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A message came; in the selected mailbox, this is told of it.
    MessageNew(Vec<FetchItem>),
    /// A message went.
    MessageExpunge,
    /// Flags changed.
    FlagChange,
    /// A mailbox was made, removed or renamed, or its 'l' right was.
    MailboxName,
    /// A name was subscribed, or no longer is.
    SubscriptionChange,
    /// An annotation of a mailbox was set or removed.
    MailboxMetadataChange,
    /// An annotation of the account was.
    ServerMetadataChange,
    /// One that is not known, in upper case.
    Unknown(String),
}

impl Event {
    /// What BADEVENT lists.
    pub(crate) const KNOWN: &str = "MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange MailboxMetadataChange \
                                    ServerMetadataChange";

    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Event> {
        let word = parser.keyword()?;
        Ok(match word.as_str() {
            "MESSAGENEW" => Event::MessageNew(attributes(parser)?),
            "MESSAGEEXPUNGE" => Event::MessageExpunge,
            "FLAGCHANGE" => Event::FlagChange,
            "MAILBOXNAME" => Event::MailboxName,
            "SUBSCRIPTIONCHANGE" => Event::SubscriptionChange,
            "MAILBOXMETADATACHANGE" => Event::MailboxMetadataChange,
            "SERVERMETADATACHANGE" => Event::ServerMetadataChange,
            _ => Event::Unknown(word),
        })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let word = match self {
            Event::MessageNew(_) => "MessageNew",
            Event::MessageExpunge => "MessageExpunge",
            Event::FlagChange => "FlagChange",
            Event::MailboxName => "MailboxName",
            Event::SubscriptionChange => "SubscriptionChange",
            Event::MailboxMetadataChange => "MailboxMetadataChange",
            Event::ServerMetadataChange => "ServerMetadataChange",
            Event::Unknown(word) => word,
        };
        out.extend_from_slice(word.as_bytes());
        if let Event::MessageNew(items) = self
            && !items.is_empty()
        {
            out.push(b' ');
            encode::parenthesised(items, FetchItem::encode, out);
        }
    }

    /// Whether it is about messages, as everything must be that is told of the selected mailbox (RFC 5465 §6.1).
    pub(super) fn is_of_messages(&self) -> bool {
        match self {
            Event::MessageNew(_) | Event::MessageExpunge | Event::FlagChange | Event::Unknown(_) => true,
            Event::MailboxName
            | Event::SubscriptionChange
            | Event::MailboxMetadataChange
            | Event::ServerMetadataChange => false,
        }
    }
}

fn attributes(parser: &mut Parser<'_>) -> Result<Vec<FetchItem>> {
    if !parser.rest().starts_with(b" (") {
        return Ok(Vec::new());
    }
    parser.space()?;
    parser.list("Expected fetch items", FetchItem::parse)
}
