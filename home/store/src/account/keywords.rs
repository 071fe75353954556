//! The account's keywords by number, as message rows refer to them.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row};

use super::{Flags, Keyword, SystemFlags};
use crate::{Error, Result};

/// The most different keywords in one account: enough for any person, and a bound for a client gone mad.
const LIMIT: usize = 4096;

/// All keywords of an account.
#[derive(Debug, Default)]
pub(super) struct Keywords(BTreeMap<u16, Keyword>);

/// Flags as a message row holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredFlags {
    pub(super) system: SystemFlags,
    /// Ascending keyword numbers.
    pub(super) keywords: Vec<u16>,
}

impl Keywords {
    pub(super) fn load(connection: &Connection) -> Result<Keywords> {
        let mut statement = connection.prepare_cached("SELECT keyword_id, name FROM keyword")?;
        let mut rows = statement.query([])?;
        let mut keywords = BTreeMap::new();
        while let Some(row) = rows.next()? {
            keywords
                .insert(row.get(0)?, Keyword::new(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?);
        }
        Ok(Keywords(keywords))
    }

    /// All keywords.
    pub(super) fn all(&self) -> Vec<Keyword> {
        self.0.values().cloned().collect()
    }

    /// The flags by name.
    pub(super) fn resolve(&self, stored: &StoredFlags) -> Flags {
        let keywords = stored.keywords.iter().filter_map(|number| self.0.get(number).cloned()).collect();
        Flags { system: stored.system, keywords }
    }

    /// The flags by number; new keywords are added to the account.
    pub(super) fn intern(&mut self, connection: &Connection, flags: &Flags) -> Result<StoredFlags> {
        let numbers = flags.keywords.iter().map(|keyword| self.number(connection, keyword));
        let mut keywords = numbers.collect::<Result<Vec<u16>>>()?;
        keywords.sort_unstable();
        keywords.dedup();
        Ok(StoredFlags { system: flags.system, keywords })
    }

    fn number(&mut self, connection: &Connection, keyword: &Keyword) -> Result<u16> {
        if let Some((number, _)) = self.0.iter().find(|(_, known)| *known == keyword) {
            return Ok(*number);
        }
        if self.0.len() >= LIMIT {
            return Err(Error::Permanent(format!("the account has {LIMIT} keywords already")));
        }
        let number = connection
            .prepare_cached("INSERT INTO keyword (name) VALUES (?1) RETURNING keyword_id")?
            .query_row([keyword.as_str()], |row| row.get(0))?;
        self.0.insert(number, keyword.clone());
        Ok(number)
    }
}

impl StoredFlags {
    /// Reads the columns `flags` and `keywords`, which stand at `index` and after it.
    pub(super) fn read(row: &Row<'_>, index: usize) -> rusqlite::Result<StoredFlags> {
        let keywords = row.get_ref(index + 1)?.as_blob_or_null()?.unwrap_or_default();
        let numbers = keywords.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        Ok(StoredFlags { system: SystemFlags::from_bits(row.get(index)?), keywords: numbers.collect() })
    }

    /// The column `keywords`.
    pub(super) fn keyword_column(&self) -> Option<Vec<u8>> {
        let octets = self.keywords.iter().flat_map(|number| number.to_be_bytes());
        (!self.keywords.is_empty()).then(|| octets.collect())
    }
}
