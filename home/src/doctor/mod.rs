//! `postern-home doctor`: everything that mail depends on, looked at now, a row each.
//!
//! * In: what home knows of itself, the disk under it, its backups, what the parent zone, the domains' name servers, lists
//!   and destinations say when they are asked now, and what [`look`](crate::look) sees from outside.
//! * Out: a [`Report`] of [`Row`]s: what is so, what should be, and how to mend it. Each row has a [`Code`] with a section
//!   in docs/doctor.md.
//! * Refused: guessing. What could not be looked at is [`Verdict::Unknown`] and says why; what only follows from
//!   another row is [`Verdict::Follows`] and is not counted.
//!
//! The files of rows are pure: facts in, rows out. [`examine`] gathers the facts.

mod code;
mod row;

mod certificates;
mod here;
mod names;
mod outside;

mod gather;

pub use code::Code;
pub use gather::examine;
pub use row::{Report, Row, Verdict};
