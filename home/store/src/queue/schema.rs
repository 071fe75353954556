//! The shape of `queue.sqlite`. Times are milliseconds since 1970.

use crate::db::{Durability, Schema};

pub(crate) static SCHEMA: Schema = Schema {
    name: "queue",
    application_id: 0x506f_7351,
    migrations: &[FIRST, STORIES, HOLDS, FORWARDERS, LANES, DEADLINES],
    durability: Durability::Everything,
};

/// `state` is 0 waiting, 1 delivered, 2 failed, 3 held; `notify` is bits 1 success, 2 failure, 4 delay; `ret_full` is 0 not said, 1 FULL, 2 HDRS; an empty
/// `reverse_path` is the null one. Both indexes hold waiting recipients only: one finds the next time to wake, the
/// other what waits for one destination.
const FIRST: &str = "
CREATE TABLE message (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    content      TEXT NOT NULL UNIQUE,
    prepend      BLOB NOT NULL,
    octets       INTEGER NOT NULL,
    reverse_path TEXT NOT NULL,
    sender       INTEGER,
    smtp_utf8    INTEGER NOT NULL,
    envelope_id  TEXT,
    ret_full     INTEGER NOT NULL,
    arrived      INTEGER NOT NULL
) STRICT;
CREATE TABLE recipient (
    id                 INTEGER PRIMARY KEY,
    message            INTEGER NOT NULL REFERENCES message (id) ON DELETE CASCADE,
    forward_path       TEXT NOT NULL,
    domain             TEXT NOT NULL,
    original_recipient TEXT,
    notify             INTEGER NOT NULL,
    state              INTEGER NOT NULL DEFAULT 0,
    attempts           INTEGER NOT NULL DEFAULT 0,
    next_attempt       INTEGER NOT NULL,
    last_attempt       INTEGER,
    last_host          TEXT,
    last_reply         TEXT,
    delay_reported     INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX recipient_of_message ON recipient (message);
CREATE INDEX recipient_due ON recipient (next_attempt) WHERE state = 0;
CREATE INDEX recipient_due_by_domain ON recipient (domain, next_attempt) WHERE state = 0;
";

/// The story that each message belongs to; those from before have one of their own.
const STORIES: &str = "
ALTER TABLE message ADD COLUMN story TEXT NOT NULL DEFAULT '';
UPDATE message SET story = 'queued.' || id;
";

/// `hold` is why a message is held with its sender's account; `not_before` is a time, `tls` is 0 not said, 1 required, 2 not
/// required. `sent` has a row for each message of the last day, `correspondent` one for each address that a user has written to.
const HOLDS: &str = "
ALTER TABLE message ADD COLUMN hold TEXT;
ALTER TABLE message ADD COLUMN not_before INTEGER;
ALTER TABLE message ADD COLUMN tls INTEGER NOT NULL DEFAULT 0;
CREATE INDEX message_of_sender ON message (sender) WHERE sender IS NOT NULL;
CREATE TABLE sent (
    id         INTEGER PRIMARY KEY,
    sender     INTEGER NOT NULL,
    moment     INTEGER NOT NULL,
    recipients INTEGER NOT NULL,
    new        INTEGER NOT NULL
) STRICT;
CREATE INDEX sent_by_sender ON sent (sender, moment);
CREATE TABLE correspondent (
    sender  INTEGER NOT NULL,
    address TEXT NOT NULL,
    last    INTEGER NOT NULL,
    PRIMARY KEY (sender, address)
) STRICT, WITHOUT ROWID;
CREATE TABLE held_sender (
    sender INTEGER PRIMARY KEY,
    since  INTEGER NOT NULL,
    reason TEXT NOT NULL
) STRICT;
";

/// The account that is told what became of a message sent on for it, in place of the sender.
const FORWARDERS: &str = "
ALTER TABLE message ADD COLUMN forwarder INTEGER;
";

/// What waits in turn with what (lane.rs); the index finds what is due in one lane for one destination.
const LANES: &str = "
ALTER TABLE recipient ADD COLUMN lane INTEGER NOT NULL DEFAULT 0;
UPDATE recipient SET lane = (
    SELECT CASE WHEN m.forwarder IS NOT NULL THEN (m.forwarder + 1) * 4 + 2 ELSE COALESCE(m.sender + 1, 0) * 4 END
    FROM message m WHERE m.id = recipient.message);
CREATE INDEX recipient_due_by_lane ON recipient (lane, domain, next_attempt) WHERE state = 0;
";

/// When a message is to be delivered at the latest; the mode is bits 1 comes back when late, 2 trace.
const DEADLINES: &str = "
ALTER TABLE message ADD COLUMN deadline INTEGER;
ALTER TABLE message ADD COLUMN deadline_mode INTEGER NOT NULL DEFAULT 0;
";
