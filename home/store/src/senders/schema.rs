//! The shape of `senders.sqlite`. A replaced row gets a new number, so that numbers follow the time of the last change.

use crate::db::{Durability, Schema};

pub(crate) static SCHEMA: Schema = Schema {
    name: "senders",
    application_id: 0x506f_7357,
    migrations: &[FIRST],
    durability: Durability::UpToCheckpoint,
};

const FIRST: &str = "
CREATE TABLE regular (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    network  TEXT NOT NULL UNIQUE,
    last_day INTEGER NOT NULL
) STRICT;
CREATE TABLE attempt (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    network TEXT NOT NULL,
    sender  TEXT NOT NULL,
    first   INTEGER NOT NULL,
    UNIQUE (network, sender)
) STRICT;
";
