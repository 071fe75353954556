//! The envelope of a message: its chief header fields, parsed (RFC 9051 §7.5.2 ENVELOPE).
//!
//! Texts stand as in the header, unfolded, encoded words (RFC 2047) not decoded; a client decodes them.

use crate::response::encode;

/// The ten members, in the order of the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Date, unfolded.
    pub date: Option<Vec<u8>>,
    /// Subject, unfolded.
    pub subject: Option<Vec<u8>>,
    /// From.
    pub from: Vec<Address>,
    /// Sender; empty means as From (RFC 9051 §7.5.2).
    pub sender: Vec<Address>,
    /// Reply-To; empty means as From.
    pub reply_to: Vec<Address>,
    /// To.
    pub to: Vec<Address>,
    /// Cc.
    pub cc: Vec<Address>,
    /// Bcc.
    pub bcc: Vec<Address>,
    /// In-Reply-To, unfolded.
    pub in_reply_to: Option<Vec<u8>>,
    /// Message-ID, unfolded.
    pub message_id: Option<Vec<u8>>,
}

/// An address, or the start or end of a group (RFC 9051 §7.5.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Address {
    /// Display name, quoting removed.
    pub name: Option<Vec<u8>>,
    /// Source route (obsolete).
    pub route: Option<Vec<u8>>,
    /// Local part; a group's name where `host` is absent; absent at a group's end.
    pub mailbox: Option<Vec<u8>>,
    /// Domain.
    pub host: Option<Vec<u8>>,
}

impl Envelope {
    /// Writes the parenthesised list.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(b'(');
        encode::nstring(self.date.as_deref(), out);
        out.push(b' ');
        encode::nstring(self.subject.as_deref(), out);
        let Envelope { from, sender, reply_to, to, cc, bcc, .. } = self;
        for list in [from, or(sender, from), or(reply_to, from), to, cc, bcc] {
            out.push(b' ');
            addresses(list, out);
        }
        out.push(b' ');
        encode::nstring(self.in_reply_to.as_deref(), out);
        out.push(b' ');
        encode::nstring(self.message_id.as_deref(), out);
        out.push(b')');
    }
}

fn or<'e>(list: &'e [Address], from: &'e [Address]) -> &'e [Address] {
    if list.is_empty() { from } else { list }
}

fn addresses(list: &[Address], out: &mut Vec<u8>) {
    if list.is_empty() {
        return out.extend_from_slice(b"NIL");
    }
    out.push(b'(');
    for address in list {
        let parts = [&address.name, &address.route, &address.mailbox, &address.host];
        encode::parenthesised(parts, |part, out| encode::nstring(part.as_deref(), out), out);
    }
    out.push(b')');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sender_and_reply_to_default_to_from() {
        let ana = Address {
            mailbox: Some(b"ana".into()),
            host: Some(b"home.example".into()),
            ..Address::default()
        };
        let envelope = Envelope { from: vec![ana], subject: Some(b"a \"b\"".into()), ..Envelope::default() };
        let mut out = Vec::new();
        envelope.encode(&mut out);
        let address = r#"((NIL NIL "ana" "home.example"))"#;
        let expected = format!(r#"(NIL "a \"b\"" {address} {address} {address} NIL NIL NIL NIL NIL)"#);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
