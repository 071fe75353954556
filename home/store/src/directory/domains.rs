//! Adding and removing domains, and where their DNS is.

use postern_message::address::{DomainName, EmailAddress};
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use super::{Directory, DirectoryError, dkim, users};

/// What to do with the users of a domain that is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithUsers {
    /// Do not remove a domain that has users.
    Refuse,
    /// Remove its users too.
    Remove,
}

/// Where the DNS of a domain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DnsHosting {
    /// Home makes and signs the zone, the edge serves it.
    #[default]
    Here,
    /// Another provider has the zone; a person copies the records there.
    External,
}

impl DnsHosting {
    /// As the database has it, and as people write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::External => "external",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Here, Self::External].into_iter().find(|hosting| hosting.as_str() == text)
    }
}

impl Directory {
    /// Adds a domain whose DNS is here, and makes its two DKIM keys. Takes up to a second.
    ///
    /// # Errors
    /// As [`Directory::add_domain_with_dns`].
    pub fn add_domain(&self, name: &DomainName) -> Result<(), DirectoryError> {
        self.add_domain_with_dns(name, DnsHosting::Here)
    }

    /// Adds a domain and makes its two DKIM keys. Takes up to a second.
    ///
    /// # Errors
    /// [`DirectoryError::DomainExists`], and [`DirectoryError::DomainTooShort`] for a name of one label.
    pub fn add_domain_with_dns(&self, name: &DomainName, dns: DnsHosting) -> Result<(), DirectoryError> {
        if name.labels().count() < 2 {
            return Err(DirectoryError::DomainTooShort(name.clone()));
        }
        if self.is_local(name) {
            return Err(DirectoryError::DomainExists(name.clone()));
        }
        let keys = dkim::first_pair(name)?;
        let name = name.clone();
        self.change(move |connection| {
            if find(connection, &name)?.is_some() {
                return Err(DirectoryError::DomainExists(name));
            }
            connection
                .execute("INSERT INTO domain (name, dns) VALUES (?1, ?2)", (name.as_str(), dns.as_str()))?;
            let domain = connection.last_insert_rowid();
            keys.iter().try_for_each(|key| dkim::insert_key(connection, domain, key))?;
            super::refuse_circle(connection)
        })
    }

    /// Says who gets what is sent to addresses of a domain that nothing else has; with `None` nobody, and they are unknown.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownDomain`], [`DirectoryError::UnknownUser`], and [`DirectoryError::Circle`] where that user's
    /// forward leads back there.
    pub fn set_catch_all(
        &self,
        name: &DomainName,
        user: Option<&EmailAddress>,
    ) -> Result<(), DirectoryError> {
        let (name, user) = (name.clone(), user.cloned());
        self.change(move |connection| {
            let domain = required(connection, &name)?;
            let account = user.map(|user| users::required(connection, &user)).transpose()?;
            connection.execute("UPDATE domain SET catch_all = ?2 WHERE id = ?1", (domain, account))?;
            super::refuse_circle(connection)
        })
    }

    /// Says where the DNS of a domain is from now on. The key of its zone stays, for the way back.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownDomain`].
    pub fn set_dns_hosting(&self, name: &DomainName, dns: DnsHosting) -> Result<(), DirectoryError> {
        let name = name.clone();
        self.change(move |connection| {
            let domain = required(connection, &name)?;
            connection.execute("UPDATE domain SET dns = ?2 WHERE id = ?1", (domain, dns.as_str()))?;
            Ok(())
        })
    }

    /// Removes a domain with its aliases, keys and zone.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownDomain`]; [`DirectoryError::DomainInUse`] when it has users and they are not to be
    /// removed.
    pub fn remove_domain(&self, name: &DomainName, with_users: WithUsers) -> Result<(), DirectoryError> {
        let name = name.clone();
        self.change(move |connection| {
            let domain = required(connection, &name)?;
            let users: u32 =
                connection
                    .query_row("SELECT count(*) FROM user WHERE domain = ?1", [domain], |row| row.get(0))?;
            if users > 0 && with_users == WithUsers::Refuse {
                return Err(DirectoryError::DomainInUse { domain: name, users });
            }
            connection.execute("DELETE FROM domain WHERE id = ?1", [domain])?;
            Ok(())
        })
    }
}

/// The row of a domain.
pub(super) fn find(connection: &Connection, name: &DomainName) -> Result<Option<i64>, DirectoryError> {
    let mut query = connection.prepare_cached("SELECT id FROM domain WHERE name = ?1")?;
    Ok(query.query_row([name.as_str()], |row| row.get(0)).optional()?)
}

/// The row of a domain that must be there.
pub(super) fn required(connection: &Connection, name: &DomainName) -> Result<i64, DirectoryError> {
    find(connection, name)?.ok_or_else(|| DirectoryError::UnknownDomain(name.clone()))
}
