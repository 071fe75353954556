//! Checks an account against itself: pages, references, counters, and every blob against its hash.

use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::{Account, MailboxId, Uid};
use crate::blob::BlobId;
use crate::stage::BlobHash;
use crate::{Error, Result};

/// What must hold, each with a query that gives the rows for which it does not.
const RULES: &[(&str, &str)] = &[
    (
        "mailbox counters",
        "SELECT mailbox_id FROM mailbox
           LEFT JOIN (SELECT mailbox_id, count(*) AS n, sum(flags & 1 = 0) AS u, sum(flags & 8 <> 0) AS d,
                             sum(size) AS s, max(uid) AS top, max(message.mod_seq) AS m
                        FROM message JOIN email USING (email_id) GROUP BY mailbox_id) USING (mailbox_id)
          WHERE messages <> coalesce(n, 0) OR unseen <> coalesce(u, 0) OR deleted <> coalesce(d, 0)
             OR size <> coalesce(s, 0) OR uid_next <= coalesce(top, 0) OR highest_mod_seq < coalesce(m, 0)",
    ),
    ("the account's size", "SELECT id FROM account WHERE size <> (SELECT coalesce(sum(size), 0) FROM mailbox)"),
    (
        "mod-sequences",
        "SELECT mailbox_id FROM mailbox, account
          WHERE highest_mod_seq > account.mod_seq OR mailbox.mod_seq > account.mod_seq",
    ),
    (
        "UIDVALIDITY",
        "SELECT mailbox_id FROM mailbox, account WHERE uid_validity >= next_uid_validity",
    ),
    (
        "placements of an email",
        "SELECT email_id FROM email LEFT JOIN (SELECT email_id, count(*) AS n FROM message GROUP BY email_id)
          USING (email_id) WHERE placements <> coalesce(n, 0) OR placements = 0",
    ),
    (
        "one placement of an email in a mailbox",
        "SELECT email_id FROM message GROUP BY email_id, mailbox_id HAVING count(*) > 1",
    ),
    ("structures", "SELECT email_id FROM email LEFT JOIN email_structure USING (email_id) WHERE structure IS NULL"),
    (
        "references to a blob",
        "SELECT blob_id FROM blob
           LEFT JOIN (SELECT blob_id, count(*) AS n FROM email GROUP BY blob_id) USING (blob_id)
           LEFT JOIN (SELECT blob_id, count(*) AS kept FROM removed GROUP BY blob_id) USING (blob_id)
          WHERE refs <> coalesce(n, 0) + coalesce(kept, 0) OR refs = 0",
    ),
    (
        "octets of removed messages",
        "SELECT id FROM account WHERE removed_size <> (SELECT coalesce(sum(size), 0) FROM removed)",
    ),
    (
        "emails of a thread",
        "SELECT thread_id FROM thread LEFT JOIN (SELECT thread_id, count(*) AS n FROM email GROUP BY thread_id)
          USING (thread_id) WHERE emails <> coalesce(n, 0) OR emails = 0",
    ),
    (
        "expunged UIDs",
        "SELECT uid FROM message JOIN expunged USING (mailbox_id) WHERE uid BETWEEN uid_first AND uid_last",
    ),
];

impl Account {
    /// Checks everything the account holds, reading all of it. Gives a line for each damage; none means whole.
    ///
    /// # Errors
    /// `Corrupt` or `Temporary` when not even the check can run.
    pub fn verify(&self) -> Result<Vec<String>> {
        let mut damages = self.0.database.damages()?;
        damages.extend(self.0.database.read(|connection| {
            let mut damages = Vec::new();
            for (rule, query) in RULES {
                damages.extend(rows(connection, query)?.into_iter().map(|row| format!("{rule}: row {row}")));
            }
            Ok::<_, Error>(damages)
        })?);
        damages.extend(self.verify_blobs()?);
        Ok(damages)
    }

    /// Reads a message's octets and compares them with their hash.
    ///
    /// # Errors
    /// `Corrupt` where they differ or cannot be read; `NotFound`.
    pub fn verify_blob(&self, blob: BlobId) -> Result<()> {
        self.compare_hash(blob, BlobHash(self.hash_of(blob)?))
    }

    /// Compares the hash of octets that were read with the one that they came with.
    ///
    /// # Errors
    /// `Corrupt` where they differ.
    pub(super) fn compare_hash(&self, blob: BlobId, found: BlobHash) -> Result<()> {
        let hash: [u8; 32] = self.0.database.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT hash FROM blob WHERE blob_id = ?1")?;
            Ok::<_, Error>(statement.query_row([blob], |row| row.get(0))?)
        })?;
        if found == BlobHash(hash) {
            return Ok(());
        }
        Err(Error::Corrupt(format!("the octets of blob {} do not match their hash", blob.0)))
    }

    fn verify_blobs(&self) -> Result<Vec<String>> {
        let blobs: Vec<BlobId> = self.0.database.read(|connection| {
            let mut statement = connection.prepare("SELECT blob_id FROM blob")?;
            let rows = statement.query_map([], |row| row.get(0))?;
            Ok::<_, Error>(rows.collect::<Result<_, _>>()?)
        })?;
        let mut damages = Vec::new();
        for blob in blobs {
            match self.verify_blob(blob) {
                // Not there: expunged while the check went on.
                Ok(()) | Err(Error::NotFound(_)) => {}
                Err(error) => damages.push(self.damage(blob, &error.to_string())?),
            }
        }
        Ok(damages)
    }

    /// Names a damaged blob and the messages that are lost with it.
    fn damage(&self, blob: BlobId, what: &str) -> Result<String> {
        let messages = self.0.database.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT mailbox_id, uid FROM message JOIN email USING (email_id) WHERE blob_id = ?1",
            )?;
            let rows = statement.query_map([blob], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok::<Vec<(MailboxId, Uid)>, Error>(rows.collect::<Result<_, _>>()?)
        })?;
        let named = messages
            .into_iter()
            .map(|(mailbox, uid)| Ok(format!("{}, UID {uid}", self.mailbox(mailbox)?.name)));
        let named = named.collect::<Result<Vec<String>>>()?;
        Ok(format!("blob {} ({}): {what}", blob.0, named.join("; ")))
    }

    fn hash_of(&self, blob: BlobId) -> Result<[u8; 32]> {
        const STEP: u64 = 1024 * 1024;
        let mut hasher = Sha256::new();
        let mut position = 0;
        loop {
            let octets = self.read_blob(blob, position..position + STEP)?;
            if octets.is_empty() {
                return Ok(hasher.finalize().into());
            }
            position += octets.len() as u64;
            hasher.update(&octets);
        }
    }
}

/// The query that gives the rows for which a rule does not hold.
pub(super) fn broken(rule: &str) -> Result<&'static str> {
    let found = RULES.iter().find(|(name, _)| *name == rule);
    found.map(|(_, query)| *query).ok_or_else(|| Error::Fault(format!("there is no rule of {rule}")))
}

fn rows(connection: &Connection, query: &str) -> Result<Vec<i64>> {
    let mut statement = connection.prepare(query)?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
