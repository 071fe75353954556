//! Where a domain's mail goes: from MX records to the addresses to try, in order.
//!
//! In: a domain, the resolver, and what is known of ourselves. Out: hosts with their addresses and what DNSSEC says of them,
//! best first; or the reason why there are none, for good or for now. Refused: hosts at our own level or below, which would send the
//! mail in a circle (RFC 5321 §5.1); more hosts, addresses and time than an honest domain needs.
//!
//! Implements RFC 5321 §5.1 (MX preference, implicit MX, loops), RFC 7505 (null MX), RFC 7672 §2.2.2 (where TLSA records are).

use std::net::IpAddr;
use std::time::Duration;

use crate::resolver::{Answer, Mx, Proven, ResolveError, Resolver, host_text};

/// Addresses that are tried in one attempt.
const ADDRESSES_MAX: usize = 8;
/// Hosts whose addresses are asked for in one attempt.
const HOSTS_MAX: usize = 16;
/// For all questions of one attempt: a domain whose name servers do not answer must not hold a slot for hours.
const FIND_TIMEOUT: Duration = Duration::from_secs(60);

/// What routing must know of this home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ourselves {
    /// The name in our EHLO.
    pub host_name: String,
    /// The addresses under which the world sees us: those of the edge.
    pub public: Vec<IpAddr>,
    /// Which addresses of others we can reach.
    pub families: Families,
}

/// The address families used towards other servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Families {
    /// IPv4 only: the edge has a reverse name for its IPv4 address alone, and large receivers refuse mail from
    /// addresses without one.
    #[default]
    V4,
    /// IPv4, then IPv6.
    Both,
}

/// A host that takes the domain's mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The exchange's name.
    pub name: String,
    /// The names at which its TLSA records may be, the best first; none where signatures do not lead from the root to the MX
    /// record and to what stands at the host's name.
    pub tlsa_bases: Vec<String>,
    /// Its addresses that are tried.
    pub addresses: Vec<IpAddr>,
}

/// Why there is nowhere to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoRoute {
    /// The enhanced status code; class 4 is to be tried again, class 5 is final.
    pub status: &'static str,
    /// For people.
    pub reason: String,
}

impl NoRoute {
    fn new(status: &'static str, reason: impl Into<String>) -> Self {
        NoRoute { status, reason: reason.into() }
    }
}

/// Finds the addresses to try for `domain`. `chance` gives numbers in 0..1 for the order among equals.
///
/// # Errors
/// The reason why there is none.
pub async fn find(
    resolver: &Resolver,
    domain: &str,
    ourselves: &Ourselves,
    chance: impl FnMut() -> f64,
) -> Result<Vec<Host>, NoRoute> {
    let found = tokio::time::timeout(FIND_TIMEOUT, ask(resolver, domain, ourselves, chance)).await;
    found.unwrap_or_else(|_| {
        Err(NoRoute::new("4.4.3", format!("the name servers of {domain}'s mail servers take too long")))
    })
}

async fn ask(
    resolver: &Resolver,
    domain: &str,
    ourselves: &Ourselves,
    chance: impl FnMut() -> f64,
) -> Result<Vec<Host>, NoRoute> {
    let records = resolver.proven_mx(domain).await.map_err(|error| unresolved(&error))?;
    // A domain without MX records has its own addresses in the same zone: those are signed, or the denial is not either.
    let is_secure = records.is_secure || records.answer == Answer::NoData;
    let exchanges = order(domain, records.answer, chance)?;
    let mut resolved: Vec<(u16, Host)> = Vec::new();
    let mut failure = None;
    for exchange in exchanges.into_iter().take(HOSTS_MAX) {
        if is_enough(&resolved, exchange.preference) {
            break;
        }
        match host(resolver, &exchange.exchange, is_secure, ourselves.families).await {
            Ok(host) => resolved.push((exchange.preference, host)),
            Err(error) => failure = Some(error),
        }
    }
    let hosts = without_loops(domain, resolved, ourselves)?;
    match (hosts.is_empty(), failure) {
        (false, _) => Ok(hosts),
        (true, Some(error)) => Err(unresolved(&error)),
        (true, None) => Err(NoRoute::new("5.4.4", format!("no mail server of {domain} has an address"))),
    }
}

/// Whether hosts of this preference would never be tried. Equals are looked at all the same: we may be among them.
fn is_enough(resolved: &[(u16, Host)], preference: u16) -> bool {
    let better = resolved.iter().filter(|(known, _)| *known < preference);
    better.map(|(_, host)| host.addresses.len()).sum::<usize>() >= ADDRESSES_MAX
}

/// The addresses of one server that the operator has named.
///
/// # Errors
/// The reason why there are none.
pub async fn of_relay(resolver: &Resolver, name: &str, families: Families) -> Result<Host, NoRoute> {
    let found = tokio::time::timeout(FIND_TIMEOUT, host(resolver, name, false, families)).await;
    let found = found.unwrap_or_else(|_| {
        Err(ResolveError::Temporary { name: name.to_owned(), cause: "it takes too long".to_owned() })
    });
    match found {
        Ok(host) if host.addresses.is_empty() => {
            Err(NoRoute::new("4.4.3", format!("the relay {name} has no address in the DNS")))
        }
        Ok(host) => Ok(host),
        Err(error) => Err(NoRoute::new("4.4.3", error.to_string())),
    }
}

/// Puts exchanges in the order of their preference, equals in random order (RFC 5321 §5.1).
fn order(domain: &str, records: Answer<Mx>, mut chance: impl FnMut() -> f64) -> Result<Vec<Mx>, NoRoute> {
    let records = match records {
        Answer::NoSuchName => {
            return Err(NoRoute::new("5.1.2", format!("the domain {domain} does not exist")));
        }
        // The implicit MX.
        Answer::NoData => return Ok(vec![Mx { preference: 0, exchange: domain.to_owned() }]),
        Answer::Records(records) => records,
    };
    let mut exchanges: Vec<Mx> = records.into_iter().filter(|mx| !mx.exchange.is_empty()).collect();
    if exchanges.is_empty() {
        return Err(NoRoute::new("5.1.10", format!("the domain {domain} takes no mail (null MX)")));
    }
    exchanges.sort_by_cached_key(|mx| (mx.preference, (chance() * f64::from(u32::MAX)) as u32));
    Ok(exchanges)
}

/// Drops ourselves and everything that is not better than ourselves.
fn without_loops(
    domain: &str,
    resolved: Vec<(u16, Host)>,
    ourselves: &Ourselves,
) -> Result<Vec<Host>, NoRoute> {
    let is_self = |(_, host): &&(u16, Host)| {
        host.name == ourselves.host_name
            || host.addresses.iter().any(|address| ourselves.public.contains(address))
    };
    let own_preference = resolved.iter().filter(is_self).map(|(preference, _)| *preference).min();
    let better = |preference: u16| own_preference.is_none_or(|own| preference < own);
    let mut left = ADDRESSES_MAX;
    let mut hosts = Vec::new();
    for (_, mut host) in resolved.into_iter().filter(|(preference, _)| better(*preference)) {
        host.addresses.truncate(left);
        left -= host.addresses.len();
        if !host.addresses.is_empty() {
            hosts.push(host);
        }
    }
    match (own_preference, hosts.is_empty()) {
        (Some(_), true) => Err(NoRoute::new(
            "5.4.6",
            format!("the mail servers of {domain} lead back to this home, which does not serve that domain"),
        )),
        _ => Ok(hosts),
    }
}

/// One host with its addresses; none where it does not exist.
async fn host(
    resolver: &Resolver,
    name: &str,
    is_mx_secure: bool,
    families: Families,
) -> Result<Host, ResolveError> {
    let v4 = resolver.proven_ipv4(name).await.map(Addresses::from);
    let found = match families {
        Families::V4 => v4?,
        Families::Both => match (v4, resolver.proven_ipv6(name).await.map(Addresses::from)) {
            (Ok(v4), Ok(v6)) => v4.and(v6),
            (Ok(some), Err(_)) | (Err(_), Ok(some)) if !some.addresses.is_empty() => some,
            (Err(error), _) | (_, Err(error)) => return Err(error),
        },
    };
    let tlsa_bases = if is_mx_secure { found.tlsa_bases(name) } else { Vec::new() };
    Ok(Host { name: name.to_owned(), tlsa_bases, addresses: found.addresses })
}

/// What one or two questions for addresses came to.
struct Addresses {
    addresses: Vec<IpAddr>,
    /// Whether signatures lead to the addresses.
    is_secure: bool,
    /// Whether they lead to what stands at the host's name.
    begins_secure: bool,
    /// Where the aliases lead.
    owner: String,
}

impl<T: Into<IpAddr>> From<Proven<T>> for Addresses {
    fn from(found: Proven<T>) -> Self {
        let Proven { answer, is_secure, begins_secure, owner } = found;
        let addresses = records(answer).map(Into::into).collect();
        Self { addresses, is_secure, begins_secure, owner: host_text(&owner) }
    }
}

impl Addresses {
    /// Of both families; a family that is absent says nothing of the other.
    fn and(self, other: Self) -> Self {
        match (self.addresses.is_empty(), other.addresses.is_empty()) {
            (true, _) => other,
            (_, true) => self,
            _ => Self {
                addresses: [self.addresses, other.addresses].concat(),
                is_secure: self.is_secure && other.is_secure,
                begins_secure: self.begins_secure && other.begins_secure,
                owner: self.owner,
            },
        }
    }

    /// RFC 7672 §2.2.2: the name that the aliases lead to and the host's own where all is secure; the host's own where an
    /// alias is that leads out of what is signed.
    fn tlsa_bases(&self, name: &str) -> Vec<String> {
        match (self.is_secure, self.begins_secure) {
            (true, _) if self.owner != name => vec![self.owner.clone(), name.to_owned()],
            (true, _) | (false, true) => vec![name.to_owned()],
            (false, false) => Vec::new(),
        }
    }
}

fn records<T>(answer: Answer<T>) -> impl Iterator<Item = T> {
    match answer {
        Answer::Records(records) => records.into_iter(),
        Answer::NoData | Answer::NoSuchName => Vec::new().into_iter(),
    }
}

fn unresolved(error: &ResolveError) -> NoRoute {
    match error {
        ResolveError::Temporary { .. } => NoRoute::new("4.4.3", error.to_string()),
        ResolveError::InvalidName { .. } => NoRoute::new("5.1.2", error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mx(preference: u16, exchange: &str) -> Mx {
        Mx { preference, exchange: exchange.into() }
    }

    fn ourselves() -> Ourselves {
        Ourselves {
            host_name: "mail.home.example".into(),
            public: vec!["192.0.2.1".parse().unwrap()],
            families: Families::V4,
        }
    }

    fn hosts(resolved: &[(u16, &str, &str)]) -> Result<Vec<String>, &'static str> {
        let resolved = resolved
            .iter()
            .map(|(preference, name, address)| {
                let addresses = vec![address.parse().unwrap()];
                (*preference, Host { name: (*name).to_owned(), tlsa_bases: Vec::new(), addresses })
            })
            .collect();
        without_loops("far.example", resolved, &ourselves())
            .map(|hosts| hosts.into_iter().map(|host| host.name).collect())
            .map_err(|no_route| no_route.status)
    }

    #[test]
    fn no_record_means_the_domain_itself_and_no_name_means_never() {
        assert_eq!(order("a.example", Answer::NoData, || 0.0), Ok(vec![mx(0, "a.example")]));
        assert_eq!(order("a.example", Answer::NoSuchName, || 0.0).unwrap_err().status, "5.1.2");
        let null = Answer::Records(vec![mx(0, "")]);
        assert_eq!(order("a.example", null, || 0.0).unwrap_err().status, "5.1.10");
    }

    #[test]
    fn preference_decides_and_chance_decides_among_equals() {
        let records = || Answer::Records(vec![mx(20, "c"), mx(10, "a"), mx(10, "b"), mx(5, "")]);
        let with = |chances: [f64; 3]| {
            let mut chances = chances.into_iter();
            let ordered = order("x", records(), || chances.next().unwrap()).unwrap();
            ordered.into_iter().map(|mx| mx.exchange).collect::<String>()
        };
        assert_eq!(with([0.5, 0.1, 0.9]), "abc");
        assert_eq!(with([0.5, 0.9, 0.1]), "bac");
    }

    #[test]
    fn tlsa_records_are_looked_for_where_signatures_lead() {
        let bases = |is_secure, begins_secure, owner: &str| {
            let owner = owner.to_owned();
            Addresses { addresses: Vec::new(), is_secure, begins_secure, owner }.tlsa_bases("mx.a.example")
        };
        assert_eq!(bases(true, true, "mx.a.example"), ["mx.a.example"]);
        assert_eq!(bases(true, true, "cdn.example"), ["cdn.example", "mx.a.example"]);
        // The alias is signed, and what it leads to is not.
        assert_eq!(bases(false, true, "cdn.example"), ["mx.a.example"]);
        assert!(bases(false, false, "cdn.example").is_empty());
    }

    #[test]
    fn what_is_never_tried_is_not_asked_for() {
        let host = |addresses: usize| Host {
            name: "mx".into(),
            tlsa_bases: Vec::new(),
            addresses: vec!["192.0.2.9".parse().unwrap(); addresses],
        };
        let resolved = [(10, host(5)), (20, host(3))];
        assert!(!is_enough(&resolved, 20) && is_enough(&resolved, 21));
        assert!(!is_enough(&resolved[..1], 30));
    }

    #[test]
    fn our_own_name_or_address_ends_the_list() {
        assert_eq!(
            hosts(&[
                (10, "mx1", "198.51.100.1"),
                (20, "mail.home.example", "192.0.2.9"),
                (30, "mx3", "198.51.100.3")
            ]),
            Ok(vec!["mx1".into()])
        );
        assert_eq!(hosts(&[(10, "alias", "192.0.2.1"), (10, "mx2", "198.51.100.2")]), Err("5.4.6"));
        assert_eq!(hosts(&[(10, "mx1", "198.51.100.1")]), Ok(vec!["mx1".into()]));
    }
}
