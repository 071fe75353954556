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
use super::masks::Mask;
use super::route::{self, Forward, Found, Kept, Route, Targets};
use super::{DirectoryError, DkimAlgorithm, DkimKey, DkimStage, DnsHosting};
use crate::account::AccountId;

/// Local parts that every domain answers for (RFC 5321 §4.5.1, RFC 2142 §2).
const ROLES: [&str; 2] = ["postmaster", "abuse"];

/// Who a forward-path reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// These mailboxes and addresses elsewhere, at least one.
    Local(Route),
    /// The domain is here, but the address leads nowhere.
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

/// An address that leads to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The alias itself.
    pub address: EmailAddress,
    /// What it leads to, at least one, in the order of the addresses.
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
    aliases: BTreeMap<EmailAddress, Targets>,
    masks: BTreeMap<EmailAddress, Mask>,
    forwards: BTreeMap<AccountId, Forward>,
    catch_all: BTreeMap<DomainName, AccountId>,
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
        let (address, found) = self.aliases.get_key_value(address)?;
        let users = found.accounts.iter().filter_map(|account| self.user(*account));
        let users = users.map(|user| user.address.clone());
        let mut targets: Vec<_> = users.chain(found.addresses.iter().cloned()).collect();
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

    /// The masks of a user, the newest first.
    pub fn masks(&self, account: AccountId) -> Vec<Mask> {
        let mut masks: Vec<_> = self.masks.values().filter(|mask| mask.account == account).cloned().collect();
        masks.sort_by_key(|mask| std::cmp::Reverse(mask.made));
        masks
    }

    /// Where a user's mail is sent on.
    pub fn forward(&self, account: AccountId) -> Option<&Forward> {
        self.forwards.get(&account)
    }

    /// Who gets what is sent to addresses of a domain that nothing else has.
    pub fn catch_all(&self, domain: &DomainName) -> Option<&User> {
        self.user(*self.catch_all.get(domain)?)
    }

    /// Who a forward-path reaches; the rules stand in the parent module.
    pub fn resolve(&self, address: &EmailAddress) -> Resolution {
        match self.is_local(address.domain()) {
            true => route::route(self, address).map_or(Resolution::UnknownUser, Resolution::Local),
            false => Resolution::NotLocal,
        }
    }

    /// Whether the user may write this address into `MAIL FROM`, `From` and `Sender`. Never for where its mail happens to
    /// end: only as the user's own address, mask, or alias that names the user, as the reader of `postmaster` and `abuse`, or
    /// as an address of a domain whose catch-all the user has.
    pub fn may_send_as(&self, account: AccountId, address: &EmailAddress) -> bool {
        match self.find(address) {
            Some(Found::User(found)) => found == account,
            Some(Found::Alias(_, targets)) => targets.accounts.contains(&account),
            Some(Found::Nobody) | None => false,
        }
    }

    /// A circle that mail would go round in.
    pub(super) fn circle(&self) -> Option<Vec<EmailAddress>> {
        let users = self.forwards.keys().filter_map(|account| self.user(*account)).map(|user| &user.address);
        self.aliases.keys().chain(users).find_map(|address| route::circle(self, address))
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

    /// What stands at an address of a domain that is here; the order is in the parent module.
    pub(super) fn find(&self, address: &EmailAddress) -> Option<Found<'_>> {
        let found = self.exactly(address).or_else(|| self.exactly(&address.without_detail()));
        let found = found.or_else(|| self.role(address).map(Found::User));
        found.or_else(|| self.catch_all.get(address.domain()).copied().map(Found::User))
    }

    /// The user of the domain who was added first, else of all users.
    pub(super) fn first_user(&self, domain: &DomainName) -> Option<AccountId> {
        let of_domain = self.users().find(|user| user.address.domain() == domain);
        of_domain.or_else(|| self.users().next()).map(|user| user.account)
    }

    fn exactly(&self, address: &EmailAddress) -> Option<Found<'_>> {
        if let Some(account) = self.accounts.get(address) {
            return Some(Found::User(*account));
        }
        if let Some(mask) = self.masks.get(address) {
            return Some(if mask.enabled { Found::User(mask.account) } else { Found::Nobody });
        }
        self.aliases.get_key_value(address).map(|(alias, targets)| Found::Alias(alias, targets))
    }

    fn role(&self, address: &EmailAddress) -> Option<AccountId> {
        let local_part = address.local_part().split_detail().0.folded();
        ROLES.contains(&local_part.as_str()).then(|| self.first_user(address.domain())).flatten()
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
        snapshot.load_alias_addresses(connection)?;
        snapshot.load_masks(connection)?;
        snapshot.load_forwards(connection)?;
        Ok(snapshot)
    }

    fn load_domains(&mut self, connection: &Connection) -> Result<(), DirectoryError> {
        let mut query = connection.prepare("SELECT name, dns, catch_all FROM domain ORDER BY id")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let name = domain(row, 0)?;
            let dns: String = row.get(1)?;
            let hosting = DnsHosting::parse(&dns).ok_or(DirectoryError::Corrupt(dns))?;
            self.first_domain.get_or_insert_with(|| name.clone());
            self.dns.insert(name.clone(), hosting);
            if let Some(account) = row.get(2)? {
                self.catch_all.insert(name.clone(), AccountId(account));
            }
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
            self.aliases.entry(address(row)?).or_default().accounts.push(AccountId(row.get(2)?));
        }
        Ok(())
    }

    fn load_alias_addresses(&mut self, connection: &Connection) -> Result<(), DirectoryError> {
        let mut query = connection.prepare(
            "SELECT domain.name, local_part, target
             FROM alias_address JOIN domain ON domain.id = alias_address.domain ORDER BY target",
        )?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            self.aliases.entry(address(row)?).or_default().addresses.push(target(row, 2)?);
        }
        Ok(())
    }

    fn load_masks(&mut self, connection: &Connection) -> Result<(), DirectoryError> {
        let mut query = connection.prepare(
            "SELECT domain.name, local_part, account, label, enabled, made
             FROM mask JOIN domain ON domain.id = mask.domain",
        )?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let mask = Mask {
                address: address(row)?,
                account: AccountId(row.get(2)?),
                label: row.get(3)?,
                enabled: row.get(4)?,
                made: row.get::<_, i64>(5)?.cast_unsigned(),
            };
            self.masks.insert(mask.address.clone(), mask);
        }
        Ok(())
    }

    fn load_forwards(&mut self, connection: &Connection) -> Result<(), DirectoryError> {
        let mut query = connection.prepare("SELECT account, target, keep FROM forward")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let kept = if row.get(2)? { Kept::Copy } else { Kept::Nothing };
            self.forwards.insert(AccountId(row.get(0)?), Forward { target: target(row, 1)?, kept });
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

/// A whole address in a column.
fn target(row: &Row<'_>, column: usize) -> Result<EmailAddress, DirectoryError> {
    let text: String = row.get(column)?;
    EmailAddress::parse(&text).map_err(|_| DirectoryError::Corrupt(text))
}
