//! The header fields that clients ask for when they list a mailbox, kept beside the message as they stand in it.
//!
//! In: a header. Out: the kept fields octet for octet, in the order of the header, and the empty line that ends it if it
//! has one: what HEADER.FIELDS (RFC 9051 §6.4.5) answers for any of these names can be cut out of that. Refused: more
//! octets of them than a list of messages should cost; such a message's header is read instead.

use super::{Octets, fields};

/// The names, as Thunderbird, Apple Mail, Outlook, K-9, mutt, Roundcube and mbsync ask for them.
const NAMES: [&str; 26] = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "References",
    "In-Reply-To",
    "Cc",
    "Bcc",
    "Sender",
    "Reply-To",
    "Content-Type",
    "Content-Transfer-Encoding",
    "MIME-Version",
    "Priority",
    "X-Priority",
    "Importance",
    "Precedence",
    "List-Id",
    "List-Post",
    "List-Subscribe",
    "Newsgroups",
    "Disposition-Notification-To",
    "Auto-Submitted",
    "X-Label",
    "Lines",
];

/// The most octets that are kept of one message.
const MOST_OCTETS: usize = 8 * 1024;

/// Whether the field of this name is kept, in any case.
pub fn is_kept(name: &[u8]) -> bool {
    NAMES.iter().any(|kept| name.eq_ignore_ascii_case(kept.as_bytes()))
}

/// The kept fields of a header and its empty line; `None` for too many octets.
pub fn kept_fields(header: &[u8]) -> Option<Octets> {
    let mut kept = Octets::new();
    for field in fields(header).filter(|field| is_kept(field.name)) {
        kept.extend_from_slice(field.octets);
    }
    let last_line = header.split_inclusive(|octet| *octet == b'\n').next_back();
    if matches!(last_line, Some(b"\r\n" | b"\n")) {
        kept.extend_from_slice(b"\r\n");
    }
    (kept.len() <= MOST_OCTETS).then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_kept_as_they_stand() {
        let header = b"Received: x\r\n y\r\nTO : a,\r\n\tb\r\nDKIM-Signature: z\r\nsubject:\r\n\r\n";
        assert_eq!(kept_fields(header).as_deref(), Some(&b"TO : a,\r\n\tb\r\nsubject:\r\n\r\n"[..]));
        assert_eq!(kept_fields(b"To: no end").as_deref(), Some(&b"To: no end"[..]));
        assert_eq!(kept_fields(b"\r\n").as_deref(), Some(&b"\r\n"[..]));
    }

    #[test]
    fn too_much_is_not_kept() {
        let header = [b"References: ".as_slice(), &b"<a@b.example>\r\n ".repeat(1000), b"\r\n\r\n"].concat();
        assert_eq!(kept_fields(&header), None);
    }
}
