//! The tables, told in the parent module.

use crate::db::Schema;

pub(super) static SCHEMA: Schema =
    Schema { name: "search", application_id: 0x506f_7353, migrations: &[FIRST, DESTROYED] };

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
