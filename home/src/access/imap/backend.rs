//! Carries out the core's requests on one account. Blocks; runs in a thread for that.

use postern_imap::request::{
    self, Access, Answer, CopyMode, MailboxId, MailboxInfo, MailboxKind, Quota, QuotaOf, Refusal, Request,
    Snapshot, Subscription, Wanted,
};
use postern_imap::types::{MailboxName, MessageUrl, SpecialUse};
use postern_store::account::{
    self as store, Account, Detail, Expunge, ModSeq, QuotaRoot, Remaining, SystemFlags,
};
use postern_store::blob::BlobId;
use postern_store::{Error, Result, Store};

use super::append::{Appending, Replaced};
use super::catenate::Part;
use super::{convert, metadata, search, sort};

/// One session's hold on an account.
pub(super) struct Backend {
    store: Store,
    account: Account,
    /// What APPEND is receiving.
    appending: Option<Appending>,
    /// Where the contents of the messages last asked for are: UID and blob, ascending.
    contents: Vec<(u32, BlobId)>,
}

impl Backend {
    pub(super) fn new(store: Store, account: Account) -> Backend {
        Backend { store, account, appending: None, contents: Vec::new() }
    }

    /// Carries out one request.
    pub(super) fn answer(&mut self, request: Request) -> Answer {
        let deleting = matches!(request, Request::Delete(_));
        match self.carry_out(request) {
            Ok(answer) => answer,
            // The only thing in the way of a deletion is what lies below.
            Err(Error::Conflict(_)) if deleting => Answer::Refused(Refusal::HasChildren),
            Err(error) => Answer::Refused(convert::refusal(&error)),
        }
    }

    fn carry_out(&mut self, request: Request) -> Result<Answer> {
        match request {
            Request::Mailboxes => self.mailboxes(),
            Request::Status(name) => {
                let mailbox = self.named(&name)?;
                let deleted_size = self.account.deleted_size(mailbox.id)?;
                Ok(Answer::Status(convert::status(&mailbox, deleted_size)))
            }
            Request::Create { mailbox, special_use } => self.create(&mailbox, special_use),
            Request::Delete(name) => done(self.account.delete_mailbox(name.as_str())),
            Request::Rename { from, to } => done(self.account.rename_mailbox(from.as_str(), to.as_str())),
            Request::Subscribe(name, Subscription::Subscribed) => done(self.account.subscribe(name.as_str())),
            Request::Subscribe(name, Subscription::Unsubscribed) => {
                done(self.account.unsubscribe(name.as_str()))
            }
            Request::Open(name, access) => self.open(&name, access),
            Request::Changes { mailbox, since } => {
                let changes = self.account.changes_since(id(mailbox), ModSeq(since))?;
                Ok(Answer::Changes(convert::changes(&changes)))
            }
            Request::Messages { mailbox, uids, wanted } => self.messages(mailbox, &uids, &wanted),
            Request::Content { mailbox, uid, start, length } => self.content(mailbox, uid, start, length),
            Request::StoreFlags { mailbox, uids, change, flags, unchanged_since } => {
                let change = convert::flag_change(change, convert::flags_to_store(&flags)?);
                let (uids, unchanged_since) = (convert::uid_set(&uids), unchanged_since.map(ModSeq));
                let stored = self.account.store_flags(id(mailbox), &uids, change, unchanged_since)?;
                Ok(Answer::Stored(convert::stored(&stored)))
            }
            Request::Copy { mailbox, uids, to, mode } => self.copy(mailbox, &uids, &to, mode),
            Request::Expunge { mailbox, uids } => {
                let which = match uids {
                    None => Expunge::Deleted,
                    Some(uids) => Expunge::DeletedOf(convert::uid_set(&uids)),
                };
                Ok(Answer::Expunged(convert::uids(&self.account.expunge(id(mailbox), which)?)))
            }
            Request::Search { mailbox, key } => {
                Ok(Answer::Found(search::find(&self.account, id(mailbox), &key)?))
            }
            Request::AppendBegin { mailbox, size, replaces } => self.append_begin(&mailbox, size, replaces),
            Request::AppendLiteral { size } => self.go_on_appending(|appending| appending.literal(size)),
            Request::AppendUrl { url, selected, at_most } => self.append_url(&url, selected, at_most),
            Request::AppendNext { flags, internal_date, size } => {
                self.go_on_appending(|appending| appending.next(&flags, internal_date, size))
            }
            Request::AppendData(octets) => self.go_on_appending(|appending| appending.data(&octets)),
            Request::AppendCommit { flags, internal_date, .. } => {
                self.appending.take().ok_or_else(no_append)?.commit(&flags, internal_date)
            }
            Request::AppendAbort => {
                self.appending = None;
                Ok(Answer::Done)
            }
            Request::Sort { mailbox, key, criteria } => {
                Ok(Answer::Found(sort::find(&self.account, id(mailbox), &key, &criteria)?))
            }
            Request::Threads { mailbox, key, algorithm, up_to } => {
                Ok(Answer::Threads(sort::threads(&self.account, id(mailbox), &key, algorithm, up_to)?))
            }
            Request::Annotations(of) => Ok(Answer::Annotations(metadata::list(&self.account, of.as_ref())?)),
            Request::Annotate { mailbox, entries } => {
                done(metadata::set(&self.account, mailbox.as_ref(), entries))
            }
            Request::Quota(subject) => Ok(Answer::Quotas(self.quotas(subject)?)),
            Request::CloseAccount
            | Request::VerifyPassword { .. }
            | Request::ScramKeys { .. }
            | Request::CountFailure
            | Request::OpenAccount { .. } => {
                Err(Error::Fault("a request about logins came after login".to_owned()))
            }
        }
    }

    fn named(&self, name: &MailboxName) -> Result<store::Mailbox> {
        let mailbox = self.account.mailbox_named(name.as_str())?;
        if mailbox.selectable { Ok(mailbox) } else { Err(Error::NotFound(format!("mailbox {name}"))) }
    }

    /// All mailboxes, and the subscribed names that have none.
    fn mailboxes(&self) -> Result<Answer> {
        let mailboxes = self.account.mailboxes()?;
        let mut list: Vec<MailboxInfo> = mailboxes.iter().map(convert::mailbox_info).collect();
        for name in self.account.subscriptions()? {
            if !mailboxes.iter().any(|mailbox| mailbox.name == name) {
                list.push(MailboxInfo {
                    name: MailboxName::new(&name),
                    kind: MailboxKind::Subscription,
                    special_use: None,
                    subscription: Subscription::Subscribed,
                });
            }
        }
        Ok(Answer::Mailboxes(list))
    }

    /// A mailbox without limits of its own has the account's root only.
    fn quotas(&self, subject: QuotaOf) -> Result<Vec<Quota>> {
        let quota = |name: &str, root| self.account.quota(root).map(|usage| convert::quota(name, &usage));
        match subject {
            QuotaOf::Root(name) if name.is_empty() => Ok(vec![quota("", QuotaRoot::Account)?]),
            QuotaOf::Root(name) => Ok(vec![quota(&name, QuotaRoot::Mailbox(name.parse()?))?]),
            QuotaOf::Mailbox(name) => {
                let mut roots = vec![quota("", QuotaRoot::Account)?];
                if let Ok(mailbox) = self.named(&name) {
                    let own = quota(&mailbox.id.to_string(), QuotaRoot::Mailbox(mailbox.id))?;
                    roots.extend(
                        Some(own).filter(|own| own.max_octets.is_some() || own.max_messages.is_some()),
                    );
                }
                Ok(roots)
            }
        }
    }

    /// A special use that is not kept, or that another mailbox has, is a refusal of its own.
    fn create(&self, name: &MailboxName, special_use: Option<SpecialUse>) -> Result<Answer> {
        let unavailable = || Error::Permanent("this special use is not available".to_owned());
        let special_use = match special_use {
            Some(wanted) => Some(convert::special_use_to_store(wanted).ok_or_else(unavailable)?),
            None => None,
        };
        match self.account.create_mailbox(name.as_str(), special_use) {
            Err(Error::Conflict(_)) if self.account.mailbox_named(name.as_str()).is_err() => {
                Err(unavailable())
            }
            made => Ok(Answer::Created(made?.id.to_string())),
        }
    }

    /// Nothing where nothing can be written, for one can read all the same; the messages then are recent again.
    fn claim_recent(&self, mailbox: store::MailboxId) -> Result<Option<u32>> {
        match self.account.claim_recent(mailbox) {
            Err(Error::DiskFull(_) | Error::Temporary(_)) => Ok(None),
            claimed => claimed.map(Some),
        }
    }

    fn open(&self, name: &MailboxName, access: Access) -> Result<Answer> {
        let mailbox = self.named(name)?;
        // Claimed before the snapshot: what comes between the two is new to this session as well.
        let claimed = match access {
            Access::ReadWrite => self.claim_recent(mailbox.id)?,
            Access::ReadOnly => None,
        };
        let snapshot = self.account.snapshot(mailbox.id)?;
        let seen = |message: &&store::MessageState| message.flags.system.contains(SystemFlags::SEEN);
        let first_unseen = snapshot.messages.iter().find(|message| !seen(message));
        let keywords = self.account.keywords()?;
        Ok(Answer::Opened(Snapshot {
            mailbox: MailboxId(snapshot.mailbox.id.0),
            object_id: snapshot.mailbox.id.to_string(),
            uid_validity: snapshot.mailbox.uid_validity.0,
            uid_next: snapshot.mailbox.uid_next,
            mod_seq: snapshot.mailbox.highest_mod_seq.0,
            uids: snapshot.messages.iter().map(|message| message.uid.get()).collect(),
            recent_from: claimed.unwrap_or(snapshot.recent),
            first_unseen: first_unseen.map(|message| message.uid.get()),
            keywords: keywords.iter().map(|keyword| keyword.as_str().to_owned()).collect(),
        }))
    }

    fn messages(&mut self, mailbox: MailboxId, uids: &[u32], wanted: &Wanted) -> Result<Answer> {
        self.contents.clear();
        let set = convert::uid_set(uids);
        if *wanted == Wanted::default() {
            let states = self.account.states(id(mailbox), &set)?;
            let found = states.iter().map(convert::state).collect();
            return Ok(Answer::Messages { found, answered: uids.len() });
        }
        let detail = if wanted.envelope || wanted.structure { Detail::Structure } else { Detail::Summary };
        let messages = self.account.messages(id(mailbox), &set, detail);
        let messages = messages.with_header(convert::header(&wanted.header));
        let mut messages = if wanted.octets { messages.with_octets() } else { messages };
        let (chunk, remaining) = messages.next_chunk()?;
        self.contents.extend(chunk.iter().map(|message| (message.uid.get(), message.email.blob)));
        let answered = match (remaining, self.contents.last()) {
            (Remaining::Some, Some((last, _))) => uids.partition_point(|uid| uid <= last),
            _ => uids.len(),
        };
        let found = chunk.into_iter().map(|message| convert::message(message, wanted)).collect();
        Ok(Answer::Messages { found, answered })
    }

    fn content(&self, mailbox: MailboxId, uid: u32, start: u64, length: u64) -> Result<Answer> {
        let blob = match self.contents.binary_search_by_key(&uid, |(uid, _)| *uid) {
            Ok(index) => self.contents.get(index).map(|(_, blob)| *blob),
            Err(_) => None,
        };
        let missing = || Error::NotFound(format!("message {uid} of mailbox {}", mailbox.0));
        let octets =
            self.account.read_blob(blob.ok_or_else(missing)?, start..start.saturating_add(length))?;
        Ok(Answer::Content(octets))
    }

    fn copy(&self, mailbox: MailboxId, uids: &[u32], to: &MailboxName, mode: CopyMode) -> Result<Answer> {
        let (from, to, uids) = (id(mailbox), self.named(to)?.id, convert::uid_set(uids));
        let copied = match mode {
            CopyMode::Copy => self.account.copy(from, &uids, to)?,
            CopyMode::Move => self.account.move_messages(from, &uids, to)?,
        };
        Ok(Answer::Copied(convert::copied(&copied)))
    }

    fn append_begin(
        &mut self,
        mailbox: &MailboxName,
        size: u64,
        replaces: Option<request::Replaced>,
    ) -> Result<Answer> {
        self.appending = None;
        let mailbox = self.named(mailbox)?.id;
        let replaced = match replaces {
            None => None,
            Some(request::Replaced { mailbox, uid }) => {
                match Replaced::find(&self.account, id(mailbox), uid)? {
                    None => return Ok(Answer::Refused(Refusal::Expunged)),
                    found => found,
                }
            }
        };
        self.appending = Some(Appending::begin(&self.store, &self.account, mailbox, size, replaced)?);
        Ok(Answer::Done)
    }

    fn append_url(&mut self, url: &MessageUrl, selected: Option<MailboxId>, at_most: u64) -> Result<Answer> {
        let Some(part) = self.part_at(url, selected)? else {
            return Ok(Answer::Refused(Refusal::BadUrl));
        };
        if part.size() > at_most {
            return Ok(Answer::Refused(Refusal::TooLarge));
        }
        self.go_on_appending(|appending| appending.copy(&part))?;
        Ok(Answer::Taken(part.size()))
    }

    /// What a URL names; nothing where there is no such mailbox, generation of UIDs, message or part.
    fn part_at(&self, url: &MessageUrl, selected: Option<MailboxId>) -> Result<Option<Part>> {
        let mailbox = match (&url.mailbox, selected) {
            (None, Some(selected)) => id(selected),
            (None, None) => return Ok(None),
            (Some(named), _) => match self.named(&named.name) {
                Ok(mailbox) if named.uid_validity.is_none_or(|wanted| wanted == mailbox.uid_validity.0) => {
                    mailbox.id
                }
                Ok(_) | Err(Error::NotFound(_)) => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        Part::find(&self.account, mailbox, url)
    }

    /// An APPEND that fails is forgotten, with everything that it has staged.
    fn go_on_appending(&mut self, step: impl FnOnce(Appending) -> Result<Appending>) -> Result<Answer> {
        self.appending = Some(step(self.appending.take().ok_or_else(no_append)?)?);
        Ok(Answer::Done)
    }
}

fn done<T>(result: Result<T>) -> Result<Answer> {
    result.map(|_| Answer::Done)
}

fn id(mailbox: MailboxId) -> store::MailboxId {
    store::MailboxId(mailbox.0)
}

fn no_append() -> Error {
    Error::Fault("no message is being appended".to_owned())
}
