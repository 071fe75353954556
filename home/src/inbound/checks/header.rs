//! Whether the header is one that every reader understands alike, and who it says is the author.
//!
//! In: a message. Out: the first author. Refused: mail loops (RFC 5321 §6.3); a line within the header that is no field, since
//! one reader ends the header there and another reads on; no From field, several, or one that is not a list of addresses
//! (RFC 5322 §3.6 wants exactly one); authors in more than one domain, each of which DMARC would have to be asked about
//! (RFC 7489 §6.6.1 names all of these as usually rejected).

use postern_message::address::EmailAddress;
use postern_message::{header, mailbox_list};
use postern_smtp::server::Refusal;

/// More `Received` fields than this are a loop (RFC 5321 §6.3 wants at least 100 hops allowed).
const MAX_HOPS: usize = 100;

/// Refuses a message that has come through too many servers.
///
/// # Errors
/// [`Refusal::Loop`].
pub fn check_hops(message: &[u8]) -> Result<(), Refusal> {
    match header::fields(message).filter(|field| field.is("Received")).count() {
        hops if hops > MAX_HOPS => Err(Refusal::Loop),
        _ => Ok(()),
    }
}

/// Finds the author.
///
/// # Errors
/// A refusal that says what is wrong with the header.
pub fn author(message: &[u8]) -> Result<EmailAddress, Refusal> {
    if !header::is_closed(message) {
        return Err(Refusal::MalformedMessage("header has a line that is not a field"));
    }
    let mut fields = header::fields(message).filter(|field| field.is("From"));
    let field = fields.next().ok_or(Refusal::MalformedMessage("message has no From field"))?;
    if fields.next().is_some() {
        return Err(Refusal::MalformedMessage("message has more than one From field"));
    }
    let authors = mailbox_list::parse(&field.text()).unwrap_or_default();
    let first = authors.first().ok_or(Refusal::MalformedMessage("From field names no address"))?;
    if authors.iter().any(|author| author.domain() != first.domain()) {
        return Err(Refusal::MalformedMessage("From field names authors in several domains"));
    }
    Ok(first.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author_of(header: &str) -> Option<String> {
        author(format!("{header}\r\n\r\nbody\r\n").as_bytes()).ok().map(|author| author.to_string())
    }

    #[test]
    fn one_author_is_found() {
        for header in [
            "From: bob@stranger.example",
            "Subject: x\r\nfrom: \"Bob, the second\" (x)\r\n <bob@stranger.example>",
            "From: bob@stranger.example, eve@stranger.example",
            "From: bob@STRANGER.example",
        ] {
            assert_eq!(author_of(header).as_deref(), Some("bob@stranger.example"), "{header}");
        }
    }

    #[test]
    fn a_header_that_can_be_read_in_two_ways_is_refused() {
        for header in [
            "",
            "Subject: x",
            "From:",
            "From: Bob",
            "From: undisclosed:;",
            "From: bob@[192.0.2.1]",
            "From: <bob@stranger.example> <eve@other.example>",
            "From: bob@stranger.example\r\nFrom: eve@other.example",
            "From: bob@stranger.example, eve@other.example",
            "From: bob@stranger.example\r\nno field\r\nFrom: eve@other.example",
            "From : bob@stranger.example\r\nFROM: eve@other.example",
        ] {
            assert_eq!(author_of(header), None, "{header}");
        }
    }

    #[test]
    fn a_hundred_hops_are_allowed() {
        let message = |hops| "Received: from a by b\r\n".repeat(hops) + "\r\n";
        assert_eq!(check_hops(message(MAX_HOPS).as_bytes()), Ok(()));
        assert_eq!(check_hops(message(MAX_HOPS + 1).as_bytes()), Err(Refusal::Loop));
    }
}
