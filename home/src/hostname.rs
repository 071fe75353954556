//! The name that home goes by: in SMTP greetings and EHLO, in trace fields and Authentication-Results, in
//! certificates, and in the MX records.
//!
//! In: the configuration, the directory, the system's own name. Out: the configured name; else `mail.` and the first
//! domain; else, while there is no domain, the system's name (or `localhost`). It changes when the first domain is
//! added, so it is asked for whenever it is needed.

use std::fmt;

use postern_message::address::DomainName;
use postern_store::directory::Directory;

/// The label of the mail host below a domain.
const LABEL: &str = "mail";

/// Answers what home is called at this moment; cheap to clone.
#[derive(Clone)]
pub struct Hostname {
    configured: Option<DomainName>,
    directory: Directory,
}

impl Hostname {
    /// Takes the configured name, if there is one, and the directory for the case that there is none.
    pub fn new(configured: Option<DomainName>, directory: Directory) -> Self {
        Self { configured, directory }
    }

    /// The name as it is now.
    pub fn current(&self) -> DomainName {
        let of_first_domain = || mail_host(self.directory.snapshot().first_domain()?);
        self.configured.clone().or_else(of_first_domain).unwrap_or_else(system_name)
    }
}

impl fmt::Debug for Hostname {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Hostname({})", self.current())
    }
}

/// The mail host of a domain, where its MX record points: `mail.home.example`.
pub fn mail_host(domain: &DomainName) -> Option<DomainName> {
    domain.child(LABEL).ok()
}

fn system_name() -> DomainName {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let fallback = || DomainName::parse("localhost").expect("one label of letters is a name");
    DomainName::parse(&name).unwrap_or_else(|_| fallback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_follows_configuration_then_first_domain_then_system() {
        let state_dir = tempfile::tempdir().expect("temporary directory");
        let directory = Directory::open(state_dir.path()).expect("opened");
        let hostname = Hostname::new(None, directory.clone());
        assert_eq!(hostname.current(), system_name());
        for name in ["zebra.example", "home.example"] {
            directory.add_domain(&name.parse().expect("a domain")).expect("added");
        }
        assert_eq!(hostname.current().as_str(), "mail.zebra.example");
        let configured = Hostname::new("mx.home.example".parse().ok(), directory);
        assert_eq!(configured.current().as_str(), "mx.home.example");
    }
}
