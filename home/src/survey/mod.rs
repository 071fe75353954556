//! What the world sees of a domain's DNS: each name server asked directly, and nothing believed from a cache.
//!
//! * In: what home wants of the parent zone and what it publishes; the answers of the parent's name servers, of those that
//!   the parent names for the domain, and of the resolver that home uses.
//! * Out: a [`Delegation`] (what the parent has, what is missing, wrong or waiting) and a [`Difference`] (what each server
//!   answers beside what home publishes), with the next step for a person; [`Survey`] looks from time to time and keeps an [`Outlook`].
//! * Refused: an answer that a name server does not give with authority. Where something on the way answers in its place,
//!   as some internet providers' routers do on port 53, that is said and nothing is concluded from it.
//! * RFC 1034 §4.3.2 (referrals), RFC 4034 §5 (DS), RFC 4035 §3.1.4 (DS at the parent), RFC 5452 §9.1 (whose answer it is).
//!
//! [`ask`] and this file hold the sockets and the waiting; [`parent`], [`delegation`] and [`difference`] are pure.
//! Everything is bounded: servers, questions at a time, and the time of the whole.

pub mod ask;

pub mod parent;
pub mod servers;

pub mod delegation;
pub mod difference;

mod run;

mod watch;

pub use delegation::Delegation;
pub use difference::Difference;
pub use run::{Subject, Surveyor};
pub use watch::{Outlook, Seen, Survey};
