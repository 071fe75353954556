//! The secondary name servers of a zone: what the zone says of them, and what the edge must know.
//!
//! * In: the directory's list of them; how the edge says that they are.
//! * Out: an NS record for each in the zones that it serves, with its addresses where its name is in the zone (RFC 1034
//!   §4.2.1); the list that the edge gets; the keys that are no longer needed.
//! * Refused: a name that the zone already says something of, which is no address of a secondary's to take.
//!
//! A key that takes the place of another is used beside it: the one before goes when all addresses of the secondary use the
//! new one.

use hickory_proto::rr::rdata::NS;
use hickory_proto::rr::{RData, Record};
use postern_message::address::DomainName;
use postern_shared::secondary::{self, SecondariesHeld, SecondaryList, Secret, TransferKey};
use postern_shared::zone::ZoneError;
use postern_store::directory::{Directory, DirectoryError, Secondary};

use super::{Facts, TTL, address_record, build, name};

pub(super) fn records(facts: &Facts) -> Result<Vec<Record>, ZoneError> {
    let mut records = Vec::new();
    for secondary in &facts.secondaries {
        let host = name(secondary.name.as_str())?;
        if secondary.name.is_within(&facts.domain) {
            let mut addresses: Vec<_> = secondary.addresses.iter().map(|address| address.ip()).collect();
            addresses.sort();
            addresses.dedup();
            records.extend(addresses.into_iter().map(|address| address_record(&host, address)));
        }
        records.push(Record::from_rdata(facts.apex()?, TTL, RData::NS(NS(host))));
    }
    Ok(records)
}

/// Whether the zone of these facts, which do not name the secondary yet, has something at its name already.
///
/// # Errors
/// [`ZoneError`] where the zone cannot be built.
pub fn is_taken(facts: &Facts, secondary: &DomainName) -> Result<bool, ZoneError> {
    if !secondary.is_within(&facts.domain) {
        return Ok(false);
    }
    let host = name(secondary.as_str())?;
    Ok(build(facts, 0)?.records()?.iter().any(|record| record.name == host))
}

/// The name of a key, on both sides (RFC 8945 §4.2).
pub fn key_name(number: i64, secondary: &DomainName) -> String {
    format!("k{number}.{secondary}")
}

/// What the edge gets.
pub fn list(secondaries: &[Secondary]) -> SecondaryList {
    let all = secondaries.iter().map(|one| secondary::Secondary {
        name: one.name.to_string(),
        addresses: one.addresses.clone(),
        zones: one.domains.as_ref().map(|domains| domains.iter().map(ToString::to_string).collect()),
        keys: keys(one),
    });
    SecondaryList::new(all.collect())
}

/// The keys of one of them, the oldest first.
pub fn keys(secondary: &Secondary) -> Vec<TransferKey> {
    let key = |key: &postern_store::directory::SecondaryKey| TransferKey {
        name: key_name(key.number, &secondary.name),
        secret: Secret::new(*key.secret),
    };
    secondary.keys.iter().map(key).collect()
}

/// Removes the keys of before where the edge says that the newest is used everywhere.
///
/// # Errors
/// [`DirectoryError::Storage`].
pub fn retire_keys(
    directory: &Directory,
    secondaries: &[Secondary],
    held: &SecondariesHeld,
) -> Result<(), DirectoryError> {
    for secondary in secondaries.iter().filter(|secondary| secondary.keys.len() > 1) {
        let Some(newest) = secondary.keys.last() else { continue };
        let newest_name = key_name(newest.number, &secondary.name);
        let status = held.secondaries.iter().find(|status| status.name == secondary.name.as_str());
        if status.and_then(|status| status.key.as_ref()) == Some(&newest_name) {
            let count = directory.retire_secondary_keys(&secondary.name, newest.number)?;
            tracing::info!(secondary = %secondary.name, key = newest_name, count, "former keys retired");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::RecordType;
    use postern_shared::secondary::SecondaryStatus;

    use super::super::tests::facts;
    use super::*;

    fn secondary(name: &str) -> Secondary {
        let addresses = ["192.0.2.3:53", "[2001:db8::3]:5353", "192.0.2.3:54"];
        Secondary {
            name: name.parse().expect("a name"),
            addresses: addresses.map(|text| text.parse().expect("an address")).to_vec(),
            domains: None,
            keys: Vec::new(),
        }
    }

    #[test]
    fn a_secondary_is_a_name_server_with_its_addresses_where_its_name_is_here() {
        let mut facts = facts("home.example", "mail.home.example");
        facts.secondaries = vec![secondary("ns3.home.example"), secondary("ns4.elsewhere.test")];
        let zone = build(&facts, 7).expect("a zone");
        let records = zone.records().expect("records");
        let of = |kind, owner: &str| {
            let fitting = |record: &&Record| record.record_type() == kind && record.name.to_ascii() == owner;
            records.iter().filter(fitting).map(|record| record.data.to_string()).collect::<Vec<_>>()
        };
        let servers = ["ns1.home.example.", "ns2.home.example.", "ns3.home.example.", "ns4.elsewhere.test."];
        assert_eq!(of(RecordType::NS, "home.example."), servers);
        assert_eq!(of(RecordType::A, "ns3.home.example."), ["192.0.2.3"]);
        assert_eq!(of(RecordType::AAAA, "ns3.home.example."), ["2001:db8::3"]);
        assert_eq!(of(RecordType::A, "ns4.elsewhere.test."), Vec::<String>::new());
    }

    #[test]
    fn a_name_that_means_something_else_is_not_for_a_secondary() {
        let facts = facts("home.example", "mail.home.example");
        let taken = |text: &str| is_taken(&facts, &text.parse().expect("a name")).expect("a zone");
        for name in ["ns1.home.example", "mail.home.example", "home.example"] {
            assert!(taken(name), "{name}");
        }
        assert!(!taken("ns3.home.example") && !taken("ns1.elsewhere.test"));
    }

    #[test]
    fn a_key_goes_only_when_the_newest_has_been_used() {
        let state_dir = tempfile::tempdir().expect("a directory");
        let directory = Directory::open(state_dir.path()).expect("opened");
        let name: DomainName = "ns3.elsewhere.test".parse().expect("a name");
        let one = secondary(name.as_str());
        directory.add_secondary(&name, &one.addresses, None).expect("added");
        let keep = postern_store::directory::FormerKeys::Keep;
        directory.rotate_secondary_key(&name, keep).expect("rotated");
        let all = directory.secondaries().expect("read");
        let names: Vec<String> = keys(&all[0]).into_iter().map(|key| key.name).collect();
        let used = |key: Option<&String>| SecondariesHeld {
            revision: String::new(),
            secondaries: vec![SecondaryStatus {
                name: name.to_string(),
                key: key.cloned(),
                ..SecondaryStatus::default()
            }],
        };
        for (key, left) in [(None, 2), (names.first(), 2), (names.last(), 1)] {
            retire_keys(&directory, &all, &used(key)).expect("done");
            assert_eq!(directory.secondaries().expect("read")[0].keys.len(), left, "{key:?}");
        }
        assert_eq!(list(&all).secondaries[0].keys.len(), 2);
        assert_ne!(list(&all).revision, list(&directory.secondaries().expect("read")).revision);
        list(&all).check().expect("usable");
    }
}
