//! What the command line and the daemon say to each other, as JSON.

pub mod address;
pub mod dns;
pub mod import;
pub mod relay;
pub mod report;
pub mod secondary;
pub mod share;

use std::fmt;

use ipnet::IpNet;
use jiff::Timestamp;
use postern_message::address::{DomainName, EmailAddress};
use postern_shared::identity::PublicIdentity;
use postern_shared::join_code::Endpoint;
use postern_shared::tunnel::PublicKey;
use postern_store::account::{AccountId, Limits, Usage};
use postern_store::directory::{self, DnsHosting};
use serde::{Deserialize, Serialize};

use crate::link::RotateEvery;

pub use address::{AddMask, CatchAll, ChangeOfMask, Forward, Mask, SetMask};

/// Opens sealed mail.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Unlock {
    /// What a person typed.
    pub passphrase: Password,
}

/// A domain in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// Its name in A-labels.
    pub name: DomainName,
    /// How many users it has.
    pub users: usize,
    /// The selectors of its DKIM keys.
    pub dkim_selectors: Vec<String>,
    /// Where its DNS is.
    #[serde(default)]
    pub dns: DnsHosting,
    /// Who gets what is sent to addresses that nothing else has.
    #[serde(default)]
    pub catch_all: Option<EmailAddress>,
    /// What other servers are told of TLS here.
    #[serde(default)]
    pub mta_sts: Option<crate::mta_sts::Report>,
}

/// Adds a domain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AddDomain {
    /// Its name.
    pub name: DomainName,
    /// Where its DNS is.
    #[serde(default)]
    pub dns: DnsHosting,
}

/// Says where the DNS of a domain is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetDns {
    /// The domain.
    pub name: DomainName,
    /// Where its DNS is from now on.
    pub dns: DnsHosting,
    /// Whether the edge may stop serving it while the parent zone still names the edge.
    #[serde(default)]
    pub now: bool,
}

/// Removes a domain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemoveDomain {
    /// Its name.
    pub name: DomainName,
    /// Whether its users go with it; a domain with users stays otherwise.
    pub with_users: bool,
    /// What becomes of their mail.
    pub mail: Option<Mail>,
}

/// What becomes of the mail of a user who is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mail {
    /// It stays on the disk.
    Keep,
    /// It is deleted.
    Delete,
}

/// Renews certificates before their time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RenewCertificates {
    /// One name of the certificate; all certificates where absent.
    pub name: Option<DomainName>,
}

/// Takes a certificate of another source.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImportCertificate {
    /// The certificate and those that vouch for it, in PEM.
    pub chain: String,
    /// The private key, in PEM.
    pub key: Password,
}

/// The names of the certificates that a wish was about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateNames {
    /// The names.
    pub names: Vec<String>,
}

/// A user in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The address and login name.
    pub address: EmailAddress,
    /// The number of the account, which names its directory.
    pub account: AccountId,
    /// Octets of stored mail.
    pub octets: u64,
    /// Why what it sends is held, where it is.
    #[serde(default)]
    pub held: Option<String>,
}

/// Adds a user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AddUser {
    /// The address.
    pub address: EmailAddress,
    /// The password.
    pub password: Password,
}

/// Changes a password.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetPassword {
    /// The user.
    pub address: EmailAddress,
    /// The new password.
    pub password: Password,
}

/// Removes a user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemoveUser {
    /// The user.
    pub address: EmailAddress,
    /// What becomes of the mail; must be said where there is any.
    pub mail: Option<Mail>,
}

/// Lets an account that is held send again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReleaseUser {
    /// The user.
    pub address: EmailAddress,
    /// What becomes of the mail that was held.
    pub mail: HeldMail,
}

/// What becomes of the mail that was held with an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeldMail {
    /// It goes.
    Send,
    /// It is removed from the queue; nobody is told.
    Drop,
}

/// An account that was released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasedUser {
    /// Messages that were held.
    pub messages: usize,
}

/// What became of users who were removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// Directories with mail that was kept.
    pub kept: Vec<String>,
}

/// An alias in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias {
    /// The alias itself.
    pub address: EmailAddress,
    /// The addresses it leads to, here or elsewhere.
    pub targets: Vec<EmailAddress>,
}

/// Makes an alias lead to these addresses too.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AddAlias {
    /// The alias.
    pub address: EmailAddress,
    /// Users, aliases and masks of this home, and addresses elsewhere; at least one.
    pub targets: Vec<EmailAddress>,
}

/// Removes targets from an alias, or the whole alias.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemoveAlias {
    /// The alias.
    pub address: EmailAddress,
    /// Which targets; all when empty.
    pub targets: Vec<EmailAddress>,
}

/// A ban in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// The network.
    pub network: IpNet,
    /// When it began.
    pub since: Timestamp,
    /// When it ends; never where absent.
    pub until: Option<Timestamp>,
    /// Why.
    pub reason: String,
    /// Why the edge does not take it, where it does not.
    pub refused: Option<String>,
}

/// Bans a network.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AddBan {
    /// The network.
    pub network: IpNet,
    /// For how many seconds; without end where absent.
    pub seconds: Option<u64>,
    /// Why.
    pub reason: String,
}

/// Ends a ban.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemoveBan {
    /// The network.
    pub network: IpNet,
}

/// Joins an edge.
#[derive(Clone, Serialize, Deserialize)]
pub struct Join {
    /// What `postern-edge invite` printed.
    pub code: String,
}

/// Joins an edge that waits for this home.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JoinWaiting {
    /// Where it listens.
    pub edge: Endpoint,
    /// Its key, where the operator has read it there.
    pub edge_key: Option<PublicKey>,
}

/// Who home is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The public key that an edge can be told to wait for; no secret.
    pub identity: PublicIdentity,
    /// The same, short enough to compare by eye.
    pub fingerprint: String,
}

/// The age at which the tunnel's keys are renewed by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationTimer {
    /// The age.
    pub every: RotateEvery,
}

impl fmt::Debug for Join {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Join(…)")
    }
}

/// A question about one user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfUser {
    /// The user.
    pub user: EmailAddress,
}

/// Deleted mail to be put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restore {
    /// Whose.
    pub user: EmailAddress,
    /// The numbers of the messages.
    pub ids: Vec<i64>,
}

/// What was put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// Messages.
    pub messages: u64,
}

/// Whose quota.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaOf {
    /// The user.
    pub user: EmailAddress,
    /// One mailbox, or all of the account.
    pub mailbox: Option<String>,
}

impl fmt::Display for QuotaOf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.mailbox {
            Some(mailbox) => write!(formatter, "{mailbox} of {}", self.user),
            None => self.user.fmt(formatter),
        }
    }
}

/// A quota and what is used of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaListed {
    /// Whose.
    pub of: QuotaOf,
    /// Use and limits.
    pub usage: Usage,
}

/// What was asked of every account, as far as they could be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfAccounts<T> {
    /// What they hold.
    pub entries: Vec<T>,
    /// The accounts that could not be read, a sentence each.
    pub unreadable: Vec<String>,
}

impl<T> OfAccounts<T> {
    /// Asks each user's account; one that cannot be read is named, and hinders no other.
    pub(super) fn gather<'a>(
        users: impl Iterator<Item = &'a directory::User>,
        ask: impl Fn(&directory::User) -> postern_store::Result<Vec<T>>,
    ) -> OfAccounts<T> {
        let mut gathered = OfAccounts { entries: Vec::new(), unreadable: Vec::new() };
        for user in users {
            match ask(user) {
                Ok(entries) => gathered.entries.extend(entries),
                Err(error) => {
                    gathered
                        .unreadable
                        .push(format!("the account of {} cannot be read: {error}", user.address));
                }
            }
        }
        gathered
    }
}

/// New limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetQuota {
    /// Whose.
    pub of: QuotaOf,
    /// What may be held.
    pub limits: Limits,
}

/// The answer to a change that has nothing to say but that it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}

/// Asks for the stories of messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// A story's id, a number of the queue, a Message-ID, or somebody's address.
    pub of: String,
    /// Without those that ended before; all where absent.
    pub since: Option<Timestamp>,
}

/// The answer to `queue flush`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flushed {
    /// Recipients that were waiting for a later time.
    pub recipients: usize,
}

/// A password or private key on its way to the daemon; never printed, wiped when dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(String);

impl Password {
    /// Takes the password over.
    pub fn new(password: String) -> Self {
        Self(password)
    }

    /// The password itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Password {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(…)")
    }
}
