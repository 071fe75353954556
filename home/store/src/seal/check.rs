//! Whether all that a conversion reads can be read, before it begins: one that stops half-way leaves a directory that no daemon
//! opens.
//!
//! In: a state directory that nobody uses. Out: nothing, or what is damaged, each with its name. It reads everything once: the pages
//! of each database, and the files that its rows name. Nothing is changed.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::convert::{Files, Form, databases, form};
use super::file::read_through;
use crate::db::open::connect;
use crate::place::Place;
use crate::{Error, Result, files};

/// Damages that are named; whoever has more of them needs no list.
const NAMED: usize = 20;

/// # Errors
/// `Corrupt` with what is damaged.
pub(super) fn readable(from: &Place) -> Result<()> {
    let mut damages = Vec::new();
    for name in databases(from.path())? {
        match damages_of(from, &name) {
            Ok(found) => damages.extend(found),
            Err(error) => damages.push(format!("{}: {error}", name.display())),
        }
    }
    match damages.len() {
        0 => Ok(()),
        found => {
            damages.truncate(NAMED);
            Err(Error::Corrupt(format!(
                "nothing was changed, for {found} thing(s) cannot be read: {}",
                damages.join("; ")
            )))
        }
    }
}

fn damages_of(from: &Place, name: &Path) -> Result<Vec<String>> {
    let place = from.join(name);
    if form(place.path())? == Form::Empty {
        return Ok(Vec::new());
    }
    // Who may write takes the log away again when it closes.
    let connection = connect(&place, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let mut damages = Vec::new();
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        damages.push(format!("{}: {verdict}", name.display()));
    }
    if let Some(files) = Files::of(name) {
        damages.extend(unreadable(from, name, &files, &connection)?);
    }
    connection.close().map_err(|(_, error)| Error::from(error))?;
    Ok(damages)
}

/// The files named by the rows of a database that cannot be read to their ends.
fn unreadable(from: &Place, database: &Path, files: &Files, connection: &Connection) -> Result<Vec<String>> {
    let directory = files.beside(database);
    let mut damages = Vec::new();
    for (_, file, _) in files.named_in(connection)? {
        let path: PathBuf = directory.join(file);
        let place = from.join(&path);
        damages.extend(read_through(&place).err().map(|error| files::at(place.path(), &error).to_string()));
    }
    Ok(damages)
}
