//! What an account looks like on disk.
//!
//! ```text
//! accounts/ID/
//!   account.sqlite        everything below; the only file that must be whole
//!   blobs/ab/HASH-N       a message larger than INLINE_LIMIT: hex SHA-256 of its octets, and a number that makes
//!                         the name new; `ab` is the first octet of the hash
//!   search-N.sqlite       full-text index, see the module `search`: filled behind the mail, it can be thrown away and
//!                         is built again, so it has no part in any commit here
//! ```
//!
//! *Content and placement.* An `email` is immutable content: octets, envelope, structure, sort keys, conversation.
//! A `message` places it in a mailbox under a UID, with flags. COPY makes a second placement of the same email,
//! MOVE a new placement and a tombstone for the old one; an email whose last placement goes is destroyed. So EMAILID
//! and the JMAP Email id are `email_id`, and flags may differ between mailboxes as IMAP demands.
//!
//! *History.* Every operation takes the next `account.mod_seq` and writes it into each row it touches. The change
//! log is thus an index, not a second copy: what changed since N are the rows with a larger `mod_seq`; what is gone
//! are the tombstones with one. `expunged` holds UID ranges by mailbox (VANISHED of RFC 7162), `email_tombstone` and
//! `mailbox_tombstone` the identities (JMAP `destroyed`); `created_mod_seq` tells created from updated. A flag
//! change touches only the placement. `history_from` is the mod-sequence before which tombstones were dropped
//! (never, so far): who asks further back must start afresh.
//!
//! *Numbers that never go back.* `mod_seq`, `uid_next`, `next_uid_validity` and the AUTOINCREMENT ids only rise, and
//! none is read from a clock. `next_uid_validity` begins at the time of the account's making, so that an account
//! made again under an old name does not repeat what clients remember; after that it counts.
//!
//! *Blobs.* One row and one copy for each content of the account, counted by `refs`. Up to 64 KiB the octets are in
//! `blob_content`: there they share the group's one flush, while a file would cost a flush of its own and one of its
//! directory. Above that the double writing of log and file costs more than those flushes. (Measured on ext4 with
//! `examples/delivery_rate.rs`: at 60 kB the database is three times as fast for one writer and even for twenty; at
//! 120 kB it is a third slower for twenty, at 240 kB less than half as fast.) The file has its durable
//! name before the row that refers to it is committed, and is removed after the commit that removes the row; what a
//! crash leaves between the two is an unreferenced file, removed when the account is opened. `encoding` 0 is the
//! octets as they came, 1 what the module `compression` made of them where that saves an eighth or more; other numbers
//! are for sealed forms. `size` and `hash` are of the octets as they came.
//!
//! *Conversations.* `thread_reference` maps (hash of a message-id, hash of the base subject) to the conversation
//! that first mentioned them. A new message joins the oldest conversation that knows its Message-ID or one of its
//! References or In-Reply-To under the same base subject (RFC 8621 §3), whichever arrives first.
//!
//! *Header fields.* `email_fields` has those that clients list mailboxes by, as they stand in the message, see the module
//! `structure::kept`: a list of 20,000 messages is then a walk along one table, and not 20,000 headers to be decompressed.
//! An email without a row there has too much of them, or is older than the table; its header is read.
//!
//! *Columns.* `email_columns` has again, packed, what SORT and THREAD look at, see the module `columns`.
//!
//! *Annotations* are named values of a mailbox, or of the account where they have none, see the module `annotations`. A row
//! without a value is the tombstone of one.
//!
//! *Undelete.* `removed` is what was expunged and can be put back, see the module `removed`. Each row counts as a reference
//! to its blob. `account.removed_size` is the octets of them all.
//!
//! *Access control.* `acl` is what the other accounts of the home may do with a mailbox, see the module `acl`. It goes with
//! its mailbox.
//!
//! *Counters* of `mailbox` and `account` are kept by the same transaction as the rows they count.

use crate::db::{Durability, Schema};

pub(super) static SCHEMA: Schema = Schema {
    name: "account",
    application_id: 0x506f_7341,
    migrations: &[
        FIRST,
        REMOVED_AND_QUOTAS,
        KEPT_FIELDS,
        KEPT_SINCE,
        ANNOTATIONS,
        ACCESS_CONTROL,
        EMAIL_COLUMNS,
        ANNOTATIONS_OF_USERS,
    ],
    durability: Durability::Everything,
};

const FIRST: &str = "
CREATE TABLE account (
    id                INTEGER PRIMARY KEY CHECK (id = 1),
    mod_seq           INTEGER NOT NULL,
    history_from      INTEGER NOT NULL DEFAULT 0,
    next_uid_validity INTEGER NOT NULL,
    size              INTEGER NOT NULL DEFAULT 0,   -- octets of all placements
    quota             INTEGER                       -- octets; NULL is unlimited
) STRICT;

CREATE TABLE mailbox (
    mailbox_id      INTEGER PRIMARY KEY AUTOINCREMENT,
    parent_id       INTEGER REFERENCES mailbox,
    name            TEXT NOT NULL,                  -- one level
    special_use     TEXT UNIQUE,
    selectable      INTEGER NOT NULL DEFAULT 1,
    uid_validity    INTEGER NOT NULL,
    uid_next        INTEGER NOT NULL DEFAULT 1,
    recent_from     INTEGER NOT NULL DEFAULT 1,     -- \\Recent: this UID and above
    highest_mod_seq INTEGER NOT NULL,               -- of its messages and expunges
    created_mod_seq INTEGER NOT NULL,
    mod_seq         INTEGER NOT NULL,               -- of its name, place and use
    messages        INTEGER NOT NULL DEFAULT 0,
    unseen          INTEGER NOT NULL DEFAULT 0,
    deleted         INTEGER NOT NULL DEFAULT 0,
    size            INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX mailbox_name ON mailbox (coalesce(parent_id, 0), name);
CREATE INDEX mailbox_parent ON mailbox (parent_id);

CREATE TABLE mailbox_tombstone (
    mailbox_id      INTEGER PRIMARY KEY,
    mod_seq         INTEGER NOT NULL,
    created_mod_seq INTEGER NOT NULL
) STRICT;

CREATE TABLE subscription (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

CREATE TABLE keyword (
    keyword_id INTEGER PRIMARY KEY,                 -- at most 65535, see message.keywords
    name       TEXT NOT NULL UNIQUE COLLATE NOCASE
) STRICT;

CREATE TABLE blob (
    blob_id  INTEGER PRIMARY KEY AUTOINCREMENT,
    hash     BLOB NOT NULL UNIQUE,                  -- SHA-256 of the octets
    size     INTEGER NOT NULL,
    refs     INTEGER NOT NULL,                      -- emails
    encoding INTEGER NOT NULL DEFAULT 0,
    file     TEXT                                   -- below blobs/; NULL: in blob_content
) STRICT;
CREATE TABLE blob_content (
    blob_id INTEGER PRIMARY KEY REFERENCES blob ON DELETE CASCADE,
    content BLOB NOT NULL
) STRICT;

CREATE TABLE thread (
    thread_id       INTEGER PRIMARY KEY AUTOINCREMENT,
    created_mod_seq INTEGER NOT NULL,
    emails          INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE thread_reference (
    id_hash      INTEGER NOT NULL,
    subject_hash INTEGER NOT NULL,
    thread_id    INTEGER NOT NULL REFERENCES thread ON DELETE CASCADE,
    PRIMARY KEY (id_hash, subject_hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX thread_reference_thread ON thread_reference (thread_id);

CREATE TABLE email (
    email_id        INTEGER PRIMARY KEY AUTOINCREMENT,
    blob_id         INTEGER NOT NULL REFERENCES blob,
    thread_id       INTEGER NOT NULL REFERENCES thread,
    placements      INTEGER NOT NULL,
    size            INTEGER NOT NULL,
    header_size     INTEGER NOT NULL,
    internal_date   INTEGER NOT NULL,               -- seconds since 1970
    sent_date       INTEGER NOT NULL,               -- seconds since 1970
    base_subject    TEXT NOT NULL,                  -- RFC 5256, upper case
    sort_from       TEXT NOT NULL,                  -- first address's local part, upper case
    sort_to         TEXT NOT NULL,
    sort_cc         TEXT NOT NULL,
    display_from    TEXT NOT NULL,                  -- RFC 5957, upper case
    display_to      TEXT NOT NULL,
    has_attachment  INTEGER NOT NULL,
    preview         TEXT NOT NULL,
    created_mod_seq INTEGER NOT NULL,
    mod_seq         INTEGER NOT NULL                -- of the set of mailboxes it is in
) STRICT;
CREATE INDEX email_blob ON email (blob_id);
CREATE INDEX email_thread ON email (thread_id);
CREATE INDEX email_mod_seq ON email (mod_seq);

CREATE TABLE email_structure (
    email_id  INTEGER PRIMARY KEY REFERENCES email ON DELETE CASCADE,
    structure BLOB NOT NULL                         -- see the module structure::encoding
) STRICT;

CREATE TABLE email_tombstone (
    mod_seq         INTEGER NOT NULL,
    email_id        INTEGER NOT NULL,
    thread_id       INTEGER NOT NULL,
    created_mod_seq INTEGER NOT NULL,
    PRIMARY KEY (mod_seq, email_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE message (
    mailbox_id INTEGER NOT NULL REFERENCES mailbox,
    uid        INTEGER NOT NULL,
    email_id   INTEGER NOT NULL REFERENCES email,
    flags      INTEGER NOT NULL,                    -- bits of SystemFlags
    keywords   BLOB,                                -- ascending keyword_ids, two octets each, big-endian
    mod_seq    INTEGER NOT NULL,
    save_date  INTEGER NOT NULL,                    -- seconds since 1970
    PRIMARY KEY (mailbox_id, uid)
) STRICT, WITHOUT ROWID;
CREATE INDEX message_mod_seq ON message (mailbox_id, mod_seq);
CREATE INDEX message_email ON message (email_id, mailbox_id);

CREATE TABLE expunged (
    mailbox_id INTEGER NOT NULL REFERENCES mailbox ON DELETE CASCADE,
    mod_seq    INTEGER NOT NULL,
    uid_first  INTEGER NOT NULL,
    uid_last   INTEGER NOT NULL,
    PRIMARY KEY (mailbox_id, mod_seq, uid_first)
) STRICT, WITHOUT ROWID;
";

const REMOVED_AND_QUOTAS: &str = "
ALTER TABLE account ADD COLUMN message_quota INTEGER;              -- messages; NULL is unlimited
ALTER TABLE account ADD COLUMN removed_size INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mailbox ADD COLUMN quota INTEGER;                      -- octets; NULL is unlimited
ALTER TABLE mailbox ADD COLUMN message_quota INTEGER;

CREATE TABLE removed (
    removed_id    INTEGER PRIMARY KEY AUTOINCREMENT,
    blob_id       INTEGER NOT NULL REFERENCES blob,
    mailbox       TEXT NOT NULL,                    -- its whole name at that time
    flags         INTEGER NOT NULL,                 -- as in message
    keywords      BLOB,
    size          INTEGER NOT NULL,
    internal_date INTEGER NOT NULL,                 -- seconds since 1970
    removed_at    INTEGER NOT NULL,                 -- seconds since 1970
    subject       TEXT NOT NULL,
    sender        TEXT NOT NULL,
    preview       TEXT NOT NULL
) STRICT;
CREATE INDEX removed_moment ON removed (removed_at);
CREATE INDEX removed_blob ON removed (blob_id);
";

const KEPT_FIELDS: &str = "
CREATE TABLE email_fields (
    email_id INTEGER PRIMARY KEY REFERENCES email ON DELETE CASCADE,
    fields   BLOB NOT NULL                          -- see the module structure::kept
) STRICT;
";

const KEPT_SINCE: &str = "
ALTER TABLE removed ADD COLUMN kept_since INTEGER;   -- seconds since 1970 by a clock that was right; NULL: not yet seen
DROP INDEX removed_moment;
CREATE INDEX removed_kept ON removed (kept_since);
";

const ANNOTATIONS: &str = "
CREATE TABLE annotation (                           -- see the module annotations
    mailbox_id INTEGER REFERENCES mailbox ON DELETE CASCADE,    -- NULL: of the account
    entry      TEXT NOT NULL,                       -- lower case
    value      BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX annotation_entry ON annotation (coalesce(mailbox_id, 0), entry);
CREATE INDEX annotation_mailbox ON annotation (mailbox_id);
";

const ACCESS_CONTROL: &str = "
CREATE TABLE acl (
    mailbox_id INTEGER NOT NULL REFERENCES mailbox ON DELETE CASCADE,
    grantee    INTEGER NOT NULL,                    -- an account of the home; 0 stands for all of them
    sign       INTEGER NOT NULL,                    -- 1: given, -1: taken away
    rights     INTEGER NOT NULL,                    -- bits of Rights
    PRIMARY KEY (mailbox_id, grantee, sign)
) STRICT, WITHOUT ROWID;
";

const EMAIL_COLUMNS: &str = "
CREATE TABLE email_columns (
    chunk   INTEGER PRIMARY KEY,                    -- email_id / 256
    columns BLOB NOT NULL                           -- see the module columns
) STRICT;
";

const ANNOTATIONS_OF_USERS: &str = "
CREATE TABLE annotation_of_user (                   -- see the module annotations
    mailbox_id INTEGER REFERENCES mailbox ON DELETE CASCADE,    -- NULL: of the account
    private_to INTEGER NOT NULL,                    -- another account, whose private entry it is; 0: shared, or the owner's
    entry      TEXT NOT NULL,                       -- lower case
    value      BLOB,                                -- NULL: it was removed
    mod_seq    INTEGER NOT NULL                     -- when it was set or removed
) STRICT;
INSERT INTO annotation_of_user SELECT mailbox_id, 0, entry, value, 0 FROM annotation;
DROP TABLE annotation;
ALTER TABLE annotation_of_user RENAME TO annotation;
CREATE UNIQUE INDEX annotation_entry ON annotation (coalesce(mailbox_id, 0), private_to, entry);
CREATE INDEX annotation_mailbox ON annotation (mailbox_id);
CREATE INDEX annotation_mod_seq ON annotation (mod_seq);
";
