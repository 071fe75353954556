//! What other domains demand of those who send to them, as it was fetched last (RFC 8461 §5.1).
//!
//! In: octets whose form is the caller's, and until when they count. Out: the same. Refused: more than [`MOST`]; those that end
//! first go. A policy does not go because its time is over: a clock that is ahead would forget them all.

use rusqlite::OptionalExtension;

use super::{Directory, DirectoryError};

/// Policies that are kept.
const MOST: u32 = 10_000;

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

    /// Keeps this, durable on return. `ends` is in seconds since 1970.
    ///
    /// # Errors
    /// [`DirectoryError::Storage`] when the database cannot be written.
    pub fn keep_policy(&self, domain: &str, policy: Vec<u8>, ends: u64) -> Result<(), DirectoryError> {
        let domain = domain.to_owned();
        self.shared.database.write(move |connection| {
            connection.execute(
                "INSERT OR REPLACE INTO remote_policy (domain, policy, ends) VALUES (?1, ?2, ?3)",
                (&domain, &policy, ends),
            )?;
            connection.execute(
                "DELETE FROM remote_policy WHERE domain IN
                 (SELECT domain FROM remote_policy WHERE domain <> ?1 ORDER BY ends DESC LIMIT -1 OFFSET ?2)",
                (&domain, MOST - 1),
            )?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_ahead_has_forgotten_no_policy() {
        let state = tempfile::tempdir().unwrap();
        let directory = Directory::open(state.path()).unwrap();
        directory.keep_policy("kept.example", b"enforce".to_vec(), 1_800_000_000).unwrap();
        // Fetched under a clock that shows a year far behind the other's end.
        directory.keep_policy("other.example", b"enforce".to_vec(), 4_000_000_000).unwrap();
        assert_eq!(directory.policy_of("kept.example").unwrap(), Some(b"enforce".to_vec()));
    }

    #[test]
    fn what_ends_first_makes_room() {
        let state = tempfile::tempdir().unwrap();
        let directory = Directory::open(state.path()).unwrap();
        let fill = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 10000)
             INSERT INTO remote_policy SELECT n || '.example', x'', 1000000 + n FROM n";
        directory
            .shared
            .database
            .write(move |connection| Ok::<_, DirectoryError>(connection.execute(fill, [])?))
            .unwrap();
        directory.keep_policy("new.example", Vec::new(), 5).unwrap();
        assert_eq!(directory.policy_of("1.example").unwrap(), None);
        assert!(directory.policy_of("2.example").unwrap().is_some());
        assert!(directory.policy_of("new.example").unwrap().is_some());
    }
}
