//! Whether the client has a name that leads back to its address (RFC 8601 §2.7.3).
//!
//! In: what the DNS says of it. Out: a verdict. Refused, where the operator wants that: who has no such name, but for machines of this network. That the DNS does
//! not answer refuses nobody.

use postern_smtp::server::Refusal;

use super::client::{Client, Relation};
use super::verdict::Verdict;
use crate::auth::iprev::ReverseName;
use crate::config::Severity;

const CHECK: &str = "reverse_name";

/// Judges the name.
pub fn judge(severity: Severity, client: &Client) -> Verdict {
    match &client.name {
        _ if client.relation == Relation::Near => Verdict::pass(CHECK, "a machine of this network"),
        ReverseName::Confirmed(name) => Verdict::pass(CHECK, name),
        ReverseName::Unknown => Verdict::pass(CHECK, "the DNS does not say whether its address has a name"),
        ReverseName::Missing => {
            let reason = "its address has no name that leads back to it";
            Verdict::refuse(CHECK, severity, Refusal::NoReverseName, reason)
        }
    }
}
