//! The state directory looked at from outside: nothing is changed, and it does not matter whether a daemon runs.
//!
//! In: a state directory. Out: its accounts and their users, to be read and verified. Refused: files of another schema
//! version than this program's. SQLite's own reading needs the two files beside a database (`-wal`, `-shm`), which it
//! makes where they are missing.

use std::path::Path;
use std::sync::Arc;

use crate::account::{Account, AccountId};
use crate::db::{Database, Schema};
use crate::directory::{self, DirectoryError, Snapshot};
use crate::place::Place;
use crate::{Error, Result, files, journal, queue, reports};

/// A state directory that is only read.
#[derive(Debug, Clone)]
pub struct Inspection {
    state_dir: Place,
}

impl Inspection {
    /// Looks at `state_dir`.
    pub fn of(state_dir: impl Into<Place>) -> Inspection {
        Inspection { state_dir: state_dir.into() }
    }

    /// Users and domains.
    ///
    /// # Errors
    /// As for [`Database::read_only`].
    pub fn directory(&self) -> Result<Arc<Snapshot>, DirectoryError> {
        let database = self.database("server.sqlite", &directory::schema::SCHEMA)?;
        database.read(Snapshot::load).map(Arc::new)
    }

    /// Every account that is on the disk, in the order of their numbers.
    ///
    /// # Errors
    /// `Temporary`
    pub fn accounts(&self) -> Result<Vec<AccountId>> {
        accounts_in(&self.state_dir.path().join("accounts"))
    }

    /// One account.
    ///
    /// # Errors
    /// As for [`Database::read_only`].
    pub fn account(&self, id: AccountId) -> Result<Account> {
        Account::inspect(&self.state_dir.join("accounts").join(id.to_string()), id)
    }

    /// Checks the databases that belong to no account, and the files that the queue's rows name: a line for each damage.
    pub fn verify_server(&self) -> Vec<String> {
        // A home that has not run since there are these has none, and lacks nothing.
        let newer: [(&str, &'static Schema); 2] =
            [("reports.sqlite", &reports::schema::SCHEMA), ("journal.sqlite", &journal::schema::SCHEMA)];
        let mut damages = self.damages("server.sqlite", &directory::schema::SCHEMA, |_| Ok(Vec::new()));
        damages.extend(self.damages("queue.sqlite", &queue::schema::SCHEMA, |database| {
            queue::verify::damages(database, &self.state_dir.join("queue"))
        }));
        for (name, schema) in newer {
            if self.state_dir.path().join(name).is_file() {
                damages.extend(self.damages(name, schema, |_| Ok(Vec::new())));
            }
        }
        damages
    }

    /// What is wrong with a database, and with what else hangs on it.
    fn damages(
        &self,
        name: &str,
        schema: &'static Schema,
        beside: impl FnOnce(&Database) -> Result<Vec<String>>,
    ) -> Vec<String> {
        let all = self.database(name, schema).and_then(|database| {
            let mut found = database.damages()?;
            found.extend(beside(&database).unwrap_or_else(|error| vec![error.to_string()]));
            Ok(found)
        });
        let found = all.unwrap_or_else(|error| vec![error.to_string()]);
        found.into_iter().map(|damage| format!("{name}: {damage}")).collect()
    }

    fn database(&self, name: &str, schema: &'static Schema) -> Result<Database> {
        let place = self.state_dir.clone().admit()?.join(name);
        if !place.path().is_file() {
            return Err(Error::NotFound(place.path().display().to_string()));
        }
        Database::read_only(place, schema)
    }
}

/// The accounts whose directories stand in `directory`.
pub(crate) fn accounts_in(directory: &Path) -> Result<Vec<AccountId>> {
    let entries = std::fs::read_dir(directory).map_err(|error| files::at(directory, &error))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut accounts: Vec<AccountId> = names.filter_map(|name| name.parse().ok().map(AccountId)).collect();
    accounts.sort_unstable();
    Ok(accounts)
}
