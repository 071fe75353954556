//! MTA-STS for the domains of this home: what other servers are told of TLS here (RFC 8461).
//!
//! * In: the certificates that home shows, the zones as they were signed and as the edge serves them, time.
//! * Out: for each domain the [`Policy`] that `web` serves at `mta-sts.DOMAIN` and `zone` announces, and a [`Report`].
//! * Refused: a policy that a sender could not fetch, or that a sender who insists on it could not deliver by.
//!
//! A policy begins in testing. It becomes enforce when all has been right for the configured time, and testing again before
//! what is wrong would keep mail away; [`standing`] has the table. The edge's word can hold enforce up, never end it: an edge
//! that was taken over must not be able to make senders careless.
//!
//! Data flows through [`evidence`] (what a look finds), [`standing`] (what that means), [`policy`] (what the world reads);
//! [`watch`] looks, and keeps the standing in the directory.

pub mod evidence;
pub mod policy;
pub mod standing;
pub mod watch;

pub use policy::{Mode, Policy};
pub use standing::{Clock, Judgement, Standing};
pub use watch::{Presence, Report, Seen, Watcher};
