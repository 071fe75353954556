//! Translates between the store's types and the core's. Nothing is decided here.

use std::sync::Arc;

use postern_imap::request::{
    Changes, Copied, Counters, FlagChange, Flagged, MailboxId, MailboxInfo, MailboxKind, MailboxStatus,
    Quota, Refusal, Stored, Subscription, Wanted, WantedHeader,
};
use postern_imap::types as imap;
use postern_store::account::{self as store, Flags, Keyword, SystemFlags, UidSet};
use postern_store::structure::{self, Content};
use postern_store::{Error, Timestamp};
use tracing::{error, warn};

use super::accounts::{Permitted, Shared};

const SYSTEM_FLAGS: [(SystemFlags, imap::Flag); 5] = [
    (SystemFlags::ANSWERED, imap::Flag::Answered),
    (SystemFlags::FLAGGED, imap::Flag::Flagged),
    (SystemFlags::DELETED, imap::Flag::Deleted),
    (SystemFlags::SEEN, imap::Flag::Seen),
    (SystemFlags::DRAFT, imap::Flag::Draft),
];

const SPECIAL_USES: [(store::SpecialUse, imap::SpecialUse); 5] = [
    (store::SpecialUse::Archive, imap::SpecialUse::Archive),
    (store::SpecialUse::Drafts, imap::SpecialUse::Drafts),
    (store::SpecialUse::Junk, imap::SpecialUse::Junk),
    (store::SpecialUse::Sent, imap::SpecialUse::Sent),
    (store::SpecialUse::Trash, imap::SpecialUse::Trash),
];

/// The store's words for a refusal; what a person should see goes to the log here.
pub(super) fn refusal(error: &Error) -> Refusal {
    match error {
        Error::NotFound(_) => Refusal::NonExistent,
        Error::Conflict(_) => Refusal::AlreadyExists,
        Error::Permanent(_) => Refusal::Cannot,
        Error::OverQuota => Refusal::OverQuota,
        Error::Temporary(_) | Error::DiskFull(_) => {
            warn!(%error, "the store cannot answer now");
            Refusal::Unavailable
        }
        Error::Corrupt(_) | Error::NewerSchema { .. } | Error::Fault(_) => {
            error!(%error, "the store failed");
            Refusal::Fault
        }
    }
}

/// # Errors
/// A keyword that the store cannot keep.
pub(super) fn flags_to_store(flags: &[imap::Flag]) -> Result<Flags, Error> {
    let mut converted = Flags::default();
    for flag in flags {
        match flag {
            imap::Flag::Keyword(name) => {
                let keyword = Keyword::new(name)?;
                if !converted.keywords.contains(&keyword) {
                    converted.keywords.push(keyword);
                }
            }
            system => converted.system = converted.system | system_flag(system),
        }
    }
    Ok(converted)
}

fn system_flag(flag: &imap::Flag) -> SystemFlags {
    SYSTEM_FLAGS.iter().find(|(_, known)| known == flag).map_or(SystemFlags::empty(), |(bit, _)| *bit)
}

pub(super) fn flags_from_store(flags: &Flags) -> Vec<imap::Flag> {
    let system =
        SYSTEM_FLAGS.iter().filter(|(bit, _)| flags.system.contains(*bit)).map(|(_, flag)| flag.clone());
    let keywords = flags.keywords.iter().map(|keyword| imap::Flag::keyword(keyword.as_str()));
    system.chain(keywords).collect()
}

pub(super) fn flag_change(change: FlagChange, flags: Flags) -> store::FlagChange {
    match change {
        FlagChange::Add => store::FlagChange::Add(flags),
        FlagChange::Remove => store::FlagChange::Remove(flags),
        FlagChange::Replace => store::FlagChange::Replace(flags),
    }
}

pub(super) fn flagged(state: &store::MessageState) -> Flagged {
    Flagged { uid: state.uid.get(), mod_seq: state.mod_seq.0, flags: flags_from_store(&state.flags) }
}

pub(super) fn stored(stored: &store::Stored) -> Stored {
    Stored { messages: stored.messages.iter().map(flagged).collect(), modified: uids(&stored.modified) }
}

pub(super) fn uid_set(uids: &[u32]) -> UidSet {
    UidSet::from_ranges(uids.iter().map(|&uid| uid..=uid))
}

pub(super) fn uids(set: &UidSet) -> Vec<u32> {
    set.iter().map(store::Uid::get).collect()
}

pub(super) fn changes(changes: &store::Changes) -> Changes {
    Changes {
        mod_seq: changes.mailbox.highest_mod_seq.0,
        changed: changes.changed.iter().map(flagged).collect(),
        expunged: uids(&changes.vanished),
    }
}

pub(super) fn copied(copied: &store::Copied) -> Copied {
    Copied {
        uid_validity: copied.uid_validity.0,
        uids: copied.uids.iter().map(|(from, to)| (from.get(), to.get())).collect(),
    }
}

pub(super) fn special_use_to_store(special_use: imap::SpecialUse) -> Option<store::SpecialUse> {
    SPECIAL_USES.iter().find(|(_, known)| *known == special_use).map(|(ours, _)| *ours)
}

pub(super) fn mailbox_info(account: store::AccountId, mailbox: &store::Mailbox) -> MailboxInfo {
    let special_use =
        mailbox.special_use.and_then(|wanted| SPECIAL_USES.iter().find(|(known, _)| *known == wanted));
    MailboxInfo {
        name: imap::MailboxName::new(&mailbox.name),
        kind: if mailbox.selectable { MailboxKind::Selectable } else { MailboxKind::NotSelectable },
        special_use: special_use.map(|(_, theirs)| *theirs),
        subscription: if mailbox.subscribed { Subscription::Subscribed } else { Subscription::Unsubscribed },
        rights: letters(store::Rights::ALL),
        counters: mailbox.selectable.then(|| counters(account, mailbox)),
    }
}

fn counters(account: store::AccountId, mailbox: &store::Mailbox) -> Counters {
    Counters {
        mailbox: MailboxId { account: account.0, mailbox: mailbox.id.0 },
        messages: mailbox.messages,
        uid_next: mailbox.uid_next,
        uid_validity: mailbox.uid_validity.0,
        unseen: mailbox.unseen,
        mod_seq: mailbox.highest_mod_seq.0,
    }
}

/// Another user's mailbox in a list. Its special use is its owner's, and no program must take it for the user's own.
pub(super) fn shared_info(shared: &Shared, subscription: Subscription) -> MailboxInfo {
    let own = mailbox_info(shared.account, &shared.mailbox);
    MailboxInfo {
        name: shared.name.clone(),
        special_use: None,
        subscription,
        rights: letters(shared.rights),
        ..own
    }
}

/// With what is looked up for STATUS alone: the messages that are recent, and the octets of the deleted ones.
pub(super) fn status(
    permitted: &Permitted,
    mailbox: &store::Mailbox,
    (recent, deleted_size): (u32, u64),
) -> MailboxStatus {
    MailboxStatus {
        messages: mailbox.messages,
        recent,
        uid_next: mailbox.uid_next,
        uid_validity: mailbox.uid_validity.0,
        unseen: mailbox.unseen,
        deleted: mailbox.deleted,
        size: mailbox.size,
        deleted_size,
        mod_seq: mailbox.highest_mod_seq.0,
        object_id: permitted.object_id(mailbox.id),
    }
}

/// Rights as they stand on the wire, with `c` and `d` (RFC 4314 §2.1.1).
pub(super) fn letters(rights: store::Rights) -> imap::Rights {
    imap::Rights::new(&rights.to_string()).unwrap_or_default()
}

/// The flags that somebody may change: of the system's, and of the keywords in use.
pub(super) fn changeable(mask: store::FlagMask, keywords: &[Keyword]) -> Vec<imap::Flag> {
    let flags = Flags { system: mask.system, keywords: keywords.to_vec() };
    flags_from_store(&mask.of(&flags))
}

pub(super) fn quota(root: &str, usage: &store::Usage) -> Quota {
    Quota {
        root: root.to_owned(),
        octets: usage.octets,
        max_octets: usage.limits.octets,
        messages: usage.messages,
        max_messages: usage.limits.messages,
    }
}

/// The store keeps moments in UTC.
pub(super) fn date_time(moment: Timestamp) -> imap::DateTime {
    imap::DateTime { seconds: moment.as_second(), zone_minutes: 0 }
}

/// A moment out of the calendar's range is taken for now.
pub(super) fn timestamp(date: imap::DateTime) -> Timestamp {
    Timestamp::from_second(date.seconds).unwrap_or_else(|_| Timestamp::now())
}

/// A message of which only the flags were asked for.
pub(super) fn state(state: &store::MessageState) -> imap::Message {
    let Flagged { uid, mod_seq, flags } = flagged(state);
    imap::Message {
        uid,
        mod_seq,
        flags,
        arrival: None,
        envelope: None,
        structure: None,
        object_ids: None,
        preview: None,
        header: None,
        octets: None,
    }
}

pub(super) fn message(permitted: &Permitted, message: store::Message, wanted: &Wanted) -> imap::Message {
    let object_ids = wanted.object_ids.then(|| imap::ObjectIds {
        email: permitted.object_id(message.email.id),
        thread: permitted.object_id(message.email.thread),
    });
    let (envelope, structure) = match message.email.structure {
        Some(structure::Structure { envelope: found, root, .. }) => (Some(envelope(found)), Some(part(root))),
        None => (message.email.envelope.map(envelope), None),
    };
    imap::Message {
        uid: message.uid.get(),
        mod_seq: message.mod_seq.0,
        flags: flags_from_store(&message.flags),
        arrival: Some(imap::Arrival {
            internal_date: date_time(message.email.internal_date),
            save_date: date_time(message.save_date),
            size: message.email.size,
        }),
        envelope: envelope.map(Arc::new),
        structure: structure.map(Arc::new),
        object_ids,
        preview: wanted.preview.then_some(message.email.preview),
        header: message.email.header,
        octets: message.email.octets,
    }
}

/// The kept fields do, where they are all that is asked for.
pub(super) fn header(wanted: &WantedHeader) -> store::Header {
    match wanted {
        WantedHeader::Nothing => store::Header::None,
        WantedHeader::Fields(names) if names.iter().all(|name| structure::is_kept(name)) => {
            store::Header::Kept
        }
        WantedHeader::Fields(_) | WantedHeader::Whole => store::Header::Whole,
    }
}

fn envelope(envelope: structure::Envelope) -> imap::Envelope {
    let list = |addresses: Vec<structure::Address>| addresses.into_iter().map(address).collect();
    imap::Envelope {
        date: envelope.date,
        subject: envelope.subject,
        from: list(envelope.from),
        sender: list(envelope.sender),
        reply_to: list(envelope.reply_to),
        to: list(envelope.to),
        cc: list(envelope.cc),
        bcc: list(envelope.bcc),
        in_reply_to: envelope.in_reply_to,
        message_id: envelope.message_id,
    }
}

fn address(address: structure::Address) -> imap::Address {
    let structure::Address { name, route, mailbox, host } = address;
    imap::Address { name, route, mailbox, host }
}

pub(super) fn part(part: structure::Part) -> imap::BodyStructure {
    let span = |range: std::ops::Range<u64>| imap::Span { start: range.start, end: range.end };
    let is_message = part.media_type.eq_ignore_ascii_case(b"message");
    let is_text = part.media_type.eq_ignore_ascii_case(b"text");
    let (mut media_type, mut subtype) = (part.media_type, part.subtype);
    let kind = match part.content {
        Content::Multipart(parts) => imap::BodyKind::Multipart(parts.into_iter().map(self::part).collect()),
        Content::Message(message) => imap::BodyKind::Message {
            lines: part.lines,
            envelope: Box::new(envelope(message.envelope)),
            structure: Box::new(self::part(message.root)),
        },
        Content::Leaf if is_text => imap::BodyKind::Text { lines: part.lines },
        Content::Leaf => imap::BodyKind::Basic,
    };
    let whole = subtype.eq_ignore_ascii_case(b"rfc822") || subtype.eq_ignore_ascii_case(b"global");
    if kind == imap::BodyKind::Basic && is_message && whole {
        // RFC 9051 §9 `media-basic`: what was not opened cannot be shown as message/rfc822.
        (media_type, subtype) = (b"application".to_vec(), b"octet-stream".to_vec());
    }
    imap::BodyStructure {
        kind,
        media_type,
        subtype,
        parameters: part.parameters,
        id: part.id,
        description: part.description,
        encoding: part.encoding,
        md5: part.md5,
        disposition: part.disposition.map(|disposition| (disposition.kind, disposition.parameters)),
        language: part.languages,
        location: part.location,
        header: span(part.header),
        body: span(part.body),
    }
}
