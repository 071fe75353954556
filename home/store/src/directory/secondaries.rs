//! The secondary name servers, and the keys with which they transfer zones.
//!
//! In: names, addresses and domains, which the caller has checked. Out: the same, in the order of their names, each with its
//! keys, the oldest first. Refused: a secondary that is there already or is not there, a domain that is not here, and more
//! keys than [`MOST_KEYS`].
//!
//! A key has a number that is never given twice, since both sides know keys by name.

use std::net::SocketAddr;

use postern_message::address::DomainName;
use rusqlite::{Connection, OptionalExtension};
use zeroize::Zeroizing;

use super::credentials::random;
use super::domains::required;
use super::{Directory, DirectoryError};

/// Octets of a secret.
pub const SECRET: usize = 32;

/// Keys of one secondary: one in use, and those that take its place.
pub const MOST_KEYS: usize = 3;

/// One secondary name server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secondary {
    /// Its host name.
    pub name: DomainName,
    /// Where it is told of changes.
    pub addresses: Vec<SocketAddr>,
    /// The domains that it serves; all where absent.
    pub domains: Option<Vec<DomainName>>,
    /// Its keys, the oldest first.
    pub keys: Vec<SecondaryKey>,
}

/// A key of a secondary.
#[derive(Clone, PartialEq, Eq)]
pub struct SecondaryKey {
    /// Never given twice.
    pub number: i64,
    /// The secret.
    pub secret: Zeroizing<[u8; SECRET]>,
}

/// What becomes of the keys from before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormerKeys {
    /// They count until the new one is used.
    Keep,
    /// They count no more.
    Remove,
}

impl Secondary {
    /// Whether it serves this domain.
    pub fn serves(&self, domain: &DomainName) -> bool {
        self.domains.as_ref().is_none_or(|domains| domains.contains(domain))
    }
}

impl std::fmt::Debug for SecondaryKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SecondaryKey({})", self.number)
    }
}

impl Directory {
    /// All secondaries, by name.
    ///
    /// # Errors
    /// [`DirectoryError::Storage`] when the database cannot be read, [`DirectoryError::Corrupt`] where its rows make no
    /// sense.
    pub fn secondaries(&self) -> Result<Vec<Secondary>, DirectoryError> {
        self.shared.database.read(|connection| {
            let mut query = connection
                .prepare_cached("SELECT id, name, addresses, all_domains FROM secondary ORDER BY name")?;
            let rows = query.query_map([], |row| {
                Ok((row.get(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?, row.get(3)?))
            })?;
            rows.map(|row| {
                let (id, name, addresses, all_domains) = row?;
                load(connection, id, &name, &addresses, all_domains)
            })
            .collect()
        })
    }

    /// Adds a secondary, for these domains or for all, with a key.
    ///
    /// # Errors
    /// [`DirectoryError::SecondaryExists`], [`DirectoryError::UnknownDomain`].
    pub fn add_secondary(
        &self,
        name: &DomainName,
        addresses: &[SocketAddr],
        domains: Option<&[DomainName]>,
    ) -> Result<(), DirectoryError> {
        let addresses = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let (name, domains) = (name.clone(), domains.map(<[DomainName]>::to_vec));
        self.change(move |connection| {
            if find(connection, &name)?.is_some() {
                return Err(DirectoryError::SecondaryExists(name));
            }
            connection.execute(
                "INSERT INTO secondary (name, addresses, all_domains) VALUES (?1, ?2, ?3)",
                (name.as_str(), &addresses, domains.is_none()),
            )?;
            let id = connection.last_insert_rowid();
            for domain in domains.iter().flatten() {
                connection.execute(
                    "INSERT OR IGNORE INTO secondary_domain (secondary, domain) VALUES (?1, ?2)",
                    (id, required(connection, domain)?),
                )?;
            }
            add_key(connection, id)
        })
    }

    /// Removes a secondary with its keys.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownSecondary`].
    pub fn remove_secondary(&self, name: &DomainName) -> Result<(), DirectoryError> {
        let name = name.clone();
        self.change(move |connection| {
            let id = known(connection, &name)?;
            connection.execute("DELETE FROM secondary WHERE id = ?1", [id])?;
            Ok(())
        })
    }

    /// Gives a secondary a new key.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownSecondary`], [`DirectoryError::TooManyKeys`].
    pub fn rotate_secondary_key(&self, name: &DomainName, former: FormerKeys) -> Result<(), DirectoryError> {
        let name = name.clone();
        self.change(move |connection| {
            let id = known(connection, &name)?;
            if former == FormerKeys::Remove {
                connection.execute("DELETE FROM secondary_key WHERE secondary = ?1", [id])?;
            }
            if keys(connection, id)?.len() >= MOST_KEYS {
                return Err(DirectoryError::TooManyKeys(name));
            }
            add_key(connection, id)
        })
    }

    /// Removes the keys of a secondary that are older than one; says how many there were.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownSecondary`].
    pub fn retire_secondary_keys(&self, name: &DomainName, before: i64) -> Result<usize, DirectoryError> {
        let name = name.clone();
        self.change(move |connection| {
            let id = known(connection, &name)?;
            let delete = "DELETE FROM secondary_key WHERE secondary = ?1 AND number < ?2";
            Ok(connection.execute(delete, (id, before))?)
        })
    }
}

fn find(connection: &Connection, name: &DomainName) -> Result<Option<i64>, DirectoryError> {
    let mut query = connection.prepare_cached("SELECT id FROM secondary WHERE name = ?1")?;
    Ok(query.query_row([name.as_str()], |row| row.get(0)).optional()?)
}

fn known(connection: &Connection, name: &DomainName) -> Result<i64, DirectoryError> {
    find(connection, name)?.ok_or_else(|| DirectoryError::UnknownSecondary(name.clone()))
}

fn add_key(connection: &Connection, secondary: i64) -> Result<(), DirectoryError> {
    let secret = Zeroizing::new(random::<SECRET>()?);
    connection.execute(
        "INSERT INTO secondary_key (secondary, secret) VALUES (?1, ?2)",
        (secondary, secret.as_slice()),
    )?;
    Ok(())
}

fn keys(connection: &Connection, secondary: i64) -> Result<Vec<SecondaryKey>, DirectoryError> {
    let mut query = connection
        .prepare_cached("SELECT number, secret FROM secondary_key WHERE secondary = ?1 ORDER BY number")?;
    let rows = query.query_map([secondary], |row| {
        Ok(SecondaryKey { number: row.get(0)?, secret: Zeroizing::new(row.get(1)?) })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn load(
    connection: &Connection,
    id: i64,
    name: &str,
    addresses: &str,
    all_domains: bool,
) -> Result<Secondary, DirectoryError> {
    let parsed = |text: &str| DomainName::parse(text).map_err(|_| corrupt(text));
    let addresses = addresses.split_whitespace().map(|text| text.parse().map_err(|_| corrupt(text)));
    let mut query = connection.prepare_cached(
        "SELECT name FROM domain JOIN secondary_domain ON domain.id = domain WHERE secondary = ?1 ORDER BY name",
    )?;
    let domains = query.query_map([id], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    let domains = domains.iter().map(|text| parsed(text)).collect::<Result<_, _>>()?;
    Ok(Secondary {
        name: parsed(name)?,
        addresses: addresses.collect::<Result<_, _>>()?,
        domains: (!all_domains).then_some(domains),
        keys: keys(connection, id)?,
    })
}

fn corrupt(text: &str) -> DirectoryError {
    DirectoryError::Corrupt(format!("secondary name server `{text}`"))
}
