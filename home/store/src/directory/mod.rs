//! The directory: which domains, users and aliases this home has, and the keys that belong to them.
//!
//! * In: changes asked for by the administrator; look-ups from the SMTP and IMAP sessions, the signer and the zone.
//! * Out: who a forward-path reaches, whether a password is right, which address a user may send as, the private
//!   DKIM keys of a domain, and a notice after each change ([`Directory::subscribe`]).
//! * Refused: anything below a domain that is not here, a user, alias or mask whose address is taken or carries a
//!   subaddress, an alias or forward that leads nowhere or round in a circle, a domain with users unless the caller says what
//!   becomes of them.
//!
//! Look-ups never touch the disk. They read a [`Snapshot`] that is replaced as a whole after each durable change,
//! so one session that holds a snapshot sees one consistent state. Only passwords cost time, on purpose.
//!
//! # What an address means
//!
//! In this order: a user, mask or alias of exactly this address; the same without its detail (`ana+shop` is `ana`,
//! RFC 5233); `postmaster` (RFC 5321 §4.5.1) and `abuse` (RFC 2142 §2) reach the first user of the domain, or
//! else the first user of all, unless an alias says otherwise; the domain's catch-all. A mask that is switched off leads
//! nowhere, not to the catch-all either. From there aliases and forwards are followed, see [`Route`].
//!
//! Who may send as an address does not follow from whom its mail reaches, see [`Snapshot::may_send_as`].
//!
//! Deviates: while there is no user at all, these two are unknown like every other address (RFC 5321 §4.5.1 wants
//! `postmaster` always): there is nobody to read the mail, and accepting it would lose it. `status` warns.
//!
//! # On disk
//!
//! `STATE_DIR/server.sqlite`, mode 0600 (it holds private keys), write-ahead log, `synchronous=FULL`:
//!
//! | table | one row is | key |
//! |---|---|---|
//! | `domain` | a domain, with the serial of its last zone, and where its DNS is | name in A-labels |
//! | `user` | a user, with an Argon2id hash and SCRAM-SHA-256 keys | account id, never given twice |
//! | `alias` | one user that an alias leads to | domain, folded local part, account id |
//! | `alias_address` | one other address that an alias leads to | domain, folded local part, address |
//! | `mask` | an address that a user can switch off | domain, folded local part |
//! | `forward` | where a user's mail is sent on | account id |
//! | `long_sender` | a sender too long to be rewritten in full, see `senders` | number, never given twice |
//! | `dkim_key` | a DKIM key pair, private half in PKCS#8, and how far it is in its life | domain, selector |
//! | `dnssec_key` | a key that signs the domain's zone, private half in PKCS#8 | number, never given twice |
//! | `key_roll` | how far the change of the domain's signing key has come; no row while none is under way | domain |
//! | `signed_zone` | the domain's zone as it was signed last | domain |
//! | `dns_record` | a record that the operator has added to the zone | domain, owner, type, data |
//! | `web_presence` | what is kept of the domain's names and policy on the web | domain |
//! | `secondary`, `secondary_domain` | a secondary name server, and a domain that it serves | number |
//! | `secondary_key` | a key with which it transfers zones | number, never given twice |
//! | `remote_policy` | what another domain demands of those who send to it (MTA-STS) | domain |
//! | `setting` | a value the program itself keeps | name |
//!
//! A user who is removed loses the row; the mail in `STATE_DIR/accounts/ID` is the caller's to keep or to delete.

pub(crate) mod schema;

mod credentials;
mod dkim;

mod aliases;
mod domains;
mod forwards;
mod masks;
mod policies;
mod records;
mod secondaries;
mod senders;
mod settings;
mod users;
mod web;
mod zones;

mod route;
mod snapshot;

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use postern_message::address::{DomainName, EmailAddress};
use postern_sasl::ScramCredentials;
use rusqlite::Connection;
use tokio::sync::watch;

use crate::account::AccountId;
use crate::db::Database;
use crate::place::Place;

pub use credentials::{MAX_PASSWORD_OCTETS, MIN_PASSWORD_CHARACTERS, SCRAM_ITERATIONS};
pub use dkim::{DkimAlgorithm, DkimKey, DkimMove, DkimStage};
pub use domains::{DnsHosting, WithUsers};
pub use masks::{Mask, MaskChange};
pub use records::OwnRecord;
pub use route::{Forward, Kept, Onward, Route};
pub use secondaries::{FormerKeys, Secondary, SecondaryKey};
pub use snapshot::{Alias, Resolution, Snapshot, User};
pub use zones::{DnssecKey, SignedZone};

use credentials::Verifier;

/// The directory of one home; clones share it. Writing blocks on the disk, look-ups do not.
#[derive(Clone)]
pub struct Directory {
    shared: Arc<Shared>,
}

struct Shared {
    database: Database,
    /// Held from a change until its snapshot is in place, so that snapshots follow each other in order.
    changing: Mutex<()>,
    snapshot: RwLock<Arc<Snapshot>>,
    verifier: Verifier,
    decoy_secret: Vec<u8>,
    changes: watch::Sender<u64>,
}

/// Why the directory did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The domain is there already.
    #[error("the domain {0} is here already")]
    DomainExists(DomainName),
    /// The domain has only one label, so it cannot be delegated.
    #[error("{0} has no dot: a mail domain looks like home.example")]
    DomainTooShort(DomainName),
    /// There is no such domain.
    #[error("the domain {0} is not here; `postern-home domain list` shows those that are")]
    UnknownDomain(DomainName),
    /// The domain still has users.
    #[error("the domain {domain} still has {users} user(s)")]
    DomainInUse {
        /// The domain.
        domain: DomainName,
        /// How many users it has.
        users: u32,
    },
    /// A user has the address already.
    #[error("{0} is a user already")]
    IsUser(EmailAddress),
    /// An alias has the address already.
    #[error("{0} is an alias already")]
    IsAlias(EmailAddress),
    /// There is no such user.
    #[error("there is no user {0}")]
    UnknownUser(EmailAddress),
    /// There is no such alias.
    #[error("there is no alias {0}")]
    UnknownAlias(EmailAddress),
    /// A user or alias cannot have a `+`: what follows it is the detail of a subaddress.
    #[error("{0} has a `+`, which divides a user's name from a subaddress: ana+shop@ already reaches ana@")]
    HasDetail(EmailAddress),
    /// The secondary is there already.
    #[error("the secondary {0} is here already; `postern-home dns secondary remove` takes it away")]
    SecondaryExists(DomainName),
    /// There is no such secondary.
    #[error("there is no secondary {0}; `postern-home dns secondary list` shows those that are")]
    UnknownSecondary(DomainName),
    /// New keys were made and none was used.
    #[error(
        "{0} has several keys that wait to be used already; put the newest into its configuration, or say --now"
    )]
    TooManyKeys(DomainName),
    /// A mask has the address already.
    #[error("{0} is a mask already")]
    IsMask(EmailAddress),
    /// The user has no such mask; whether somebody else has is not told.
    #[error("there is no mask {0} of this user")]
    UnknownMask(EmailAddress),
    /// An alias or forward would lead to an address of this home that leads nowhere.
    #[error("there is no {0} here")]
    UnknownTarget(EmailAddress),
    /// Mail would go round in a circle.
    #[error("mail would go round in a circle: {}", path(.0))]
    Circle(Vec<EmailAddress>),
    /// The password is too short.
    #[error("the password is too short: at least {MIN_PASSWORD_CHARACTERS} characters")]
    PasswordTooShort,
    /// The password is too long.
    #[error("the password is too long: at most {MAX_PASSWORD_OCTETS} octets")]
    PasswordTooLong,
    /// The password holds a control character.
    #[error("the password has a control character in it, such as a tab or a line end")]
    PasswordControl,
    /// The system gave no random numbers, or key generation failed.
    #[error("no key could be generated")]
    KeyGeneration,
    /// What stands in the database cannot be understood.
    #[error("server.sqlite holds a value that cannot be read: {0}")]
    Corrupt(String),
    /// The database could not be read or written; nothing was changed.
    #[error(transparent)]
    Storage(#[from] crate::Error),
}

impl From<rusqlite::Error> for DirectoryError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl Directory {
    /// Opens `server.sqlite` in the state directory, making it when it is not there.
    ///
    /// # Errors
    /// [`DirectoryError::Storage`] when the file cannot be used, [`DirectoryError::Corrupt`] when its rows make no
    /// sense.
    pub fn open(state_dir: impl Into<Place>) -> Result<Self, DirectoryError> {
        let state_dir = state_dir.into().admit()?;
        let database = Database::open(state_dir.join("server.sqlite"), &schema::SCHEMA)?;
        let decoy_secret = database.write(settings::decoy_secret)?;
        let snapshot = database.read(Snapshot::load)?;
        Ok(Self {
            shared: Arc::new(Shared {
                database,
                changing: Mutex::new(()),
                snapshot: RwLock::new(Arc::new(snapshot)),
                verifier: Verifier::new()?,
                decoy_secret,
                changes: watch::Sender::new(0),
            }),
        })
    }

    /// The state as it is now, unchanged for as long as the caller holds it.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A counter that grows after each durable change.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    /// Whether mail for this domain is kept here.
    pub fn is_local(&self, domain: &DomainName) -> bool {
        self.snapshot().is_local(domain)
    }

    /// Who a forward-path reaches.
    pub fn resolve(&self, address: &EmailAddress) -> Resolution {
        self.snapshot().resolve(address)
    }

    /// Who the bare `postmaster` of `RCPT TO:<Postmaster>` reaches (RFC 5321 §4.5.1).
    pub fn postmaster(&self) -> Resolution {
        self.snapshot().postmaster()
    }

    /// The user of this account.
    pub fn user(&self, account: AccountId) -> Option<User> {
        self.snapshot().user(account).cloned()
    }

    /// The user who logs in by this name: the whole address, in any case.
    pub fn user_by_login(&self, login: &str) -> Option<User> {
        self.snapshot().user_by_login(login).cloned()
    }

    /// Whether the user may write this address into `MAIL FROM`, `From` and `Sender`; see [`Snapshot::may_send_as`].
    pub fn may_send_as(&self, account: AccountId, address: &EmailAddress) -> bool {
        self.snapshot().may_send_as(account, address)
    }

    /// The user, when the password is right. Blocks for tens of milliseconds, and as long for an unknown user as
    /// for a wrong password; a few calls run at once, further ones wait and hold their thread meanwhile.
    pub fn verify_password(&self, login: &str, password: &str) -> Option<User> {
        let snapshot = self.snapshot();
        let user = snapshot.user_by_login(login);
        let hash = user.and_then(|user| snapshot.password_hash(user.account));
        self.shared.verifier.verify(password, hash).then(|| user.cloned()).flatten()
    }

    /// The SCRAM-SHA-256 keys of a user; for an unknown user keys that look the same and that nothing fits.
    pub fn scram(&self, login: &str) -> ScramCredentials {
        let snapshot = self.snapshot();
        let known = snapshot.user_by_login(login).and_then(|user| snapshot.scram(user.account));
        known.cloned().unwrap_or_else(|| {
            ScramCredentials::decoy(&self.shared.decoy_secret, &login.to_lowercase(), SCRAM_ITERATIONS)
        })
    }

    /// The DKIM keys that sign for this domain; empty for a domain that is not here.
    pub fn dkim_signing_keys(&self, domain: &DomainName) -> Vec<Arc<DkimKey>> {
        let mut keys = self.dkim_keys(domain);
        keys.retain(|key| key.stage == DkimStage::Signing);
        keys
    }

    /// The DKIM keys of this domain whose records are published, with their private halves; empty for a domain that is not
    /// here.
    pub fn dkim_keys(&self, domain: &DomainName) -> Vec<Arc<DkimKey>> {
        self.snapshot().dkim_keys(domain).to_vec()
    }

    /// Runs a change in one transaction; when it is on the disk, shows it to every look-up and gives notice.
    fn change<T, F>(&self, change: F) -> Result<T, DirectoryError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, DirectoryError> + Send + 'static,
    {
        let _order = self.shared.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = self.shared.database.write(change)?;
        let snapshot = Arc::new(self.shared.database.read(Snapshot::load)?);
        *self.shared.snapshot.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
        self.shared.changes.send_modify(|count| *count += 1);
        Ok(outcome)
    }
}

/// Refuses a change after which mail would go round in a circle.
fn refuse_circle(connection: &Connection) -> Result<(), DirectoryError> {
    Snapshot::load(connection)?.circle().map_or(Ok(()), |circle| Err(DirectoryError::Circle(circle)))
}

/// Refuses targets that lead nowhere, and a circle.
fn require_ends(connection: &Connection, targets: &[EmailAddress]) -> Result<(), DirectoryError> {
    refuse_circle(connection)?;
    let snapshot = Snapshot::load(connection)?;
    let lost = targets.iter().find(|target| snapshot.resolve(target) == Resolution::UnknownUser);
    lost.map_or(Ok(()), |target| Err(DirectoryError::UnknownTarget(target.clone())))
}

/// Refuses an address that somebody or something has.
fn require_free(connection: &Connection, domain: i64, address: &EmailAddress) -> Result<(), DirectoryError> {
    if users::find(connection, domain, address)?.is_some() {
        return Err(DirectoryError::IsUser(address.clone()));
    }
    if masks::owner(connection, domain, address)?.is_some() {
        return Err(DirectoryError::IsMask(address.clone()));
    }
    if aliases::exists(connection, domain, address)? {
        return Err(DirectoryError::IsAlias(address.clone()));
    }
    Ok(())
}

fn path(addresses: &[EmailAddress]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" -> ")
}

/// Refuses an address that cannot be that of a user or alias.
fn require_plain(address: &EmailAddress) -> Result<(), DirectoryError> {
    match address.local_part().split_detail() {
        (_, Some(_)) => Err(DirectoryError::HasDetail(address.clone())),
        (_, None) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
