//! The part of a message that is a report.
//!
//! In: a parsed message. Out: the octets of its first part whose media type, or whose file name, is one that reports have.
//! What is in it is decided by what it holds: senders name things as they like.

use mail_parser::{Message, MessagePart, MimeHeaders};

/// Subtypes of `application` and `text`.
const SUBTYPES: [&str; 8] =
    ["gzip", "x-gzip", "zip", "x-zip", "x-zip-compressed", "xml", "tlsrpt+gzip", "tlsrpt+json"];
const EXTENSIONS: [&str; 5] = ["gz", "gzip", "zip", "xml", "json"];

/// The report's octets, as they were attached.
pub(crate) fn find<'a>(message: &'a Message<'_>) -> Option<&'a [u8]> {
    message.parts.iter().find(|part| is_report(part)).map(MessagePart::contents)
}

fn is_report(part: &MessagePart<'_>) -> bool {
    let subtype = part.content_type().and_then(|content_type| content_type.subtype());
    let extension =
        part.attachment_name().and_then(|name| name.rsplit_once('.')).map(|(_, extension)| extension);
    let is_one_of = |word: Option<&str>, known: &[&str]| {
        word.is_some_and(|word| known.iter().any(|known| known.eq_ignore_ascii_case(word)))
    };
    is_one_of(subtype, &SUBTYPES) || is_one_of(extension, &EXTENSIONS)
}
