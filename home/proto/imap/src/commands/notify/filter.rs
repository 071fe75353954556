//! Which mailboxes are watched (RFC 5465 §6).

use crate::parser::{ParseError, Parser, Result};
use crate::request::{MailboxInfo, MailboxKind, Subscription};
use crate::response::encode;
use crate::types::{DELIMITER, MailboxName, NameEncoding, OTHER_USERS};

/// `filter-mailboxes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// The selected mailbox, at once.
    Selected,
    /// The selected mailbox; removals wait until a command allows them.
    SelectedDelayed,
    /// Where mail may be delivered.
    Inboxes,
    /// The user's own mailboxes.
    Personal,
    /// Those that the user subscribed to.
    Subscribed,
    /// These and all below them.
    Subtree(Vec<MailboxName>),
    /// These.
    Mailboxes(Vec<MailboxName>),
}

impl Filter {
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Filter> {
        Ok(match parser.keyword()?.as_str() {
            "SELECTED" => Filter::Selected,
            "SELECTED-DELAYED" => Filter::SelectedDelayed,
            "INBOXES" => Filter::Inboxes,
            "PERSONAL" => Filter::Personal,
            "SUBSCRIBED" => Filter::Subscribed,
            "SUBTREE" => Filter::Subtree(mailboxes(parser)?),
            "MAILBOXES" => Filter::Mailboxes(mailboxes(parser)?),
            _ => return Err(ParseError::Syntax("Unknown mailboxes")),
        })
    }

    pub(super) fn encode(&self, names: NameEncoding, out: &mut Vec<u8>) {
        let (word, mailboxes) = match self {
            Filter::Selected => ("SELECTED", None),
            Filter::SelectedDelayed => ("SELECTED-DELAYED", None),
            Filter::Inboxes => ("INBOXES", None),
            Filter::Personal => ("PERSONAL", None),
            Filter::Subscribed => ("SUBSCRIBED", None),
            Filter::Subtree(mailboxes) => ("SUBTREE", Some(mailboxes)),
            Filter::Mailboxes(mailboxes) => ("MAILBOXES", Some(mailboxes)),
        };
        out.extend_from_slice(word.as_bytes());
        if let Some(mailboxes) = mailboxes {
            out.push(b' ');
            let one = |name: &MailboxName, out: &mut Vec<u8>| {
                encode::mailbox(&names.encode(name.as_str()), out);
            };
            encode::parenthesised(mailboxes, one, out);
        }
    }

    /// Whether it is about the selected mailbox.
    pub(crate) fn is_selected(&self) -> bool {
        matches!(self, Filter::Selected | Filter::SelectedDelayed)
    }

    /// Whether a mailbox that need not be the selected one is meant.
    pub(crate) fn matches(&self, mailbox: &MailboxInfo) -> bool {
        let name = &mailbox.name;
        match self {
            Filter::Selected | Filter::SelectedDelayed => false,
            Filter::Inboxes | Filter::Personal => {
                mailbox.kind != MailboxKind::Subscription && !is_at_or_below(name.as_str(), OTHER_USERS)
            }
            Filter::Subscribed => mailbox.subscription == Subscription::Subscribed,
            Filter::Subtree(tops) => tops.iter().any(|top| is_at_or_below(name.as_str(), top.as_str())),
            Filter::Mailboxes(names) => names.contains(name),
        }
    }
}

/// `one-or-more-mailbox`.
fn mailboxes(parser: &mut Parser<'_>) -> Result<Vec<MailboxName>> {
    parser.space()?;
    if parser.peek() != Some(b'(') {
        return Ok(vec![parser.mailbox()?]);
    }
    let names = parser.list("Expected mailboxes", Parser::mailbox)?;
    if names.is_empty() { Err(ParseError::Syntax("Expected a mailbox")) } else { Ok(names) }
}

fn is_at_or_below(name: &str, top: &str) -> bool {
    name.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with(DELIMITER))
}
