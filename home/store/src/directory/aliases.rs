//! Adding and removing aliases: addresses that lead to users of this home, to other aliases, and to addresses elsewhere.

use postern_message::address::EmailAddress;
use rusqlite::Connection;

use super::{Alias, Directory, DirectoryError, domains, users};

impl Directory {
    /// Makes an alias lead to these addresses too; a target that is there already is no error.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownTarget`] for a target in a domain of this home that leads nowhere;
    /// [`DirectoryError::Circle`]; [`DirectoryError::IsUser`], [`DirectoryError::IsMask`], [`DirectoryError::HasDetail`] and
    /// [`DirectoryError::UnknownDomain`] for the alias itself.
    pub fn add_alias(
        &self,
        address: &EmailAddress,
        targets: &[EmailAddress],
    ) -> Result<Alias, DirectoryError> {
        super::require_plain(address)?;
        let (alias, targets) = (address.clone(), targets.to_vec());
        self.change(move |connection| {
            let domain = domains::required(connection, alias.domain())?;
            match super::require_free(connection, domain, &alias) {
                Ok(()) | Err(DirectoryError::IsAlias(_)) => {}
                Err(taken) => return Err(taken),
            }
            targets.iter().try_for_each(|target| insert(connection, domain, &alias, target))?;
            super::require_ends(connection, &targets)
        })?;
        self.snapshot().alias(address).ok_or_else(|| DirectoryError::UnknownAlias(address.clone()))
    }

    /// Removes these targets from an alias, or, without any, the whole alias. An alias that leads to nobody is gone.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownAlias`]; [`DirectoryError::UnknownTarget`] for a target that the alias does not have.
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
                return delete_all(connection, domain, &alias);
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
    let mut query = connection.prepare_cached(
        "SELECT 1 FROM alias WHERE domain = ?1 AND folded = ?2
         UNION ALL SELECT 1 FROM alias_address WHERE domain = ?1 AND folded = ?2",
    )?;
    Ok(query.exists((domain, alias.local_part().folded()))?)
}

fn insert(
    connection: &Connection,
    domain: i64,
    alias: &EmailAddress,
    target: &EmailAddress,
) -> Result<(), DirectoryError> {
    let (written, folded) = (alias.local_part().as_str(), alias.local_part().folded());
    match users::at(connection, target)? {
        Some(account) => connection.execute(
            "INSERT OR IGNORE INTO alias (domain, local_part, folded, account) VALUES (?1, ?2, ?3, ?4)",
            (domain, written, folded, account),
        )?,
        None => connection.execute(
            "INSERT OR IGNORE INTO alias_address (domain, local_part, folded, target) VALUES (?1, ?2, ?3, ?4)",
            (domain, written, folded, target.to_string()),
        )?,
    };
    Ok(())
}

fn delete(
    connection: &Connection,
    domain: i64,
    alias: &EmailAddress,
    target: &EmailAddress,
) -> Result<(), DirectoryError> {
    let folded = alias.local_part().folded();
    let as_user = match users::at(connection, target)? {
        Some(account) => connection.execute(
            "DELETE FROM alias WHERE domain = ?1 AND folded = ?2 AND account = ?3",
            (domain, &folded, account),
        )?,
        None => 0,
    };
    let as_address = connection.execute(
        "DELETE FROM alias_address WHERE domain = ?1 AND folded = ?2 AND target = ?3",
        (domain, &folded, target.to_string()),
    )?;
    if as_user + as_address == 0 { Err(DirectoryError::UnknownTarget(target.clone())) } else { Ok(()) }
}

fn delete_all(connection: &Connection, domain: i64, alias: &EmailAddress) -> Result<(), DirectoryError> {
    for delete in [
        "DELETE FROM alias WHERE domain = ?1 AND folded = ?2",
        "DELETE FROM alias_address WHERE domain = ?1 AND folded = ?2",
    ] {
        connection.execute(delete, (domain, alias.local_part().folded()))?;
    }
    Ok(())
}
