//! What strangers' mail is checked for, one check a file, in the order of the session: early and cheap ones first.
//!
//! | file | when | what is checked |
//! |---|---|---|
//! | `greet` | before the greeting | whether the client waits for it |
//! | `client` | once a connection, asked beside it | (facts: the client's name, and lists that have it) |
//! | `helo` | first recipient | whether the client calls itself what it cannot be |
//! | `lists` | first recipient | whether DNS lists have the client |
//! | `reverse_name` | first recipient | whether its address has a name that leads back |
//! | `sender_domain` | first recipient | whether the sender's domain takes mail |
//! | `null_sender` | each recipient | whether a report has one recipient |
//! | `header` | the message is here | whether every reader understands the header alike |
//! | `greylist` | the message is here | whether a doubtful stranger comes again |
//!
//! Each check is a function from facts to a [`Verdict`] with a reason; asking the DNS for the facts is apart from it, has a
//! time-out, and an answer that does not come refuses nobody. The checks of the envelope are made when the first recipient
//! of ours is named, so that who only asks for relaying costs no look-up, and hold for the whole transaction. The
//! postmaster can be reached whatever they say (RFC 5321 §4.5.1).
//!
//! To add one: a file with a `judge` that gives a [`Verdict`], a key in the section `[inbound]`, a line in
//! [`of_envelope`] or in `inbound::judgement`, and a row in docs/receiving.md.

pub mod verdict;

pub mod greet;
pub mod rate;

pub mod client;
pub mod lists;

pub mod helo;
pub mod null_sender;
pub mod reverse_name;
pub mod sender_domain;

pub mod header;

pub mod greylist;

use postern_smtp::server::ReversePath;

use crate::config::{Inbound, Severity};
use crate::resolver::Resolver;
use client::Client;
pub use verdict::{Outcome, Verdict};

/// What the client said before it named a recipient.
pub struct Said<'a> {
    /// In HELO or EHLO.
    pub helo: &'a str,
    /// In MAIL.
    pub reverse_path: &'a ReversePath,
}

/// Makes the checks of the envelope; the first refusal is the one that is told.
pub async fn of_envelope(
    policy: &Inbound,
    resolver: &Resolver,
    us: &helo::Us<'_>,
    client: &Client,
    said: Said<'_>,
) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    if policy.helo != Severity::Off {
        verdicts.push(helo::judge(policy.helo, said.helo, us, client));
    }
    verdicts.push(client.listing.judge());
    if policy.reverse_name != Severity::Off {
        verdicts.push(reverse_name::judge(policy.reverse_name, client));
    }
    let domain = said.reverse_path.address().map(|address| address.domain());
    let asked = domain.filter(|domain| policy.sender_domain != Severity::Off && !(us.is_local)(domain));
    let is_refused = verdicts.iter().any(|verdict| verdict.refusal().is_some());
    if let Some(domain) = asked.filter(|_| !is_refused) {
        let standing = sender_domain::ask(resolver, domain).await;
        verdicts.push(sender_domain::judge(policy.sender_domain, domain, standing));
    }
    verdicts
}
