//! URLs of messages and their parts on this server, as CATENATE has them (RFC 5092 §11 `iabsolute-path` and
//! `irelative-path`, RFC 4469 §3).
//!
//! In: `/Drafts;UIDVALIDITY=385759045/;UID=20/;SECTION=1.MIME`, also without the slash in front, or from `;UID` on: then
//! the selected mailbox is meant. Refused: URLs with a scheme or a server, searches, URLAUTH (RFC 4467).

use crate::parser::Parser;
use crate::types::{MailboxName, NameEncoding, Partial, Section};

/// A message, or what of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageUrl {
    /// Where it is; in the selected mailbox, if absent.
    pub mailbox: Option<UrlMailbox>,
    /// The message.
    pub uid: u32,
    /// What of it.
    pub section: Section,
    /// What of that.
    pub partial: Option<Partial>,
}

/// `imailbox-ref`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlMailbox {
    /// Its name.
    pub name: MailboxName,
    /// The generation of UIDs that the URL was made for.
    pub uid_validity: Option<u32>,
}

impl MessageUrl {
    /// Reads a URL; `None` for one that does not name a message on this server.
    pub fn parse(url: &[u8]) -> Option<MessageUrl> {
        let url = std::str::from_utf8(url).ok()?;
        let (mailbox, rest) = split_at_uid(url)?;
        let mut parameters = rest.split("/;");
        let uid = value(parameters.next()?, "UID")?.parse().ok().filter(|uid| *uid > 0)?;
        let mut next = parameters.next();
        let section = next.and_then(|text| value(text, "SECTION"));
        if section.is_some() {
            next = parameters.next();
        }
        let partial = match next {
            None => None,
            Some(text) => Some(partial(value(text, "PARTIAL")?)?),
        };
        if parameters.next().is_some() {
            return None;
        }
        let section = section.map_or(Some(Section::default()), self::section)?;
        Some(MessageUrl { mailbox: self::mailbox(mailbox)?, uid, section, partial })
    }
}

/// What stands before `;UID=`, and what from `UID=` on.
fn split_at_uid(url: &str) -> Option<(&str, &str)> {
    let upper = url.to_ascii_uppercase();
    if upper.starts_with(";UID=") {
        return Some(("", url.get(1..)?));
    }
    let at = upper.find("/;UID=")?;
    Some((url.get(..at)?, url.get(at + 2..)?))
}

fn value<'a>(parameter: &'a str, name: &str) -> Option<&'a str> {
    let (found, value) = parameter.split_once('=')?;
    found.eq_ignore_ascii_case(name).then_some(value)
}

fn mailbox(text: &str) -> Option<Option<UrlMailbox>> {
    if text.is_empty() {
        return Some(None);
    }
    let text = text.strip_prefix('/').unwrap_or(text);
    let (name, uid_validity) = match text.rsplit_once(';') {
        Some((name, parameter)) => (name, Some(value(parameter, "UIDVALIDITY")?.parse().ok()?)),
        None => (text, None),
    };
    // RFC 5092 §11: neither a server (`//`), nor a scheme, nor a search.
    if name.is_empty() || name.starts_with('/') || name.contains([';', ':', '?']) {
        return None;
    }
    let name = MailboxName::decode(&decoded(name)?, NameEncoding::Utf8)?;
    Some(Some(UrlMailbox { name, uid_validity }))
}

fn section(text: &str) -> Option<Section> {
    let bracketed = [b"[".as_slice(), &decoded(text)?, b"]"].concat();
    let mut parser = Parser::new(&bracketed, NameEncoding::Utf8);
    let section = Section::parse(&mut parser).ok()?;
    parser.end().ok().map(|()| section)
}

/// `number ["." nz-number]`
fn partial(text: &str) -> Option<Partial> {
    let (offset, count) = match text.split_once('.') {
        Some((offset, count)) => (offset, count.parse().ok().filter(|count| *count > 0)?),
        None => (text, u64::MAX),
    };
    Some(Partial { offset: offset.parse().ok()?, count })
}

/// Takes off the `%` encoding.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut octets = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(octet) = octets.next() {
        if octet != b'%' {
            decoded.push(octet);
            continue;
        }
        let mut digit = || octets.next().and_then(|octet| char::from(octet).to_digit(16));
        decoded.push(u8::try_from(digit()? << 4 | digit()?).ok()?);
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::SectionText;

    fn parsed(url: &str) -> Option<MessageUrl> {
        MessageUrl::parse(url.as_bytes())
    }

    #[test]
    fn the_forms_of_the_rfc() {
        let url = parsed("/Drafts;UIDVALIDITY=385759045/;UID=20/;section=1.MIME").unwrap();
        let mailbox = UrlMailbox { name: MailboxName::new("Drafts"), uid_validity: Some(385_759_045) };
        assert_eq!((url.mailbox, url.uid), (Some(mailbox), 20));
        assert_eq!(url.section, Section { part: vec![1], text: Some(SectionText::Mime) });
        let url = parsed("/a%2fb/c%C3%A4/;uid=3/;PARTIAL=5.10").unwrap();
        assert_eq!(url.mailbox.unwrap().name.as_str(), "a/b/cä");
        assert_eq!(url.partial, Some(Partial { offset: 5, count: 10 }));
        assert_eq!(parsed(";UID=20").unwrap().mailbox, None);
        let fields = parsed("Sent/;UID=1/;SECTION=HEADER.FIELDS%20(From%20To)/;PARTIAL=0").unwrap();
        assert!(matches!(fields.section.text, Some(SectionText::HeaderFields(names)) if names.len() == 2));
    }

    #[test]
    fn what_is_no_message_of_this_server_is_refused() {
        for wrong in [
            "imap://other.example/INBOX/;UID=1",
            "//other.example/INBOX/;UID=1",
            "/INBOX",
            "/INBOX/;UID=0",
            "/INBOX/;UID=x",
            "/INBOX;UIDVALIDITY=x/;UID=1",
            "/INBOX?TEXT%20x/;UID=1",
            "/INBOX/;UID=1/;SECTION=1]x",
            "/INBOX/;UID=1/;SECTION=%2",
            "/INBOX/;UID=1;URLAUTH=anonymous",
            "/INBOX/;UID=1/;PARTIAL=1.0",
            "/INBOX/;UID=1/;PARTIAL=1/;SECTION=1",
            "",
        ] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}
