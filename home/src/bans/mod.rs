//! What is banned at the edge: home keeps the list, the edge obeys it.
//!
//! In: the operator's bans, and clients whose logins failed too often. Out: the list, durable before anybody is told, and
//! each change of it for the link, which pushes it to the edge; so a new edge is filled like an old one. Refused: networks
//! that must not be cut off (the tunnel, loopback, private networks, those of this machine's interfaces, the edge, and
//! `never` in the configuration).
//!
//! `STATE_DIR/bans.json` (mode 0600) holds the list and is replaced whole.

mod gathering;

mod book;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ipnet::IpNet;
use postern_shared::bans::{Protected, client_network};
use postern_shared::{durable, netlink};
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;

use crate::link::{EdgeAddresses, Link, seconds_now};

pub use book::{Book, Entry, Full};
use gathering::Gathering;

/// Reports of failed logins that wait to become bans.
const EVIDENCE: usize = 64;

/// How bans come about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BanPolicy {
    /// Networks that are never banned.
    pub never: Vec<IpNet>,
    /// How many failed logins ban a client; `None` for no number.
    pub login_failures: Option<u32>,
    /// How long such a ban lasts.
    pub ban_for: Duration,
}

/// Why the list could not be opened or changed.
#[derive(Debug, thiserror::Error)]
pub enum BanError {
    /// The network must not be cut off; the text says why.
    #[error("{0}")]
    Protected(String),
    /// No room.
    #[error(transparent)]
    Full(#[from] Full),
    /// The disk.
    #[error("the list of bans {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The content is not what this program wrote.
    #[error("the list of bans {path} is damaged ({source}). Move it away; the bans in it are lost", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// The list; cheap to clone.
#[derive(Debug, Clone)]
pub struct Bans {
    path: Arc<Path>,
    policy: Arc<BanPolicy>,
    /// One change at a time.
    turn: Arc<Mutex<()>>,
    book: watch::Sender<Book>,
}

impl Bans {
    /// Reads the list; a missing one is empty.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn open(state_dir: &Path, policy: BanPolicy) -> Result<Self, BanError> {
        let path: Arc<Path> = state_dir.join("bans.json").into();
        let mut book = read(&path)?;
        book.refresh(seconds_now());
        Ok(Self { path, policy: policy.into(), turn: Arc::default(), book: watch::Sender::new(book) })
    }

    /// The list as it changes.
    pub fn watch(&self) -> watch::Receiver<Book> {
        self.book.subscribe()
    }

    /// The bans that hold, by network.
    pub fn current(&self) -> Vec<Entry> {
        self.book.borrow().current(seconds_now()).cloned().collect()
    }

    /// Bans a canonical network; durable on return. Waits for the disk.
    ///
    /// # Errors
    /// See [`BanError`]; nothing has changed then.
    pub fn add(
        &self,
        network: IpNet,
        seconds: Option<u64>,
        reason: &str,
        protected: &Protected,
    ) -> Result<Entry, BanError> {
        if let Some(why) = protected.refusal(&network) {
            return Err(BanError::Protected(why));
        }
        let entry = Entry::new(network, seconds_now(), seconds, reason);
        let added = entry.clone();
        self.change(|book| Ok(book.insert(added)?))?;
        Ok(entry)
    }

    /// Ends a ban; tells whether there was one. Waits for the disk.
    ///
    /// # Errors
    /// See [`BanError`]; nothing has changed then.
    pub fn remove(&self, network: &IpNet) -> Result<bool, BanError> {
        self.change(|book| Ok(book.remove(network)))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Book) -> Result<T, BanError>) -> Result<T, BanError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut book = self.book.borrow().clone();
        book.refresh(seconds_now());
        let outcome = change(&mut book)?;
        if book != *self.book.borrow() {
            let io = |source| BanError::Io { path: self.path.to_path_buf(), source };
            let json = serde_json::to_vec(&book).map_err(|error| io(error.into()))?;
            durable::write_secret(&self.path, &json).map_err(io)?;
            self.book.send_replace(book);
        }
        Ok(outcome)
    }

    /// What must not be cut off, as things are now.
    pub async fn protected(&self, edge: Option<&EdgeAddresses>) -> Protected {
        let mut protected = Protected::default();
        match netlink::networks().await {
            Ok(networks) => protected.add_all(networks, "a network of this machine"),
            Err(error) => tracing::warn!(%error, "the networks of this machine cannot be listed"),
        }
        if let Some(EdgeAddresses { public, home_v4, home_v6, .. }) = edge {
            protected.add_all(public.iter().copied(), "the edge itself");
            protected.add_all([IpAddr::from(*home_v4), IpAddr::from(*home_v6)], "an address of the tunnel");
        }
        protected.add_all(self.policy.never.iter().copied(), "listed in `never` of the section `[bans]`");
        protected
    }

    /// The channel into which clients go whose logins failed so often that the policy bans them, and the number of
    /// failures; nothing where the policy bans none.
    pub fn evidence(&self) -> (Option<Evidence>, mpsc::Receiver<IpAddr>) {
        let (report, inbox) = mpsc::channel(EVIDENCE);
        (self.policy.login_failures.map(|failures| Evidence { failures, report }), inbox)
    }

    /// Bans the clients that come through the channel, until its other end is gone.
    pub async fn follow(self, inbox: mpsc::Receiver<IpAddr>, link: Link) {
        let (edge, mut gathering) = (link.edge_addresses(), Gathering::new(inbox));
        while let Some(clients) = gathering.next().await {
            let known = edge.borrow().clone();
            let protected = self.protected(known.as_ref()).await;
            let bans = self.clone();
            // The task only ends with the program.
            let _ = spawn_blocking(move || bans.ban_guessers(&clients, &protected)).await;
        }
        std::future::pending().await
    }

    fn ban_guessers(&self, clients: &BTreeSet<IpAddr>, protected: &Protected) {
        let (now, seconds) = (seconds_now(), self.policy.ban_for.as_secs());
        let reason = format!("{} failed logins", self.policy.login_failures.unwrap_or_default());
        let wanted = clients.iter().map(|client| client_network(*client)).filter(|network| {
            let refusal = protected.refusal(network);
            if let Some(why) = &refusal {
                tracing::info!(why, "a client whose logins fail is not banned");
            }
            refusal.is_none()
        });
        let changed = self.change(|book| {
            let (mut banned, mut left_out) = (Vec::new(), None);
            for network in wanted {
                if !book.covers(&network, Some(now.saturating_add(seconds))) {
                    match book.insert(Entry::new(network, now, Some(seconds), &reason)) {
                        Ok(()) => banned.push(network),
                        Err(full) => left_out = Some(full),
                    }
                }
            }
            Ok((banned, left_out))
        });
        let (banned, left_out) = match changed {
            Ok((banned, left_out)) => (banned, left_out.map(BanError::Full)),
            Err(error) => (Vec::new(), Some(error)),
        };
        for network in banned {
            tracing::info!(%network, seconds, reason, "client banned");
        }
        if let Some(error) = left_out {
            tracing::warn!(%error, "clients whose logins fail cannot be banned");
        }
    }
}

/// Where clients are reported, and after how many failures.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// How many failures make a report.
    pub failures: u32,
    /// Where it goes; one that does not fit is lost, and the next failures make another.
    pub report: mpsc::Sender<IpAddr>,
}

fn read(path: &Path) -> Result<Book, BanError> {
    match std::fs::read(path) {
        Ok(json) => serde_json::from_slice(&json)
            .map_err(|source| BanError::Damaged { path: path.to_path_buf(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Book::default()),
        Err(source) => Err(BanError::Io { path: path.to_path_buf(), source }),
    }
}

#[cfg(test)]
mod tests {
    use postern_shared::bans::MOST_BANS;

    use super::*;

    fn policy() -> BanPolicy {
        BanPolicy {
            never: vec!["198.51.100.0/24".parse().expect("a network")],
            login_failures: Some(3),
            ban_for: Duration::from_secs(3600),
        }
    }

    fn network(text: &str) -> IpNet {
        text.parse().expect("a network")
    }

    #[test]
    fn bans_survive_a_restart_and_a_damaged_list_is_named() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let bans = Bans::open(directory.path(), policy()).expect("opened");
        bans.add(network("203.0.113.0/24"), None, "scanner", &Protected::default()).expect("added");
        let again = Bans::open(directory.path(), policy()).expect("opened");
        assert_eq!(again.current(), bans.current());
        assert!(again.remove(&network("203.0.113.0/24")).expect("stored"));
        assert!(Bans::open(directory.path(), policy()).expect("opened").current().is_empty());
        std::fs::write(directory.path().join("bans.json"), b"{").expect("written");
        let refused = Bans::open(directory.path(), policy()).expect_err("refused").to_string();
        assert!(refused.contains("bans.json is damaged"), "{refused}");
    }

    #[tokio::test]
    async fn what_must_not_be_cut_off_is_refused() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let bans = Bans::open(directory.path(), policy()).expect("opened");
        let edge = EdgeAddresses {
            public: vec![[203, 0, 113, 10].into()],
            home_v4: [10, 118, 0, 2].into(),
            home_v6: "fd70:6f73:7465::2".parse().expect("an address"),
        };
        let protected = bans.protected(Some(&edge)).await;
        for (wanted, why) in [
            ("203.0.113.0/24", "203.0.113.10/32 is the edge itself"),
            ("198.51.100.7/32", "listed in `never`"),
            ("10.118.0.2/32", "private"),
            ("127.0.0.1/32", "loopback"),
        ] {
            let refused = bans.add(network(wanted), None, "", &protected).expect_err(wanted).to_string();
            assert!(refused.contains(why), "{wanted}: {refused}");
        }
        assert!(bans.current().is_empty());
    }

    #[test]
    fn guessers_are_banned_for_a_time_unless_a_longer_ban_holds() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let bans = Bans::open(directory.path(), policy()).expect("opened");
        bans.add(network("203.0.113.0/24"), None, "scanner", &Protected::default()).expect("added");
        let clients: BTreeSet<IpAddr> = ["203.0.113.7", "192.0.2.7", "2001:db8::7", "127.0.0.1"]
            .map(|text| text.parse().expect("an address"))
            .into();
        bans.ban_guessers(&clients, &Protected::default());
        let current = bans.current();
        let networks: Vec<String> = current.iter().map(|entry| entry.network.to_string()).collect();
        assert_eq!(networks, ["192.0.2.7/32", "203.0.113.0/24", "2001:db8::/64"]);
        assert_eq!((current[0].seconds, current[0].reason.as_str()), (Some(3600), "3 failed logins"));
    }

    #[test]
    fn what_still_fits_into_a_full_list_is_banned() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let bans = Bans::open(directory.path(), policy()).expect("opened");
        let filled = bans.change(|book| {
            for number in 1..u32::try_from(MOST_BANS).expect("a small number") {
                let address = std::net::Ipv4Addr::from(0x0b00_0000 + number);
                book.insert(Entry::new(IpAddr::from(address).into(), 0, None, "scanner"))?;
            }
            Ok(())
        });
        filled.expect("room for one more");
        let clients: BTreeSet<IpAddr> =
            ["203.0.113.7", "192.0.2.7", "11.0.0.1"].map(|text| text.parse().expect("an address")).into();
        bans.ban_guessers(&clients, &Protected::default());
        assert_eq!(bans.current().len(), MOST_BANS);
        let again = Bans::open(directory.path(), policy()).expect("opened").current();
        assert_eq!(again.iter().filter(|entry| entry.reason == "3 failed logins").count(), 1, "durable");
    }
}
