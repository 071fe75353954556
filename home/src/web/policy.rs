//! `/.well-known/mta-sts.txt`: the policy that senders keep (RFC 8461 §3.2).

use postern_message::address::DomainName;

use super::response::Response;
use super::site::Site;

pub(super) const PATH: &str = "/.well-known/mta-sts.txt";

/// 404 while the domain has no policy.
pub(super) fn page(site: &Site, domain: &DomainName) -> Response {
    site.policy(domain).map_or_else(Response::not_found, |policy| Response::text(policy.text()))
}
