//! Whether the world can see what home has published.
//!
//! In: the zones as they were signed last, and what the edge says that it and the secondary name servers serve. Out: the
//! records that are served and the servers that lag, or nothing while the edge does not serve the newest zone.
//!
//! An edge that was taken over may say what it likes of both; it can serve what it likes too, as far as signatures let it.

use hickory_proto::rr::Record;
use postern_message::address::DomainName;
use postern_shared::secondary::SecondaryStatus;
use postern_shared::zone::is_older;
use postern_store::directory::{Directory, Secondary};

use crate::link::{Link, LinkState};
use crate::zone::renew;

/// Looks at the zones.
#[derive(Clone)]
pub struct Publication {
    directory: Directory,
    link: Link,
}

/// A zone that the edge serves.
#[derive(Debug)]
pub struct Served {
    /// Its records.
    pub records: Vec<Record>,
    /// The secondaries that were not seen to serve it yet.
    pub lagging: Vec<DomainName>,
}

impl Publication {
    /// Takes both ends.
    pub fn new(directory: Directory, link: Link) -> Self {
        Self { directory, link }
    }

    /// A domain's zone, if the edge serves the newest one and is heard. Blocks on the disk.
    pub fn served(&self, domain: &DomainName) -> Option<Served> {
        let status = self.link.status();
        let zone = renew::kept(&self.directory, domain).ok()??.zone;
        let is_served = status.zones.iter().any(|pushed| {
            pushed.accepted
                && pushed.serial == zone.serial
                && pushed.origin.eq_ignore_ascii_case(&zone.origin)
        });
        if status.state != LinkState::Connected || !is_served {
            return None;
        }
        let secondaries = self.directory.secondaries().ok()?;
        let lagging = lagging(&secondaries, &status.secondaries, domain, zone.serial);
        Some(Served { records: zone.records().ok()?, lagging })
    }
}

/// Those of a domain's secondaries that are not known to have this serial or a newer one.
fn lagging(
    secondaries: &[Secondary],
    said: &[SecondaryStatus],
    domain: &DomainName,
    serial: u32,
) -> Vec<DomainName> {
    let serves = |secondary: &Secondary| {
        let status = said.iter().find(|status| status.name == secondary.name.as_str());
        let zones = status.map(|status| status.zones.as_slice()).unwrap_or_default();
        let zone = zones.iter().find(|zone| zone.origin.eq_ignore_ascii_case(domain.as_str()));
        zone.and_then(|zone| zone.serial).is_some_and(|served| !is_older(served, serial))
    };
    let meant = secondaries.iter().filter(|secondary| secondary.serves(domain));
    meant.filter(|secondary| !serves(secondary)).map(|secondary| secondary.name.clone()).collect()
}

/// Whether all wanted records are among the served ones; TTLs aside.
pub fn holds(served: &[Record], wanted: &[Record]) -> bool {
    wanted
        .iter()
        .all(|wanted| served.iter().any(|record| record.name == wanted.name && record.data == wanted.data))
}

#[cfg(test)]
mod tests {
    use postern_shared::secondary::SecondaryZone;

    use super::*;

    fn name(text: &str) -> DomainName {
        text.parse().expect("a name")
    }

    fn secondary(host: &str, domains: Option<&str>) -> Secondary {
        let domains = domains.map(|domain| vec![name(domain)]);
        Secondary { name: name(host), addresses: Vec::new(), domains, keys: Vec::new() }
    }

    fn status(host: &str, serial: Option<u32>) -> SecondaryStatus {
        let zone = SecondaryZone {
            origin: "home.example".to_owned(),
            wanted: 7,
            serial,
            transfer: None,
            error: None,
        };
        SecondaryStatus { name: host.to_owned(), zones: vec![zone], ..SecondaryStatus::default() }
    }

    #[test]
    fn a_secondary_lags_until_it_was_seen_with_the_serial() {
        let all =
            [secondary("ns3.elsewhere.test", None), secondary("ns4.elsewhere.test", Some("other.example"))];
        let after = |said: &[SecondaryStatus]| lagging(&all, said, &name("home.example"), 7);
        let behind = [name("ns3.elsewhere.test")];
        assert_eq!(after(&[]), behind, "of which nothing was heard");
        assert_eq!(after(&[status("ns3.elsewhere.test", None)]), behind, "that was not asked yet");
        assert_eq!(after(&[status("ns3.elsewhere.test", Some(6))]), behind, "that has an older one");
        assert_eq!(after(&[status("ns4.elsewhere.test", Some(7))]), behind, "another one has it");
        assert_eq!(after(&[status("ns3.elsewhere.test", Some(7))]), []);
        assert_eq!(after(&[status("ns3.elsewhere.test", Some(8))]), [], "a newer one has come meanwhile");
        assert_eq!(lagging(&[], &[], &name("home.example"), 7), []);
    }
}
