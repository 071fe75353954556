//! The records that the operator has added to a domain's zone.
//!
//! In: records in wire form, which the caller has checked. Out: the same, in a fixed order. Refused: a domain that is not
//! here.

use postern_message::address::DomainName;

use super::domains::{find, required};
use super::{Directory, DirectoryError};

/// A record of the operator's own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnRecord {
    /// The owner name, absolute, in lower case.
    pub owner: String,
    /// The number of the type.
    pub record_type: u16,
    /// Seconds.
    pub ttl: u32,
    /// RDATA in wire form.
    pub rdata: Vec<u8>,
}

impl Directory {
    /// The domain's own records; none for a domain that is not here.
    ///
    /// # Errors
    /// [`DirectoryError::Storage`] when the database cannot be read.
    pub fn own_records(&self, name: &DomainName) -> Result<Vec<OwnRecord>, DirectoryError> {
        self.shared.database.read(|connection| {
            let Some(domain) = find(connection, name)? else { return Ok(Vec::new()) };
            let mut query = connection.prepare_cached(
                "SELECT owner, type, ttl, rdata FROM dns_record WHERE domain = ?1 ORDER BY owner, type, rdata",
            )?;
            let records = query.query_map([domain], |row| {
                Ok(OwnRecord { owner: row.get(0)?, record_type: row.get(1)?, ttl: row.get(2)?, rdata: row.get(3)? })
            })?;
            Ok(records.collect::<Result<_, _>>()?)
        })
    }

    /// Adds a record. One with the same data takes its TTL over.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownDomain`].
    pub fn add_record(&self, name: &DomainName, record: OwnRecord) -> Result<(), DirectoryError> {
        self.add_records(name, vec![record])
    }

    /// Adds records, all or none.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownDomain`].
    pub fn add_records(&self, name: &DomainName, records: Vec<OwnRecord>) -> Result<(), DirectoryError> {
        let name = name.clone();
        self.change(move |connection| {
            let domain = required(connection, &name)?;
            let mut insert = connection.prepare_cached(
                "INSERT OR REPLACE INTO dns_record (domain, owner, type, rdata, ttl) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            for record in &records {
                insert.execute((domain, &record.owner, record.record_type, &record.rdata, record.ttl))?;
            }
            Ok(())
        })
    }

    /// Removes the records of one owner and type, or only the one with this data; says how many there were.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownDomain`].
    pub fn remove_records(
        &self,
        name: &DomainName,
        owner: &str,
        record_type: u16,
        rdata: Option<Vec<u8>>,
    ) -> Result<usize, DirectoryError> {
        let (name, owner) = (name.clone(), owner.to_owned());
        self.change(move |connection| {
            let domain = required(connection, &name)?;
            let removed = connection.execute(
                "DELETE FROM dns_record
                 WHERE domain = ?1 AND owner = ?2 AND type = ?3 AND (?4 IS NULL OR rdata = ?4)",
                (domain, &owner, record_type, rdata),
            )?;
            Ok(removed)
        })
    }
}
