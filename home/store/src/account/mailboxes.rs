//! The tree of mailboxes: listing, CREATE, RENAME, DELETE, SUBSCRIBE.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::acl;
use super::annotations;
use super::change::Change;
use super::copy::move_all;
use super::expunge::{Fate, destroy_all};
use super::name::{Name, SEPARATOR};
use super::{Account, Mailbox, MailboxId, SpecialUse, UidSet, UidValidity};
use crate::{Error, Result};

/// Most mailboxes of an account, and most subscriptions: every LIST looks at all of them.
pub const MOST_NAMES: u32 = 10_000;

impl Account {
    /// All mailboxes with their counts: INBOX first, then by name, parents before children.
    ///
    /// # Errors
    /// `Temporary`
    pub fn mailboxes(&self) -> Result<Vec<Mailbox>> {
        self.0.database.read(list)
    }

    /// The mailbox `id`.
    ///
    /// # Errors
    /// `NotFound`
    pub fn mailbox(&self, id: MailboxId) -> Result<Mailbox> {
        self.0.database.read(|connection| one(connection, id))
    }

    /// The mailbox with this name, levels separated by `/`; `INBOX` in any case.
    ///
    /// # Errors
    /// `NotFound`, also for a name that no mailbox can have.
    pub fn mailbox_named(&self, name: &str) -> Result<Mailbox> {
        let missing = || Error::NotFound(format!("mailbox {name}"));
        let parsed = Name::parse(name).map_err(|_| missing())?;
        self.0.database.read(|connection| match find(connection, &parsed)? {
            Some(id) => one(connection, id),
            None => Err(missing()),
        })
    }

    /// Makes a mailbox, and the missing ones above it. Each begins with the access control list of the one above.
    ///
    /// # Errors
    /// `Conflict` if it exists, or another mailbox has that special use; `Permanent` for a name that cannot be; `OverQuota`
    /// for more than [`MOST_NAMES`].
    pub fn create_mailbox(&self, name: &str, special_use: Option<SpecialUse>) -> Result<Mailbox> {
        let name = Name::parse(name)?;
        self.change(move |change| {
            let id = create(change, &name, special_use)?;
            one(change.connection, id)
        })
    }

    /// The mailbox of a special use (RFC 6154). Where none has it, the one with the use's usual name takes it on, and is made
    /// and subscribed where it is missing.
    ///
    /// # Errors
    /// `OverQuota` for more than [`MOST_NAMES`].
    pub fn mailbox_for(&self, special_use: SpecialUse) -> Result<MailboxId> {
        match self.0.database.read(|connection| with_special_use(connection, special_use))? {
            Some(id) => Ok(id),
            None => self.change(move |change| adopt(change, special_use)),
        }
    }

    /// Renames a mailbox and those below it. Renaming INBOX moves its messages into a new mailbox and leaves it
    /// empty (RFC 9051 §6.3.6). A subscription stays with the old name, as §6.3.9 demands, and the new name gets one
    /// too.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` if the new name exists or is below the old one; `Permanent` for a name that cannot be.
    pub fn rename_mailbox(&self, id: MailboxId, to: &str) -> Result<()> {
        let to = Name::parse(to)?;
        self.change(move |change| rename(change, &named(change, id)?, &to))
    }

    /// Deletes a mailbox with its messages. One that has mailboxes below it stays as a name that cannot be selected.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` for a name that cannot be selected and has mailboxes below; `Permanent` for INBOX.
    pub fn delete_mailbox(&self, id: MailboxId) -> Result<()> {
        let fate = self.fate();
        self.change(move |change| delete(change, &named(change, id)?, fate))
    }

    /// Adds a name, existing or not, to the subscriptions.
    ///
    /// # Errors
    /// `Permanent` for a name that cannot be; `OverQuota` for more than [`MOST_NAMES`].
    pub fn subscribe(&self, name: &str) -> Result<()> {
        let name = Name::parse(name)?;
        self.change(move |change| subscribe(change, &name))
    }

    /// Removes a name from the subscriptions, if it is there.
    ///
    /// # Errors
    /// `Permanent` for a name that cannot be.
    pub fn unsubscribe(&self, name: &str) -> Result<()> {
        let name = Name::parse(name)?;
        self.change(move |change| {
            change.execute("DELETE FROM subscription WHERE name = ?1", [name.to_string()])?;
            touch(change, &name)
        })
    }

    /// The subscribed names, sorted; some may have no mailbox (any more).
    ///
    /// # Errors
    /// `Temporary`
    pub fn subscriptions(&self) -> Result<Vec<String>> {
        self.0.database.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT name FROM subscription ORDER BY name")?;
            let rows = statement.query_map([], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

/// The mailbox `id`, if messages can be in it.
pub(super) fn selectable(connection: &Connection, id: MailboxId) -> Result<Mailbox> {
    let mailbox = one(connection, id)?;
    if mailbox.selectable { Ok(mailbox) } else { Err(Error::NotFound(format!("mailbox {}", mailbox.name))) }
}

/// The id of INBOX.
pub(super) fn inbox(connection: &Connection) -> Result<MailboxId> {
    child(connection, None, "INBOX")?.ok_or_else(|| Error::Corrupt("the account has no INBOX".to_owned()))
}

/// Makes the mailboxes that every account begins with, all subscribed.
pub(super) fn create_first(change: &Change<'_>) -> Result<()> {
    let special =
        [SpecialUse::Sent, SpecialUse::Drafts, SpecialUse::Junk, SpecialUse::Trash, SpecialUse::Archive];
    let first = std::iter::once(("INBOX", None));
    for (name, special_use) in first.chain(special.into_iter().map(|special| (special.name(), Some(special))))
    {
        let name = Name::parse(name)?;
        create(change, &name, special_use)?;
        subscribe(change, &name)?;
    }
    Ok(())
}

const COLUMNS: &str = "SELECT mailbox_id, parent_id, name, selectable, special_use, uid_validity, uid_next,
        highest_mod_seq, messages, unseen, deleted, size
   FROM mailbox";

/// Reads a row; the name is that of the one level, and what other rows say is not filled in.
fn read(row: &Row<'_>) -> rusqlite::Result<Mailbox> {
    let special_use: Option<String> = row.get(4)?;
    Ok(Mailbox {
        id: row.get(0)?,
        parent: row.get(1)?,
        name: row.get(2)?,
        selectable: row.get(3)?,
        special_use: special_use.as_deref().and_then(SpecialUse::parse),
        uid_validity: UidValidity(row.get(5)?),
        uid_next: row.get(6)?,
        highest_mod_seq: row.get(7)?,
        messages: row.get(8)?,
        unseen: row.get(9)?,
        deleted: row.get(10)?,
        size: row.get(11)?,
        has_children: false,
        subscribed: false,
    })
}

pub(super) fn list(connection: &Connection) -> Result<Vec<Mailbox>> {
    let mut statement = connection.prepare_cached(COLUMNS)?;
    let rows = statement.query_map([], read)?;
    let mut mailboxes = rows.collect::<Result<Vec<Mailbox>, _>>()?;
    complete(connection, &mut mailboxes)?;
    let key = |mailbox: &Mailbox| {
        let levels: Vec<String> = mailbox.name.split(SEPARATOR).map(str::to_owned).collect();
        (levels.first().is_some_and(|first| first != "INBOX"), levels)
    };
    mailboxes.sort_by_cached_key(key);
    Ok(mailboxes)
}

/// Fills in whole names, children and subscriptions.
fn complete(connection: &Connection, mailboxes: &mut [Mailbox]) -> Result<()> {
    let mut statement = connection.prepare_cached("SELECT name FROM subscription")?;
    let subscribed: HashSet<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let levels: HashMap<MailboxId, (Option<MailboxId>, String)> =
        mailboxes.iter().map(|mailbox| (mailbox.id, (mailbox.parent, mailbox.name.clone()))).collect();
    let parents: HashSet<MailboxId> = mailboxes.iter().filter_map(|mailbox| mailbox.parent).collect();
    for mailbox in mailboxes {
        let mut above = mailbox.parent;
        while let Some((parent, level)) = above.and_then(|id| levels.get(&id)) {
            mailbox.name = format!("{level}{SEPARATOR}{}", mailbox.name);
            above = *parent;
        }
        mailbox.has_children = parents.contains(&mailbox.id);
        mailbox.subscribed = subscribed.contains(&mailbox.name);
    }
    Ok(())
}

fn one(connection: &Connection, id: MailboxId) -> Result<Mailbox> {
    let mut mailbox = connection
        .prepare_cached(&format!("{COLUMNS} WHERE mailbox_id = ?1"))?
        .query_row([id], read)
        .optional()?
        .ok_or_else(|| Error::NotFound(format!("mailbox {id}")))?;
    mailbox.name = whole_name(connection, id)?;
    mailbox.has_children = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM mailbox WHERE parent_id = ?1)")?
        .query_row([id], |row| row.get(0))?;
    mailbox.subscribed = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM subscription WHERE name = ?1)")?
        .query_row([&mailbox.name], |row| row.get(0))?;
    Ok(mailbox)
}

pub(super) fn whole_name(connection: &Connection, id: MailboxId) -> Result<String> {
    let mut statement =
        connection.prepare_cached("SELECT parent_id, name FROM mailbox WHERE mailbox_id = ?1")?;
    let (mut above, mut name): (Option<MailboxId>, String) =
        statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    while let Some(parent) = above {
        let (next, level): (_, String) =
            statement.query_row([parent], |row| Ok((row.get(0)?, row.get(1)?)))?;
        name = format!("{level}{SEPARATOR}{name}");
        above = next;
    }
    Ok(name)
}

fn child(connection: &Connection, parent: Option<MailboxId>, level: &str) -> Result<Option<MailboxId>> {
    Ok(connection
        .prepare_cached("SELECT mailbox_id FROM mailbox WHERE coalesce(parent_id, 0) = ?1 AND name = ?2")?
        .query_row(params![parent.map_or(0, |parent| parent.0), level], |row| row.get(0))
        .optional()?)
}

fn find(connection: &Connection, name: &Name) -> Result<Option<MailboxId>> {
    let mut found = None;
    for level in name.levels() {
        found = child(connection, found, level)?;
        if found.is_none() {
            return Ok(None);
        }
    }
    Ok(found)
}

/// The name that a mailbox has at this moment; whoever asked for its rights knows it by its number.
fn named(change: &Change<'_>, id: MailboxId) -> Result<Name> {
    Name::parse(&one(change.connection, id)?.name)
}

fn existing(connection: &Connection, name: &Name) -> Result<MailboxId> {
    find(connection, name)?.ok_or_else(|| Error::NotFound(format!("mailbox {name}")))
}

fn create(change: &Change<'_>, name: &Name, special_use: Option<SpecialUse>) -> Result<MailboxId> {
    check_special_use_is_free(change, special_use)?;
    if let Some(id) = find(change.connection, name)? {
        return make_selectable(change, id, name, special_use);
    }
    let (level, above) = name.split_last();
    let parent = above.map(|above| find_or_create(change, &above)).transpose()?;
    let id = change
        .connection
        .prepare_cached(
            "INSERT INTO mailbox (parent_id, name, special_use, uid_validity, highest_mod_seq, created_mod_seq,
                                  mod_seq)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?5) RETURNING mailbox_id",
        )?
        .query_row(
            params![
                parent,
                level,
                special_use.map(SpecialUse::name),
                change.next_uid_validity()?.0,
                change.mod_seq
            ],
            |row| row.get(0),
        )?;
    check_count(change, "SELECT count(*) FROM mailbox")?;
    acl::inherit(change, id)?;
    Ok(id)
}

fn with_special_use(connection: &Connection, special_use: SpecialUse) -> Result<Option<MailboxId>> {
    Ok(connection
        .prepare_cached("SELECT mailbox_id FROM mailbox WHERE special_use = ?1 AND selectable")?
        .query_row([special_use.name()], |row| row.get(0))
        .optional()?)
}

fn adopt(change: &Change<'_>, special_use: SpecialUse) -> Result<MailboxId> {
    if let Some(id) = with_special_use(change.connection, special_use)? {
        return Ok(id);
    }
    let name = Name::parse(special_use.name())?;
    match find(change.connection, &name)? {
        Some(id) if one(change.connection, id)?.selectable => {
            change.execute(
                "UPDATE mailbox SET special_use = ?2, mod_seq = ?3 WHERE mailbox_id = ?1",
                params![id, special_use.name(), change.mod_seq],
            )?;
            Ok(id)
        }
        _ => {
            let id = create(change, &name, Some(special_use))?;
            subscribe(change, &name)?;
            Ok(id)
        }
    }
}

/// Refuses more names than a list of them is made for.
fn check_count(change: &Change<'_>, count: &str) -> Result<()> {
    let count: u32 = change.connection.prepare_cached(count)?.query_row([], |row| row.get(0))?;
    if count > MOST_NAMES { Err(Error::OverQuota) } else { Ok(()) }
}

fn find_or_create(change: &Change<'_>, name: &Name) -> Result<MailboxId> {
    match find(change.connection, name)? {
        Some(id) => Ok(id),
        None => create(change, name, None),
    }
}

fn check_special_use_is_free(change: &Change<'_>, special_use: Option<SpecialUse>) -> Result<()> {
    let Some(special_use) = special_use else { return Ok(()) };
    let taken: bool = change
        .connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM mailbox WHERE special_use = ?1)")?
        .query_row([special_use.name()], |row| row.get(0))?;
    if taken {
        return Err(Error::Conflict(format!("another mailbox is \\{} already", special_use.name())));
    }
    Ok(())
}

/// CREATE of a name that so far only had mailboxes below it: a new generation of UIDs begins.
fn make_selectable(
    change: &Change<'_>,
    id: MailboxId,
    name: &Name,
    special_use: Option<SpecialUse>,
) -> Result<MailboxId> {
    let validity = change.next_uid_validity()?;
    let changed = change.execute(
        "UPDATE mailbox SET selectable = 1, special_use = ?2, uid_validity = ?3, mod_seq = ?4
          WHERE mailbox_id = ?1 AND NOT selectable",
        params![id, special_use.map(SpecialUse::name), validity.0, change.mod_seq],
    )?;
    if changed == 0 {
        return Err(Error::Conflict(format!("mailbox {name} exists")));
    }
    acl::inherit(change, id)?;
    Ok(id)
}

fn rename(change: &Change<'_>, from: &Name, to: &Name) -> Result<()> {
    let id = existing(change.connection, from)?;
    if find(change.connection, to)?.is_some() {
        return Err(Error::Conflict(format!("mailbox {to} exists")));
    }
    if from.is_inbox() {
        let target = create(change, to, None)?;
        move_all(change, id, &UidSet::all(), target)?;
        annotations::copy(change, id, target)?;
        return Ok(());
    }
    if from.covers(to) {
        return Err(Error::Conflict(format!("{to} is below {from}")));
    }
    let (level, above) = to.split_last();
    let parent = above.map(|above| find_or_create(change, &above)).transpose()?;
    copy_subscriptions(change, from, to)?;
    change.execute(
        "UPDATE mailbox SET parent_id = ?2, name = ?3, mod_seq = ?4 WHERE mailbox_id = ?1",
        params![id, parent, level, change.mod_seq],
    )?;
    Ok(())
}

/// Subscribes the new names of what is subscribed at or below `from`.
fn copy_subscriptions(change: &Change<'_>, from: &Name, to: &Name) -> Result<()> {
    let from = from.to_string();
    change.execute(
        "INSERT OR IGNORE INTO subscription (name)
         SELECT ?2 || substr(name, length(?1) + 1) FROM subscription
          WHERE name = ?1 OR substr(name, 1, length(?1) + 1) = ?1 || '/'",
        params![from, to.to_string()],
    )?;
    Ok(())
}

fn delete(change: &Change<'_>, name: &Name, fate: Fate) -> Result<()> {
    if name.is_inbox() {
        return Err(Error::Permanent("INBOX cannot be deleted".to_owned()));
    }
    let id = existing(change.connection, name)?;
    let mailbox = one(change.connection, id)?;
    if mailbox.has_children && !mailbox.selectable {
        return Err(Error::Conflict(format!("mailbox {name} has mailboxes below it")));
    }
    if mailbox.selectable {
        destroy_all(change, id, fate)?;
    }
    if mailbox.has_children {
        acl::forget(change, id)?;
        annotations::clear(change, id)?;
        change.execute(
            "UPDATE mailbox SET selectable = 0, special_use = NULL, mod_seq = ?2 WHERE mailbox_id = ?1",
            params![id, change.mod_seq],
        )?;
        return Ok(());
    }
    change.execute(
        "INSERT INTO mailbox_tombstone (mailbox_id, mod_seq, created_mod_seq)
         SELECT mailbox_id, ?2, created_mod_seq FROM mailbox WHERE mailbox_id = ?1",
        params![id, change.mod_seq],
    )?;
    change.execute("DELETE FROM mailbox WHERE mailbox_id = ?1", [id])?;
    Ok(())
}

fn subscribe(change: &Change<'_>, name: &Name) -> Result<()> {
    change.execute("INSERT OR IGNORE INTO subscription (name) VALUES (?1)", [name.to_string()])?;
    check_count(change, "SELECT count(*) FROM subscription")?;
    touch(change, name)
}

/// Marks a mailbox, if there is one of that name, as changed (JMAP `isSubscribed` is a property of it).
fn touch(change: &Change<'_>, name: &Name) -> Result<()> {
    if let Some(id) = find(change.connection, name)? {
        change
            .execute("UPDATE mailbox SET mod_seq = ?2 WHERE mailbox_id = ?1", params![id, change.mod_seq])?;
    }
    Ok(())
}
