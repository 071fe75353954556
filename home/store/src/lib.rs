//! What home keeps: mailboxes, the directory of users, the outbound queue, and the journal of what became of each message.

mod compression;
mod error;
mod files;
mod hex;

mod place;
pub mod seal;

pub mod db;

pub mod directory;

pub mod stage;
pub mod structure;

pub mod account;
pub mod blob;
mod frozen;
mod inspect;
pub mod search;
mod store;

pub mod queue;
pub mod senders;

pub mod reports;

pub mod journal;

pub use error::{Error, Result};
pub use frozen::Frozen;
pub use inspect::Inspection;
pub use place::Place;
pub use stage::{BlobHash, StagedBytes, StagedMessage, Staging};
pub use store::{Delivery, Store};

/// A moment in UTC; the store keeps whole seconds.
pub type Timestamp = jiff::Timestamp;
