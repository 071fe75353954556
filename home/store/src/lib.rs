//! What home keeps: mailboxes, the directory of users, and the outbound queue.

mod error;
mod files;

pub mod db;

pub mod directory;

pub mod account;
pub mod blob;

pub mod queue;

pub use error::{Error, Result};
