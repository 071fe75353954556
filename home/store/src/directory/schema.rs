//! The tables of `server.sqlite`; what each is for stands in the parent module.

use crate::db::{Durability, Schema};

pub(crate) static SCHEMA: Schema = Schema {
    name: "directory",
    // "PSdr"
    application_id: 0x5053_6472,
    migrations: &[
        "CREATE TABLE domain (
             id INTEGER PRIMARY KEY,
             name TEXT NOT NULL UNIQUE,
             zone_serial INTEGER NOT NULL DEFAULT 0,
             zone_digest TEXT
         ) STRICT;

         CREATE TABLE user (
             account INTEGER PRIMARY KEY AUTOINCREMENT,
             domain INTEGER NOT NULL REFERENCES domain (id) ON DELETE CASCADE,
             local_part TEXT NOT NULL,
             folded TEXT NOT NULL,
             password_hash TEXT NOT NULL,
             scram_salt BLOB NOT NULL,
             scram_iterations INTEGER NOT NULL,
             scram_stored_key BLOB NOT NULL,
             scram_server_key BLOB NOT NULL,
             UNIQUE (domain, folded)
         ) STRICT;

         CREATE TABLE alias (
             domain INTEGER NOT NULL REFERENCES domain (id) ON DELETE CASCADE,
             local_part TEXT NOT NULL,
             folded TEXT NOT NULL,
             account INTEGER NOT NULL REFERENCES user (account) ON DELETE CASCADE,
             PRIMARY KEY (domain, folded, account)
         ) STRICT, WITHOUT ROWID;
         CREATE INDEX alias_account ON alias (account);

         CREATE TABLE dkim_key (
             domain INTEGER NOT NULL REFERENCES domain (id) ON DELETE CASCADE,
             selector TEXT NOT NULL,
             key_type TEXT NOT NULL,
             private_key BLOB NOT NULL,
             public_key BLOB NOT NULL,
             PRIMARY KEY (domain, selector)
         ) STRICT;

         CREATE TABLE setting (
             name TEXT PRIMARY KEY,
             value BLOB NOT NULL
         ) STRICT, WITHOUT ROWID;",
        "CREATE TABLE dnssec_key (
             id INTEGER PRIMARY KEY AUTOINCREMENT,
             domain INTEGER NOT NULL REFERENCES domain (id) ON DELETE CASCADE,
             private_key BLOB NOT NULL
         ) STRICT;
         CREATE INDEX dnssec_key_domain ON dnssec_key (domain);

         CREATE TABLE signed_zone (
             domain INTEGER PRIMARY KEY REFERENCES domain (id) ON DELETE CASCADE,
             facts_digest TEXT NOT NULL,
             signed_at INTEGER NOT NULL,
             zone BLOB NOT NULL
         ) STRICT;

         ALTER TABLE domain DROP COLUMN zone_digest;",
        "CREATE TABLE dns_record (
             domain INTEGER NOT NULL REFERENCES domain (id) ON DELETE CASCADE,
             owner TEXT NOT NULL,
             type INTEGER NOT NULL,
             rdata BLOB NOT NULL,
             ttl INTEGER NOT NULL,
             PRIMARY KEY (domain, owner, type, rdata)
         ) STRICT, WITHOUT ROWID;",
        "ALTER TABLE domain ADD COLUMN dns TEXT NOT NULL DEFAULT 'here';",
        "CREATE TABLE web_presence (
             domain INTEGER PRIMARY KEY REFERENCES domain (id) ON DELETE CASCADE,
             presence BLOB NOT NULL
         ) STRICT;",
        "CREATE TABLE secondary (
             id INTEGER PRIMARY KEY,
             name TEXT NOT NULL UNIQUE,
             addresses TEXT NOT NULL,
             all_domains INTEGER NOT NULL
         ) STRICT;

         CREATE TABLE secondary_domain (
             secondary INTEGER NOT NULL REFERENCES secondary (id) ON DELETE CASCADE,
             domain INTEGER NOT NULL REFERENCES domain (id) ON DELETE CASCADE,
             PRIMARY KEY (secondary, domain)
         ) STRICT, WITHOUT ROWID;

         CREATE TABLE secondary_key (
             number INTEGER PRIMARY KEY AUTOINCREMENT,
             secondary INTEGER NOT NULL REFERENCES secondary (id) ON DELETE CASCADE,
             secret BLOB NOT NULL
         ) STRICT;
         CREATE INDEX secondary_key_secondary ON secondary_key (secondary);",
        "CREATE TABLE key_roll (
             domain INTEGER PRIMARY KEY REFERENCES domain (id) ON DELETE CASCADE,
             step BLOB NOT NULL
         ) STRICT;",
        "CREATE TABLE remote_policy (
             domain TEXT PRIMARY KEY,
             policy BLOB NOT NULL,
             ends INTEGER NOT NULL
         ) STRICT, WITHOUT ROWID;",
        "ALTER TABLE dkim_key ADD COLUMN stage TEXT NOT NULL DEFAULT 'signing';
         ALTER TABLE dkim_key ADD COLUMN since INTEGER;",
        "CREATE TABLE alias_address (
             domain INTEGER NOT NULL REFERENCES domain (id) ON DELETE CASCADE,
             local_part TEXT NOT NULL,
             folded TEXT NOT NULL,
             target TEXT NOT NULL,
             PRIMARY KEY (domain, folded, target)
         ) STRICT, WITHOUT ROWID;

         CREATE TABLE forward (
             account INTEGER PRIMARY KEY REFERENCES user (account) ON DELETE CASCADE,
             target TEXT NOT NULL,
             keep INTEGER NOT NULL
         ) STRICT;

         CREATE TABLE mask (
             domain INTEGER NOT NULL REFERENCES domain (id) ON DELETE CASCADE,
             local_part TEXT NOT NULL,
             folded TEXT NOT NULL,
             account INTEGER NOT NULL REFERENCES user (account) ON DELETE CASCADE,
             label TEXT NOT NULL,
             enabled INTEGER NOT NULL,
             made INTEGER NOT NULL,
             PRIMARY KEY (domain, folded)
         ) STRICT, WITHOUT ROWID;
         CREATE INDEX mask_account ON mask (account);

         ALTER TABLE domain ADD COLUMN catch_all INTEGER REFERENCES user (account) ON DELETE SET NULL;

         CREATE TABLE long_sender (
             id INTEGER PRIMARY KEY AUTOINCREMENT,
             address TEXT NOT NULL UNIQUE,
             used INTEGER NOT NULL
         ) STRICT;
         CREATE INDEX long_sender_used ON long_sender (used);",
    ],
    durability: Durability::Everything,
};
