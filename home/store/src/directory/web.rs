//! What is kept of a domain's presence on the web: which of its names have certificates, and how its mail policy stands.
//!
//! In: octets whose form is the caller's. Out: the same. Refused: a domain that is not here.

use postern_message::address::DomainName;
use rusqlite::OptionalExtension;

use super::domains::required;
use super::{Directory, DirectoryError};

impl Directory {
    /// What was kept last; `None` before the first time.
    ///
    /// # Errors
    /// [`DirectoryError::Storage`] when the database cannot be read.
    pub fn web_presence(&self, name: &DomainName) -> Result<Option<Vec<u8>>, DirectoryError> {
        self.shared.database.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT presence FROM web_presence JOIN domain ON domain.id = web_presence.domain WHERE domain.name = ?1",
            )?;
            Ok(query.query_row([name.as_str()], |row| row.get(0)).optional()?)
        })
    }

    /// Keeps this instead of what was kept before, durable on return, and gives notice: the zone follows from it.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownDomain`].
    pub fn keep_web_presence(&self, name: &DomainName, presence: Vec<u8>) -> Result<(), DirectoryError> {
        let name = name.clone();
        self.change(move |connection| {
            let domain = required(connection, &name)?;
            connection.execute(
                "INSERT OR REPLACE INTO web_presence (domain, presence) VALUES (?1, ?2)",
                (domain, &presence),
            )?;
            Ok(())
        })
    }
}
