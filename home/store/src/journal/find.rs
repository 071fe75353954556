//! Finding stories.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Event, Journal, StoryId};
use crate::Result;
use crate::db::{Connection, params};

/// Longer words are found by their beginning: no address and hardly a Message-ID has so many octets.
const WORD_MAX: usize = 512;

/// A story and its lines in the order in which they were told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Story {
    /// Its id.
    pub id: StoryId,
    /// What happened.
    pub lines: Vec<Line>,
}

/// One line of a story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// When.
    pub moment: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

impl Journal {
    /// The newest `limit` stories of a transaction, a session, a Message-ID, a number of the queue, or somebody's mail or IP
    /// address; newest first, without those that ended before `since`. Blocks.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn find(&self, what: &str, since: Timestamp, limit: usize) -> Result<Vec<Story>> {
        self.settle();
        let Some(word) = word(what) else { return Ok(Vec::new()) };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.0.database.read(move |connection: &Connection| {
            let mut select = connection.prepare_cached(
                "SELECT id, name FROM story WHERE last >= ?2 AND id IN (
                     SELECT story FROM mention WHERE word = ?1
                     UNION SELECT id FROM story WHERE name = ?1 OR (name > ?1 || '.' AND name < ?1 || '/'))
                 ORDER BY last DESC, id DESC LIMIT ?3",
            )?;
            let found = select.query_map(params![word, since.as_millisecond(), limit], |row| {
                Ok((row.get(0)?, StoryId::from_column(row.get(1)?)))
            })?;
            found
                .map(|row| row.map_err(Into::into).and_then(|(row, id)| story(connection, row, id)))
                .collect()
        })
    }
}

fn story(connection: &Connection, row: i64, id: StoryId) -> Result<Story> {
    let mut select =
        connection.prepare_cached("SELECT moment, event FROM line WHERE story = ?1 ORDER BY id")?;
    let lines = select.query_map(params![row], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
    let line = |(moment, event): (i64, String)| Line {
        moment: Timestamp::from_millisecond(moment).unwrap_or(Timestamp::UNIX_EPOCH),
        event: serde_json::from_str(&event).unwrap_or(Event::Unknown),
    };
    Ok(Story { id, lines: lines.map(|row| row.map(line)).collect::<rusqlite::Result<_>>()? })
}

/// How a word is written in the index: without angle brackets and white space around it, in small letters.
pub(super) fn word(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches('<').trim_end_matches('>');
    let end = text.floor_char_boundary(WORD_MAX);
    text.get(..end).filter(|word| !word.is_empty()).map(str::to_lowercase)
}
