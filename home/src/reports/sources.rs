//! What the reports say of each address that sends mail in our name.
//!
//! In: rows of reports, our own addresses. Out: one [`Source`] for each address, the one with the most messages first, and
//! what it probably is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use postern_report::dmarc::{Disposition, DmarcResult};
use postern_store::reports::SourceRow;
use serde::{Deserialize, Serialize};

/// An address that sends mail in our name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The address.
    pub address: IpAddr,
    /// A name of it that leads back to it.
    pub name: Option<String>,
    /// What it probably is.
    pub meaning: Meaning,
    /// Its messages.
    pub messages: u64,
    /// Those with a good signature of the author's domain.
    pub dkim: u64,
    /// Those for which SPF was good, for the author's domain.
    pub spf: u64,
    /// Those with neither: DMARC failed.
    pub failed: u64,
    /// Those that were put among suspicious mail.
    pub quarantined: u64,
    /// Those that were refused.
    pub rejected: u64,
    /// Whose signatures were good, whoever signed.
    pub signers: BTreeSet<String>,
    /// The domains for which SPF was good, whosever they are.
    pub envelope_from: BTreeSet<String>,
    /// Why a policy was not followed, in the reporters' words.
    pub reasons: BTreeSet<String>,
    /// Who reports it.
    pub reporters: BTreeSet<String>,
}

/// What an address probably is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Meaning {
    /// This home, and all is well.
    Home,
    /// This home, but not all of its mail was authenticated.
    HomeFailing,
    /// A host that the SPF record names, such as a relay.
    Allowed,
    /// It hands on what was signed here.
    Forwarder,
    /// It changes what was signed here and vouches for it under its own name, as mailing lists do.
    MailingList,
    /// Nothing connects it with this home.
    Stranger,
}

impl Meaning {
    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Home => "this home",
            Self::HomeFailing => {
                "this home, but not all was authenticated: see `postern-home dns diff` and the times of the reports"
            }
            Self::Allowed => "a host that your SPF record allows",
            Self::Forwarder => "forwards mail that was signed here",
            Self::MailingList => "a mailing list or forwarder that changes mail",
            Self::Stranger => "not this home: somebody uses your name, or you send past this home",
        }
    }
}

/// Adds rows up.
pub fn gather(rows: Vec<SourceRow>, own: &[IpAddr]) -> Vec<Source> {
    let mut sources: BTreeMap<IpAddr, Source> = BTreeMap::new();
    for row in rows {
        sources.entry(row.address).or_insert_with(|| Source::at(row.address)).add(row);
    }
    let mut sources: Vec<Source> = sources.into_values().collect();
    for source in &mut sources {
        source.meaning = source.meaning_beside(own);
    }
    sources.sort_by_key(|source| std::cmp::Reverse(source.messages));
    sources
}

impl Source {
    fn at(address: IpAddr) -> Source {
        Source {
            address,
            name: None,
            meaning: Meaning::Stranger,
            messages: 0,
            dkim: 0,
            spf: 0,
            failed: 0,
            quarantined: 0,
            rejected: 0,
            signers: BTreeSet::new(),
            envelope_from: BTreeSet::new(),
            reasons: BTreeSet::new(),
            reporters: BTreeSet::new(),
        }
    }

    fn add(&mut self, row: SourceRow) {
        self.messages += row.messages;
        match (row.dkim, row.spf) {
            (DmarcResult::Fail, DmarcResult::Fail) => self.failed += row.messages,
            (dkim, spf) => {
                self.dkim += if dkim == DmarcResult::Pass { row.messages } else { 0 };
                self.spf += if spf == DmarcResult::Pass { row.messages } else { 0 };
            }
        }
        match row.disposition {
            Disposition::None => {}
            Disposition::Quarantine => self.quarantined += row.messages,
            Disposition::Reject => self.rejected += row.messages,
        }
        self.signers.extend(row.signers.split_ascii_whitespace().map(str::to_owned));
        self.envelope_from.extend(Some(row.envelope_from).filter(|domain| !domain.is_empty()));
        self.reasons.extend(Some(row.reason).filter(|reason| !reason.is_empty()));
        self.reporters.insert(row.reporter);
    }

    fn meaning_beside(&self, own: &[IpAddr]) -> Meaning {
        let is_handed_on =
            |reason: &String| reason.starts_with("forwarded") || reason.starts_with("mailing_list");
        let vouches = !self.signers.is_empty() || !self.envelope_from.is_empty();
        match self {
            _ if own.contains(&self.address) && self.failed > 0 => Meaning::HomeFailing,
            _ if own.contains(&self.address) => Meaning::Home,
            Source { spf: 1.., .. } => Meaning::Allowed,
            Source { dkim: 1.., .. } => Meaning::Forwarder,
            _ if vouches || self.reasons.iter().any(is_handed_on) => Meaning::MailingList,
            _ => Meaning::Stranger,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(address: &str, messages: u64, dkim: DmarcResult, spf: DmarcResult) -> SourceRow {
        SourceRow {
            address: address.parse().expect("an address"),
            reporter: "far.example".to_owned(),
            messages,
            disposition: Disposition::None,
            dkim,
            spf,
            header_from: "home.example".to_owned(),
            signers: String::new(),
            envelope_from: String::new(),
            reason: String::new(),
        }
    }

    #[test]
    fn each_address_is_told_what_it_is() {
        use DmarcResult::{Fail, Pass};
        let own: [IpAddr; 2] = ["203.0.113.1", "203.0.113.2"].map(|text| text.parse().expect("an address"));
        let list = SourceRow { signers: "lists.example".to_owned(), ..row("192.0.2.3", 4, Fail, Fail) };
        let refused = SourceRow { disposition: Disposition::Reject, ..row("192.0.2.4", 3, Fail, Fail) };
        let rows = vec![
            row("203.0.113.1", 90, Pass, Pass),
            row("203.0.113.1", 10, Pass, Fail),
            row("203.0.113.2", 50, Pass, Pass),
            row("203.0.113.2", 1, Fail, Fail),
            row("192.0.2.1", 6, Fail, Pass),
            row("192.0.2.2", 5, Pass, Fail),
            list,
            refused,
        ];
        let sources = gather(rows, &own);
        let told: Vec<_> = sources.iter().map(|source| (source.messages, source.meaning)).collect();
        assert_eq!(
            told,
            [
                (100, Meaning::Home),
                (51, Meaning::HomeFailing),
                (6, Meaning::Allowed),
                (5, Meaning::Forwarder),
                (4, Meaning::MailingList),
                (3, Meaning::Stranger),
            ]
        );
        assert_eq!((sources[0].dkim, sources[0].spf, sources[0].failed), (100, 90, 0));
        assert_eq!((sources[5].rejected, sources[5].failed), (3, 3));
    }
}
