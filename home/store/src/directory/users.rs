//! Adding users, changing their passwords, removing them.

use postern_message::address::EmailAddress;
use rusqlite::{Connection, OptionalExtension};

use super::credentials::Credentials;
use super::{Directory, DirectoryError, User, domains};
use crate::account::AccountId;

impl Directory {
    /// Adds a user with an account of its own. Takes tens of milliseconds, for the password.
    ///
    /// # Errors
    /// [`DirectoryError`] says what is wrong with the address or the password.
    pub fn add_user(&self, address: &EmailAddress, password: &str) -> Result<User, DirectoryError> {
        super::require_plain(address)?;
        let credentials = Credentials::derive(password)?;
        let address = address.clone();
        self.change(move |connection| {
            let domain = domains::required(connection, address.domain())?;
            super::require_free(connection, domain, &address)?;
            let account = insert(connection, domain, &address, &credentials)?;
            Ok(User { account, address })
        })
    }

    /// Gives a user a new password.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownUser`], or what is wrong with the password.
    pub fn set_password(&self, address: &EmailAddress, password: &str) -> Result<(), DirectoryError> {
        let user = self.snapshot().user_at(address).cloned();
        let user = user.ok_or_else(|| DirectoryError::UnknownUser(address.clone()))?;
        let credentials = Credentials::derive(password)?;
        self.change(move |connection| {
            let changed = connection.execute(
                "UPDATE user SET password_hash = ?2, scram_salt = ?3, scram_iterations = ?4,
                                 scram_stored_key = ?5, scram_server_key = ?6
                 WHERE account = ?1",
                (
                    user.account.0,
                    &credentials.password_hash,
                    &credentials.scram.salt,
                    credentials.scram.iterations,
                    credentials.scram.stored_key,
                    credentials.scram.server_key,
                ),
            )?;
            if changed == 0 { Err(DirectoryError::UnknownUser(user.address)) } else { Ok(()) }
        })
    }

    /// Removes a user with masks and forward, and the user from every alias and catch-all; an alias that leads to nobody else
    /// goes too. The mail of the account is not touched.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownUser`].
    pub fn remove_user(&self, address: &EmailAddress) -> Result<User, DirectoryError> {
        let user = self.snapshot().user_at(address).cloned();
        let user = user.ok_or_else(|| DirectoryError::UnknownUser(address.clone()))?;
        self.change(move |connection| {
            match connection.execute("DELETE FROM user WHERE account = ?1", [user.account.0])? {
                0 => Err(DirectoryError::UnknownUser(user.address)),
                _ => Ok(user),
            }
        })
    }
}

/// The account of a user of this domain.
pub(super) fn find(
    connection: &Connection,
    domain: i64,
    address: &EmailAddress,
) -> Result<Option<u32>, DirectoryError> {
    let mut query =
        connection.prepare_cached("SELECT account FROM user WHERE domain = ?1 AND folded = ?2")?;
    Ok(query.query_row((domain, address.local_part().folded()), |row| row.get(0)).optional()?)
}

/// The account of a user, wherever the address is.
pub(super) fn at(connection: &Connection, address: &EmailAddress) -> Result<Option<u32>, DirectoryError> {
    match domains::find(connection, address.domain())? {
        Some(domain) => find(connection, domain, address),
        None => Ok(None),
    }
}

/// The account of a user who must be there.
pub(super) fn required(connection: &Connection, address: &EmailAddress) -> Result<u32, DirectoryError> {
    at(connection, address)?.ok_or_else(|| DirectoryError::UnknownUser(address.clone()))
}

fn insert(
    connection: &Connection,
    domain: i64,
    address: &EmailAddress,
    credentials: &Credentials,
) -> Result<AccountId, DirectoryError> {
    let local_part = address.local_part();
    let account = connection.query_row(
        "INSERT INTO user (domain, local_part, folded, password_hash, scram_salt, scram_iterations,
                           scram_stored_key, scram_server_key)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING account",
        (
            domain,
            local_part.as_str(),
            local_part.folded(),
            &credentials.password_hash,
            &credentials.scram.salt,
            credentials.scram.iterations,
            credentials.scram.stored_key,
            credentials.scram.server_key,
        ),
        |row| row.get(0),
    )?;
    Ok(AccountId(account))
}
