//! Shared mailboxes.

use std::fmt;
use std::str::FromStr;

use postern_message::address::EmailAddress;
use postern_store::account::Rights;
use serde::{Deserialize, Serialize};

/// A mailbox of somebody, written as others see it below `Other Users/`: `ana@home.example/Bills`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxOf {
    /// Whose it is.
    pub owner: EmailAddress,
    /// Its name there.
    pub mailbox: String,
}

impl FromStr for MailboxOf {
    type Err = String;

    fn from_str(text: &str) -> Result<MailboxOf, String> {
        let (owner, mailbox) = text
            .split_once('/')
            .filter(|(_, mailbox)| !mailbox.is_empty())
            .ok_or("expected the owner and the mailbox, as in ana@home.example/Bills")?;
        let owner = EmailAddress::parse(owner).map_err(|error| error.to_string())?;
        Ok(MailboxOf { owner, mailbox: mailbox.to_owned() })
    }
}

impl fmt::Display for MailboxOf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.owner, self.mailbox)
    }
}

/// What somebody may do with a mailbox of somebody else; no right at all ends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The mailbox.
    #[serde(flatten)]
    pub of: MailboxOf,
    /// An identifier of RFC 4314: a user's address, `anyone`, or either with `-` in front.
    pub with: String,
    /// What is granted; with `-`, what is taken away whoever grants it.
    pub rights: Rights,
}
