//! Adding and removing domains.

use postern_message::address::DomainName;
use rusqlite::{Connection, OptionalExtension};

use super::{Directory, DirectoryError, DkimKey, dkim};

/// What to do with the users of a domain that is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithUsers {
    /// Do not remove a domain that has users.
    Refuse,
    /// Remove its users too.
    Remove,
}

impl Directory {
    /// Adds a domain and makes its two DKIM keys. Takes up to a second.
    ///
    /// # Errors
    /// [`DirectoryError::DomainExists`], and [`DirectoryError::DomainTooShort`] for a name of one label.
    pub fn add_domain(&self, name: &DomainName) -> Result<(), DirectoryError> {
        if name.labels().count() < 2 {
            return Err(DirectoryError::DomainTooShort(name.clone()));
        }
        if self.is_local(name) {
            return Err(DirectoryError::DomainExists(name.clone()));
        }
        let keys = dkim::generate_pair(name)?;
        let name = name.clone();
        self.change(move |connection| {
            if find(connection, &name)?.is_some() {
                return Err(DirectoryError::DomainExists(name));
            }
            connection.execute("INSERT INTO domain (name) VALUES (?1)", [name.as_str()])?;
            let domain = connection.last_insert_rowid();
            keys.iter().try_for_each(|key| insert_key(connection, domain, key))
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

fn insert_key(connection: &Connection, domain: i64, key: &DkimKey) -> Result<(), DirectoryError> {
    connection.execute(
        "INSERT INTO dkim_key (domain, selector, key_type, private_key, public_key) VALUES (?1, ?2, ?3, ?4, ?5)",
        (domain, &key.selector, key.algorithm.key_type(), key.private_key.as_slice(), &key.public_key),
    )?;
    Ok(())
}
