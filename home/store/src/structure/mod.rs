//! A message's structure, found once when it is stored and kept beside it, so that ENVELOPE, BODYSTRUCTURE and
//! `BODY[1.2.MIME]` need no parsing later.
//!
//! In: the octets of a message. Out: a [`Structure`]: the envelope's fields as they stand in the message (unfolded,
//! encoded-words kept, RFC 9051 §7.5.2), and the tree of body parts with the place of every header and body. All
//! places are octet ranges of the whole message. Refused: nothing. What is not understood is kept as a single
//! `text/plain` or `application/octet-stream` leaf; depth and number of parts are bounded.

mod address;
mod encoding;
mod header;
mod kept;
mod parse;
mod subject;
pub mod text;

use std::ops::Range;

pub use encoding::Mentioned;
pub use header::{Field, fields, unfold};
pub use kept::{is_kept, kept_fields};
pub use parse::message_ids;
pub use subject::{base_subject, is_reply_or_forward};

/// Octets as they stand in the message, in no particular character set.
pub type Octets = Vec<u8>;

/// The fields of ENVELOPE (RFC 9051 §7.5.2). A field that is missing is `None` or empty; one that is there but empty
/// is `Some` of nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope {
    /// `Date`
    pub date: Option<Octets>,
    /// `Subject`
    pub subject: Option<Octets>,
    /// `From`
    pub from: Vec<Address>,
    /// `Sender`; where empty, ENVELOPE shows `from` (see [`Envelope::sender_or_from`]).
    pub sender: Vec<Address>,
    /// `Reply-To`; where empty, ENVELOPE shows `from`.
    pub reply_to: Vec<Address>,
    /// `To`
    pub to: Vec<Address>,
    /// `Cc`
    pub cc: Vec<Address>,
    /// `Bcc`
    pub bcc: Vec<Address>,
    /// `In-Reply-To`
    pub in_reply_to: Option<Octets>,
    /// `Message-ID`
    pub message_id: Option<Octets>,
}

impl Envelope {
    /// The `Sender` addresses, or `From` where there are none.
    pub fn sender_or_from(&self) -> &[Address] {
        if self.sender.is_empty() { &self.from } else { &self.sender }
    }

    /// The `Reply-To` addresses, or `From` where there are none.
    pub fn reply_to_or_from(&self) -> &[Address] {
        if self.reply_to.is_empty() { &self.from } else { &self.reply_to }
    }
}

/// An address as ENVELOPE shows it. A group begins with an address without host whose mailbox is the group's name,
/// and ends with one that has neither (RFC 9051 §7.5.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Address {
    /// The display name, quotes taken off, encoded-words kept.
    pub name: Option<Octets>,
    /// The obsolete source route (`@a,@b`).
    pub route: Option<Octets>,
    /// The local part, or a group's name.
    pub mailbox: Option<Octets>,
    /// The domain; empty where it is missing in the message, because `None` would make it a group.
    pub host: Option<Octets>,
}

/// A parameter of Content-Type or Content-Disposition: name and value, quotes taken off.
pub type Parameter = (Octets, Octets);

/// `Content-Disposition` (RFC 2183).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Disposition {
    /// `inline`, `attachment`, …
    pub kind: Octets,
    /// `filename` and others.
    pub parameters: Vec<Parameter>,
}

/// One body part (RFC 9051 §7.5.2, BODYSTRUCTURE).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where the part's header is, with its closing empty line.
    pub header: Range<u64>,
    /// Where the part's body is, still transfer-encoded.
    pub body: Range<u64>,
    /// Line ends in the body, as `body-fld-lines` counts them.
    pub lines: u64,
    /// The media type, such as `text`, as spelled.
    pub media_type: Octets,
    /// The media subtype, such as `plain`, as spelled.
    pub subtype: Octets,
    /// The parameters of Content-Type, such as `charset`.
    pub parameters: Vec<Parameter>,
    /// `Content-ID`
    pub id: Option<Octets>,
    /// `Content-Description`
    pub description: Option<Octets>,
    /// `Content-Transfer-Encoding`; `7BIT` where the field is missing.
    pub encoding: Octets,
    /// `Content-MD5`
    pub md5: Option<Octets>,
    /// `Content-Disposition`
    pub disposition: Option<Disposition>,
    /// `Content-Language`
    pub languages: Vec<Octets>,
    /// `Content-Location`
    pub location: Option<Octets>,
    /// What is inside.
    pub content: Content,
}

/// What a part holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Octets.
    Leaf,
    /// `multipart/*`: its parts, at least one.
    Multipart(Vec<Part>),
    /// `message/rfc822` or `message/global`: the message within; the part's body is the whole of it.
    Message(Box<Structure>),
}

/// A message: its envelope, and its root part whose header is the message header and whose body is its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Structure {
    /// The envelope.
    pub envelope: Envelope,
    /// `References`
    pub references: Option<Octets>,
    /// The root of the tree of parts.
    pub root: Part,
}

/// Which octets of a part a section names (RFC 9051 §6.4.5.1, `section-text`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SectionText {
    /// Nothing after the part number: the body, or the whole message where there is no number either.
    Body,
    /// `HEADER`
    Header,
    /// `TEXT`
    Text,
    /// `MIME`
    Mime,
}

impl Structure {
    /// The part with this number, `[1, 2]` for `1.2`. The root of a message that is no multipart is part 1.
    pub fn part(&self, number: &[u32]) -> Option<&Part> {
        let (first, rest) = number.split_first()?;
        let part = match &self.root.content {
            Content::Multipart(parts) => child(parts, *first)?,
            Content::Leaf | Content::Message(_) if *first == 1 => &self.root,
            Content::Leaf | Content::Message(_) => return None,
        };
        part.descend(rest)
    }

    /// Where the octets of `BODY[number.text]` are in the message; `None` if there is no such section.
    pub fn section(&self, number: &[u32], text: SectionText) -> Option<Range<u64>> {
        if number.is_empty() {
            return match text {
                SectionText::Body => Some(self.root.header.start..self.root.body.end),
                SectionText::Header => Some(self.root.header.clone()),
                SectionText::Text => Some(self.root.body.clone()),
                SectionText::Mime => None,
            };
        }
        let part = self.part(number)?;
        match (text, &part.content) {
            (SectionText::Body, _) => Some(part.body.clone()),
            (SectionText::Mime, _) => Some(part.header.clone()),
            (SectionText::Header, Content::Message(message)) => Some(message.root.header.clone()),
            (SectionText::Text, Content::Message(message)) => Some(message.root.body.clone()),
            (SectionText::Header | SectionText::Text, _) => None,
        }
    }
}

impl Part {
    fn descend(&self, number: &[u32]) -> Option<&Part> {
        let Some((first, rest)) = number.split_first() else { return Some(self) };
        match &self.content {
            Content::Multipart(parts) => child(parts, *first)?.descend(rest),
            Content::Message(message) => message.part(number),
            Content::Leaf => None,
        }
    }

    /// Whether the media type and subtype are these, in any case.
    pub fn is(&self, media_type: &str, subtype: &str) -> bool {
        self.media_type.eq_ignore_ascii_case(media_type.as_bytes())
            && self.subtype.eq_ignore_ascii_case(subtype.as_bytes())
    }

    /// The value of the Content-Type parameter `name`, in any case.
    pub fn parameter(&self, name: &str) -> Option<&[u8]> {
        let found = self.parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| value.as_slice())
    }

    /// This part and all below it, parents before children, enclosed messages included.
    pub fn walk(&self) -> Vec<&Part> {
        let mut found = vec![self];
        match &self.content {
            Content::Leaf => {}
            Content::Multipart(parts) => found.extend(parts.iter().flat_map(Part::walk)),
            Content::Message(message) => found.extend(message.root.walk()),
        }
        found
    }
}

fn child(parts: &[Part], number: u32) -> Option<&Part> {
    parts.get(usize::try_from(number).ok()?.checked_sub(1)?)
}
