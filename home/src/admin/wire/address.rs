//! Catch-alls, forwards and masks.

use jiff::Timestamp;
use postern_message::address::{DomainName, EmailAddress};
use serde::{Deserialize, Serialize};

/// Says who gets what is sent to addresses of a domain that nothing else has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatchAll {
    /// The domain.
    pub domain: DomainName,
    /// The user; nobody where absent.
    pub user: Option<EmailAddress>,
}

/// Where a user's mail is sent on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// The user.
    pub user: EmailAddress,
    /// Where to.
    pub target: EmailAddress,
    /// Whether the mailbox gets it too.
    pub keep: bool,
}

/// A mask in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mask {
    /// Whose it is.
    pub user: EmailAddress,
    /// The mask.
    pub address: EmailAddress,
    /// What the user calls it.
    pub label: String,
    /// Whether mail reaches the user.
    pub enabled: bool,
    /// When it was made.
    pub made: Timestamp,
}

/// Makes a mask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddMask {
    /// For whom.
    pub user: EmailAddress,
    /// In which domain; the user's own where absent.
    pub domain: Option<DomainName>,
    /// What the user calls it.
    pub label: String,
}

/// Changes a mask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetMask {
    /// Whose it is.
    pub user: EmailAddress,
    /// The mask.
    pub mask: EmailAddress,
    /// What becomes of it.
    pub change: ChangeOfMask,
}

/// What becomes of a mask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeOfMask {
    /// It gets this label.
    Label(String),
    /// Mail for it is refused.
    Off,
    /// Mail for it is taken again.
    On,
    /// It is gone.
    Remove,
}
