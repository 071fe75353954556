//! What a domain's zone leaves behind from one time to the next: its serial, the keys that sign it, and the last signed
//! zone.
//!
//! In: a signed zone as octets whose form is the caller's. Out: the same, and serials that only go forwards. Refused: a
//! domain that is not here. Only the change of a key gives notice: all else follows from what did.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use postern_message::address::DomainName;
use rusqlite::{Connection, OptionalExtension};
use zeroize::Zeroizing;

use super::domains::required;
use super::{Directory, DirectoryError};

/// The private half of a key that signs a zone, ECDSA over P-256, in PKCS #8.
pub type DnssecKey = Zeroizing<Vec<u8>>;

/// A zone as it was signed last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedZone {
    /// Tells whether the zone is built from the same facts.
    pub facts_digest: String,
    /// When it was signed, in seconds since 1970.
    pub signed_at: u64,
    /// The zone, in the form that the caller gave it.
    pub zone: Vec<u8>,
}

impl Directory {
    /// The keys that sign the domain's zone, oldest first, at least one: the first is made at the first call.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownDomain`], [`DirectoryError::KeyGeneration`].
    pub fn dnssec_keys(&self, name: &DomainName) -> Result<Vec<DnssecKey>, DirectoryError> {
        let name = name.clone();
        self.shared.database.write(move |connection| {
            let domain = required(connection, &name)?;
            let keys = dnssec_keys(connection, domain)?;
            if !keys.is_empty() {
                return Ok(keys);
            }
            Ok(vec![insert_key(connection, domain)?])
        })
    }

    /// How far the change of the domain's key has come, in the form that the caller gave it; `None` while none is under way.
    ///
    /// # Errors
    /// [`DirectoryError::Storage`] when the database cannot be read.
    pub fn key_roll(&self, name: &DomainName) -> Result<Option<Vec<u8>>, DirectoryError> {
        self.shared.database.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT step FROM key_roll JOIN domain ON domain.id = key_roll.domain WHERE domain.name = ?1",
            )?;
            Ok(query.query_row([name.as_str()], |row| row.get(0)).optional()?)
        })
    }

    /// Makes a key beside those that are there, and keeps `step`; `false`, and nothing is changed, where a change of the key
    /// is under way. Gives notice.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownDomain`], [`DirectoryError::KeyGeneration`].
    pub fn begin_key_roll(&self, name: &DomainName, step: Vec<u8>) -> Result<bool, DirectoryError> {
        let name = name.clone();
        self.change(move |connection| {
            let domain = required(connection, &name)?;
            let begun = connection
                .execute("INSERT OR IGNORE INTO key_roll (domain, step) VALUES (?1, ?2)", (domain, &step))?;
            if begun > 0 {
                insert_key(connection, domain)?;
            }
            Ok(begun > 0)
        })
    }

    /// Keeps how far the change of the key has come, durable on return; nothing where none is under way. Gives notice.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownDomain`].
    pub fn keep_key_roll(&self, name: &DomainName, step: Vec<u8>) -> Result<(), DirectoryError> {
        let name = name.clone();
        self.change(move |connection| {
            let domain = required(connection, &name)?;
            connection.execute("UPDATE key_roll SET step = ?2 WHERE domain = ?1", (domain, &step))?;
            Ok(())
        })
    }

    /// Ends the change of the key: the newest stays alone. Gives notice.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownDomain`].
    pub fn end_key_roll(&self, name: &DomainName) -> Result<(), DirectoryError> {
        let name = name.clone();
        self.change(move |connection| {
            let domain = required(connection, &name)?;
            if connection.execute("DELETE FROM key_roll WHERE domain = ?1", [domain])? > 0 {
                connection.execute(
                    "DELETE FROM dnssec_key WHERE domain = ?1
                     AND id < (SELECT max(id) FROM dnssec_key WHERE domain = ?1)",
                    [domain],
                )?;
            }
            Ok(())
        })
    }

    /// A serial greater than all that the zone has had and than `least`, if that is given; durable on return. Serials
    /// follow the clock (`now`, seconds since 1970) and never go back with it (RFC 1982 §3.2).
    ///
    /// # Errors
    /// [`DirectoryError::UnknownDomain`].
    pub fn next_zone_serial(
        &self,
        name: &DomainName,
        least: Option<u32>,
        now: u32,
    ) -> Result<u32, DirectoryError> {
        let name = name.clone();
        self.shared.database.write(move |connection| {
            let domain = required(connection, &name)?;
            let last: u32 =
                connection
                    .query_row("SELECT zone_serial FROM domain WHERE id = ?1", [domain], |row| row.get(0))?;
            let serial = next_serial(last, least, now);
            connection.execute("UPDATE domain SET zone_serial = ?2 WHERE id = ?1", (domain, serial))?;
            Ok(serial)
        })
    }

    /// The zone as it was signed last; `None` before the first time.
    ///
    /// # Errors
    /// [`DirectoryError::Storage`] when the database cannot be read.
    pub fn signed_zone(&self, name: &DomainName) -> Result<Option<SignedZone>, DirectoryError> {
        self.shared.database.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT facts_digest, signed_at, zone
                 FROM signed_zone JOIN domain ON domain.id = signed_zone.domain WHERE domain.name = ?1",
            )?;
            let found = query.query_row([name.as_str()], |row| {
                Ok(SignedZone { facts_digest: row.get(0)?, signed_at: row.get(1)?, zone: row.get(2)? })
            });
            Ok(found.optional()?)
        })
    }

    /// Keeps a signed zone instead of the one before, durable on return.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownDomain`].
    pub fn keep_signed_zone(&self, name: &DomainName, zone: SignedZone) -> Result<(), DirectoryError> {
        let name = name.clone();
        self.shared.database.write(move |connection| {
            let domain = required(connection, &name)?;
            connection.execute(
                "INSERT OR REPLACE INTO signed_zone (domain, facts_digest, signed_at, zone) VALUES (?1, ?2, ?3, ?4)",
                (domain, &zone.facts_digest, zone.signed_at, &zone.zone),
            )?;
            Ok(())
        })
    }
}

fn dnssec_keys(connection: &Connection, domain: i64) -> Result<Vec<DnssecKey>, DirectoryError> {
    let mut query =
        connection.prepare_cached("SELECT private_key FROM dnssec_key WHERE domain = ?1 ORDER BY id")?;
    let keys = query.query_map([domain], |row| row.get(0).map(Zeroizing::new))?;
    Ok(keys.collect::<Result<_, _>>()?)
}

fn insert_key(connection: &Connection, domain: i64) -> Result<DnssecKey, DirectoryError> {
    let key = generate()?;
    connection
        .execute("INSERT INTO dnssec_key (domain, private_key) VALUES (?1, ?2)", (domain, key.as_slice()))?;
    Ok(key)
}

fn generate() -> Result<DnssecKey, DirectoryError> {
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    key.map(|key| Zeroizing::new(key.as_ref().to_vec())).map_err(|_| DirectoryError::KeyGeneration)
}

/// 0 is the serial of a zone that never was.
fn next_serial(last: u32, least: Option<u32>, now: u32) -> u32 {
    let last = match least {
        Some(least) if last == 0 || is_newer(least, last) => least,
        _ => last,
    };
    if last == 0 || is_newer(now, last) { now.max(1) } else { last.wrapping_add(1).max(1) }
}

/// RFC 1982 §3.2.
fn is_newer(serial: u32, than: u32) -> bool {
    (1..1 << 31).contains(&serial.wrapping_sub(than))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_follow_the_clock_and_never_go_back() {
        assert_eq!(next_serial(0, None, 1_790_000_000), 1_790_000_000);
        assert_eq!(next_serial(1_790_000_000, None, 1_790_000_060), 1_790_000_060);
        assert_eq!(next_serial(1_790_000_000, None, 60), 1_790_000_001, "the clock of a new boot");
        assert_eq!(next_serial(1_790_000_000, None, 1_790_000_000), 1_790_000_001);
        assert_eq!(next_serial(0, Some(1_800_000_000), 1_790_000_000), 1_800_000_001, "a restored backup");
        assert_eq!(next_serial(1_790_000_000, Some(5), 1_790_000_001), 1_790_000_001);
        assert_eq!(next_serial(u32::MAX, None, 60), 60, "in the year 2106");
        assert_eq!(next_serial(u32::MAX, None, u32::MAX - 5), 1);
    }
}
