//! Mail that is moved in from other servers.

use postern_message::address::EmailAddress;
use serde::{Deserialize, Serialize};

use super::Password;
use crate::import::imap::{Effect, Security};

/// Begins an import by IMAP.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StartImport {
    /// Whose mail comes.
    pub user: EmailAddress,
    /// The server's name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// When TLS begins.
    pub security: Security,
    /// The user name there.
    pub login: String,
    /// What the secret is.
    pub proof: Proof,
    /// The password or the token.
    pub secret: Password,
    /// Connections at once.
    pub connections: usize,
    /// Whether anything is changed.
    pub effect: Effect,
}

/// How a login is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// A password, or an app password
    Password,
    /// An OAuth 2.0 access token
    Xoauth2,
}
