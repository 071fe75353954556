//! What the two SMTP services of home, inbound and submission, have in common.
//!
//! * [`session`] puts the pure session core under the driver of `net`.
//! * [`incoming`] takes a message from the session to the staging area.
//! * [`failure`] turns storage errors into refusals.

pub mod session;

pub mod incoming;

pub mod failure;
