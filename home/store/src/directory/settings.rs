//! Values that the program itself keeps in the directory, each under a fixed name.

use rusqlite::{Connection, OptionalExtension};

use super::credentials::random;
use super::{Directory, DirectoryError};

/// From this secret the SCRAM salts of users who do not exist are derived.
const DECOY_SECRET: &str = "scram-decoy-secret";

impl Directory {
    /// A value kept under this name.
    ///
    /// # Errors
    /// [`DirectoryError::Storage`] when the database cannot be read.
    pub fn setting(&self, name: &str) -> Result<Option<Vec<u8>>, DirectoryError> {
        self.shared.database.read(|connection| read(connection, name))
    }

    /// Keeps a value on which zones depend under this name, durable on return, and gives notice.
    ///
    /// # Errors
    /// [`DirectoryError::Storage`] when the database cannot be written.
    pub fn announce_setting(&self, name: &str, value: Vec<u8>) -> Result<(), DirectoryError> {
        let name = name.to_owned();
        self.change(move |connection| write(connection, &name, &value))
    }

    /// Keeps a value under this name, durable on return.
    ///
    /// # Errors
    /// [`DirectoryError::Storage`] when the database cannot be written.
    pub fn set_setting(&self, name: &str, value: Vec<u8>) -> Result<(), DirectoryError> {
        let name = name.to_owned();
        self.shared.database.write(move |connection| write(connection, &name, &value))
    }
}

/// Reads the secret of this home, making it at the first start.
pub(super) fn decoy_secret(connection: &Connection) -> Result<Vec<u8>, DirectoryError> {
    if let Some(secret) = read(connection, DECOY_SECRET)? {
        return Ok(secret);
    }
    let secret = random::<32>()?.to_vec();
    write(connection, DECOY_SECRET, &secret)?;
    Ok(secret)
}

fn read(connection: &Connection, name: &str) -> Result<Option<Vec<u8>>, DirectoryError> {
    let mut query = connection.prepare_cached("SELECT value FROM setting WHERE name = ?1")?;
    Ok(query.query_row([name], |row| row.get(0)).optional()?)
}

fn write(connection: &Connection, name: &str, value: &[u8]) -> Result<(), DirectoryError> {
    let mut upsert = connection.prepare_cached(
        "INSERT INTO setting (name, value) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )?;
    upsert.execute((name, value))?;
    Ok(())
}
