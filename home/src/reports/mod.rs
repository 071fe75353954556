//! Reports between mail systems: what others say of the mail in our name.
//!
//! The zones ask for reports to the postmaster of each domain ([`rua`]). A message to it is delivered like any other; after
//! that, and never in its way, `intake` looks whether there is a report in it and keeps what it says, with whether its author
//! is who it seems (`authenticity`). `sources` tells in plain words what is known of each address.
//!
//! The other way, `observe` counts what came in the name of domains that ask for reports, and once a day `sender` writes to
//! those that `destination` finds.
//!
//! Reports of single failures (RFC 6591) are neither asked for nor sent: they would hand whole headers to strangers.
//!
//! RFC 7489 §7.1, §7.2, RFC 8460 §3, §5.3.

pub mod attachment;

mod authenticity;

pub mod intake;

pub mod sources;

mod observe;

mod destination;

pub mod sender;

use postern_message::address::{DomainName, EmailAddress, LocalPart};
use postern_smtp::server::ForwardPath;

pub use intake::{Intake, Provenance};
pub use observe::observe;
pub use sender::Sender;

/// To whom reports are to go, at each domain.
const LOCAL_PART: &str = "postmaster";

/// Where reports about a domain are to go, as DMARC's and TLSRPT's records say it.
pub fn rua(domain: &DomainName) -> String {
    format!("mailto:{LOCAL_PART}@{domain}")
}

/// The address that reports of ours come from: somebody reads it.
fn postmaster(domain: &DomainName) -> Option<EmailAddress> {
    EmailAddress::new(LocalPart::from_unquoted(LOCAL_PART).ok()?, domain.clone()).ok()
}

/// Whether a message goes where reports do.
pub fn is_among(forward_paths: &[ForwardPath]) -> bool {
    forward_paths.iter().any(|forward_path| match forward_path {
        ForwardPath::Address(address) => address.local_part().as_str().eq_ignore_ascii_case(LOCAL_PART),
        ForwardPath::Postmaster => true,
        ForwardPath::Literal(_) => false,
    })
}
