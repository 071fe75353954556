//! The shape of `journal.sqlite`. Times are milliseconds since 1970.

use crate::db::{Durability, Schema};

pub(crate) static SCHEMA: Schema = Schema {
    name: "journal",
    application_id: 0x506f_734a,
    migrations: &[FIRST],
    durability: Durability::UpToCheckpoint,
};

/// `taken` is 1 where mail was taken; `last` is the moment of the newest line; `event` is an `Event` in JSON; `word` is made by
/// `find::word`.
const FIRST: &str = "
CREATE TABLE story (
    id    INTEGER PRIMARY KEY,
    name  TEXT NOT NULL UNIQUE,
    last  INTEGER NOT NULL,
    taken INTEGER NOT NULL
) STRICT;
CREATE INDEX story_by_worth ON story (taken, last);
CREATE TABLE line (
    id     INTEGER PRIMARY KEY,
    story  INTEGER NOT NULL REFERENCES story (id) ON DELETE CASCADE,
    moment INTEGER NOT NULL,
    event  TEXT NOT NULL
) STRICT;
CREATE INDEX line_of_story ON line (story);
CREATE TABLE mention (
    word  TEXT NOT NULL,
    story INTEGER NOT NULL REFERENCES story (id) ON DELETE CASCADE,
    PRIMARY KEY (word, story)
) STRICT, WITHOUT ROWID;
CREATE INDEX mention_of_story ON mention (story);
";
