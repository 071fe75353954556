//! To how many a message goes, as far as its envelope and its header tell.
//!
//! In: the header, the number of recipients. Out: whether it is bulk, which goes behind the user's other mail where both wait.
//!
//! What says that it is for a list is bulk: `List-Id` (RFC 2919), `List-Unsubscribe` (RFC 2369 §3.2), and `Precedence`, which no standard
//! defines and all lists use.

use postern_message::header;
use postern_store::queue::Precedence;

/// Recipients from which a message is for many.
const MANY: usize = 20;

/// The precedence of a message.
pub(super) fn of(message: &[u8], recipients: usize) -> Precedence {
    let is_for_list =
        ["List-Id", "List-Unsubscribe"].iter().any(|name| header::find(message, name).is_some());
    let is_so_called = header::find(message, "Precedence").is_some_and(|field| {
        let word = field.text().trim().to_ascii_lowercase();
        matches!(word.as_str(), "bulk" | "list" | "junk")
    });
    match is_for_list || is_so_called || recipients >= MANY {
        true => Precedence::Bulk,
        false => Precedence::Personal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_many_recipients_are_bulk() {
        for header in ["List-Id: <a.example>", "list-unsubscribe: <https://a.example>", "Precedence: Bulk"] {
            assert_eq!(of(format!("{header}\r\n\r\n").as_bytes(), 1), Precedence::Bulk, "{header}");
        }
        for header in ["Precedence: first-class", "Subject: Precedence: bulk", "X: y\r\n\r\nList-Id: z"] {
            assert_eq!(of(format!("{header}\r\n\r\n").as_bytes(), 19), Precedence::Personal, "{header}");
        }
        assert_eq!(of(b"Subject: party\r\n\r\n", 20), Precedence::Bulk);
    }
}
