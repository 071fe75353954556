//! Which page stands at which host name and path.
//!
//! In: a request. Out: its page, or 404. The whole table is [`Site::answer`].

use std::sync::Arc;

use hyper::Method;
use postern_message::address::{DomainName, EmailAddress};
use postern_store::directory::Directory;
use tokio::sync::watch;

use super::names::WebName;
use super::offer::Offer;
use super::request::Request;
use super::response::Response;
use super::{autoconfig, autodiscover, mobileconfig, policy};
use crate::config::ServiceKind;
use crate::hostname::{Hostname, mail_host};
use crate::mta_sts::{Policy, Seen};

/// What the pages are made of.
pub struct Site {
    /// The domains.
    pub directory: Directory,
    /// The mail host.
    pub hostname: Hostname,
    /// The services that the world reaches.
    pub offered: Arc<[ServiceKind]>,
    /// The policies.
    pub seen: watch::Receiver<Seen>,
}

/// Whose pages a host name has.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// A policy alone: nothing else shall stand at a name that senders trust.
    PolicyHost(DomainName),
    /// The settings of a domain's mail programs.
    Settings(DomainName),
    /// The mail host, for all domains.
    MailHost,
}

/// GET, and HEAD of the same (RFC 9110 §9.3.2).
const READ: [Method; 2] = [Method::GET, Method::HEAD];

impl Site {
    /// Answers a request.
    pub(super) async fn answer(&self, request: Request) -> Response {
        let Some(place) = request.host.as_ref().and_then(|host| self.place(host)) else {
            return Response::not_found();
        };
        let path = request.path.clone();
        match (place, path.as_str()) {
            (Place::PolicyHost(domain), policy::PATH) => read(&request, |_| policy::page(self, &domain)),
            (Place::Settings(domain), path) if autoconfig::PATHS.contains(&path) => {
                read(&request, |_| autoconfig::page(&self.offer(), &domain))
            }
            (Place::MailHost, path) if autoconfig::PATHS.contains(&path) => {
                read(&request, |request| self.autoconfig_of_address(request))
            }
            (Place::Settings(_) | Place::MailHost, path) if path.eq_ignore_ascii_case(autodiscover::PATH) => {
                self.autodiscover(request).await
            }
            (Place::Settings(_) | Place::MailHost, mobileconfig::PATH) => {
                read(&request, |request| self.mobileconfig(request))
            }
            _ => Response::not_found(),
        }
    }

    fn place(&self, host: &DomainName) -> Option<Place> {
        let snapshot = self.directory.snapshot();
        let of_domain = |domain: &DomainName| {
            let is = |name: WebName| name.below(domain) == *host && domain != host;
            match () {
                () if is(WebName::MtaSts) => Some(Place::PolicyHost(domain.clone())),
                () if is(WebName::Autoconfig) || is(WebName::Autodiscover) || domain == host => {
                    Some(Place::Settings(domain.clone()))
                }
                () if mail_host(domain).as_ref() == Some(host) => Some(Place::MailHost),
                () => None,
            }
        };
        let is_mail_host = self.hostname.current() == *host;
        snapshot.domains().find_map(of_domain).or(is_mail_host.then_some(Place::MailHost))
    }

    fn offer(&self) -> Offer {
        Offer::new(self.hostname.current(), &self.offered)
    }

    /// The domain's policy, where there is one.
    pub(super) fn policy(&self, domain: &DomainName) -> Option<Policy> {
        self.seen.borrow().get(domain)?.presence.policy(&self.hostname.current())
    }

    /// At a name that is no domain's, the address says which domain is meant.
    fn autoconfig_of_address(&self, request: &Request) -> Response {
        match self.address(request, "emailaddress") {
            Some(address) => autoconfig::page(&self.offer(), address.domain()),
            None => Response::not_found(),
        }
    }

    async fn autodiscover(&self, request: Request) -> Response {
        if request.method != Method::POST {
            return Response::method_not_allowed(&[Method::POST]);
        }
        match request.body(autodiscover::MOST_OCTETS).await {
            Ok(body) => autodiscover::page(&body, |domain| self.is_here(domain).then(|| self.offer())),
            Err(refusal) => refusal,
        }
    }

    fn mobileconfig(&self, request: &Request) -> Response {
        match self.address(request, "email") {
            Some(address) => mobileconfig::page(&self.offer(), &address),
            None => Response::not_found(),
        }
    }

    /// The address in the query, where its domain is one of home's; whether there is such a user is not looked at.
    fn address(&self, request: &Request, key: &str) -> Option<EmailAddress> {
        let address: EmailAddress = request.query(key)?.parse().ok()?;
        self.is_here(address.domain()).then_some(address)
    }

    fn is_here(&self, domain: &DomainName) -> bool {
        self.directory.is_local(domain)
    }
}

fn read(request: &Request, page: impl FnOnce(&Request) -> Response) -> Response {
    if READ.contains(&request.method) { page(request) } else { Response::method_not_allowed(&READ) }
}

#[cfg(test)]
mod tests;
