//! Tells secondaries that a zone has changed (RFC 1996), and finds out what they serve.
//!
//! In: the zones and the secondaries as they change. Out: NOTIFY messages, signed, from the address at which secondaries know this
//! server; what each address of each secondary serves, in [`SharedSecondaries`]. Refused: nothing; who does not follow is told
//! again, see [`follow`].
//!
//! One task for each address of a secondary, one exchange at a time, so that a silent one holds nobody else up.

mod follow;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use postern_shared::secondary::{Secondary, SecondaryList};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::secondaries::SharedSecondaries;
use super::tsig::Key;
use super::zones::{ServedZone, ZoneSet};
use super::{Served, message, random, unix_seconds};

use follow::{Follow, Phase, Told};
use wire::{Sent, Unanswered};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(3);

/// The longest that a task sleeps.
const NAP: Duration = Duration::from_secs(3600);

/// The longest answer, octets: nothing that is asked here is longer.
const LONGEST: usize = 4096;

/// The addresses from which secondaries may be told; the first of a family that this machine has is taken.
pub type Sources = Arc<dyn Fn() -> Vec<IpAddr> + Send + Sync>;

/// Works until it is dropped.
pub async fn run(served: Served, sources: Sources) {
    let mut list = served.secondaries.subscribe();
    loop {
        let current = list.borrow_and_update().clone();
        let mut tasks = start(&current, &served, &sources);
        tokio::select! {
            changed = list.changed() => if changed.is_err() { return },
            () = async { while tasks.join_next().await.is_some() {} std::future::pending().await } => {}
        }
    }
}

fn start(list: &SecondaryList, served: &Served, sources: &Sources) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for secondary in &list.secondaries {
        for address in &secondary.addresses {
            let teller = Teller {
                secondary: secondary.clone(),
                address: *address,
                book: served.secondaries.clone(),
                sources: Arc::clone(sources),
                zones: BTreeMap::new(),
            };
            tasks.spawn(teller.run(served.zones.subscribe()));
        }
    }
    tasks
}

/// What one address of a secondary is told and asked.
struct Teller {
    secondary: Secondary,
    address: SocketAddr,
    book: SharedSecondaries,
    sources: Sources,
    zones: BTreeMap<String, Follow>,
}

impl Teller {
    async fn run(mut self, mut zones: watch::Receiver<Arc<ZoneSet>>) {
        loop {
            let current = zones.borrow_and_update().clone();
            self.take(&current, Instant::now());
            for zone in current.iter() {
                self.look_after(zone).await;
            }
            let next = self.zones.values().map(Follow::due).min();
            let pause = next.map_or(NAP, |due| due.saturating_duration_since(Instant::now()).min(NAP));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = zones.changed() => if changed.is_err() { return },
            }
        }
    }

    /// The zones that the secondary should have, with their serials.
    fn take(&mut self, zones: &ZoneSet, now: Instant) {
        let origins: BTreeMap<String, u32> = zones.iter().map(|zone| (origin(zone), zone.serial)).collect();
        self.zones.retain(|origin, _| origins.contains_key(origin));
        for (origin, serial) in origins {
            if self.secondary.may_have(&origin) {
                // While a key takes the place of another, whether the secondary has it shows when it is told.
                let begin = if self.secondary.keys.len() > 1 { Follow::telling } else { Follow::new };
                self.zones.entry(origin).or_insert_with(|| begin(serial, now)).wants(serial, now);
            }
        }
    }

    async fn look_after(&mut self, zone: &ServedZone) {
        let origin = origin(zone);
        let Some(mut follow) = self.zones.remove(&origin) else { return };
        match follow.todo(Instant::now()) {
            Some(Phase::Tell) => {
                let told = self.tell(zone, follow.rounds()).await;
                let outcome = if told.is_ok() { Told::Answered } else { Told::InVain };
                follow.was_told(outcome, Instant::now());
                // Whether it follows is what the next question shows; why not, this.
                if let Err(error) = told {
                    self.note(&origin, Some(format!("{}: {error}", self.address.ip())));
                }
            }
            Some(Phase::Ask | Phase::Rest) => {
                let serves = self.ask(zone).await;
                if let Ok(serial) = serves {
                    self.book.serves(&self.secondary.name, &origin, self.address, serial);
                }
                follow.was_asked(serves.as_ref().ok().copied(), Instant::now());
                match serves {
                    Ok(_) if follow.is_content() => self.note(&origin, None),
                    Ok(_) => {}
                    Err(error) if follow.rounds() > 1 => {
                        self.note(&origin, Some(format!("{}: {error}", self.address.ip())));
                    }
                    Err(_) => {}
                }
            }
            None => {}
        }
        self.zones.insert(origin, follow);
    }

    fn note(&self, origin: &str, trouble: Option<String>) {
        self.book.has_trouble(&self.secondary.name, origin, self.address, trouble);
    }

    /// The keys take turns: while one takes the place of another, the secondary knows only one of them.
    async fn tell(&self, zone: &ServedZone, round: usize) -> Result<(), Failed> {
        let keys = &self.secondary.keys;
        let key = keys.iter().rev().cycle().nth(round % keys.len().max(1)).ok_or(Failed::NoKey)?;
        let name = message::from_text(&key.name).ok_or(Failed::NoKey)?;
        let key = Key::new(&name, key.secret.expose());
        let sent = Sent::notify(id(), zone.soa().owner.octets(), &key, unix_seconds());
        self.exchange(&sent, |answer| sent.told(answer, unix_seconds())).await?;
        self.book.has_answered(&self.secondary.name, self.address.ip(), &message::to_text(&key.name));
        Ok(())
    }

    async fn ask(&self, zone: &ServedZone) -> Result<u32, Failed> {
        let sent = Sent::soa(id(), zone.soa().owner.octets());
        self.exchange(&sent, |answer| sent.serial(answer)).await
    }

    /// Sends one message and waits for what answers it.
    async fn exchange<T>(
        &self,
        sent: &Sent,
        read: impl Fn(&[u8]) -> Result<T, Unanswered>,
    ) -> Result<T, Failed> {
        let socket = self.socket().await?;
        socket.send(&sent.octets).await?;
        let answered = async {
            let mut buffer = vec![0; LONGEST];
            loop {
                let length = socket.recv(&mut buffer).await?;
                match read(buffer.get(..length).unwrap_or_default()) {
                    Err(Unanswered::Other) => {}
                    read => return Ok(read?),
                }
            }
        };
        timeout(PATIENCE, answered).await.map_err(|_| Failed::Silent)?
    }

    /// A socket from an address at which the secondary knows this server, or else whatever the route gives.
    async fn socket(&self) -> io::Result<UdpSocket> {
        let any: IpAddr = match self.address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let fitting = (self.sources)().into_iter().filter(|source| source.is_ipv4() == any.is_ipv4());
        for source in fitting.filter(|source| !source.is_unspecified()) {
            // Behind a translation in front of this machine the public address is not here to be bound.
            if let Ok(socket) = UdpSocket::bind((source, 0)).await {
                socket.connect(self.address).await?;
                return Ok(socket);
            }
        }
        let socket = UdpSocket::bind((any, 0)).await?;
        socket.connect(self.address).await?;
        Ok(socket)
    }
}

/// Why an exchange came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("it does not answer")]
    Silent,
    #[error("it cannot be reached: {0}")]
    Unreachable(#[from] io::Error),
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    #[error("it has no key")]
    NoKey,
}

fn id() -> [u8; 2] {
    let [a, b, ..] = random();
    [a, b]
}

fn origin(zone: &ServedZone) -> String {
    zone.origin.to_string().trim_end_matches('.').to_owned()
}
