//! The directory in memory: one consistent state, built from the tables after each change, then never altered.
//!
//! In: the rows. Out: every look-up that a session, the signer or the zone makes. Refused: rows that do not parse
//! (the file was altered by something else).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use postern_message::address::{DomainName, EmailAddress, LocalPart};
use postern_sasl::ScramCredentials;
use rusqlite::{Connection, Row};
use zeroize::Zeroizing;

use super::credentials::Credentials;
use super::{DirectoryError, DkimAlgorithm, DkimKey, DkimStage, DnsHosting};
use crate::account::AccountId;

/// Local parts that every domain answers for (RFC 5321 §4.5.1, RFC 2142 §2).
const ROLES: [&str; 2] = ["postmaster", "abuse"];

/// Who a forward-path reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// These accounts, at least one.
    Local(Vec<AccountId>),
    /// The domain is here, but there is no such user or alias.
    UnknownUser,
    /// The domain is not here.
    NotLocal,
}

/// A person with a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The mailbox.
    pub account: AccountId,
    /// The address, which is also the login name.
    pub address: EmailAddress,
}

/// An address that leads to users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The alias itself.
    pub address: EmailAddress,
    /// The users it leads to, at least one, in the order of their addresses.
    pub targets: Vec<EmailAddress>,
}

/// One consistent state of the directory.
#[derive(Default)]
pub struct Snapshot {
    first_domain: Option<DomainName>,
    domains: BTreeMap<DomainName, Vec<Arc<DkimKey>>>,
    dns: BTreeMap<DomainName, DnsHosting>,
    users: BTreeMap<AccountId, (User, Credentials)>,
    accounts: HashMap<EmailAddress, AccountId>,
    aliases: BTreeMap<EmailAddress, Vec<AccountId>>,
}

impl Snapshot {
    /// The domains in alphabetical order.
    pub fn domains(&self) -> impl Iterator<Item = &DomainName> {
        self.domains.keys()
    }

    /// The domains whose DNS is here.
    pub fn served_domains(&self) -> impl Iterator<Item = &DomainName> {
        self.domains().filter(|domain| self.dns_hosting(domain) == DnsHosting::Here)
    }

    /// Of the domains that are here, the one that was added first; the default host name is built on it.
    pub fn first_domain(&self) -> Option<&DomainName> {
        self.first_domain.as_ref()
    }

    /// Whether mail for this domain is kept here.
    pub fn is_local(&self, domain: &DomainName) -> bool {
        self.domains.contains_key(domain)
    }

    /// Where the DNS of a domain is.
    pub fn dns_hosting(&self, domain: &DomainName) -> DnsHosting {
        self.dns.get(domain).copied().unwrap_or_default()
    }

    /// The users in the order in which they were added.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.users.values().map(|(user, _)| user)
    }

    /// The aliases in the order of their addresses.
    pub fn aliases(&self) -> impl Iterator<Item = Alias> {
        self.aliases.keys().filter_map(|address| self.alias(address))
    }

    /// The alias of exactly this address.
    pub fn alias(&self, address: &EmailAddress) -> Option<Alias> {
        let (address, accounts) = self.aliases.get_key_value(address)?;
        let mut targets: Vec<_> = accounts
            .iter()
            .filter_map(|account| self.user(*account))
            .map(|user| user.address.clone())
            .collect();
        targets.sort();
        Some(Alias { address: address.clone(), targets })
    }

    /// The user of this account.
    pub fn user(&self, account: AccountId) -> Option<&User> {
        self.users.get(&account).map(|(user, _)| user)
    }

    /// The user of exactly this address.
    pub fn user_at(&self, address: &EmailAddress) -> Option<&User> {
        self.user(*self.accounts.get(address)?)
    }

    /// The user who logs in by this name: the whole address, in any case.
    pub fn user_by_login(&self, login: &str) -> Option<&User> {
        self.user_at(&login.parse().ok()?)
    }

    /// Who a forward-path reaches; the rules stand in the parent module.
    pub fn resolve(&self, address: &EmailAddress) -> Resolution {
        if !self.is_local(address.domain()) {
            return Resolution::NotLocal;
        }
        let found = self.exactly(address).or_else(|| self.exactly(&address.without_detail()));
        found.or_else(|| self.role(address)).map_or(Resolution::UnknownUser, Resolution::Local)
    }

    /// Who the bare `postmaster` reaches: that of the first domain (RFC 5321 §4.5.1).
    pub fn postmaster(&self) -> Resolution {
        let of_domain = |domain| format!("postmaster@{domain}").parse().ok();
        self.first_domain()
            .and_then(of_domain)
            .map_or(Resolution::UnknownUser, |address| self.resolve(&address))
    }

    /// The DKIM keys of a domain whose records are published; empty when it is not here.
    pub fn dkim_keys(&self, domain: &DomainName) -> &[Arc<DkimKey>] {
        self.domains.get(domain).map_or(&[], Vec::as_slice)
    }

    pub(super) fn password_hash(&self, account: AccountId) -> Option<&str> {
        self.users.get(&account).map(|(_, credentials)| credentials.password_hash.as_str())
    }

    pub(super) fn scram(&self, account: AccountId) -> Option<&ScramCredentials> {
        self.users.get(&account).map(|(_, credentials)| &credentials.scram)
    }

    fn exactly(&self, address: &EmailAddress) -> Option<Vec<AccountId>> {
        let user = self.accounts.get(address).map(|account| vec![*account]);
        user.or_else(|| self.aliases.get(address).cloned())
    }

    fn role(&self, address: &EmailAddress) -> Option<Vec<AccountId>> {
        let local_part = address.local_part().split_detail().0.folded();
        if !ROLES.contains(&local_part.as_str()) {
            return None;
        }
        let of_domain = self.users().find(|user| user.address.domain() == address.domain());
        of_domain.or_else(|| self.users().next()).map(|user| vec![user.account])
    }
}

/// Building the snapshot from the tables.
impl Snapshot {
    pub(crate) fn load(connection: &Connection) -> Result<Self, DirectoryError> {
        let mut snapshot = Self::default();
        snapshot.load_domains(connection)?;
        snapshot.load_dkim_keys(connection)?;
        snapshot.load_users(connection)?;
        snapshot.load_aliases(connection)?;
        Ok(snapshot)
    }

    fn load_domains(&mut self, connection: &Connection) -> Result<(), DirectoryError> {
        let mut query = connection.prepare("SELECT name, dns FROM domain ORDER BY id")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let name = domain(row, 0)?;
            let dns: String = row.get(1)?;
            let hosting = DnsHosting::parse(&dns).ok_or(DirectoryError::Corrupt(dns))?;
            self.first_domain.get_or_insert_with(|| name.clone());
            self.dns.insert(name.clone(), hosting);
            self.domains.insert(name, Vec::new());
        }
        Ok(())
    }

    fn load_dkim_keys(&mut self, connection: &Connection) -> Result<(), DirectoryError> {
        let mut query = connection.prepare(
            "SELECT domain.name, selector, key_type, private_key, public_key, stage, since
             FROM dkim_key JOIN domain ON domain.id = dkim_key.domain ORDER BY selector DESC",
        )?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let (key_type, stage): (String, String) = (row.get(2)?, row.get(5)?);
            let key = DkimKey {
                domain: domain(row, 0)?,
                selector: row.get(1)?,
                algorithm: DkimAlgorithm::from_key_type(&key_type)
                    .ok_or(DirectoryError::Corrupt(key_type))?,
                private_key: Zeroizing::new(row.get(3)?),
                public_key: row.get(4)?,
                stage: DkimStage::parse(&stage).ok_or(DirectoryError::Corrupt(stage))?,
                since: row.get::<_, Option<i64>>(6)?.map(i64::cast_unsigned),
            };
            self.domains.entry(key.domain.clone()).or_default().push(Arc::new(key));
        }
        Ok(())
    }

    fn load_users(&mut self, connection: &Connection) -> Result<(), DirectoryError> {
        let mut query = connection.prepare(
            "SELECT domain.name, local_part, account, password_hash,
                    scram_salt, scram_iterations, scram_stored_key, scram_server_key
             FROM user JOIN domain ON domain.id = user.domain",
        )?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let user = User { account: AccountId(row.get(2)?), address: address(row)? };
            let scram = ScramCredentials {
                salt: row.get(4)?,
                iterations: row.get(5)?,
                stored_key: row.get(6)?,
                server_key: row.get(7)?,
            };
            self.accounts.insert(user.address.clone(), user.account);
            self.users.insert(user.account, (user, Credentials { password_hash: row.get(3)?, scram }));
        }
        Ok(())
    }

    fn load_aliases(&mut self, connection: &Connection) -> Result<(), DirectoryError> {
        let mut query = connection.prepare(
            "SELECT domain.name, local_part, account
             FROM alias JOIN domain ON domain.id = alias.domain ORDER BY account",
        )?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            self.aliases.entry(address(row)?).or_default().push(AccountId(row.get(2)?));
        }
        Ok(())
    }
}

/// The domain name in a column.
fn domain(row: &Row<'_>, column: usize) -> Result<DomainName, DirectoryError> {
    let name: String = row.get(column)?;
    DomainName::parse(&name).map_err(|_| DirectoryError::Corrupt(name))
}

/// The address whose domain is in column 0 and whose local part is in column 1.
fn address(row: &Row<'_>) -> Result<EmailAddress, DirectoryError> {
    let (domain, local_part): (_, String) = (domain(row, 0)?, row.get(1)?);
    LocalPart::from_unquoted(&local_part)
        .and_then(|parsed| EmailAddress::new(parsed, domain))
        .map_err(|_| DirectoryError::Corrupt(local_part))
}
