//! Which mailboxes of a server are moved, and where each leads.
//!
//! In: what LIST and NAMESPACE say. Out: each mailbox with its name on the wire and its place here. Left out: names without
//! messages; mailboxes that only show what lies in others (`\All`, `\Flagged`, `\Important` of RFC 6154 and RFC 8457); other users' and shared mailboxes. At
//! Gmail it is the other way round: All Mail, Spam and Trash hold every message once, and their labels say where each
//! belongs. A personal namespace such as `INBOX.` goes from the names (RFC 2342), the server's separator becomes `/`.

use postern_imap::types::NameEncoding;
use postern_store::account::SpecialUse;

use super::connection::{Connection, Trouble, quoted};
use super::value::{Value, values};
use crate::import::intake::{ARCHIVE, Place};

/// A mailbox that is moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mailbox {
    /// Its name as the server wrote it.
    pub(super) wire: Vec<u8>,
    /// Its name for people.
    pub(super) name: String,
    /// Where its messages belong, if no label says so.
    pub(super) place: Place,
}

/// Personal prefix, and prefixes of what is not the user's own.
#[derive(Debug, Default, PartialEq, Eq)]
struct Namespaces {
    personal: String,
    others: Vec<String>,
}

/// One line of LIST.
#[derive(Debug)]
struct Listed {
    attributes: Vec<String>,
    separator: Option<char>,
    wire: Vec<u8>,
}

/// Asks the server.
pub(super) fn list(connection: &mut Connection, is_gmail: bool) -> Result<Vec<Mailbox>, Trouble> {
    let mut namespaces = Namespaces::default();
    if connection.can("NAMESPACE") {
        connection.command("NAMESPACE", |response| {
            namespaces = read_namespaces(&response.line).unwrap_or_default();
            Ok(())
        })?;
    }
    // Gmail and others tell the uses unasked; RFC 6154 §2 has servers that want to be asked.
    let asked = connection.can("SPECIAL-USE") && connection.can("LIST-EXTENDED");
    let command = if asked { "LIST \"\" \"*\" RETURN (SPECIAL-USE)" } else { "LIST \"\" \"*\"" };
    let mut listed = Vec::new();
    connection.command(command, |response| {
        listed.extend(read_listed(&response.line));
        Ok(())
    })?;
    if !is_gmail {
        return Ok(listed.iter().filter_map(|listed| own(listed, &namespaces)).collect());
    }
    let found: Vec<Mailbox> = listed.iter().filter_map(of_gmail).collect();
    match listed.iter().any(|listed| listed.has("\\All")) {
        true => Ok(found),
        false => Err(Trouble::Refused(
            "Gmail does not show \"All Mail\" by IMAP. Switch that on (Settings, Labels, All Mail: Show in IMAP) and run \
             the command again"
                .to_owned(),
        )),
    }
}

/// The argument of EXAMINE.
pub(super) fn wire_argument(mailbox: &Mailbox) -> Result<String, Trouble> {
    let wire = std::str::from_utf8(&mailbox.wire);
    quoted(wire.map_err(|_| Trouble::Refused("its name is no text".to_owned()))?)
}

impl Listed {
    fn has(&self, attribute: &str) -> bool {
        self.attributes.iter().any(|known| known.eq_ignore_ascii_case(attribute))
    }

    fn name(&self) -> String {
        let name = NameEncoding::ModifiedUtf7.decode(&self.wire);
        name.unwrap_or_else(|| String::from_utf8_lossy(&self.wire).into_owned())
    }

    fn special_use(&self) -> Option<SpecialUse> {
        self.attributes.iter().find_map(|known| SpecialUse::parse(known.strip_prefix('\\')?))
    }

    fn is_selectable(&self) -> bool {
        !self.has("\\Noselect") && !self.has("\\NonExistent")
    }
}

fn own(listed: &Listed, namespaces: &Namespaces) -> Option<Mailbox> {
    const VIEWS: [&str; 3] = ["\\All", "\\Flagged", "\\Important"];
    let full = listed.name();
    let is_foreign = namespaces.others.iter().any(|prefix| full.starts_with(prefix));
    if !listed.is_selectable() || is_foreign || VIEWS.iter().any(|view| listed.has(view)) {
        return None;
    }
    let name = full.strip_prefix(&namespaces.personal).filter(|name| !name.is_empty()).unwrap_or(&full);
    let name = match listed.separator {
        Some(separator) => name.replace(separator, "/"),
        None => name.to_owned(),
    };
    let place = match listed.special_use() {
        _ if name.eq_ignore_ascii_case("INBOX") => Place::Named("INBOX".to_owned()),
        Some(special_use) => Place::Special(special_use),
        None => Place::Named(name.clone()),
    };
    Some(Mailbox { wire: listed.wire.clone(), name, place })
}

fn of_gmail(listed: &Listed) -> Option<Mailbox> {
    let place = match listed.special_use() {
        Some(found @ (SpecialUse::Junk | SpecialUse::Trash)) => Place::Special(found),
        _ if listed.has("\\All") => ARCHIVE,
        _ => return None,
    };
    Some(Mailbox { wire: listed.wire.clone(), name: listed.name(), place })
}

/// `* LIST (\HasNoChildren \Sent) "/" "Sent"`
fn read_listed(line: &[u8]) -> Option<Listed> {
    let values = values(line.strip_prefix(b"* ")?)?;
    let [command, attributes, separator, name, ..] = values.as_slice() else { return None };
    command.is("LIST").then_some(())?;
    let separator = (!separator.is("NIL")).then(|| separator.text().chars().next()).flatten();
    let attributes = attributes.items().iter().map(Value::text).collect();
    Some(Listed { attributes, separator, wire: name.octets().to_vec() })
}

/// `* NAMESPACE (("INBOX." ".")) (("~" ".")) NIL`
fn read_namespaces(line: &[u8]) -> Option<Namespaces> {
    let values = values(line.strip_prefix(b"* ")?)?;
    let [command, own, others @ ..] = values.as_slice() else { return None };
    command.is("NAMESPACE").then_some(())?;
    let prefixes = |value: &Value| -> Vec<String> {
        let Value::List(namespaces) = value else { return Vec::new() };
        namespaces.iter().filter_map(|namespace| namespace.items().first()).map(Value::text).collect()
    };
    let personal = prefixes(own).into_iter().next().unwrap_or_default();
    let others = others.iter().flat_map(prefixes).filter(|prefix| !prefix.is_empty()).collect();
    Some(Namespaces { personal, others })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(lines: &[&str], namespace: &str) -> Vec<(String, Place)> {
        let namespaces = read_namespaces(namespace.as_bytes()).unwrap_or_default();
        let listed = lines.iter().filter_map(|line| read_listed(line.as_bytes()));
        listed.filter_map(|listed| own(&listed, &namespaces)).map(|found| (found.name, found.place)).collect()
    }

    #[test]
    fn names_and_uses_come_along() {
        let found = places(
            &[
                "* LIST (\\HasNoChildren) \".\" INBOX",
                "* LIST (\\HasNoChildren \\Sent) \".\" \"INBOX.Gesendet\"",
                "* LIST () \".\" \"INBOX.Gr&APwA3w-e.2026\"",
                "* LIST (\\Noselect) \".\" INBOX.Lists",
                "* LIST (\\All) \".\" INBOX.All",
                "* LIST () \".\" \"shared.team\"",
            ],
            "* NAMESPACE ((\"INBOX.\" \".\")) NIL ((\"shared.\" \".\"))",
        );
        let expected = [
            ("INBOX", Place::Named("INBOX".to_owned())),
            ("Gesendet", Place::Special(SpecialUse::Sent)),
            ("Grüße/2026", Place::Named("Grüße/2026".to_owned())),
        ];
        assert_eq!(found, expected.map(|(name, place)| (name.to_owned(), place)));
    }

    #[test]
    fn gmail_has_every_message_in_three_mailboxes() {
        let lines = [
            "* LIST (\\HasNoChildren) \"/\" \"INBOX\"",
            "* LIST (\\All \\HasNoChildren) \"/\" \"[Gmail]/All Mail\"",
            "* LIST (\\HasNoChildren \\Junk) \"/\" \"[Gmail]/Spam\"",
            "* LIST (\\HasNoChildren \\Sent) \"/\" \"[Gmail]/Sent Mail\"",
            "* LIST (\\HasNoChildren \\Trash) \"/\" \"[Gmail]/Bin\"",
        ];
        let listed = lines.iter().filter_map(|line| read_listed(line.as_bytes()));
        let found: Vec<String> =
            listed.filter_map(|listed| of_gmail(&listed)).map(|found| found.name).collect();
        assert_eq!(found, ["[Gmail]/All Mail", "[Gmail]/Spam", "[Gmail]/Bin"]);
    }
}
