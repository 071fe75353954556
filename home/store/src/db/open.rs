//! Opening a database file: the seal, pragmas, identity and schema version, migrations, and the check after a failure.
//!
//! Temporary tables, sorters and statement journals stay in memory: files of theirs would not be sealed, and a delivery would write
//! two dozen times into one that nobody reads.

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, ffi};

use super::{Durability, Error, Place, Result, Schema};
use crate::seal::RESERVED;

/// How long a connection waits for a lock before it reports `Temporary`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Pages (of 4 KiB) that the log may hold before a commit copies them into the file: 16 MiB. Larger than SQLite's
/// default of 1000, so that a burst of mail is not slowed by one checkpoint after another.
const CHECKPOINT_PAGES: u32 = 4000;

/// Opens the one connection that writes, creating and migrating the file as needed.
pub(super) fn writer(place: &Place, schema: &Schema) -> Result<Connection> {
    let path = place.path();
    create_private(path)?;
    let mut connection = connect(place, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    configure(&connection)?;
    identify(&connection, path, schema)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match schema.durability {
        Durability::Everything => "FULL",
        Durability::UpToCheckpoint => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    migrate(&mut connection, path, schema)?;
    Ok(connection)
}

/// Opens a connection that can only read.
pub(super) fn reader(place: &Place) -> Result<Connection> {
    let connection = connect(place, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    configure(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Opens a file of the present schema that is there already, to read it.
pub(super) fn inspected(place: &Place, schema: &Schema) -> Result<Connection> {
    let path = place.path();
    let connection = reader(place)?;
    identify(&connection, path, schema)?;
    if version(&connection)? < latest(schema) {
        let shown = path.display();
        return Err(Error::Permanent(format!(
            "{shown}: of an older version; start the daemon once to bring it up to date"
        )));
    }
    Ok(connection)
}

/// What SQLite finds wrong.
pub(super) fn damages(connection: &Connection) -> Result<Vec<String>> {
    let mut damages = first_column(connection, "PRAGMA integrity_check")?;
    damages.retain(|line| line != "ok");
    let dangling = first_column(connection, "PRAGMA foreign_key_check")?;
    damages.extend(dangling.into_iter().map(|table| format!("a row of {table} refers to nothing")));
    Ok(damages)
}

fn first_column(connection: &Connection, query: &str) -> Result<Vec<String>> {
    let mut statement = connection.prepare(query)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Opens the file again after a failure and checks that what it holds is whole.
///
/// The log may hold a transaction whose flush failed: readable from memory, missing on the disk, and never written
/// again by a flush of the log. Copying the log into the file and emptying it writes everything afresh, so that later
/// commits do not stand on pages that a power cut would take away.
pub(super) fn reopen_verified(place: &Place, schema: &Schema) -> Result<Connection> {
    let path = place.path();
    let connection = writer(place, schema)?;
    let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy {
        return Err(Error::Temporary(format!("{}: the log is in use", path.display())));
    }
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        Ok(connection)
    } else {
        Err(Error::Corrupt(format!("{}: {verdict}", path.display())))
    }
}

/// Connects through the seal, if there is one.
pub(crate) fn connect(place: &Place, mode: OpenFlags) -> Result<Connection> {
    let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connection = match place.seal() {
        None => Connection::open_with_flags(place.path(), flags)?,
        Some(seal) => {
            let connection = Connection::open_with_flags_and_vfs(place.path(), flags, seal.vfs().as_c_str())?;
            reserve(&connection)?;
            connection
        }
    };
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

/// Has SQLite leave room in the pages of a database that is still to be made.
fn reserve(connection: &Connection) -> Result<()> {
    let mut octets = i32::try_from(RESERVED).unwrap_or(i32::MAX);
    // SAFETY: the connection is open, and the operation takes a pointer to an `int`.
    let code = unsafe {
        ffi::sqlite3_file_control(
            connection.handle(),
            c"main".as_ptr(),
            ffi::SQLITE_FCNTL_RESERVE_BYTES,
            (&raw mut octets).cast(),
        )
    };
    match code {
        ffi::SQLITE_OK => Ok(()),
        code => Err(Error::Fault(format!("no room for the seal (SQLite says {code})"))),
    }
}

fn configure(connection: &Connection) -> Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    // Else a statement with a join is compiled anew whenever it is given other values.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(())
}

/// Makes an empty file that only its owner can read, and its name durable, before SQLite sees it.
fn create_private(path: &Path) -> Result<()> {
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => path.parent().map_or(Ok(()), crate::files::sync_directory),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Error::Temporary(format!("{}: {error}", path.display()))),
    }
}

/// Refuses files of other applications and of newer programs.
fn identify(connection: &Connection, path: &Path, schema: &Schema) -> Result<()> {
    let application_id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let found = version(connection)?;
    let known = latest(schema);
    if application_id != schema.application_id && !(application_id == 0 && is_empty(connection)?) {
        return Err(Error::Permanent(format!(
            "{}: not a {} database of Postern",
            path.display(),
            schema.name
        )));
    }
    if found > known {
        return Err(Error::NewerSchema { path: path.to_owned(), found, known });
    }
    Ok(())
}

/// Runs the missing steps, each in one transaction together with the version number it leads to.
fn migrate(connection: &mut Connection, path: &Path, schema: &Schema) -> Result<()> {
    for (step, number) in schema.migrations.iter().zip(1u32..) {
        if number <= version(connection)? {
            continue;
        }
        tracing::debug!(path = %path.display(), schema = number, "migrating database");
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "application_id", schema.application_id)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}

fn version(connection: &Connection) -> Result<u32> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

fn latest(schema: &Schema) -> u32 {
    u32::try_from(schema.migrations.len()).unwrap_or(u32::MAX)
}

fn is_empty(connection: &Connection) -> Result<bool> {
    Ok(connection.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))?)
}
