//! The relays, and which traffic goes by which. Pure.
//!
//! In: relays and uses as the operator names them. Out: the relay for a message. What is nearest to the message decides: the
//! user who sends it, then where it goes, then the domain it is sent from, then all mail.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use postern_message::address::{DomainName, EmailAddress};
use serde::{Deserialize, Serialize};

use crate::admin::wire::Password;

/// The word that stands for delivery without a relay.
pub const DIRECT: &str = "direct";
/// Relays that a home may have.
pub const MOST: usize = 32;

/// A relay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// What the operator calls it.
    pub name: String,
    /// Its host name, which its certificate must hold.
    pub host: DomainName,
    /// Its port.
    pub port: u16,
    /// How TLS begins there.
    pub security: Security,
    /// The user name there.
    pub login: String,
    /// The password there.
    pub password: Password,
    /// What the SPF records of the domains must include.
    pub spf: Option<DomainName>,
}

/// How TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// With the first octet (RFC 8314 §3.3).
    Implicit,
    /// By STARTTLS, without which nothing is said (RFC 3207).
    StartTls,
}

impl Security {
    /// What is usual on a port.
    pub fn of_port(port: u16) -> Self {
        if matches!(port, 465 | 2465) { Self::Implicit } else { Self::StartTls }
    }
}

impl Display for Security {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Implicit => "TLS",
            Self::StartTls => "STARTTLS",
        })
    }
}

/// Which traffic a relay is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Use {
    /// What this user submits.
    User(EmailAddress),
    /// What goes to this domain.
    To(DomainName),
    /// What is sent from this domain of ours.
    Domain(DomainName),
    /// Everything.
    All,
    /// What goes to destinations that distrust the edge's address.
    Overflow,
}

impl Display for Use {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(formatter, "user:{user}"),
            Self::To(domain) => write!(formatter, "to:{domain}"),
            Self::Domain(domain) => write!(formatter, "domain:{domain}"),
            Self::All => formatter.write_str("all"),
            Self::Overflow => formatter.write_str("overflow"),
        }
    }
}

impl From<Use> for String {
    fn from(which: Use) -> Self {
        which.to_string()
    }
}

impl TryFrom<String> for Use {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Use {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let domain = |text: &str| DomainName::parse(text).map_err(|error| error.to_string());
        match text.split_once(':') {
            None if text == "all" => Ok(Self::All),
            None if text == "overflow" => Ok(Self::Overflow),
            Some(("user", user)) => {
                EmailAddress::parse(user).map(Self::User).map_err(|error| error.to_string())
            }
            Some(("to", name)) => domain(name).map(Self::To),
            Some(("domain", name)) => domain(name).map(Self::Domain),
            _ => Err("expected all, overflow, domain:home.example, user:ana@home.example or to:far.example"
                .to_owned()),
        }
    }
}

/// What the choice of a relay depends on.
#[derive(Debug, Clone, Copy)]
pub struct Traffic<'a> {
    /// The reverse-path.
    pub sender: Option<&'a EmailAddress>,
    /// The user who submitted it.
    pub user: Option<&'a EmailAddress>,
    /// The domain that it goes to, in A-labels.
    pub destination: &'a str,
}

/// Why the book cannot be changed so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    /// The name is taken.
    #[error("there is a relay {0} already; `postern-home relay remove {0}` takes it away")]
    Exists(String),
    /// The name is not one.
    #[error("a relay's name is 1 to 32 letters, digits or hyphens, and not `{DIRECT}`")]
    Name,
    /// There is no such relay.
    #[error("there is no relay {0}; `postern-home relay list` shows those that are")]
    Unknown(String),
    /// It is in use.
    #[error("the relay {0} is used for {1}; say `postern-home relay use {DIRECT} {1}` first")]
    InUse(String, Use),
    /// There are too many.
    #[error("there are {MOST} relays already")]
    TooMany,
}

/// All relays with their uses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    relays: BTreeMap<String, Relay>,
    uses: BTreeMap<Use, String>,
}

impl Book {
    /// The relays, by name.
    pub fn relays(&self) -> impl Iterator<Item = &Relay> {
        self.relays.values()
    }

    /// The relay of this name.
    ///
    /// # Errors
    /// [`BookError::Unknown`].
    pub fn relay(&self, name: &str) -> Result<&Relay, BookError> {
        self.relays.get(name).ok_or_else(|| BookError::Unknown(name.to_owned()))
    }

    /// What a relay is used for.
    pub fn uses_of(&self, name: &str) -> impl Iterator<Item = &Use> {
        self.uses.iter().filter(move |(_, relay)| *relay == name).map(|(which, _)| which)
    }

    /// Adds a relay, which is used for nothing yet.
    ///
    /// # Errors
    /// [`BookError::Exists`], [`BookError::Name`], [`BookError::TooMany`].
    pub fn add(&mut self, relay: Relay) -> Result<(), BookError> {
        let is_name = |name: &str| {
            (1..=32).contains(&name.len())
                && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
        };
        if !is_name(&relay.name) || relay.name == DIRECT {
            return Err(BookError::Name);
        }
        if self.relays.contains_key(&relay.name) {
            return Err(BookError::Exists(relay.name));
        }
        if self.relays.len() >= MOST {
            return Err(BookError::TooMany);
        }
        self.relays.insert(relay.name.clone(), relay);
        Ok(())
    }

    /// Removes a relay that is used for nothing.
    ///
    /// # Errors
    /// [`BookError::Unknown`], [`BookError::InUse`].
    pub fn remove(&mut self, name: &str) -> Result<(), BookError> {
        self.relay(name)?;
        if let Some(which) = self.uses_of(name).next() {
            return Err(BookError::InUse(name.to_owned(), which.clone()));
        }
        self.relays.remove(name);
        Ok(())
    }

    /// Uses a relay for this traffic from now on; `direct` uses none.
    ///
    /// # Errors
    /// [`BookError::Unknown`].
    pub fn assign(&mut self, which: Use, name: &str) -> Result<(), BookError> {
        if name == DIRECT {
            self.uses.remove(&which);
        } else {
            let name = self.relay(name)?.name.clone();
            self.uses.insert(which, name);
        }
        Ok(())
    }

    /// The relay that the operator has named for this traffic.
    pub fn chosen(&self, traffic: &Traffic<'_>) -> Option<&Relay> {
        let user = traffic.user.map(|user| Use::User(user.clone()));
        let to = DomainName::parse(traffic.destination).ok().map(Use::To);
        let domain = traffic.sender.map(|sender| Use::Domain(sender.domain().clone()));
        let nearest = [user, to, domain, Some(Use::All)].into_iter().flatten();
        nearest.filter_map(|which| self.used(&which)).next()
    }

    /// The relay for destinations that distrust the edge's address.
    pub fn for_overflow(&self) -> Option<&Relay> {
        self.used(&Use::Overflow)
    }

    /// What the SPF record of a domain must include: that of every relay which may carry mail of the domain.
    pub fn spf_includes(&self, domain: &DomainName) -> Vec<DomainName> {
        let carries = |which: &Use| match which {
            Use::Domain(of) => of == domain,
            Use::User(user) => user.domain() == domain,
            Use::To(_) | Use::All | Use::Overflow => true,
        };
        let relays = self.uses.iter().filter(|(which, _)| carries(which));
        let mut includes: Vec<DomainName> =
            relays.filter_map(|(_, name)| self.relays.get(name)?.spf.clone()).collect();
        includes.sort();
        includes.dedup();
        includes
    }

    fn used(&self, which: &Use) -> Option<&Relay> {
        self.relays.get(self.uses.get(which)?)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn relay(name: &str, spf: Option<&str>) -> Relay {
        Relay {
            name: name.to_owned(),
            host: format!("{name}.relay.example").parse().unwrap(),
            port: 587,
            security: Security::of_port(587),
            login: "home".to_owned(),
            password: Password::new("secret".to_owned()),
            spf: spf.map(|spf| spf.parse().unwrap()),
        }
    }

    fn book(uses: &[(&str, &str)]) -> Book {
        let mut book = Book::default();
        for (which, name) in uses {
            let _ = book.add(relay(name, Some(&format!("spf.{name}.example"))));
            book.assign(which.parse().unwrap(), name).unwrap();
        }
        book
    }

    #[test]
    fn what_is_nearest_to_the_message_decides() {
        let book = book(&[
            ("all", "a"),
            ("domain:home.example", "d"),
            ("to:far.example", "t"),
            ("user:ana@home.example", "u"),
            ("overflow", "o"),
        ]);
        let chosen = |sender: &str, user: Option<&str>, destination| {
            let (sender, user) = (sender.parse().ok(), user.map(|user| user.parse().unwrap()));
            let traffic = Traffic { sender: sender.as_ref(), user: user.as_ref(), destination };
            book.chosen(&traffic).unwrap().name.clone()
        };
        assert_eq!(chosen("ana@home.example", Some("ana@home.example"), "far.example"), "u");
        assert_eq!(chosen("bo@home.example", Some("bo@home.example"), "far.example"), "t");
        assert_eq!(chosen("bo@home.example", Some("bo@home.example"), "else.example"), "d");
        assert_eq!(chosen("bo@other.example", None, "else.example"), "a");
        assert_eq!(chosen("", None, "else.example"), "a", "a report");
    }

    #[test]
    fn a_domain_includes_the_relays_that_may_carry_its_mail() {
        let book = book(&[("domain:home.example", "d"), ("user:bo@other.example", "u"), ("overflow", "o")]);
        let includes = |domain: &str| {
            let includes = book.spf_includes(&domain.parse().unwrap());
            includes.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(includes("home.example"), ["spf.d.example", "spf.o.example"]);
        assert_eq!(includes("other.example"), ["spf.o.example", "spf.u.example"]);
    }

    #[test]
    fn a_relay_in_use_stays() {
        let mut book = book(&[("all", "a")]);
        assert_eq!(book.remove("a"), Err(BookError::InUse("a".into(), Use::All)));
        book.assign(Use::All, DIRECT).unwrap();
        assert_eq!(book.remove("a"), Ok(()));
        assert_eq!(book.assign(Use::All, "a"), Err(BookError::Unknown("a".into())));
        assert_eq!(book.add(relay(DIRECT, None)), Err(BookError::Name));
    }

    #[test]
    fn uses_are_kept_as_they_are_written() {
        for text in ["all", "overflow", "domain:home.example", "user:ana@home.example", "to:far.example"] {
            assert_eq!(text.parse::<Use>().unwrap().to_string(), text);
        }
        let book = book(&[("all", "a"), ("to:far.example", "t")]);
        let kept = serde_json::to_string(&book).unwrap();
        assert_eq!(serde_json::from_str::<Book>(&kept).unwrap(), book);
        assert!(!format!("{book:?}").contains("secret"));
    }
}
