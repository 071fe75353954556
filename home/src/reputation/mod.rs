//! What the world thinks of the address that home's mail leaves from.
//!
//! In: the edge's addresses, the DNS, and what destinations answer. Out: a [`Report`] for `status`: whether each address has a name
//! that leads back to it, which lists of distrusted addresses have it, and how much was taken, put off and refused today.
//! Refused: questions to lists more often than four times a day, which they do not like, but about a new address.

pub mod blocklist;
pub mod rates;

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use postern_message::address::DomainName;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use blocklist::Word;

use crate::auth::iprev::{self, ReverseName};
use crate::link::EdgeAddresses;
use crate::outbound::Families;
use crate::resolver::Resolver;

/// Between two looks at the lists.
const EVERY: Duration = Duration::from_secs(6 * 3600);
/// How long after a start the names are left alone: what resolvers hear of a zone that is only just signed, or whose delegation is
/// only just made, they remember for a while, and whoever writes here then hears it too.
const SETTLING: Duration = Duration::from_secs(120);
/// Between two looks at the names while one does not lead back.
const NAME_AGAIN: Duration = Duration::from_secs(60);

/// How the addresses stand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When they were looked at last; absent before the first time.
    pub looked: Option<Timestamp>,
    /// Each address that mail leaves from.
    pub addresses: Vec<Standing>,
}

/// How one address stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The address.
    pub address: IpAddr,
    /// Its name.
    pub name: Naming,
    /// The lists that have it.
    pub listed: Vec<Listing>,
    /// The lists that do not say.
    #[serde(default)]
    pub silent: Vec<DomainName>,
    /// How many lists were asked.
    #[serde(default)]
    pub asked: usize,
}

/// Whether an address has a name that leads back to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "state", content = "name")]
pub enum Naming {
    /// It has.
    Confirmed(String),
    /// It has none.
    Missing,
    /// The DNS does not say, or was not asked yet.
    Unknown,
}

/// What the lists said of an address.
#[derive(Debug, Clone, Default)]
struct Heard {
    listed: Vec<Listing>,
    silent: Vec<DomainName>,
}

/// A list that has an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The list.
    pub list: DomainName,
    /// What it says.
    pub words: String,
}

/// The watching task.
pub struct Watch {
    /// Who is asked.
    pub resolver: Resolver,
    /// The edge's addresses.
    pub addresses: watch::Receiver<Option<EdgeAddresses>>,
    /// Which of them mail leaves from.
    pub families: Families,
    /// The lists.
    pub blocklists: Vec<DomainName>,
    /// Where the report goes.
    pub report: watch::Sender<Report>,
}

impl Watch {
    /// Looks until the program stops.
    pub async fn run(mut self) {
        let (mut listed, mut lists_again) = (HashMap::new(), Instant::now());
        let settled = Instant::now() + SETTLING;
        loop {
            let edge = self.addresses.borrow_and_update().clone();
            let sources = edge.map(|edge| sources(&edge, self.families)).unwrap_or_default();
            let is_new = sources.iter().any(|address| !listed.contains_key(address));
            if is_new || Instant::now() >= lists_again {
                (listed, lists_again) = (self.ask_lists(&sources).await, Instant::now() + EVERY);
            }
            let report = self.report_on(&sources, &listed, settled).await;
            let again = if report.is_named() { lists_again } else { Instant::now() + NAME_AGAIN };
            self.report.send_replace(report);
            // Nobody sends addresses any more: the link has stopped, and so will we.
            if let Ok(Err(_)) = timeout_at(again, self.addresses.changed()).await {
                std::future::pending::<()>().await;
            }
        }
    }

    async fn ask_lists(&self, sources: &[IpAddr]) -> HashMap<IpAddr, Heard> {
        let mut found: HashMap<IpAddr, Heard> = HashMap::new();
        for address in sources {
            let heard = found.entry(*address).or_default();
            for list in &self.blocklists {
                match blocklist::ask(&self.resolver, list, *address).await {
                    Word::Clean => {}
                    Word::Listed(words) => heard.listed.push(Listing { list: list.clone(), words }),
                    Word::Silent => heard.silent.push(list.clone()),
                }
            }
        }
        found
    }

    async fn report_on(
        &self,
        sources: &[IpAddr],
        heard: &HashMap<IpAddr, Heard>,
        settled: Instant,
    ) -> Report {
        let mut addresses = Vec::new();
        for address in sources {
            let name = match Instant::now() < settled {
                true => Naming::Unknown,
                false => iprev::judge(&self.resolver, *address).await.into(),
            };
            let Heard { listed, silent } = heard.get(address).cloned().unwrap_or_default();
            let asked = self.blocklists.len();
            addresses.push(Standing { address: *address, name, listed, silent, asked });
        }
        Report { looked: Some(Timestamp::now()), addresses }
    }
}

impl Report {
    fn is_named(&self) -> bool {
        self.addresses.iter().all(|standing| matches!(standing.name, Naming::Confirmed(_)))
    }
}

impl From<ReverseName> for Naming {
    fn from(name: ReverseName) -> Self {
        match name {
            ReverseName::Confirmed(name) => Self::Confirmed(name),
            ReverseName::Missing => Self::Missing,
            ReverseName::Unknown => Self::Unknown,
        }
    }
}

fn sources(edge: &EdgeAddresses, families: Families) -> Vec<IpAddr> {
    edge.of_mail().into_iter().filter(|address| address.is_ipv4() || families == Families::Both).collect()
}
