//! Access control lists: what other accounts of the home may do with a mailbox (RFC 4314).
//!
//! In: grants, and questions about an account. Out: the list of a mailbox, the rights of an account. Refused: mailboxes that
//! are not there. What is not granted is denied; what is taken away (negative rights, §2) stays away whoever grants it. The
//! owner is not in the lists, for nothing is denied to the owner. Whether an account still has a user is the caller's to
//! know; account numbers are never given twice, so a grant to one that is gone reaches nobody.
//!
//! A mailbox keeps its list when it is renamed and loses it when it is deleted; a new one begins with the list of the one
//! above it (§4).

use rusqlite::{Connection, Row, params};

use super::change::Change;
use super::mailboxes;
use super::{Account, AccountId, Mailbox, MailboxId, Rights};
use crate::{Error, Result};

/// To whom an entry applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Grantee {
    /// Every account of the home (`anyone`).
    Anyone,
    /// One account.
    Account(AccountId),
}

/// What an entry does with its rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sign {
    /// They are given.
    Positive,
    /// They are taken away, whatever other entries give (an identifier with `-` in front).
    Negative,
}

/// An entry of an access control list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Who.
    pub grantee: Grantee,
    /// Given or taken away.
    pub sign: Sign,
    /// What.
    pub rights: Rights,
}

/// What SETACL does with the rights of an entry (RFC 4314 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RightsChange {
    /// These and no others; none at all removes the entry (DELETEACL).
    Replace(Rights),
    /// These too.
    Add(Rights),
    /// No longer these.
    Remove(Rights),
}

impl Account {
    /// The access control list of a mailbox: who has something, or something taken away.
    ///
    /// # Errors
    /// `NotFound` for the mailbox.
    pub fn acl(&self, mailbox: MailboxId) -> Result<Vec<Grant>> {
        self.0.database.read(|connection| {
            mailboxes::selectable(connection, mailbox)?;
            let sql =
                "SELECT grantee, sign, rights FROM acl WHERE mailbox_id = ?1 ORDER BY grantee, sign DESC";
            let mut statement = connection.prepare_cached(sql)?;
            let grants = statement.query_map([mailbox], read)?;
            Ok(grants.collect::<Result<_, _>>()?)
        })
    }

    /// Changes one entry of the access control list of a mailbox.
    ///
    /// # Errors
    /// `NotFound` for the mailbox.
    pub fn set_acl(
        &self,
        mailbox: MailboxId,
        grantee: Grantee,
        sign: Sign,
        rights: RightsChange,
    ) -> Result<()> {
        self.change(move |change| {
            mailboxes::selectable(change.connection, mailbox)?;
            let now = entry(change.connection, mailbox, grantee, sign)?;
            let then = match rights {
                RightsChange::Replace(rights) => rights,
                RightsChange::Add(rights) => now | rights,
                RightsChange::Remove(rights) => now.without(rights),
            };
            write(change, mailbox, grantee, sign, then)
        })
    }

    /// What another account may do with a mailbox. Nothing, where nobody granted it anything.
    ///
    /// # Errors
    /// `Temporary`
    pub fn rights_of(&self, who: AccountId, mailbox: MailboxId) -> Result<Rights> {
        self.0.database.read(|connection| {
            let sql = "SELECT grantee, sign, rights FROM acl WHERE mailbox_id = ?1 AND grantee IN (0, ?2)";
            let mut statement = connection.prepare_cached(sql)?;
            let grants = statement.query_map(params![mailbox, who.0], read)?;
            Ok(effective(&grants.collect::<Result<Vec<_>, _>>()?))
        })
    }

    /// The mailboxes with which another account may do anything at all, and what, ordered as by [`Account::mailboxes`].
    ///
    /// # Errors
    /// `Temporary`
    pub fn shared_with(&self, who: AccountId) -> Result<Vec<(Mailbox, Rights)>> {
        self.0.database.read(|connection| {
            if !is_granted_anything(connection, who)? {
                return Ok(Vec::new());
            }
            let sql = "SELECT grantee, sign, rights FROM acl WHERE mailbox_id = ?1 AND grantee IN (0, ?2)";
            let mut statement = connection.prepare_cached(sql)?;
            let mut shared = Vec::new();
            for mailbox in mailboxes::list(connection)? {
                let grants = statement.query_map(params![mailbox.id, who.0], read)?;
                let rights = effective(&grants.collect::<Result<Vec<_>, _>>()?);
                if !rights.is_empty() {
                    shared.push((mailbox, rights));
                }
            }
            Ok(shared)
        })
    }
}

/// The union of what is given, without what is taken away.
fn effective(grants: &[Grant]) -> Rights {
    let union = |sign| {
        let of_sign = grants.iter().filter(|grant| grant.sign == sign);
        of_sign.fold(Rights::empty(), |all, grant| all | grant.rights)
    };
    union(Sign::Positive).without(union(Sign::Negative))
}

/// A new mailbox begins with the list of the one above it.
pub(super) fn inherit(change: &Change<'_>, mailbox: MailboxId) -> Result<()> {
    change.execute(
        "INSERT OR REPLACE INTO acl (mailbox_id, grantee, sign, rights)
         SELECT ?1, grantee, sign, rights FROM acl
          WHERE mailbox_id = (SELECT parent_id FROM mailbox WHERE mailbox_id = ?1)",
        [mailbox],
    )?;
    Ok(())
}

/// A mailbox is deleted whose name stays, for there are others below it.
pub(super) fn forget(change: &Change<'_>, mailbox: MailboxId) -> Result<()> {
    change.execute("DELETE FROM acl WHERE mailbox_id = ?1", [mailbox])?;
    Ok(())
}

fn write(
    change: &Change<'_>,
    mailbox: MailboxId,
    grantee: Grantee,
    sign: Sign,
    rights: Rights,
) -> Result<()> {
    let (grantee, sign) = (grantee.column(), sign.column());
    match rights.is_empty() {
        true => change.execute(
            "DELETE FROM acl WHERE mailbox_id = ?1 AND grantee = ?2 AND sign = ?3",
            params![mailbox, grantee, sign],
        )?,
        false => change.execute(
            "INSERT OR REPLACE INTO acl (mailbox_id, grantee, sign, rights) VALUES (?1, ?2, ?3, ?4)",
            params![mailbox, grantee, sign, rights.bits()],
        )?,
    };
    change
        .execute("UPDATE mailbox SET mod_seq = ?2 WHERE mailbox_id = ?1", params![mailbox, change.mod_seq])?;
    Ok(())
}

fn entry(connection: &Connection, mailbox: MailboxId, grantee: Grantee, sign: Sign) -> Result<Rights> {
    use rusqlite::OptionalExtension;
    let bits = connection
        .prepare_cached("SELECT rights FROM acl WHERE mailbox_id = ?1 AND grantee = ?2 AND sign = ?3")?
        .query_row(params![mailbox, grantee.column(), sign.column()], |row| row.get(0))
        .optional()?;
    Ok(bits.map_or(Rights::empty(), Rights::from_bits))
}

fn is_granted_anything(connection: &Connection, who: AccountId) -> Result<bool, Error> {
    Ok(connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM acl WHERE grantee IN (0, ?1) AND sign > 0)")?
        .query_row([who.0], |row| row.get(0))?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Grant> {
    let (grantee, sign): (u32, i64) = (row.get(0)?, row.get(1)?);
    Ok(Grant {
        grantee: if grantee == 0 { Grantee::Anyone } else { Grantee::Account(AccountId(grantee)) },
        // What is neither is taken for the one that opens nothing.
        sign: if sign == 1 { Sign::Positive } else { Sign::Negative },
        rights: Rights::from_bits(row.get(2)?),
    })
}

impl Grantee {
    fn column(self) -> u32 {
        match self {
            Grantee::Anyone => 0,
            Grantee::Account(account) => account.0,
        }
    }
}

impl Sign {
    fn column(self) -> i64 {
        match self {
            Sign::Positive => 1,
            Sign::Negative => -1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;

    const BO: AccountId = AccountId(2);
    const CY: AccountId = AccountId(3);

    fn rights(text: &str) -> Rights {
        text.parse().expect("rights")
    }

    fn account() -> (Account, tempfile::TempDir) {
        let directory = tempfile::tempdir().expect("a directory");
        let account = Store::open(directory.path()).and_then(|store| store.account(AccountId(1)));
        (account.expect("an account"), directory)
    }

    fn grant(account: &Account, mailbox: MailboxId, grantee: Grantee, sign: Sign, text: &str) {
        let change = RightsChange::Replace(rights(text));
        account.set_acl(mailbox, grantee, sign, change).expect("granted");
    }

    #[test]
    fn what_is_not_granted_is_denied_and_what_is_taken_away_stays_away() {
        let (account, _directory) = account();
        let inbox = account.mailbox_named("INBOX").expect("INBOX").id;
        assert!(account.rights_of(BO, inbox).expect("rights").is_empty());
        grant(&account, inbox, Grantee::Anyone, Sign::Positive, "lrs");
        grant(&account, inbox, Grantee::Account(BO), Sign::Positive, "w");
        grant(&account, inbox, Grantee::Account(CY), Sign::Negative, "s");
        assert_eq!(account.rights_of(BO, inbox).expect("rights"), rights("lrsw"));
        assert_eq!(account.rights_of(CY, inbox).expect("rights"), rights("lr"));
        grant(&account, inbox, Grantee::Anyone, Sign::Negative, "l");
        assert_eq!(account.rights_of(BO, inbox).expect("rights"), rights("rsw"));
        let add = RightsChange::Add(rights("it"));
        account.set_acl(inbox, Grantee::Account(BO), Sign::Positive, add).expect("added");
        let remove = RightsChange::Remove(rights("w"));
        account.set_acl(inbox, Grantee::Account(BO), Sign::Positive, remove).expect("removed");
        assert_eq!(account.rights_of(BO, inbox).expect("rights"), rights("rsit"));
        assert_eq!(account.acl(inbox).expect("the list").len(), 4);
    }

    #[test]
    fn a_list_goes_with_its_mailbox() {
        let (account, _directory) = account();
        let work = account.create_mailbox("Work", None).expect("made").id;
        grant(&account, work, Grantee::Account(BO), Sign::Positive, "lr");
        let below = account.create_mailbox("Work/Below", None).expect("made").id;
        assert_eq!(account.rights_of(BO, below).expect("rights"), rights("lr"), "inherited");
        grant(&account, work, Grantee::Account(BO), Sign::Positive, "");
        assert_eq!(account.rights_of(BO, below).expect("rights"), rights("lr"), "a list of its own");
        account
            .rename_mailbox(account.mailbox_named("Work/Below").expect("there").id, "Elsewhere")
            .expect("renamed");
        let shared = account.shared_with(BO).expect("shared");
        assert_eq!(
            shared.iter().map(|(mailbox, _)| mailbox.name.as_str()).collect::<Vec<_>>(),
            ["Elsewhere"]
        );
        account.create_mailbox("Elsewhere/Deep", None).expect("made");
        account
            .delete_mailbox(account.mailbox_named("Elsewhere").expect("there").id)
            .expect("deleted, the name stays");
        account.delete_mailbox(account.mailbox_named("Elsewhere/Deep").expect("there").id).expect("deleted");
        assert!(account.shared_with(BO).expect("shared").is_empty());
        let again = account.create_mailbox("Elsewhere", None).expect("made again").id;
        assert!(account.rights_of(BO, again).expect("rights").is_empty());
    }
}
