//! Delivery of what is queued: into the mailboxes of this home, or by SMTP to other servers through the edge.
//!
//! In: the queue. Out: delivered mail, under TLS where it can be had and with the right server where the destination says
//! which that is; in the queue what came of each attempt; reports to senders of this home.
//! Refused: remote delivery while the tunnel is down (the mail waits, and `queue show` says why); mail that would come
//! back to ourselves; reports to anyone who was not authenticated here.
//!
//! ```text
//! queue ─ due ─> worker ─ local ──────────────────────> store
//!                  │    ├ route (MX) ─ demand (DANE, MTA-STS) ─ attempt (SMTP) ─> other server
//!                  │    └ by_relay ────────────────────────── attempt (SMTP) ─> relay
//!                  └──── verdict ─ report ─ settle ────> queue
//! ```
//! `next` chooses between the two. `retry`, `schedule` and `verdict` are pure: what is tried when and with what else, and what follows from an answer. `worker` is the event loop;
//! a message that is queued wakes it at once.
//!
//! Implements RFC 5321 §4.5.4 (retry), §5.1 (routing), §6.1; RFC 7505; RFC 7435 (opportunistic TLS); RFC 7672 (DANE); RFC 8461 (MTA-STS);
//! RFC 3461 §5.2.
//!
//! A connection waits for a few seconds for the next message that goes to the same server in the same way: `idle`.

pub mod way_out;

pub mod retry;
pub mod schedule;

pub mod route;

pub mod demand;

pub mod by_relay;

mod attempt;
mod body;
mod connection;
mod idle;
mod local;

mod verdict;

mod report;

mod next;

mod story;

mod job;

mod worker;

pub(crate) mod chance;

#[cfg(test)]
mod tests;

pub use idle::IdleConnections;
pub use job::Parts;
pub use retry::RetryPolicy;
pub use route::Families;
pub use schedule::Concurrency;
pub use way_out::{Gate, WayOut};
pub use worker::Worker;

/// What the operator may set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// When to try again and when to give up.
    pub retry: RetryPolicy,
    /// How much at once.
    pub concurrency: Concurrency,
    /// Address families towards other servers.
    pub families: Families,
    /// Recipients in one transaction; every server takes 100 (RFC 5321 §4.5.3.1.8).
    pub recipients_per_transaction: usize,
    /// The port of other servers; 25 but in tests.
    pub remote_port: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            retry: RetryPolicy::default(),
            concurrency: Concurrency::default(),
            families: Families::default(),
            recipients_per_transaction: 100,
            remote_port: 25,
        }
    }
}
