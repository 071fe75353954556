//! Reports between mail systems: what others say of the mail in our name.
//!
//! The zones ask for reports to the postmaster of each domain ([`rua`]). A message to it is delivered like any other; after
//! that, and never in its way, `intake` looks whether there is a report in it and keeps what it says, with whether its author
//! is who it seems (`authenticity`). `sources` tells in plain words what is known of each address.
//!
//! Reports of single failures (RFC 6591) are neither asked for nor sent: they would hand whole headers to strangers.
//!
//! RFC 7489 §7.2, RFC 8460 §3, §5.3.

mod authenticity;

pub mod intake;

pub mod sources;

use postern_message::address::DomainName;
use postern_smtp::server::ForwardPath;

pub use intake::{Intake, Provenance};

/// To whom reports are to go, at each domain.
const LOCAL_PART: &str = "postmaster";

/// Where reports about a domain are to go, as DMARC's and TLSRPT's records say it.
pub fn rua(domain: &DomainName) -> String {
    format!("mailto:{LOCAL_PART}@{domain}")
}

/// Whether a message goes where reports do.
pub fn is_among(forward_paths: &[ForwardPath]) -> bool {
    forward_paths.iter().any(|forward_path| match forward_path {
        ForwardPath::Address(address) => address.local_part().as_str().eq_ignore_ascii_case(LOCAL_PART),
        ForwardPath::Postmaster => true,
        ForwardPath::Literal(_) => false,
    })
}
