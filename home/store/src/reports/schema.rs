//! The shape of `reports.sqlite`. Times are seconds since 1970.

use crate::db::{Durability, Schema};

pub(crate) static SCHEMA: Schema = Schema {
    name: "reports",
    application_id: 0x506f_7352,
    migrations: &[FIRST, OBSERVED],
    durability: Durability::UpToCheckpoint,
};

/// `kind` is 0 for an aggregate report, 1 for a TLS report; `sender` is the domain of the From field; `rows` is how many rows
/// the report has below it. `disposition` is 0 none, 1 quarantine, 2 reject; `signers` are the domains whose signatures were
/// good, `envelope_from` the domain for which SPF was, each empty where there is none.
const FIRST: &str = "
CREATE TABLE received (
    id        INTEGER PRIMARY KEY,
    kind      INTEGER NOT NULL,
    domain    TEXT NOT NULL,
    sender    TEXT NOT NULL,
    org_name  TEXT NOT NULL,
    report_id TEXT NOT NULL,
    verified  INTEGER NOT NULL,
    begins    INTEGER NOT NULL,
    ends      INTEGER NOT NULL,
    received  INTEGER NOT NULL,
    rows      INTEGER NOT NULL,
    UNIQUE (kind, domain, sender, report_id)
) STRICT;
CREATE INDEX received_by_time ON received (received);
CREATE TABLE source (
    report        INTEGER NOT NULL REFERENCES received (id) ON DELETE CASCADE,
    address       TEXT NOT NULL,
    messages      INTEGER NOT NULL,
    disposition   INTEGER NOT NULL,
    dkim          INTEGER NOT NULL,
    spf           INTEGER NOT NULL,
    header_from   TEXT NOT NULL,
    signers       TEXT NOT NULL,
    envelope_from TEXT NOT NULL,
    reason        TEXT NOT NULL
) STRICT;
CREATE INDEX source_of_report ON source (report);
CREATE TABLE tls_policy (
    report      INTEGER NOT NULL REFERENCES received (id) ON DELETE CASCADE,
    policy_type TEXT NOT NULL,
    successes   INTEGER NOT NULL,
    failures    INTEGER NOT NULL
) STRICT;
CREATE INDEX tls_policy_of_report ON tls_policy (report);
CREATE TABLE tls_failure (
    report      INTEGER NOT NULL REFERENCES received (id) ON DELETE CASCADE,
    result_type TEXT NOT NULL,
    mx          TEXT NOT NULL,
    sessions    INTEGER NOT NULL,
    reason      TEXT NOT NULL
) STRICT;
CREATE INDEX tls_failure_of_report ON tls_failure (report);
";

/// What reports to others are made of. `kind` as above; `day` is days since 1970; `domain` is the author's domain of a message,
/// the destination's of a session; `record` is its content as JSON, with a count of 0.
const OBSERVED: &str = "
CREATE TABLE observed (
    kind   INTEGER NOT NULL,
    day    INTEGER NOT NULL,
    domain TEXT NOT NULL,
    record TEXT NOT NULL,
    times  INTEGER NOT NULL,
    PRIMARY KEY (kind, day, domain, record)
) STRICT, WITHOUT ROWID;
";
