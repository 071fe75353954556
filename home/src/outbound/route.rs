//! Where a domain's mail goes: from MX records to the addresses to try, in order.
//!
//! In: a domain, the resolver, and what is known of ourselves. Out: hosts with their addresses, best first; or the
//! reason why there are none, for good or for now. Refused: hosts at our own level or below, which would send the
//! mail in a circle (RFC 5321 §5.1).
//!
//! Implements RFC 5321 §5.1 (MX preference, implicit MX, loops), RFC 7505 (null MX).

use std::net::IpAddr;

use crate::resolver::{Answer, Mx, ResolveError, Resolver};

/// Addresses that are tried in one attempt.
const ADDRESSES_MAX: usize = 8;

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

/// One address to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The exchange's name.
    pub host: String,
    /// One of its addresses.
    pub address: IpAddr,
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
) -> Result<Vec<Candidate>, NoRoute> {
    let records = resolver.mx(domain).await.map_err(|error| unresolved(&error))?;
    let exchanges = order(domain, records, chance)?;
    let mut resolved = Vec::new();
    let mut failure = None;
    for exchange in exchanges {
        match addresses(resolver, &exchange.exchange, ourselves.families).await {
            Ok(addresses) => resolved.push((exchange, addresses)),
            Err(error) => failure = Some(error),
        }
    }
    let candidates = without_loops(domain, resolved, ourselves)?;
    match (candidates.is_empty(), failure) {
        (false, _) => Ok(candidates),
        (true, Some(error)) => Err(unresolved(&error)),
        (true, None) => Err(NoRoute::new("5.4.4", format!("no mail server of {domain} has an address"))),
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
    resolved: Vec<(Mx, Vec<IpAddr>)>,
    ourselves: &Ourselves,
) -> Result<Vec<Candidate>, NoRoute> {
    let is_self = |(mx, addresses): &&(Mx, Vec<IpAddr>)| {
        mx.exchange == ourselves.host_name
            || addresses.iter().any(|address| ourselves.public.contains(address))
    };
    let own_preference = resolved.iter().filter(is_self).map(|(mx, _)| mx.preference).min();
    let better = |mx: &Mx| own_preference.is_none_or(|own| mx.preference < own);
    let kept = resolved.into_iter().filter(|(mx, _)| better(mx));
    let candidates: Vec<Candidate> = kept
        .flat_map(|(mx, addresses)| {
            addresses.into_iter().map(move |address| Candidate { host: mx.exchange.clone(), address })
        })
        .take(ADDRESSES_MAX)
        .collect();
    match (own_preference, candidates.is_empty()) {
        (Some(_), true) => Err(NoRoute::new(
            "5.4.6",
            format!("the mail servers of {domain} lead back to this home, which does not serve that domain"),
        )),
        _ => Ok(candidates),
    }
}

/// The addresses of one host; none where it does not exist.
async fn addresses(resolver: &Resolver, host: &str, families: Families) -> Result<Vec<IpAddr>, ResolveError> {
    let v4 = resolver.ipv4(host).await.map(|answer| records(answer).map(IpAddr::from).collect::<Vec<_>>());
    if families == Families::V4 {
        return v4;
    }
    let v6 = resolver.ipv6(host).await.map(|answer| records(answer).map(IpAddr::from).collect::<Vec<_>>());
    match (v4, v6) {
        (Ok(v4), Ok(v6)) => Ok([v4, v6].concat()),
        (Ok(some), Err(_)) | (Err(_), Ok(some)) if !some.is_empty() => Ok(some),
        (Err(error), _) | (_, Err(error)) => Err(error),
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
            .map(|(preference, host, address)| (mx(*preference, host), vec![address.parse().unwrap()]))
            .collect();
        without_loops("far.example", resolved, &ourselves())
            .map(|candidates| candidates.into_iter().map(|candidate| candidate.host).collect())
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
