//! The tables, told in the parent module.

use crate::db::{Durability, Schema};

pub(super) static SCHEMA: Schema = Schema {
    name: "search",
    application_id: 0x506f_7353,
    migrations: &[FIRST, DESTROYED, CODES, REPORTS],
    durability: Durability::UpToCheckpoint,
};

const FIRST: &str = "
CREATE TABLE progress (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    email_id INTEGER NOT NULL,
    mod_seq  INTEGER NOT NULL
) STRICT;
INSERT INTO progress (id, email_id, mod_seq) VALUES (1, 0, 0);

CREATE TABLE partial (email_id INTEGER PRIMARY KEY) STRICT;

CREATE TABLE term (
    term_id INTEGER PRIMARY KEY,
    term    TEXT NOT NULL UNIQUE,
    plain   TEXT NOT NULL
) STRICT;
CREATE VIRTUAL TABLE term_trigram USING fts5(
    term, plain, content = 'term', content_rowid = 'term_id', tokenize = 'trigram case_sensitive 1');

CREATE VIRTUAL TABLE document USING fts5(
    subject, sender, recipient, copy, blind_copy, header, body,
    content = '', contentless_delete = 1, detail = column, tokenize = 'ascii');
";

const DESTROYED: &str = "
ALTER TABLE progress ADD COLUMN destroyed INTEGER NOT NULL DEFAULT 0;   -- emails taken out since the index was made
";

/// The index begins anew: what it had in `term` for codes cannot be told from words.
const CODES: &str = "
DROP TABLE document;
DROP TABLE term_trigram;
DROP TABLE term;
DELETE FROM partial;
UPDATE progress SET email_id = 0, mod_seq = 0, destroyed = 0;

CREATE TABLE term (
    term_id INTEGER PRIMARY KEY,
    term    TEXT NOT NULL UNIQUE,
    plain   TEXT NOT NULL                           -- without accents; empty where there are none
) STRICT;
CREATE VIRTUAL TABLE term_trigram USING fts5(
    term, plain, content = 'term', content_rowid = 'term_id', tokenize = 'trigram case_sensitive 1');

CREATE VIRTUAL TABLE document USING fts5(
    subject, sender, recipient, copy, blind_copy, header, body,
    content = '', contentless_delete = 1, detail = column, tokenize = 'ascii');

CREATE VIRTUAL TABLE code USING fts5(
    trigrams, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii');
";

/// The index begins anew: the parts of reports are searched too.
const REPORTS: &str = "
INSERT INTO document (document) VALUES ('delete-all');
INSERT INTO term_trigram (term_trigram) VALUES ('delete-all');
INSERT INTO code (code) VALUES ('delete-all');
DELETE FROM term;
DELETE FROM partial;
UPDATE progress SET email_id = 0, mod_seq = 0, destroyed = 0;
";

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test's helpers are tests too")]
mod tests {
    use super::*;
    use crate::Error;
    use crate::db::Database;
    use crate::seal::tests::state_dir;
    use crate::search::{Field, Index};

    #[test]
    fn an_older_index_begins_anew() {
        static OLDER: Schema = Schema { migrations: &[FIRST, DESTROYED], ..SCHEMA };
        let directory = tempfile::tempdir().unwrap();
        let place = state_dir(directory.path()).join("search-1.sqlite");
        let fill = "INSERT INTO term VALUES (1, 'letter', 'letter');
                    INSERT INTO term_trigram (rowid, term, plain) VALUES (1, 'letter', '');
                    INSERT INTO document (rowid, body) VALUES (7, '1');
                    INSERT INTO partial VALUES (6);
                    UPDATE progress SET email_id = 7, mod_seq = 9, destroyed = 3;";
        let older = Database::open(&place, &OLDER).unwrap();
        older.write(move |connection| Ok::<_, Error>(connection.execute_batch(fill)?)).unwrap();
        drop(older);
        let index = Index::open(&place).unwrap();
        let progress = index.progress().unwrap();
        assert_eq!((progress.email.0, progress.mod_seq.0, index.destroyed().unwrap()), (0, 0, 0));
        assert_eq!(index.find(Field::Text, "letter").unwrap().unwrap().emails().count(), 0);
    }
}
