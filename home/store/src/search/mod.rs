//! Full-text search: which emails of an account may hold a text, found without reading them.
//!
//! In: emails, some time after they were stored; needles. Out: [`Hits`]: the emails that hold a needle as a substring, and
//! whether that is certain or must be looked at. Refused: nothing; what the index cannot tell, its caller finds by reading.
//!
//! *What is compared.* The text that a person reads, with case and compatibility forms folded ([`fold`]); accents count, but
//! the index knows each word without them too. The index and those who read messages themselves take the text from one place
//! ([`text`]).
//!
//! *Substrings from an index of words.* A text is cut into terms ([`terms`]). Each distinct term stands once in `term`, and a
//! trigram index over these says which terms hold a needle; `document` says which emails hold those terms. The vocabulary is
//! small beside the mail, so both stay small. A needle that lies in one run of letters and digits, and is no longer than what
//! every term is sure to hold whole, is answered exactly; for others the emails are candidates.
//!
//! *Codes.* Of what is no word ([`terms`]) each email has the set of its trigrams alone. An email whose codes have all
//! trigrams of a needle may hold it in one of them, and is read. A needle of one or two characters has none: then every email
//! with codes is read that does not hold it in a word.
//!
//! *Behind the mail.* `search-N.sqlite` lies beside `account.sqlite`, is filled in the background ([`indexer`]) in the order of
//! `email_id`, and knows how far it is. Nothing waits for it: an email that it does not know yet is read. It has no part in any
//! commit of mail and can be thrown away: a damaged one, and one that knows more than the account, which was restored from
//! a backup then, is made anew under the next number, since a reader may still hold the old one. So is one that has seen more
//! emails destroyed than there are: the words of these are in it still.
//!
//! ```text
//! progress       the greatest email_id that is indexed; the mod-sequence up to which destroyed emails are removed, and how
//!                many those were
//! term           each term of the account that is no code, and the same without accents
//! term_trigram   FTS5, trigrams of `term`
//! partial        emails with more text than is indexed, and those that could not be read: they are read when asked for
//! code           FTS5 without content: rowid = email_id; the trigrams of its codes
//! document       FTS5 without content: rowid = email_id; in each column the numbers of the terms of that field
//! ```
//!
//! RFC 9051 §6.4.4 (SEARCH), RFC 5051 (i;unicode-casemap).

mod fold;
mod index;
mod indexer;
mod schema;
mod terms;
pub mod text;

pub use fold::fold;
pub(crate) use index::{Column, Document, Index, Progress};
pub(crate) use indexer::{Indexer, News};

use std::collections::HashSet;

use crate::account::EmailId;

/// Where a text is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The values of `Subject`.
    Subject,
    /// The values of `From`.
    From,
    /// The values of `To`.
    To,
    /// The values of `Cc`.
    Cc,
    /// The values of `Bcc`.
    Bcc,
    /// Names and values of all fields.
    Header,
    /// The text parts, and the headers of enclosed messages.
    Body,
    /// Everything.
    Text,
}

/// What the index says of a needle.
#[derive(Debug, Clone)]
pub struct Hits {
    emails: HashSet<EmailId>,
    /// Emails that may hold the needle where the index does not look: in a code, or in what it has not taken in.
    partial: HashSet<EmailId>,
    known: EmailId,
    certainty: Certainty,
}

/// Whether an email that the index names holds the needle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Certainty {
    Exact,
    Candidates,
}

/// Whether an email holds a needle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// It must be read.
    Unknown,
}

impl Hits {
    /// Whether the email holds the needle.
    pub fn holds(&self, email: EmailId) -> Holds {
        let is_partial = email > self.known || self.partial.contains(&email);
        match (self.emails.contains(&email), self.certainty) {
            (true, Certainty::Exact) => Holds::Yes,
            (true, Certainty::Candidates) => Holds::Unknown,
            (false, _) if is_partial => Holds::Unknown,
            (false, _) => Holds::No,
        }
    }

    /// The indexed emails that hold the needle, or may.
    pub fn emails(&self) -> impl Iterator<Item = EmailId> {
        self.emails.union(&self.partial).copied()
    }

    /// Emails above this one are not indexed.
    pub fn known(&self) -> EmailId {
        self.known
    }
}
