//! What the world sees of the zones, and so of the keys that they announce.

use hickory_proto::rr::{RData, Record};
use postern_message::address::DomainName;

use super::{Keeper, Look};
use crate::certificate::key::KeyId;
use crate::certificate::life::Extent;
use crate::certificate::names::{NameSet, Role};
use crate::certificate::publication::holds;

/// What a look at the zones of a set's names finds.
#[derive(Debug, Default)]
pub(super) struct Sight {
    /// Whether the edge serves them as home wants them.
    pub(super) is_published: bool,
    /// The secondary name servers that do not serve them yet, as far as is known.
    pub(super) lagging: Vec<DomainName>,
}

impl Keeper {
    /// Looks at the served zones of a set's names, and notes the keys that the world sees.
    pub(super) async fn observe(&mut self, set: &NameSet, look: &Look) -> Sight {
        let mut domains: Vec<DomainName> =
            set.names.iter().filter_map(|name| self.zone_of(name, look)).collect();
        domains.sort();
        domains.dedup();
        let (publication, wanted) = (self.publication.clone(), self.parts.issuance.borrow().clone());
        let all = look.domains.clone();
        let work = tokio::task::spawn_blocking(move || {
            let served: Vec<_> = domains.iter().map(|domain| publication.served(domain)).collect();
            let all: Vec<&DomainName> = all.iter().collect();
            let is_published = !domains.is_empty()
                && domains.iter().zip(&served).all(|(domain, served)| {
                    let records = wanted.of(domain, &all).records(domain).unwrap_or_default();
                    served.as_ref().is_some_and(|served| holds(&served.records, &records))
                });
            let (mut lagging, mut records) = (Vec::new(), Vec::new());
            for served in served.into_iter().flatten() {
                lagging.extend(served.lagging);
                records.extend(served.records);
            }
            (Sight { is_published, lagging }, records)
        });
        let (sight, records) = work.await.unwrap_or_default();
        if set.role == Role::Host && look.clock.is_ok() {
            let extent = if sight.lagging.is_empty() { Extent::Everywhere } else { Extent::Somewhere };
            self.note_seen(set, &served_keys(&records, &look.host), extent, look.now).await;
        }
        sight
    }

    async fn note_seen(&mut self, set: &NameSet, seen: &[KeyId], extent: Extent, now: u64) {
        let Some(entry) = self.book.sets.get(set.id()) else { return };
        let mut life = entry.life.clone();
        life.seen(seen, extent, now);
        // What was not kept is seen again.
        if life != entry.life {
            let _ = self.change(set, |entry| entry.life = life).await;
        }
    }
}

/// The keys of the mail host that a zone's TLSA records name.
fn served_keys(served: &[Record], host: &DomainName) -> Vec<KeyId> {
    let owner = format!("_25._tcp.{host}.");
    let records = served.iter().filter(|record| record.name.to_ascii().eq_ignore_ascii_case(&owner));
    let keys = records.filter_map(|record| match &record.data {
        RData::TLSA(tlsa) => <[u8; 32]>::try_from(tlsa.cert_data.as_slice()).ok().map(KeyId),
        _ => None,
    });
    keys.collect()
}
