//! Asks the account's index for the texts of a search.
//!
//! In: a search, its texts folded. Out: for each text the messages that hold it or may, where the index can tell.

use postern_imap::types::SearchKey;
use postern_store::account::{Account, EmailId};
use postern_store::search::{Field, Hits, Holds};

use super::top_level;

/// Texts of one search that the index is asked for: each answer names up to all emails of the account.
const MOST_TEXTS: usize = 16;

/// What the index says of each text that is asked for; of none, where it is not asked.
#[derive(Default)]
pub(super) struct Answers<'k>(Vec<(Field, &'k str, Option<Hits>)>);

impl<'k> Answers<'k> {
    pub(super) fn ask(account: &Account, key: &'k SearchKey) -> Answers<'k> {
        let mut asked: Vec<(Field, &str, Option<Hits>)> = Vec::new();
        visit_texts(key, &mut |field, text| {
            if asked.len() < MOST_TEXTS
                && !asked.iter().any(|(other, same, _)| *other == field && *same == text)
            {
                asked.push((field, text, account.find_text(field, text)));
            }
        });
        Answers(asked)
    }

    fn hits(&self, wanted: Field, text: &str) -> Option<&Hits> {
        let same = |(field, needle, _): &&(Field, &str, Option<Hits>)| *field == wanted && *needle == text;
        self.0.iter().find(same).and_then(|(_, _, hits)| hits.as_ref())
    }

    pub(super) fn holds(&self, email: EmailId, field: Field, text: &str) -> Holds {
        self.hits(field, text).map_or(Holds::Unknown, |hits| hits.holds(email))
    }

    /// The smallest set of messages that a top-level criterion narrows the search to.
    pub(super) fn narrowest(&self, key: &SearchKey) -> Option<&Hits> {
        let texts = top_level(key).iter().filter_map(text_of);
        let hits = texts.filter_map(|(field, text)| self.hits(field, text));
        hits.min_by_key(|hits| hits.emails().count())
    }
}

/// The field and the text that a criterion asks for.
fn text_of(key: &SearchKey) -> Option<(Field, &str)> {
    match key {
        SearchKey::Header { name, text } => Some((field_of(name), text)),
        SearchKey::Body(text) => Some((Field::Body, text)),
        SearchKey::Text(text) => Some((Field::Text, text)),
        _ => None,
    }
}

pub(super) fn field_of(name: &str) -> Field {
    match name {
        "subject" => Field::Subject,
        "from" => Field::From,
        "to" => Field::To,
        "cc" => Field::Cc,
        "bcc" => Field::Bcc,
        _ => Field::Header,
    }
}

fn visit_texts<'k>(key: &'k SearchKey, visit: &mut impl FnMut(Field, &'k str)) {
    match key {
        SearchKey::And(keys) => keys.iter().for_each(|key| visit_texts(key, visit)),
        SearchKey::Or(one, other) => {
            visit_texts(one, visit);
            visit_texts(other, visit);
        }
        SearchKey::Not(key) => visit_texts(key, visit),
        other => {
            if let Some((field, text)) = text_of(other).filter(|(_, text)| !text.is_empty()) {
                visit(field, text);
            }
        }
    }
}
