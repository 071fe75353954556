//! `link.json`: the edge that home has joined, the request counter, and the age at which keys are renewed. Mode 0600, replaced as a whole and fsynced.
//!
//! The counter is stored before the request that uses it is sent, so that no two requests carry the same one, also over a
//! crash. A home restored from a backup catches up with the counter that the edge reports.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use postern_shared::durable;
use postern_shared::enrolment::{EnrolResponse, InnerAddresses};
use postern_shared::join_code::Endpoint;
use postern_shared::rotation::{HomeEpoch, HomeLadder};
use postern_shared::tunnel::{Admission, EpochConfig, EpochId, HeartbeatAddresses, PrivateKey};
use serde::{Deserialize, Serialize};

use super::{EdgeAddresses, RotateEvery};

/// By how many requests home may be behind the edge, restored from a backup.
const MOST_BEHIND: u64 = 1 << 20;

/// Why `link.json` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LinkStateError {
    /// The operating system refused.
    #[error("the link's state {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The content is not what this program wrote.
    #[error(
        "the link's state {path} is damaged ({source}). Move it away and join again with a new code from `postern-edge \
         invite`; no mail is lost by it", path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Everything home knows about its edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinedEdge {
    /// Where the edge's tunnel listens, as the join code said.
    pub endpoint: Endpoint,
    /// The tunnel's keys.
    #[serde(flatten)]
    pub ladder: HomeLadder,
    /// The inner addresses.
    pub inner: InnerAddresses,
    /// The edge's MTU in octets.
    pub mtu: u16,
    /// The TCP port of the control protocol.
    pub control_port: u16,
    /// The edge's addresses on the internet, as it last said.
    pub public_addresses: Vec<IpAddr>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Content {
    #[serde(skip_serializing_if = "Option::is_none")]
    edge: Option<JoinedEdge>,
    /// The counter of the last signed request.
    counter: u64,
    /// The age at which keys are renewed by themselves.
    #[serde(default)]
    rotate_every: RotateEvery,
}

/// The file and its content.
#[derive(Debug)]
pub struct LinkFile {
    path: PathBuf,
    content: Content,
    /// Whether the file lacks something of the content: the edge's public addresses, which are of use without it.
    is_behind: bool,
}

impl LinkFile {
    /// Reads the file; a missing one means that home has not joined.
    pub fn open(state_dir: &Path) -> Result<Self, LinkStateError> {
        let path = state_dir.join("link.json");
        let content = match std::fs::read(&path) {
            Ok(json) => serde_json::from_slice(&json)
                .map_err(|source| LinkStateError::Damaged { path: path.clone(), source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Content::default(),
            Err(source) => return Err(LinkStateError::Io { path, source }),
        };
        Ok(Self { path, content, is_behind: false })
    }

    /// The edge, if home has joined one.
    pub fn edge(&self) -> Option<&JoinedEdge> {
        self.content.edge.as_ref()
    }

    /// Stores the edge that home has just joined.
    pub fn set_edge(&mut self, edge: JoinedEdge) -> Result<(), LinkStateError> {
        self.change(|content| content.edge = Some(edge))
    }

    /// Takes up the edge's addresses. They hold also where they cannot be stored; the next call tries that again.
    pub fn set_public_addresses(&mut self, addresses: &[IpAddr]) -> Result<(), LinkStateError> {
        let Some(edge) = &mut self.content.edge else { return Ok(()) };
        if edge.public_addresses != addresses {
            edge.public_addresses = addresses.to_vec();
            self.is_behind = true;
        }
        if self.is_behind { self.change(|_| {}) } else { Ok(()) }
    }

    /// Moves from `seen` to another place on the ladder; tells whether home was still there. A join that came between
    /// wins.
    pub fn climb(&mut self, seen: &HomeLadder, next: HomeLadder) -> Result<bool, LinkStateError> {
        if self.edge().is_none_or(|edge| edge.ladder != *seen) {
            return Ok(false);
        }
        self.change(|content| {
            if let Some(edge) = &mut content.edge {
                edge.ladder = next;
            }
        })?;
        Ok(true)
    }

    /// The age at which keys are renewed by themselves.
    pub fn rotate_every(&self) -> RotateEvery {
        self.content.rotate_every
    }

    /// Stores the age at which keys are renewed by themselves.
    pub fn set_rotate_every(&mut self, every: RotateEvery) -> Result<(), LinkStateError> {
        self.change(|content| content.rotate_every = every)
    }

    /// Takes the next request counter, greater than all before and than what the edge has seen. An edge that has seen far
    /// more than a backup can be behind is lying, and is not followed: it could use up all counters there are.
    pub fn next_counter(&mut self, seen_by_edge: u64) -> Result<u64, LinkStateError> {
        let own = self.content.counter;
        let is_credible = seen_by_edge.saturating_sub(own) <= MOST_BEHIND;
        let next = if is_credible { own.max(seen_by_edge) } else { own }.saturating_add(1);
        self.change(|content| content.counter = next)?;
        Ok(next)
    }

    fn change(&mut self, change: impl FnOnce(&mut Content)) -> Result<(), LinkStateError> {
        let mut content = self.content.clone();
        change(&mut content);
        let json = serde_json::to_vec_pretty(&content)
            .map_err(|source| LinkStateError::Damaged { path: self.path.clone(), source })?;
        durable::write_secret(&self.path, &json)
            .map_err(|source| LinkStateError::Io { path: self.path.clone(), source })?;
        self.content = content;
        self.is_behind = false;
        Ok(())
    }
}

impl JoinedEdge {
    /// What home has learned from the code and the edge's answer.
    pub fn new(endpoint: Endpoint, home_key: PrivateKey, answer: EnrolResponse, since: u64) -> Self {
        let epoch = HomeEpoch {
            epoch: EpochId::FIRST,
            home_key,
            edge_key: answer.edge_key,
            preshared_key: answer.preshared_key,
            since,
        };
        Self {
            endpoint,
            ladder: HomeLadder::new(epoch),
            inner: answer.inner,
            mtu: answer.mtu,
            control_port: answer.control_port,
            public_addresses: answer.public_addresses,
        }
    }

    /// The epochs that carry the mail, all that home may use: from everybody, since the senders' true addresses come
    /// through, to home's services alone.
    pub fn epochs(&self, endpoint: Option<SocketAddr>, service_ports: &[u16]) -> Vec<EpochConfig> {
        let usable = self.ladder.usable().into_iter();
        usable.map(|keys| self.epoch(keys, endpoint, service_ports)).collect()
    }

    fn epoch(&self, keys: &HomeEpoch, endpoint: Option<SocketAddr>, service_ports: &[u16]) -> EpochConfig {
        EpochConfig {
            id: keys.epoch,
            private_key: keys.home_key.clone(),
            peer: keys.edge_key,
            preshared_key: keys.preshared_key.clone(),
            endpoint,
            allowed_ips: vec![IpNet::V4(Default::default()), IpNet::V6(Default::default())],
            admission: Admission::Services {
                addresses: vec![self.inner.home_v4.into(), self.inner.home_v6.into()],
                tcp_ports: service_ports.to_vec(),
            },
            heartbeat: HeartbeatAddresses { local: self.inner.home_v4, peer: self.inner.edge_v4 },
        }
    }

    /// Where the control protocol is spoken.
    pub fn control_address(&self) -> SocketAddr {
        (self.inner.edge_v4, self.control_port).into()
    }

    /// What other rooms of home need.
    pub fn addresses(&self) -> EdgeAddresses {
        EdgeAddresses {
            public: self.public_addresses.clone(),
            home_v4: self.inner.home_v4,
            home_v6: self.inner.home_v6,
        }
    }
}

#[cfg(test)]
mod tests {
    use postern_shared::rotation::{Event, OfferSecrets, Step};
    use postern_shared::tunnel::PresharedKey;

    use super::*;

    fn edge() -> JoinedEdge {
        let answer = EnrolResponse {
            edge_key: PrivateKey::from_octets([1; 32]).public(),
            preshared_key: PresharedKey::from_octets([2; 32]),
            inner: InnerAddresses {
                edge_v4: [10, 118, 0, 1].into(),
                home_v4: [10, 118, 0, 2].into(),
                edge_v6: "fd70:6f73:7465::1".parse().expect("an address"),
                home_v6: "fd70:6f73:7465::2".parse().expect("an address"),
            },
            mtu: 1380,
            control_port: 8053,
            public_addresses: vec![[192, 0, 2, 1].into()],
        };
        let endpoint = "edge.example:51820".parse().expect("an endpoint");
        JoinedEdge::new(endpoint, PrivateKey::from_octets([3; 32]), answer, 1_900_000_000)
    }

    #[test]
    fn the_edge_and_the_counter_survive_a_restart() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let mut file = LinkFile::open(directory.path()).expect("opened");
        assert_eq!(file.edge(), None);
        file.set_edge(edge()).expect("stored");
        assert_eq!(file.next_counter(0).expect("stored"), 1);
        assert_eq!(file.next_counter(40).expect("stored"), 41);
        let monthly = "30d".parse().expect("an age");
        file.set_rotate_every(monthly).expect("stored");
        let mut file = LinkFile::open(directory.path()).expect("opened");
        assert_eq!((file.edge(), file.rotate_every()), (Some(&edge()), monthly));
        assert_eq!(file.next_counter(0).expect("stored"), 42);
        assert_eq!(file.next_counter(u64::MAX).expect("stored"), 43, "no edge uses up all counters");
    }

    #[test]
    fn the_edges_addresses_hold_before_they_can_be_stored() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let place = directory.path().join("state");
        std::fs::create_dir(&place).expect("made");
        let mut file = LinkFile::open(&place).expect("opened");
        file.set_edge(edge()).expect("stored");
        std::fs::rename(&place, directory.path().join("away")).expect("moved");
        let moved: [IpAddr; 1] = [[192, 0, 2, 9].into()];
        for attempt in 0..2 {
            assert!(file.set_public_addresses(&moved).is_err(), "attempt {attempt} has nowhere to write to");
            assert_eq!(file.edge().expect("joined").public_addresses, moved);
        }
        std::fs::rename(directory.path().join("away"), &place).expect("moved back");
        file.set_public_addresses(&moved).expect("stored");
        let file = LinkFile::open(&place).expect("opened");
        assert_eq!(file.edge().expect("joined").public_addresses, moved);
    }

    #[test]
    fn the_epoch_takes_all_addresses() {
        let epoch = edge().epochs(None, &[25]).pop().expect("one epoch");
        for address in ["203.0.113.9", "2001:db8::1"] {
            let address: IpAddr = address.parse().expect("an address");
            assert!(epoch.allowed_ips.iter().any(|network| network.contains(&address)));
        }
    }

    #[test]
    fn a_rung_survives_a_restart_and_a_late_one_is_not_taken() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let mut file = LinkFile::open(directory.path()).expect("opened");
        file.set_edge(edge()).expect("stored");
        let before = edge().ladder;
        let secrets = OfferSecrets::generate().expect("random numbers");
        let next = before.after(Event::Begin(secrets)).expect("a rotation may begin");
        assert!(file.climb(&before, next.clone()).expect("stored"));
        assert!(!file.climb(&before, next.clone()).expect("home is elsewhere"));
        let file = LinkFile::open(directory.path()).expect("opened");
        let ladder = &file.edge().expect("joined").ladder;
        assert_eq!((ladder, ladder.step()), (&next, Step::Generated));
    }

    #[test]
    fn a_damaged_file_is_named() {
        let directory = tempfile::tempdir().expect("temporary directory");
        std::fs::write(directory.path().join("link.json"), b"{").expect("written");
        assert!(matches!(LinkFile::open(directory.path()), Err(LinkStateError::Damaged { .. })));
    }
}
