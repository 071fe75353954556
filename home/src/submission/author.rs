//! Whether the header names the user as the author, and nobody else.
//!
//! RFC 6409 §6.1 lets a submission server enforce this; here it always does, because our DKIM signature and DMARC
//! alignment vouch for the `From` field.

use postern_message::{address::EmailAddress, header, mailbox_list};
use postern_smtp::server::Refusal;

/// Checks `From` (exactly one field) and `Sender` (at most one); gives the first author.
///
/// # Errors
/// A refusal whose text tells the user what to change.
pub(super) fn check(
    message: &[u8],
    may_send_as: impl Fn(&EmailAddress) -> bool,
) -> Result<EmailAddress, Refusal> {
    if !header::is_closed(message) {
        return Err(Refusal::MalformedMessage("header has a line that is not a field"));
    }
    let authors = addresses(message, "From")?;
    let first = authors.first().cloned().ok_or(Refusal::MalformedMessage("message has no From field"))?;
    if !authors.iter().all(&may_send_as) {
        return Err(Refusal::AuthorNotAllowed("From address does not belong to the authenticated user"));
    }
    if !addresses(message, "Sender")?.iter().all(&may_send_as) {
        return Err(Refusal::AuthorNotAllowed("Sender address does not belong to the authenticated user"));
    }
    Ok(first)
}

/// The addresses of the one field with this name; none when there is no such field.
fn addresses(message: &[u8], name: &'static str) -> Result<Vec<EmailAddress>, Refusal> {
    let mut fields = header::fields(message).filter(|field| field.is(name));
    let Some(field) = fields.next() else { return Ok(Vec::new()) };
    if fields.next().is_some() {
        return Err(Refusal::MalformedMessage("message has more than one From or Sender field"));
    }
    mailbox_list::parse(&field.text())
        .map_err(|_| Refusal::MalformedMessage("From or Sender is not a list of addresses"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(header: &str) -> Result<String, Refusal> {
        let own = |address: &EmailAddress| address.to_string() == "ana@home.example";
        check(format!("{header}\r\n\r\nbody\r\n").as_bytes(), own).map(|author| author.to_string())
    }

    #[test]
    fn ones_own_address_passes() {
        for header in [
            "From: ana@home.example",
            "FROM: Ana\r\n <ana@home.example>",
            "From: ana@home.example\r\nSender: ana@home.example",
        ] {
            assert_eq!(judge(header).as_deref(), Ok("ana@home.example"), "{header}");
        }
    }

    #[test]
    fn anothers_address_does_not() {
        for header in [
            "From: bob@home.example",
            "From: ana@home.example <bob@home.example>",
            "From: ana@home.example, bob@home.example",
            "From: ana@home.example\r\nSender: bob@home.example",
        ] {
            assert!(matches!(judge(header), Err(Refusal::AuthorNotAllowed(_))), "{header}");
        }
        for header in [
            "Subject: x",
            "From: ana@home.example\r\nnot a field\r\nFrom: bob@home.example",
            "From: ana@home.example\r\nFrom: bob@home.example",
            "From: <ana@home.example> <bob@home.example>",
            "From: ana@home.example\r\nSender: ana@home.example\r\nSender: bob@home.example",
        ] {
            assert!(matches!(judge(header), Err(Refusal::MalformedMessage(_))), "{header}");
        }
    }
}
