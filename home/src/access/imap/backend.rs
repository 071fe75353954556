//! Carries out the core's requests, on the user's own account and on what others share with it. Blocks; runs in a thread
//! for that.
//!
//! What is to be done is said to [`Accounts`] before anything is done; the rights that each request needs are those of
//! RFC 4314 §4.

use postern_imap::request::{
    self, Access, Answer, CopyMode, FlagChange, MailboxId, Refusal, Request, Snapshot, Subscription, Wanted,
};
use postern_imap::types::{DateTime, Flag, MailboxName, MessageUrl, SpecialUse};
use postern_store::account::{
    self as store, Account, Detail, Expunge, ModSeq, Remaining, Rights, SystemFlags,
};
use postern_store::blob::BlobId;
use postern_store::directory::Directory;
use postern_store::{Error, Store};
use tokio::sync::watch;

use super::accounts::{Accounts, Need, Permitted, READ, Whose};
use super::append::{Appending, Replaced};
use super::catenate::Part;
use super::refusal::{Refused, Result};
use super::{acl, convert, listing, metadata, quota, search, sort, transfer};

const INSERT: Need = Need::All(Rights::INSERT);
/// What STORE of `\Deleted` and EXPUNGE need together.
const REMOVE: Need = Need::All(Rights::READ.and(Rights::DELETE_MESSAGES).and(Rights::EXPUNGE));

/// One session's hold on the accounts.
pub(super) struct Backend {
    store: Store,
    directory: Directory,
    accounts: Accounts,
    /// What APPEND is receiving.
    appending: Option<Appending>,
    contents: Contents,
}

/// Where the contents of the messages last asked for are.
#[derive(Default)]
struct Contents {
    mailbox: Option<MailboxId>,
    /// UID and blob, ascending.
    blobs: Vec<(u32, BlobId)>,
}

impl Backend {
    pub(super) fn new(store: Store, directory: Directory, own: Account) -> Backend {
        let accounts = Accounts::new(store.clone(), directory.clone(), own);
        Backend { store, directory, accounts, appending: None, contents: Contents::default() }
    }

    /// Carries out one request.
    pub(super) fn answer(&mut self, request: Request) -> Answer {
        self.carry_out(request).unwrap_or_else(|Refused(refusal)| Answer::Refused(refusal))
    }

    /// Changes of the account that a mailbox is in, if it is another user's.
    pub(super) fn changes_of_other(&self, mailbox: MailboxId) -> Option<watch::Receiver<ModSeq>> {
        self.accounts.changes_of_other(mailbox)
    }

    /// Changes of the accounts that others may share something from. One that cannot be opened has nobody who changes it.
    pub(super) fn changes_of_others(&self) -> Vec<watch::Receiver<ModSeq>> {
        self.accounts.changes_of_others().unwrap_or_default()
    }

    fn carry_out(&mut self, request: Request) -> Result<Answer> {
        match request {
            Request::Mailboxes => Ok(Answer::Mailboxes(listing::look(&self.accounts)?.0)),
            Request::Watch { annotations } => {
                Ok(Answer::Watched(listing::watch(&self.accounts, annotations.as_ref())?))
            }
            Request::Status(name) => self.status(&name),
            Request::Create { mailbox, special_use } => self.create(&mailbox, special_use),
            Request::Delete(name) => self.delete(&name),
            Request::Rename { from, to } => self.rename(&from, &to),
            // RFC 4314 §4: no right is needed, for it is not looked whether there is a mailbox.
            Request::Subscribe(name, Subscription::Subscribed) => {
                done(self.accounts.own().subscribe(name.as_str()))
            }
            Request::Subscribe(name, Subscription::Unsubscribed) => {
                done(self.accounts.own().unsubscribe(name.as_str()))
            }
            Request::Open(name, access) => self.open(&name, access),
            Request::Changes { mailbox, since } => {
                let permitted = self.accounts.numbered(mailbox, READ)?;
                let changes = permitted.account.changes_since(permitted.mailbox, ModSeq(since))?;
                Ok(Answer::Changes(convert::changes(&changes)))
            }
            Request::Messages { mailbox, uids, wanted } => self.messages(mailbox, &uids, &wanted),
            Request::Content { mailbox, uid, start, length } => self.content(mailbox, uid, start, length),
            Request::StoreFlags { mailbox, uids, change, flags, unchanged_since } => {
                let unchanged_since = unchanged_since.map(ModSeq);
                self.store_flags(mailbox, &uids, (change, &flags), unchanged_since)
            }
            Request::Copy { mailbox, uids, to, mode } => self.copy(mailbox, &uids, &to, mode),
            Request::Expunge { mailbox, uids } => self.expunge(mailbox, uids.as_deref()),
            Request::Search { mailbox, key } => {
                let permitted = self.accounts.numbered(mailbox, READ)?;
                let key = permitted.local_key(key);
                Ok(Answer::Found(search::find(&permitted.account, permitted.mailbox, &key)?))
            }
            Request::Sort { mailbox, key, criteria } => {
                let permitted = self.accounts.numbered(mailbox, READ)?;
                let key = permitted.local_key(key);
                Ok(Answer::Found(sort::find(&permitted.account, permitted.mailbox, &key, &criteria)?))
            }
            Request::Threads { mailbox, key, algorithm, up_to } => {
                let permitted = self.accounts.numbered(mailbox, READ)?;
                let key = permitted.local_key(key);
                Ok(Answer::Threads(sort::threads(
                    &permitted.account,
                    permitted.mailbox,
                    &key,
                    algorithm,
                    up_to,
                )?))
            }
            Request::AppendBegin { mailbox, size, replaces } => self.append_begin(&mailbox, size, replaces),
            Request::AppendLiteral { size } => self.go_on_appending(|appending| appending.literal(size)),
            Request::AppendUrl { url, selected, at_most } => self.append_url(&url, selected, at_most),
            Request::AppendNext { flags, internal_date, size } => {
                self.go_on_appending(|appending| appending.next(&flags, internal_date, size))
            }
            Request::AppendData(octets) => self.go_on_appending(|appending| appending.data(&octets)),
            Request::AppendCommit { flags, internal_date, .. } => self.append_commit(&flags, internal_date),
            Request::AppendAbort => {
                self.appending = None;
                Ok(Answer::Done)
            }
            Request::Quota(subject) => Ok(Answer::Quotas(quota::answer(&self.accounts, subject)?)),
            Request::Acl(name) => Ok(Answer::Acl(acl::list(&self.accounts, &self.directory, &name)?)),
            Request::SetAcl { mailbox, identifier, change, rights } => {
                acl::set(&self.accounts, &self.directory, &mailbox, &identifier, (change, rights))?;
                Ok(Answer::Done)
            }
            Request::ListRights { mailbox, identifier } => {
                let grantable = acl::grantable(&self.accounts, &self.directory, &mailbox, &identifier)?;
                Ok(Answer::Grantable(grantable))
            }
            Request::MyRights(name) => Ok(Answer::Rights(acl::mine(&self.accounts, &name)?)),
            Request::Annotations(of) => Ok(Answer::Annotations(metadata::list(&self.accounts, of.as_ref())?)),
            Request::Annotate { mailbox, entries } => {
                metadata::set(&self.accounts, mailbox.as_ref(), entries)?;
                Ok(Answer::Done)
            }
            Request::CloseAccount
            | Request::VerifyPassword { .. }
            | Request::ScramKeys { .. }
            | Request::CountFailure
            | Request::OpenAccount { .. } => {
                Err(Error::Fault("a request about logins came after login".to_owned()).into())
            }
        }
    }

    fn status(&self, name: &MailboxName) -> Result<Answer> {
        let (permitted, mailbox) = self.accounts.named(name, READ)?;
        let recent = permitted.account.unclaimed(mailbox.id)?;
        let deleted_size = permitted.account.deleted_size(mailbox.id)?;
        Ok(Answer::Status(convert::status(&permitted, &mailbox, (recent, deleted_size))))
    }

    /// A special use that is not kept, or that another mailbox has, is a refusal of its own. Nobody gives another user's
    /// mailbox one.
    fn create(&self, name: &MailboxName, special_use: Option<SpecialUse>) -> Result<Answer> {
        let located = self.accounts.locate_new(name)?;
        self.accounts.may_create(&located)?;
        let special_use = match (special_use, located.whose) {
            (None, _) => None,
            (Some(wanted), Whose::Own) => Some(convert::special_use_to_store(wanted).ok_or(Refusal::Cannot)?),
            (Some(_), Whose::Other) => return Err(Refusal::Cannot.into()),
        };
        match located.account.create_mailbox(&located.name, special_use) {
            Err(Error::Conflict(_)) if located.account.mailbox_named(&located.name).is_err() => {
                Err(Refusal::Cannot.into())
            }
            made => Ok(Answer::Created(located.object_id(made?.id))),
        }
    }

    fn delete(&self, name: &MailboxName) -> Result<Answer> {
        let located = self.accounts.locate(name)?;
        let (permitted, _) = self.accounts.existing(&located, Need::All(Rights::DELETE_MAILBOX))?;
        match located.account.delete_mailbox(permitted.mailbox) {
            // The only thing in the way of a deletion is what lies below.
            Err(Error::Conflict(_)) => Err(Refusal::HasChildren.into()),
            deleted => done(deleted),
        }
    }

    /// Within one account. INBOX stays with its owner: renaming it would move its messages away.
    fn rename(&self, from: &MailboxName, to: &MailboxName) -> Result<Answer> {
        let from = self.accounts.locate(from)?;
        let (permitted, _) = self.accounts.existing(&from, Need::All(Rights::DELETE_MAILBOX))?;
        let to = self.accounts.locate_new(to)?;
        if from.account.id() != to.account.id() || (from.whose == Whose::Other && from.is_inbox()) {
            return Err(Refusal::Cannot.into());
        }
        self.accounts.may_create(&to)?;
        done(from.account.rename_mailbox(permitted.mailbox, &to.name))
    }

    /// Nothing where nothing can be written, for one can read all the same; the messages then are recent again. What is
    /// recent in a mailbox is its owner's to see: others do not take it away.
    fn claim_recent(permitted: &Permitted) -> Result<Option<u32>> {
        match (permitted.whose, permitted.account.claim_recent(permitted.mailbox)) {
            (Whose::Other, _) | (_, Err(Error::DiskFull(_) | Error::Temporary(_))) => Ok(None),
            (Whose::Own, claimed) => Ok(Some(claimed?)),
        }
    }

    fn open(&self, name: &MailboxName, access: Access) -> Result<Answer> {
        let (permitted, _) = self.accounts.named(name, READ)?;
        // RFC 4314 §5.2: read-only for who may change nothing.
        let changing = permitted.rights.intersects(Rights::INSERT | Rights::EXPUNGE);
        let mask = permitted.rights.flags();
        let access = if changing || !mask.is_empty() { access } else { Access::ReadOnly };
        // Claimed before the snapshot: what comes between the two is new to this session as well.
        let claimed = match access {
            Access::ReadWrite => Backend::claim_recent(&permitted)?,
            Access::ReadOnly => None,
        };
        let snapshot = permitted.account.snapshot(permitted.mailbox)?;
        let seen = |message: &&store::MessageState| message.flags.system.contains(SystemFlags::SEEN);
        let first_unseen = snapshot.messages.iter().find(|message| !seen(message));
        let keywords = permitted.account.keywords()?;
        Ok(Answer::Opened(Snapshot {
            mailbox: permitted.id(),
            object_id: permitted.object_id(snapshot.mailbox.id),
            uid_validity: snapshot.mailbox.uid_validity.0,
            uid_next: snapshot.mailbox.uid_next,
            mod_seq: snapshot.mailbox.highest_mod_seq.0,
            uids: snapshot.messages.iter().map(|message| message.uid.get()).collect(),
            recent_from: claimed.unwrap_or(snapshot.recent),
            first_unseen: first_unseen.map(|message| message.uid.get()),
            keywords: keywords.iter().map(|keyword| keyword.as_str().to_owned()).collect(),
            access,
            permanent_flags: convert::changeable(mask, &keywords),
            new_keywords: mask.keywords,
        }))
    }

    fn messages(&mut self, mailbox: MailboxId, uids: &[u32], wanted: &Wanted) -> Result<Answer> {
        let permitted = self.accounts.numbered(mailbox, READ)?;
        self.contents = Contents { mailbox: Some(mailbox), blobs: Vec::new() };
        let set = convert::uid_set(uids);
        if *wanted == Wanted::default() {
            let states = permitted.account.states(permitted.mailbox, &set)?;
            let found = states.iter().map(convert::state).collect();
            return Ok(Answer::Messages { found, answered: uids.len() });
        }
        let detail = match (wanted.structure, wanted.envelope) {
            (true, _) => Detail::Structure,
            (false, true) => Detail::Envelope,
            (false, false) => Detail::Summary,
        };
        let messages = permitted.account.messages(permitted.mailbox, &set, detail);
        let messages = messages.with_header(convert::header(&wanted.header));
        let mut messages = if wanted.octets { messages.with_octets() } else { messages };
        let (chunk, remaining) = messages.next_chunk()?;
        self.contents.blobs = chunk.iter().map(|message| (message.uid.get(), message.email.blob)).collect();
        let answered = match (remaining, self.contents.blobs.last()) {
            (Remaining::Some, Some((last, _))) => uids.partition_point(|uid| uid <= last),
            _ => uids.len(),
        };
        let found = chunk.into_iter().map(|message| convert::message(&permitted, message, wanted)).collect();
        Ok(Answer::Messages { found, answered })
    }

    fn content(&self, mailbox: MailboxId, uid: u32, start: u64, length: u64) -> Result<Answer> {
        let permitted = self.accounts.numbered(mailbox, READ)?;
        let blob = self.contents.blob(mailbox, uid);
        let missing = || Error::NotFound(format!("message {uid} of mailbox {}", permitted.mailbox));
        let octets =
            permitted.account.read_blob(blob.ok_or_else(missing)?, start..start.saturating_add(length))?;
        Ok(Answer::Content(octets))
    }

    /// RFC 4314 §4: as far as the user's rights go, and refused where they do not touch any of the flags. Replacing
    /// touches all that the user may change.
    fn store_flags(
        &self,
        mailbox: MailboxId,
        uids: &[u32],
        (change, flags): (FlagChange, &[Flag]),
        unchanged_since: Option<ModSeq>,
    ) -> Result<Answer> {
        let permitted = self.accounts.numbered(mailbox, READ)?;
        let flags = convert::flags_to_store(flags)?;
        let mask = permitted.rights.flags();
        let changed = mask.of(&flags);
        if mask.is_empty() || (changed.is_empty() && !flags.is_empty()) {
            return Err(Refusal::NoPermission.into());
        }
        let change = convert::flag_change(change, flags).within(mask);
        let stored = permitted.account.store_flags(
            permitted.mailbox,
            &convert::uid_set(uids),
            change,
            unchanged_since,
        )?;
        Ok(Answer::Stored(convert::stored(&stored)))
    }

    /// RFC 4314 §4; RFC 6851 §4.2: MOVE needs what STORE, COPY and EXPUNGE need together.
    fn copy(&self, mailbox: MailboxId, uids: &[u32], to: &MailboxName, mode: CopyMode) -> Result<Answer> {
        let needed = match mode {
            CopyMode::Copy => READ,
            CopyMode::Move => REMOVE,
        };
        let from = self.accounts.numbered(mailbox, needed)?;
        let (to, _) = self.accounts.named(to, INSERT)?;
        let uids = convert::uid_set(uids);
        let within = from.account.id() == to.account.id() && to.rights.flags() == Rights::ALL.flags();
        let copied = match (within, mode) {
            (true, CopyMode::Copy) => from.account.copy(from.mailbox, &uids, to.mailbox)?,
            (true, CopyMode::Move) => from.account.move_messages(from.mailbox, &uids, to.mailbox)?,
            (false, CopyMode::Copy) => transfer::copy(&self.store, &from, &uids, &to)?,
            (false, CopyMode::Move) => transfer::move_messages(&self.store, &from, &uids, &to)?,
        };
        Ok(Answer::Copied(convert::copied(&copied)))
    }

    fn expunge(&self, mailbox: MailboxId, uids: Option<&[u32]>) -> Result<Answer> {
        let permitted = self.accounts.numbered(mailbox, Need::All(Rights::READ | Rights::EXPUNGE))?;
        let which = match uids {
            None => Expunge::Deleted,
            Some(uids) => Expunge::DeletedOf(convert::uid_set(uids)),
        };
        Ok(Answer::Expunged(convert::uids(&permitted.account.expunge(permitted.mailbox, which)?)))
    }

    /// RFC 8508 §4: REPLACE needs what STORE and EXPUNGE need where the old message is.
    fn append_begin(
        &mut self,
        mailbox: &MailboxName,
        size: u64,
        replaces: Option<request::Replaced>,
    ) -> Result<Answer> {
        self.appending = None;
        let (into, _) = self.accounts.named(mailbox, INSERT)?;
        let replaced = match replaces {
            None => None,
            Some(request::Replaced { mailbox, uid }) => {
                match Replaced::find(self.accounts.numbered(mailbox, REMOVE)?, uid)? {
                    None => return Err(Refusal::Expunged.into()),
                    found => found,
                }
            }
        };
        self.appending = Some(Appending::begin(&self.store, into, size, replaced)?);
        Ok(Answer::Done)
    }

    fn append_url(&mut self, url: &MessageUrl, selected: Option<MailboxId>, at_most: u64) -> Result<Answer> {
        let part = Part::at(&self.accounts, url, selected)?.ok_or(Refusal::BadUrl)?;
        if part.size() > at_most {
            return Err(Refusal::TooLarge.into());
        }
        self.go_on_appending(|appending| appending.copy(&part))?;
        Ok(Answer::Taken(part.size()))
    }

    /// An APPEND that fails is forgotten, with everything that it has staged.
    fn go_on_appending(
        &mut self,
        step: impl FnOnce(Appending) -> postern_store::Result<Appending>,
    ) -> Result<Answer> {
        self.appending = Some(step(self.appending.take().ok_or_else(no_append)?)?);
        Ok(Answer::Done)
    }

    /// The rights may be gone since the messages began to come.
    fn append_commit(&mut self, flags: &[Flag], date: Option<DateTime>) -> Result<Answer> {
        let appending = self.appending.take().ok_or_else(no_append)?;
        let into = self.accounts.numbered(appending.target(), INSERT)?;
        if let Some(from) = appending.origin() {
            self.accounts.numbered(from, REMOVE)?;
        }
        Ok(appending.commit(&into, flags, date)?)
    }
}

impl Contents {
    fn blob(&self, mailbox: MailboxId, uid: u32) -> Option<BlobId> {
        // Numbers of blobs mean nothing in another account.
        let index = self.blobs.binary_search_by_key(&uid, |(uid, _)| *uid).ok();
        let (_, blob) = index.filter(|_| self.mailbox == Some(mailbox)).and_then(|at| self.blobs.get(at))?;
        Some(*blob)
    }
}

fn done<T>(result: postern_store::Result<T>) -> Result<Answer> {
    result?;
    Ok(Answer::Done)
}

fn no_append() -> Error {
    Error::Fault("no message is being appended".to_owned())
}
