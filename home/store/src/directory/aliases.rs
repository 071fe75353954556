//! Adding and removing aliases: addresses that lead to one or more users of this home.

use postern_message::address::EmailAddress;
use rusqlite::Connection;

use super::{Alias, Directory, DirectoryError, domains, users};

impl Directory {
    /// Makes an alias lead to these users too; a target that is there already is no error.
    ///
    /// # Errors
    /// [`DirectoryError::TargetOutside`] for a target that is not a user here; [`DirectoryError::IsUser`],
    /// [`DirectoryError::HasDetail`] and [`DirectoryError::UnknownDomain`] for the alias itself.
    pub fn add_alias(
        &self,
        address: &EmailAddress,
        targets: &[EmailAddress],
    ) -> Result<Alias, DirectoryError> {
        super::require_plain(address)?;
        let (alias, targets) = (address.clone(), targets.to_vec());
        self.change(move |connection| {
            let domain = domains::required(connection, alias.domain())?;
            if users::find(connection, domain, &alias)?.is_some() {
                return Err(DirectoryError::IsUser(alias));
            }
            targets.iter().try_for_each(|target| insert(connection, domain, &alias, target))
        })?;
        self.snapshot().alias(address).ok_or_else(|| DirectoryError::UnknownAlias(address.clone()))
    }

    /// Removes these targets from an alias, or, without any, the whole alias. An alias that leads to nobody is gone.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownAlias`]; [`DirectoryError::UnknownUser`] for a target that the alias does not have.
    pub fn remove_alias(
        &self,
        address: &EmailAddress,
        targets: &[EmailAddress],
    ) -> Result<(), DirectoryError> {
        let (alias, targets) = (address.clone(), targets.to_vec());
        self.change(move |connection| {
            let domain = domains::required(connection, alias.domain())?;
            if !exists(connection, domain, &alias)? {
                return Err(DirectoryError::UnknownAlias(alias));
            }
            if targets.is_empty() {
                connection.execute(
                    "DELETE FROM alias WHERE domain = ?1 AND folded = ?2",
                    (domain, alias.local_part().folded()),
                )?;
            }
            targets.iter().try_for_each(|target| delete(connection, domain, &alias, target))
        })
    }
}

/// Whether there is an alias of this address.
pub(super) fn exists(
    connection: &Connection,
    domain: i64,
    alias: &EmailAddress,
) -> Result<bool, DirectoryError> {
    let mut query = connection.prepare_cached("SELECT 1 FROM alias WHERE domain = ?1 AND folded = ?2")?;
    Ok(query.exists((domain, alias.local_part().folded()))?)
}

fn insert(
    connection: &Connection,
    domain: i64,
    alias: &EmailAddress,
    target: &EmailAddress,
) -> Result<(), DirectoryError> {
    let account =
        account(connection, target)?.ok_or_else(|| DirectoryError::TargetOutside(target.clone()))?;
    let local_part = alias.local_part();
    connection.execute(
        "INSERT OR IGNORE INTO alias (domain, local_part, folded, account) VALUES (?1, ?2, ?3, ?4)",
        (domain, local_part.as_str(), local_part.folded(), account),
    )?;
    Ok(())
}

fn delete(
    connection: &Connection,
    domain: i64,
    alias: &EmailAddress,
    target: &EmailAddress,
) -> Result<(), DirectoryError> {
    let unknown = || DirectoryError::UnknownUser(target.clone());
    let account = account(connection, target)?.ok_or_else(unknown)?;
    let deleted = connection.execute(
        "DELETE FROM alias WHERE domain = ?1 AND folded = ?2 AND account = ?3",
        (domain, alias.local_part().folded(), account),
    )?;
    if deleted == 0 { Err(unknown()) } else { Ok(()) }
}

fn account(connection: &Connection, target: &EmailAddress) -> Result<Option<u32>, DirectoryError> {
    match domains::find(connection, target.domain())? {
        Some(domain) => users::find(connection, domain, target),
        None => Ok(None),
    }
}
