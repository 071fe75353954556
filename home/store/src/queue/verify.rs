//! Whether the content of each queued message can be read to its end.
//!
//! In: the queue's database and the directory of its files, whether a daemon works with them or not. Out: a line for each message
//! whose file is not there, cannot be read, does not hold its seal, or has another length than its row says. The files have no
//! checksum of their own: octets that were exchanged for as many others are found where the mail is sealed, and else not.

use super::QueueId;
use crate::db::{Connection, Database, OptionalExtension, params};
use crate::place::Place;
use crate::seal::read_through;
use crate::{Error, Result};

/// What the row of a message says of its file.
struct Named {
    message: QueueId,
    file: String,
    octets: u64,
}

/// # Errors
/// `Corrupt` or `Temporary` where the rows cannot be read.
pub(crate) fn damages(database: &Database, content_dir: &Place) -> Result<Vec<String>> {
    let mut damages = Vec::new();
    for named in database.read(all_named)? {
        let Some(damage) = damage(&named, content_dir) else { continue };
        // The daemon may have delivered it meanwhile: the file goes after the row.
        if database.read(|connection: &Connection| is_queued(connection, named.message))? {
            damages.push(format!("message {}: queue/{}: {damage}", named.message, named.file));
        }
    }
    Ok(damages)
}

fn damage(named: &Named, content_dir: &Place) -> Option<String> {
    match read_through(&content_dir.join(&named.file)) {
        Ok(octets) if octets == named.octets => None,
        Ok(octets) => Some(format!("{octets} octets, and {} were queued", named.octets)),
        Err(error) => Some(error.to_string()),
    }
}

fn all_named(connection: &Connection) -> Result<Vec<Named>> {
    let mut select =
        connection.prepare("SELECT id, content, octets - length(prepend) FROM message ORDER BY id")?;
    let rows = select.query_map([], |row| {
        let octets: i64 = row.get(2)?;
        Ok(Named {
            message: QueueId(row.get(0)?),
            file: row.get(1)?,
            octets: u64::try_from(octets).unwrap_or(0),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn is_queued(connection: &Connection, message: QueueId) -> Result<bool> {
    let found = connection.query_row("SELECT 1 FROM message WHERE id = ?1", params![message.0], |_| Ok(()));
    Ok::<_, Error>(found.optional()?.is_some())
}
