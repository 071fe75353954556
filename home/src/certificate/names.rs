//! Which certificates there are: one for the mail host, and one for the web names of each domain.
//!
//! The mail host's stands alone, since its keys are in TLSA records and change with care; a name that is added to a domain
//! does not touch it.

use postern_message::address::DomainName;

use crate::web::WebName;

/// The names of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameSet {
    /// The names; a wildcard begins with `*.`. The first one names the set.
    pub names: Vec<String>,
    /// What they are for.
    pub role: Role,
}

/// What a set of names is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The mail host: TLSA records announce its keys.
    Host,
    /// The web names of a domain.
    Web,
}

impl NameSet {
    /// The name of the set.
    pub fn id(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }
}

/// All sets for these domains; with `wildcard` the mail host's has all names beside it too.
pub fn all(host: &DomainName, domains: &[&DomainName], wildcard: Wildcard) -> Vec<NameSet> {
    let beside = match wildcard {
        Wildcard::No => None,
        Wildcard::Yes => self::wildcard(host.as_str()),
    };
    let names = std::iter::once(host.to_string()).chain(beside).collect();
    let mut sets = vec![NameSet { names, role: Role::Host }];
    sets.extend(domains.iter().map(|domain| web(domain)).filter(|set| !set.names.is_empty()));
    sets
}

/// The wildcard that stands for a name (RFC 6125): it has an asterisk in the place of the first label.
pub fn wildcard(name: &str) -> Option<String> {
    name.split_once('.').map(|(_, parent)| format!("*.{parent}"))
}

/// Whether a wildcard is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wildcard {
    /// It is.
    Yes,
    /// It is not.
    No,
}

/// The web names of a domain.
pub fn web(domain: &DomainName) -> NameSet {
    let names = WebName::ALL.iter().filter_map(|web| Some(domain.child(web.label()).ok()?.to_string()));
    NameSet { names: names.collect(), role: Role::Web }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mail_host_stands_alone() {
        let name = |text: &str| DomainName::parse(text).expect("a name");
        let (host, home, other) = (name("mail.home.example"), name("home.example"), name("other.example"));
        let sets = all(&host, &[&home, &other], Wildcard::Yes);
        let ids: Vec<&str> = sets.iter().map(NameSet::id).collect();
        assert_eq!(ids, ["mail.home.example", "mta-sts.home.example", "mta-sts.other.example"]);
        assert_eq!(sets[0].names, ["mail.home.example", "*.home.example"]);
        assert_eq!(all(&host, &[], Wildcard::No)[0].names, ["mail.home.example"]);
    }
}
