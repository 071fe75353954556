//! The state directory: what home pushed, kept so that the edge can start without home.
//!
//! ```text
//! STATE_DIR/              0700
//!   lock                  held by the running daemon
//!   zones/ORIGIN.json     the zone as pushed, without the origin's final dot
//!   forward.json          the forwarding as pushed
//!   bans.json             the bans as pushed, each with its end
//!   secondaries.json      the secondary name servers as pushed, with their keys
//!   enrolment.json        see `enrol`
//! ```
//! Every file is replaced whole ([`durable`]). All but `enrolment.json` is a cache: a file that cannot be read or used is
//! reported with WARN and left out, and home's next push mends it. Refused: a second daemon in the same directory.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;
use postern_shared::bans::BanList;
use postern_shared::control::Forward;
use postern_shared::durable;
use postern_shared::secondary::SecondaryList;
use postern_shared::zone::Zone;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::dns::{ServedZone, ZoneSet};
use crate::forward::Bans;
use crate::zone_check;

/// Why the state directory cannot be used; each text is a paragraph for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It cannot be made or opened.
    #[error("{}: the state directory cannot be used: {source}. See that it exists and belongs to the user that runs postern-edge, or change `state_dir`.", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another daemon holds it.
    #[error("{}: another postern-edge already uses this state directory. Stop it first, or give this one another `state_dir`.", .0.display())]
    InUse(PathBuf),
}

/// By how many seconds the ends of one ban may differ between two lists.
const SAME_END: u64 = 2;

/// The bans that home pushed, with their ends by this machine's clock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptBans {
    /// Home's name for the list.
    pub revision: String,
    bans: Vec<KeptBan>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct KeptBan {
    network: IpNet,
    /// Seconds since 1970; never where absent.
    until: Option<u64>,
}

impl KeptBans {
    /// The list as it is taken at `now`, in seconds since 1970, after another one. The same ban comes with some seconds
    /// more or less each time, since home counts whole ones and the list is under way for a while; it keeps its end, so
    /// that the firewall's element can stay.
    pub fn new(list: &BanList, now: u64, before: &KeptBans) -> Self {
        let before: BTreeMap<IpNet, u64> =
            before.bans.iter().filter_map(|ban| Some((ban.network, ban.until?))).collect();
        let bans = list.bans.iter().map(|ban| {
            let until = ban.seconds.map(|seconds| now.saturating_add(seconds));
            let former = before.get(&ban.network).copied();
            let same = former.filter(|former| until.is_some_and(|until| until.abs_diff(*former) <= SAME_END));
            KeptBan { network: ban.network, until: same.or(until) }
        });
        Self { revision: list.revision.clone(), bans: bans.collect() }
    }

    /// Those that hold at `now`.
    pub fn current(&self, now: u64) -> Bans {
        let holds = |ban: &&KeptBan| ban.until.is_none_or(|until| until > now);
        self.bans.iter().filter(holds).map(|ban| (ban.network, ban.until)).collect()
    }
}

/// The state directory, held by this process.
#[derive(Debug)]
pub struct State {
    directory: PathBuf,
    _lock: File,
}

impl State {
    /// Makes the directory where it is missing, and locks it.
    ///
    /// # Errors
    /// See [`StateError`].
    pub fn open(directory: &Path) -> Result<Self, StateError> {
        let fail = |source| StateError::Directory { path: directory.to_path_buf(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(directory.join("zones")).map_err(fail)?;
        let lock = File::create(directory.join("lock")).map_err(fail)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { directory: directory.to_path_buf(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StateError::InUse(directory.to_path_buf())),
            Err(TryLockError::Error(source)) => Err(fail(source)),
        }
    }

    /// The zones that were pushed last.
    pub fn load_zones(&self) -> ZoneSet {
        let entries = match std::fs::read_dir(self.directory.join("zones")) {
            Ok(entries) => entries,
            Err(error) => {
                tracing::warn!(%error, "zone cache cannot be listed; starting without zones");
                return ZoneSet::default();
            }
        };
        let paths = entries.flatten().map(|entry| entry.path());
        let zones = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
        zones
            .filter_map(|path| load_zone(&path))
            .fold(ZoneSet::default(), |set, zone| set.with(Arc::new(zone)))
    }

    /// The zone of this origin as it was kept; `None` where there is none that can be read.
    pub fn zone(&self, origin: &str) -> Option<Zone> {
        load_json(&self.zone_path(origin).ok()?)
    }

    /// Keeps a zone. Durable on return.
    ///
    /// # Errors
    /// What the system said; the zone kept before is then still there.
    pub fn save_zone(&self, zone: &Zone) -> io::Result<()> {
        durable::write_secret(&self.zone_path(&zone.origin)?, &serde_json::to_vec(zone)?)
    }

    /// Forgets a zone.
    ///
    /// # Errors
    /// What the system said, except that the zone was not there.
    pub fn remove_zone(&self, origin: &str) -> io::Result<()> {
        remove(&self.zone_path(origin)?)
    }

    /// The forwarding that was pushed last.
    pub fn load_forward(&self) -> Option<Forward> {
        load_json(&self.directory.join("forward.json"))
    }

    /// Keeps the forwarding. Durable on return.
    ///
    /// # Errors
    /// What the system said; what was kept before is then still there.
    pub fn save_forward(&self, forward: &Forward) -> io::Result<()> {
        durable::write_secret(&self.directory.join("forward.json"), &serde_json::to_vec(forward)?)
    }

    /// Forgets the forwarding.
    ///
    /// # Errors
    /// What the system said, except that there was none.
    pub fn remove_forward(&self) -> io::Result<()> {
        remove(&self.directory.join("forward.json"))
    }

    /// The bans that were pushed last.
    pub fn load_bans(&self) -> KeptBans {
        load_json(&self.directory.join("bans.json")).unwrap_or_default()
    }

    /// Keeps the bans. Durable on return.
    ///
    /// # Errors
    /// What the system said; what was kept before is then still there.
    pub fn save_bans(&self, bans: &KeptBans) -> io::Result<()> {
        durable::write_secret(&self.directory.join("bans.json"), &serde_json::to_vec(bans)?)
    }

    /// Forgets the bans.
    ///
    /// # Errors
    /// What the system said, except that there were none.
    pub fn remove_bans(&self) -> io::Result<()> {
        remove(&self.directory.join("bans.json"))
    }

    /// The secondary name servers that were pushed last.
    pub fn load_secondaries(&self) -> SecondaryList {
        load_json(&self.directory.join("secondaries.json")).unwrap_or_default()
    }

    /// Keeps the secondary name servers. Durable on return.
    ///
    /// # Errors
    /// What the system said; what was kept before is then still there.
    pub fn save_secondaries(&self, list: &SecondaryList) -> io::Result<()> {
        let json = Zeroizing::new(serde_json::to_vec(list)?);
        durable::write_secret(&self.directory.join("secondaries.json"), &json)
    }

    /// Forgets the secondary name servers.
    ///
    /// # Errors
    /// What the system said, except that there were none.
    pub fn remove_secondaries(&self) -> io::Result<()> {
        remove(&self.directory.join("secondaries.json"))
    }

    /// Only host-name characters reach the file system, so an origin cannot leave the directory.
    fn zone_path(&self, origin: &str) -> io::Result<PathBuf> {
        let name = origin.trim_end_matches('.').to_ascii_lowercase();
        let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(plain) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the zone's name is not a host name"));
        }
        Ok(self.directory.join("zones").join(format!("{name}.json")))
    }
}

/// Removes a file durably; one that is not there is removed already.
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all()),
    }
}

fn load_zone(path: &Path) -> Option<ServedZone> {
    let zone: Zone = load_json(path)?;
    let served = ServedZone::new(&zone).map_err(|error| error.to_string());
    match served
        .and_then(|served| zone_check::check_kept(&zone).map(|()| served).map_err(|error| error.to_string()))
    {
        Ok(zone) => Some(zone),
        Err(error) => {
            tracing::warn!(path = %path.display(), error, "cached zone cannot be served; waiting for home to push it");
            None
        }
    }
}

fn load_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "cache file cannot be read; starting without it");
            return None;
        }
    };
    serde_json::from_slice(&text)
        .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "cache file is damaged; starting without it"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::zones::tests::{name, sample_zone};

    #[test]
    fn zones_survive_a_restart_and_a_damaged_one_does_not_stop_the_others() {
        let directory = tempfile::tempdir().unwrap();
        let state = State::open(directory.path()).unwrap();
        state.save_zone(&sample_zone("home.example.", 7)).unwrap();
        state.save_zone(&sample_zone("other.example.", 8)).unwrap();
        drop(state);
        std::fs::write(directory.path().join("zones/other.example.json"), b"{\"origin\":").unwrap();
        std::fs::write(
            directory.path().join("zones/unservable.json"),
            r#"{"origin":"x.","serial":1,"records":[]}"#,
        )
        .unwrap();
        let state = State::open(directory.path()).unwrap();
        let zones = state.load_zones();
        assert_eq!(zones.iter().map(|zone| zone.serial).collect::<Vec<_>>(), [7]);
        state.remove_zone("HOME.example").unwrap();
        state.remove_zone("home.example").unwrap();
        assert!(state.load_zones().get(&name("home.example.")).is_none());
    }

    #[test]
    fn the_directory_belongs_to_one_daemon() {
        let directory = tempfile::tempdir().unwrap();
        let state = State::open(directory.path()).unwrap();
        assert!(matches!(State::open(directory.path()), Err(StateError::InUse(_))));
        drop(state);
        State::open(directory.path()).unwrap();
    }

    #[test]
    fn a_zone_name_cannot_leave_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let state = State::open(directory.path()).unwrap();
        for origin in [".", "", "../x.", "a/b.", "..", "a\\.b/."] {
            assert!(
                state.save_zone(&Zone { origin: origin.to_owned(), serial: 1, records: vec![] }).is_err(),
                "{origin}"
            );
        }
    }

    #[test]
    fn forwarding_survives_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let state = State::open(directory.path()).unwrap();
        assert_eq!(state.load_forward(), None);
        let forward = Forward { ports: [(25, 25)].into(), home_may_connect_to: vec![25] };
        state.save_forward(&forward).unwrap();
        assert_eq!(state.load_forward(), Some(forward));
        std::fs::write(directory.path().join("forward.json"), b"\0\0").unwrap();
        assert_eq!(state.load_forward(), None);
    }

    #[test]
    fn bans_survive_a_restart_with_their_ends() {
        let directory = tempfile::tempdir().unwrap();
        let state = State::open(directory.path()).unwrap();
        assert_eq!(state.load_bans(), KeptBans::default());
        let ban = |network: &str, seconds| postern_shared::bans::Ban {
            network: network.parse().unwrap(),
            seconds,
            reason: "guessing".to_owned(),
        };
        let bans = vec![ban("203.0.113.7/32", Some(60)), ban("2001:db8::/64", None)];
        let list = BanList { revision: "one".to_owned(), bans };
        state.save_bans(&KeptBans::new(&list, 1000, &KeptBans::default())).unwrap();
        let kept = state.load_bans();
        assert_eq!(kept.revision, "one");
        assert_eq!(kept.current(1059).len(), 2);
        assert_eq!(kept.current(1060).into_keys().collect::<Vec<_>>(), ["2001:db8::/64".parse().unwrap()]);
    }

    #[test]
    fn a_ban_that_comes_again_keeps_its_end_unless_it_is_another() {
        let network: IpNet = "203.0.113.7/32".parse().unwrap();
        let list = |seconds| {
            let ban = postern_shared::bans::Ban { network, seconds, reason: String::new() };
            BanList { revision: String::new(), bans: vec![ban] }
        };
        let first = KeptBans::new(&list(Some(60)), 1000, &KeptBans::default());
        for (seconds, now, until) in [
            (Some(50), 1009, Some(1060)),
            (Some(50), 1012, Some(1060)),
            (Some(50), 1013, Some(1063)),
            (Some(3600), 1010, Some(4610)),
            (None, 1010, None),
        ] {
            let next = KeptBans::new(&list(seconds), now, &first);
            assert_eq!(next.current(1020)[&network], until, "{seconds:?} s left at {now}");
        }
        let endless = KeptBans::new(&list(None), 1000, &first);
        assert_eq!(KeptBans::new(&list(Some(60)), 1000, &endless).current(1000)[&network], Some(1060));
    }
}
