//! What a person is told of the certificates: `postern-home cert list`, and the warnings of `status`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::book::{Book, Entry};
use super::key::KeyId;
use super::life::{Policy, Trouble};
use super::names::{NameSet, Role};
use super::x509::Description;
use crate::zone::clock::timestamp;

/// All certificates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// One for each set of names.
    pub certificates: Vec<Certificate>,
    /// Where the terms of service are that the account has agreed to, once there is one with an authority that has some.
    #[serde(default)]
    pub terms: Option<String>,
    /// What keeps all of them from being cared for, in sentences.
    pub troubles: Vec<String>,
}

/// The certificate of one set of names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The names.
    pub names: Vec<String>,
    /// Where it comes from.
    pub origin: Origin,
    /// Who issued it.
    pub issuer: Option<String>,
    /// From when on it counts.
    pub from: Option<Timestamp>,
    /// Until when it counts.
    pub until: Option<Timestamp>,
    /// The digest of its key, as TLSA records have it.
    pub key: Option<String>,
    /// The TLSA records of the mail host.
    pub tlsa: Vec<Tlsa>,
    /// What happens next.
    pub next: String,
    /// When, as far as is known.
    pub next_at: Option<Timestamp>,
    /// What went wrong since the last success.
    pub trouble: Option<Failure>,
    /// Whether home orders it by itself; otherwise it is the operator's to get.
    #[serde(default)]
    pub automatic: bool,
}

/// Where a certificate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// There is none.
    None,
    /// Home made it itself; clients do not trust it.
    SelfSigned,
    /// The operator named files.
    Files,
    /// The operator imported it.
    Imported,
    /// An authority issued it by ACME.
    Acme,
}

/// A key that TLSA records announce.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tlsa {
    /// The digest.
    pub key: String,
    /// `present`, `next` or `retired`.
    pub state: String,
    /// Since when the world sees it, or it was last shown.
    pub since: Option<Timestamp>,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// How often in a row.
    pub failures: u32,
    /// When it first did.
    pub since: Timestamp,
    /// When it is tried again.
    pub again: Timestamp,
    /// The last reason.
    pub reason: String,
}

/// What is said of one set beside its entry in the book.
pub struct Circumstances<'a> {
    /// The set.
    pub set: &'a NameSet,
    /// What holds for it.
    pub policy: Policy,
    /// What is shown while there is no certificate, where something is.
    pub fallback: Option<Description>,
    /// Whether the fallback comes from files.
    pub origin: Origin,
    /// Why nothing is ordered, or what is waited for.
    pub hindrance: Option<String>,
    /// Whether home orders for the set by itself.
    pub automatic: bool,
}

/// Describes one set.
pub fn describe(book: &Book, circumstances: Circumstances<'_>) -> Certificate {
    let nothing = Entry::default();
    let entry = book.sets.get(circumstances.set.id()).unwrap_or(&nothing);
    let present = entry.life.present.as_ref();
    let material = present.and_then(|present| entry.keys.get(&present.key));
    let described = entry.described().or(circumstances.fallback.clone());
    let origin = match material {
        Some(material) if material.imported => Origin::Imported,
        Some(_) => Origin::Acme,
        None => circumstances.origin,
    };
    let (next, next_at) = next_step(entry, &circumstances);
    Certificate {
        names: circumstances.set.names.clone(),
        origin,
        issuer: described.as_ref().map(|described| described.issuer.clone()),
        from: described.as_ref().map(|described| timestamp(described.span.from)),
        until: described.as_ref().map(|described| timestamp(described.span.until)),
        key: described.as_ref().map(|described| described.key.to_string()),
        tlsa: if circumstances.set.role == Role::Host {
            tlsa(entry, circumstances.policy)
        } else {
            Vec::new()
        },
        next,
        next_at: next_at.map(timestamp),
        trouble: entry.life.trouble.as_ref().map(failure),
        automatic: circumstances.automatic,
    }
}

fn tlsa(entry: &Entry, policy: Policy) -> Vec<Tlsa> {
    let one = |key: KeyId, state: &str, since: Option<u64>| Tlsa {
        key: key.to_string(),
        state: state.to_owned(),
        since: since.map(timestamp),
    };
    let life = &entry.life;
    let present = life.present.as_ref().map(|present| present.key).or(policy.fallback);
    let mut records: Vec<Tlsa> = present.into_iter().map(|key| one(key, "present", None)).collect();
    records.extend(life.next.iter().map(|next| one(next.key, "next", next.published)));
    records.extend(life.retired.iter().map(|retired| one(retired.key, "retired", Some(retired.since))));
    records
}

fn next_step(entry: &Entry, circumstances: &Circumstances<'_>) -> (String, Option<u64>) {
    let life = &entry.life;
    if life.next.as_ref().is_some_and(|next| next.certificate.is_some()) {
        return match life.take_up_at(&circumstances.policy) {
            Some(at) => ("the new certificate is taken up".to_owned(), Some(at)),
            None => ("the zone with the new key is published".to_owned(), None),
        };
    }
    if let Some(hindrance) = &circumstances.hindrance {
        return (hindrance.clone(), None);
    }
    match &life.trouble {
        Some(trouble) => ("it is tried again".to_owned(), Some(trouble.again)),
        None if life.present.is_some() => ("it is renewed".to_owned(), Some(life.order_at())),
        None => ("it is ordered".to_owned(), None),
    }
}

fn failure(trouble: &Trouble) -> Failure {
    Failure {
        failures: trouble.failures,
        since: timestamp(trouble.first),
        again: timestamp(trouble.again),
        reason: trouble.reason.clone(),
    }
}

/// A renewal that fails is worth a word when so much of the time for it is over, in seconds.
const PATIENCE: i64 = 86_400;

impl Report {
    /// What a person should look at.
    pub fn warnings(&self, now: Timestamp) -> Vec<String> {
        let of_certificates = self.certificates.iter().filter_map(|certificate| certificate.warning(now));
        self.troubles.iter().cloned().chain(of_certificates).collect()
    }

    /// What whoever asks for the certificates should look at: the warnings, and that clients are shown what they do not trust.
    pub fn attention(&self, now: Timestamp) -> Vec<String> {
        let of_self_signed = |certificate: &Certificate| {
            let name = certificate.names.first().filter(|_| certificate.origin == Origin::SelfSigned)?;
            Some(format!("The certificate of {name} is home's own, which no client trusts."))
        };
        self.warnings(now).into_iter().chain(self.certificates.iter().filter_map(of_self_signed)).collect()
    }
}

impl Certificate {
    /// What a person should look at; a failure soon after another success is not worth a word yet.
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        let name = self.names.first()?;
        let failure = self.trouble.as_ref()?;
        let has_good = matches!(self.origin, Origin::Acme | Origin::Imported | Origin::Files)
            && self.until.is_some_and(|until| until > now);
        let is_young = now.duration_since(failure.since).as_secs() < PATIENCE;
        if has_good && is_young {
            return None;
        }
        let state = match (has_good, self.until) {
            (true, Some(until)) => format!("; the present one counts until {}", until.strftime("%Y-%m-%d")),
            (false, Some(until)) if self.origin != Origin::SelfSigned => {
                format!("; the present one ended on {}", until.strftime("%Y-%m-%d"))
            }
            _ => String::new(),
        };
        Some(format!(
            "No certificate for {name} could be had since {}{state}: {}. It is tried again at {}; `postern-home cert list` \
             tells more.",
            failure.since.strftime("%Y-%m-%d %H:%M"),
            failure.reason.trim_end_matches('.'),
            failure.again.strftime("%Y-%m-%d %H:%M")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;
    const DAY: u64 = 86_400;

    fn certificate(origin: Origin, failing_since: Option<u64>) -> Certificate {
        let trouble = failing_since.map(|since| Failure {
            failures: 3,
            since: timestamp(since),
            again: timestamp(NOW + 60),
            reason: "no route".to_owned(),
        });
        Certificate {
            names: vec!["mail.home.example".to_owned()],
            origin,
            issuer: None,
            from: Some(timestamp(NOW - 60 * DAY)),
            until: Some(timestamp(NOW + 30 * DAY)),
            key: None,
            tlsa: Vec::new(),
            next: String::new(),
            next_at: None,
            trouble,
            automatic: true,
        }
    }

    #[test]
    fn a_person_should_look_while_clients_do_not_trust_or_renewals_fail_for_long() {
        let looks = |certificate: Certificate| {
            let report = Report { certificates: vec![certificate], ..Report::default() };
            (report.attention(timestamp(NOW)).len(), report.warnings(timestamp(NOW)).len())
        };
        assert_eq!(looks(certificate(Origin::Acme, None)), (0, 0));
        assert_eq!(looks(certificate(Origin::SelfSigned, None)), (1, 0), "status says so by itself");
        assert_eq!(looks(certificate(Origin::Acme, Some(NOW - DAY / 2))), (0, 0), "there is time enough");
        assert_eq!(looks(certificate(Origin::Acme, Some(NOW - 2 * DAY))), (1, 1));
        assert_eq!(looks(certificate(Origin::None, Some(NOW - 60))), (1, 1));
    }
}
