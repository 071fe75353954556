//! What is found out about a message once, before it is stored, and kept in columns.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::thread::ThreadKeys;
use crate::stage::StagedMessage;
use crate::structure::{self, Address, Content, Part, Structure, base_subject, message_ids, text};
use crate::{Result, Timestamp};

/// The longest preview, in characters (RFC 8970 §2.1 asks for at most 200).
const PREVIEW: usize = 200;

/// How much of a text part is read for the preview, in octets.
const PREVIEW_SOURCE: usize = 16 * 1024;

/// The most references that lead to a conversation; of more, the last ones count.
pub(super) const MAX_REFERENCES: usize = 100;

/// The columns of an email that come from its octets.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(super) header_size: u64,
    /// Seconds since 1970; `None` if the Date field makes no sense, and then the internal date stands in for it
    /// (RFC 5256 §2.2).
    pub(super) sent_date: Option<i64>,
    pub(super) base_subject: String,
    pub(super) sort_from: String,
    pub(super) sort_to: String,
    pub(super) sort_cc: String,
    pub(super) display_from: String,
    pub(super) display_to: String,
    pub(super) has_attachment: bool,
    pub(super) preview: String,
    pub(super) thread_keys: ThreadKeys,
    /// The stored form of the structure.
    pub(super) structure: Vec<u8>,
    /// See [`structure::kept_fields`].
    pub(super) kept_fields: Option<Vec<u8>>,
}

impl Parsed {
    /// What a message's octets say, found out at the first call.
    pub(crate) fn of(message: &StagedMessage) -> Result<Arc<Parsed>> {
        message.parsed_or(Parsed::new)
    }

    fn new(message: &StagedMessage) -> Result<Parsed> {
        let octets = message.bytes()?;
        let structure = Structure::parse(&octets);
        let envelope = &structure.envelope;
        Ok(Parsed {
            header_size: structure.root.header.end,
            sent_date: sent_date(envelope.date.as_deref()),
            base_subject: base_subject(envelope.subject.as_deref().unwrap_or_default()),
            sort_from: sort_key(&envelope.from),
            sort_to: sort_key(&envelope.to),
            sort_cc: sort_key(&envelope.cc),
            display_from: display_key(&envelope.from),
            display_to: display_key(&envelope.to),
            has_attachment: has_attachment(&structure.root),
            preview: preview(&structure.root, &octets),
            thread_keys: thread_keys(&structure),
            structure: structure.encode(),
            kept_fields: kept_fields(&octets, structure.root.header.end),
        })
    }
}

fn kept_fields(octets: &[u8], header_size: u64) -> Option<Vec<u8>> {
    structure::kept_fields(octets.get(..usize::try_from(header_size).ok()?)?)
}

fn sent_date(date: Option<&[u8]>) -> Option<i64> {
    let text = String::from_utf8_lossy(date?);
    let parsed = mail_parser::DateTime::parse_rfc822(&text).filter(mail_parser::DateTime::is_valid)?;
    Timestamp::from_second(parsed.to_timestamp()).ok().map(Timestamp::as_second)
}

/// RFC 5256 §3: the local part of the first address.
fn sort_key(addresses: &[Address]) -> String {
    let mailbox = addresses.first().and_then(|address| address.mailbox.as_deref());
    String::from_utf8_lossy(mailbox.unwrap_or_default()).to_uppercase()
}

/// RFC 5957 §3: the first address's display name, or the address.
fn display_key(addresses: &[Address]) -> String {
    let Some(Address { name, mailbox, host, .. }) = addresses.first() else { return String::new() };
    if let Some(name) = name.as_deref().filter(|name| !name.is_empty()) {
        return text::decode_header(name).to_uppercase();
    }
    let part = |octets: &Option<Vec<u8>>| {
        String::from_utf8_lossy(octets.as_deref().unwrap_or_default()).into_owned()
    };
    match host {
        Some(_) => format!("{}@{}", part(mailbox), part(host)).to_uppercase(),
        None => part(mailbox).to_uppercase(),
    }
}

/// Whether a person would say that the message has something attached (RFC 8621 §4.1.4).
fn has_attachment(part: &Part) -> bool {
    let disposition = part.disposition.as_ref().map(|disposition| disposition.kind.as_slice());
    if disposition.is_some_and(|kind| kind.eq_ignore_ascii_case(b"attachment")) {
        return true;
    }
    match &part.content {
        Content::Message(_) => true,
        // The parts of a signature or of an encrypted message are machinery.
        Content::Multipart(parts) if part.is("multipart", "signed") => {
            parts.first().is_some_and(has_attachment)
        }
        Content::Multipart(_) if part.is("multipart", "encrypted") => false,
        Content::Multipart(parts) if part.is("multipart", "report") => {
            parts.iter().skip(3).any(has_attachment)
        }
        Content::Multipart(parts) => parts.iter().any(has_attachment),
        Content::Leaf if part.media_type.eq_ignore_ascii_case(b"text") => part.is("text", "calendar"),
        // An image with a Content-ID is shown inside the text.
        Content::Leaf => part.id.is_none() && !part.is("application", "pkcs7-signature"),
    }
}

/// The beginning of the first text, quotations left out, white space made single spaces.
fn preview(root: &Part, octets: &[u8]) -> String {
    let Some(part) = first_text(root, "plain").or_else(|| first_text(root, "html")) else {
        return String::new();
    };
    let start = usize::try_from(part.body.start).unwrap_or(usize::MAX);
    let end = usize::try_from(part.body.end).unwrap_or(usize::MAX).min(start.saturating_add(PREVIEW_SOURCE));
    let decoded = text::decode_text(part, octets.get(start..end).unwrap_or_default());
    let plain = if part.is("text", "html") { text::html_to_text(&decoded) } else { decoded };
    let mut preview = String::new();
    for word in plain.lines().filter(|line| !line.starts_with('>')).flat_map(str::split_whitespace) {
        if !preview.is_empty() {
            preview.push(' ');
        }
        preview.push_str(word);
        if preview.len() > 4 * PREVIEW {
            break;
        }
    }
    preview.chars().filter(|character| !character.is_control()).take(PREVIEW).collect()
}

fn first_text<'a>(part: &'a Part, subtype: &str) -> Option<&'a Part> {
    match &part.content {
        Content::Leaf => part.is("text", subtype).then_some(part),
        Content::Multipart(parts) => parts.iter().find_map(|part| first_text(part, subtype)),
        Content::Message(_) => None,
    }
}

fn thread_keys(structure: &Structure) -> ThreadKeys {
    let envelope = &structure.envelope;
    let references = structure.references.as_deref().map(message_ids).unwrap_or_default();
    let known = references.len().saturating_sub(MAX_REFERENCES);
    let others = [&envelope.in_reply_to, &envelope.message_id];
    let others = others.into_iter().flatten().flat_map(|value| message_ids(value).into_iter().take(4));
    let mut ids: Vec<i64> =
        references.into_iter().skip(known).chain(others).map(|id| short_hash(&id)).collect();
    ids.sort_unstable();
    ids.dedup();
    ThreadKeys { ids, subject: short_hash(conversation(envelope).as_bytes()) }
}

/// The subject of a conversation: the base subject, and the reply marks of other languages taken off too.
fn conversation(envelope: &structure::Envelope) -> String {
    let base = base_subject(envelope.subject.as_deref().unwrap_or_default()).to_lowercase();
    mail_parser::parsers::fields::thread::thread_name(&base).to_owned()
}

/// Eight octets of SHA-256: two different ids that meet in one hash would at worst share a conversation.
pub(super) fn short_hash(octets: &[u8]) -> i64 {
    let hash: [u8; 32] = Sha256::digest(octets).into();
    hash.iter().take(8).fold(0, |number, octet| (number << 8) | i64::from(*octet))
}
