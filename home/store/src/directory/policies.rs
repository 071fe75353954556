//! What other domains demand of those who send to them, as it was fetched last (RFC 8461 §5.1).
//!
//! In: octets whose form is the caller's, and until when they count. Out: the same. What counts no more goes when the next is
//! kept.

use rusqlite::OptionalExtension;

use super::{Directory, DirectoryError};

impl Directory {
    /// What is kept of a domain.
    ///
    /// # Errors
    /// [`DirectoryError::Storage`] when the database cannot be read.
    pub fn policy_of(&self, domain: &str) -> Result<Option<Vec<u8>>, DirectoryError> {
        self.shared.database.read(|connection| {
            let mut query =
                connection.prepare_cached("SELECT policy FROM remote_policy WHERE domain = ?1")?;
            Ok(query.query_row([domain], |row| row.get(0)).optional()?)
        })
    }

    /// Keeps this, durable on return. `ends` and `now` are in seconds since 1970.
    ///
    /// # Errors
    /// [`DirectoryError::Storage`] when the database cannot be written.
    pub fn keep_policy(
        &self,
        domain: &str,
        policy: Vec<u8>,
        ends: u64,
        now: u64,
    ) -> Result<(), DirectoryError> {
        let domain = domain.to_owned();
        self.shared.database.write(move |connection| {
            connection.execute("DELETE FROM remote_policy WHERE ends < ?1", [now])?;
            connection.execute(
                "INSERT OR REPLACE INTO remote_policy (domain, policy, ends) VALUES (?1, ?2, ?3)",
                (&domain, &policy, ends),
            )?;
            Ok(())
        })
    }
}
