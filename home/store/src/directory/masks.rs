//! Masks: addresses that a user gives away one by one, so that each can be switched off alone.
//!
//! In: a user and a label. Out: an address that nobody guesses and that tells nothing of the user; its mail reaches the user,
//! who may also send as it. Refused: another user's mask, in the same words as one that is not there.

use jiff::Timestamp;
use postern_message::address::{DomainName, EmailAddress, LocalPart};
use rusqlite::{Connection, OptionalExtension};

use super::credentials::random;
use super::{Directory, DirectoryError, domains, users};
use crate::account::AccountId;

/// Without those that are mistaken for others; 32 of them, so each takes five random bits.
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Letters in a mask's local part: 60 random bits.
const LENGTH: usize = 12;

/// An address that a user can switch off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mask {
    /// The address.
    pub address: EmailAddress,
    /// Whose it is.
    pub account: AccountId,
    /// What the user calls it; often to whom it was given.
    pub label: String,
    /// Whether mail reaches the user.
    pub enabled: bool,
    /// When it was made, in seconds since 1970.
    pub made: u64,
}

/// What can be done with a mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MaskChange {
    /// It gets another label.
    Label(String),
    /// Mail for it is refused.
    Off,
    /// Mail for it reaches the user again.
    On,
    /// It is gone, and could come to another user.
    Remove,
}

impl Directory {
    /// Makes a new mask, in the user's own domain where none is named.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownUser`], [`DirectoryError::UnknownDomain`].
    pub fn add_mask(
        &self,
        user: &EmailAddress,
        domain: Option<&DomainName>,
        label: &str,
    ) -> Result<Mask, DirectoryError> {
        let address = EmailAddress::new(local_part()?, domain.unwrap_or(user.domain()).clone())
            .map_err(|_| DirectoryError::KeyGeneration)?;
        let (user, label) = (user.clone(), label.to_owned());
        self.change(move |connection| {
            let account = users::required(connection, &user)?;
            let domain = domains::required(connection, address.domain())?;
            super::require_free(connection, domain, &address)?;
            let made = Timestamp::now().as_second();
            let written = address.local_part();
            connection.execute(
                "INSERT INTO mask (domain, local_part, folded, account, label, enabled, made)
                 VALUES (?1, ?2, ?3, ?4, ?5, TRUE, ?6)",
                (domain, written.as_str(), written.folded(), account, &label, made),
            )?;
            let account = AccountId(account);
            Ok(Mask { address, account, label, enabled: true, made: made.cast_unsigned() })
        })
    }

    /// Changes a mask of this user.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownUser`]; [`DirectoryError::UnknownMask`], also for another user's.
    pub fn change_mask(
        &self,
        user: &EmailAddress,
        mask: &EmailAddress,
        change: MaskChange,
    ) -> Result<(), DirectoryError> {
        let (user, mask) = (user.clone(), mask.clone());
        self.change(move |connection| {
            let account = users::required(connection, &user)?;
            let domain = domains::find(connection, mask.domain())?;
            let key = (domain, mask.local_part().folded(), account);
            let changed = apply(connection, key, &change)?;
            if changed == 0 { Err(DirectoryError::UnknownMask(mask)) } else { Ok(()) }
        })
    }
}

/// The user of a mask.
pub(super) fn owner(
    connection: &Connection,
    domain: i64,
    mask: &EmailAddress,
) -> Result<Option<u32>, DirectoryError> {
    let mut query =
        connection.prepare_cached("SELECT account FROM mask WHERE domain = ?1 AND folded = ?2")?;
    Ok(query.query_row((domain, mask.local_part().folded()), |row| row.get(0)).optional()?)
}

/// `key` is the domain, the folded local part and the account. Gives how many rows were changed.
fn apply(
    connection: &Connection,
    (domain, folded, account): (Option<i64>, String, u32),
    change: &MaskChange,
) -> Result<usize, DirectoryError> {
    const KEY: &str = "domain = ?1 AND folded = ?2 AND account = ?3";
    let set = |assignment: &str| format!("UPDATE mask SET {assignment} WHERE {KEY}");
    Ok(match change {
        MaskChange::Label(label) => {
            connection.execute(&set("label = ?4"), (domain, folded, account, label))?
        }
        MaskChange::Off => connection.execute(&set("enabled = FALSE"), (domain, folded, account))?,
        MaskChange::On => connection.execute(&set("enabled = TRUE"), (domain, folded, account))?,
        MaskChange::Remove => {
            connection.execute(&format!("DELETE FROM mask WHERE {KEY}"), (domain, folded, account))?
        }
    })
}

fn local_part() -> Result<LocalPart, DirectoryError> {
    let letter = |octet: &u8| char::from(LETTERS[usize::from(octet & 31)]);
    let text: String = random::<LENGTH>()?.iter().map(letter).collect();
    LocalPart::from_unquoted(&text).map_err(|_| DirectoryError::KeyGeneration)
}
