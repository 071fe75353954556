//! The pusher against an edge that can be told to fail.

use std::collections::BTreeMap;
use std::sync::Mutex;

use postern_shared::bans::{BanList, BansTaken, RefusedBan};
use postern_shared::control::{BansHeld, Forward};
use postern_shared::http::{Limits, Response, StatusCode, serve_connection};
use postern_shared::identity::{Identity, PublicIdentity, RequestSignature, SIGNATURE_HEADER};
use postern_shared::secondary::{Secondary, SecondaryStatus, Secret, TransferKey};
use postern_shared::zone::Record;
use tokio::net::TcpListener;

use super::*;
use crate::bans::Entry;
use crate::inner::Network;
use crate::link::state::LinkFile;

/// An edge that keeps zones, checks signatures and can be told to fail.
#[derive(Clone)]
struct Edge {
    kept: Arc<Mutex<Kept>>,
    home: PublicIdentity,
}

#[derive(Default)]
struct Kept {
    forward: Forward,
    bans: Option<BanList>,
    secondaries: SecondaryList,
    zones: BTreeMap<String, Zone>,
    last_counter: u64,
    changes: usize,
    is_failing: bool,
}

impl Edge {
    async fn start(home: PublicIdentity) -> (Self, ControlClient) {
        let edge = Self { kept: Arc::default(), home };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let to = listener.local_addr().expect("an address");
        let served = edge.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let edge = served.clone();
                let answer = move |request| std::future::ready(edge.answer(&request));
                tokio::spawn(serve_connection(stream, Limits::default(), answer));
            }
        });
        (edge, ControlClient { network: Network::Machine, from: to.ip(), to })
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().expect("no test panics with the lock")
    }

    fn answer(&self, request: &Request) -> Response {
        let mut kept = self.kept();
        if kept.is_failing {
            return Response::error(StatusCode::SERVICE_UNAVAILABLE, "told to fail");
        }
        if request.method == Method::GET {
            return Response::ok(&kept.status());
        }
        let header = request.headers.get(SIGNATURE_HEADER).and_then(|value| value.to_str().ok());
        let signature: RequestSignature = header.expect("signed").parse().expect("well-formed");
        let verified =
            self.home.verify_request(request.method.as_str(), &request.path, &request.body, &signature);
        if verified.is_err() || signature.counter <= kept.last_counter {
            return Response::error(StatusCode::FORBIDDEN, "not believed");
        }
        kept.last_counter = signature.counter;
        kept.changes += 1;
        match request.path.as_str() {
            "/v1/forward" => {
                kept.forward = request.json().expect("a port map");
                return Response::ok(&true);
            }
            "/v1/bans" => {
                let list: BanList = request.json().expect("a list");
                let refused = list.bans.iter().filter(|ban| ban.reason == "refuse me");
                let refused = refused
                    .map(|ban| RefusedBan { network: ban.network, why: "told to refuse".into() })
                    .collect();
                kept.bans = Some(list);
                return Response::ok(&BansTaken { changed: true, refused });
            }
            "/v1/secondaries" => {
                kept.secondaries = request.json().expect("a list");
                return Response::ok(&true);
            }
            _ => {}
        }
        let origin = request.path.trim_start_matches("/v1/zones/").to_lowercase();
        match request.method {
            Method::PUT => drop(kept.zones.insert(origin, request.json().expect("a zone"))),
            _ => drop(kept.zones.remove(&origin)),
        }
        Response::ok(&true)
    }
}

impl Kept {
    fn status(&self) -> Status {
        let zone = |zone: &Zone| ZoneStatus {
            origin: zone.origin.to_uppercase(),
            serial: zone.serial,
            digest: zone.digest(),
        };
        Status {
            version: "0".into(),
            protocol: 1,
            public_addresses: vec![[192, 0, 2, 1].into()],
            joined: true,
            last_counter: self.last_counter,
            time: None,
            zones: self.zones.values().map(zone).collect(),
            forward: self.forward.clone(),
            bans: self
                .bans
                .as_ref()
                .map(|list| BansHeld { revision: list.revision.clone(), count: list.bans.len() }),
            secondaries: Some(SecondariesHeld {
                revision: self.secondaries.revision.clone(),
                secondaries: ["ns3.example", "stranger.example"].map(said_of).into(),
            }),
            ..Status::default()
        }
    }
}

/// A pusher at work against an [`Edge`].
struct Pushing {
    edge: Edge,
    client: ControlClient,
    alive: watch::Sender<Option<ControlClient>>,
    zones: watch::Sender<Option<DeclaredZones>>,
    bans: watch::Sender<Book>,
    secondaries: watch::Sender<Option<SecondaryList>>,
    report: watch::Receiver<Report>,
    _directory: tempfile::TempDir,
}

impl Pushing {
    async fn start() -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let identity =
            Identity::load_or_generate(&directory.path().join("identity.key")).expect("an identity");
        let (edge, client) = Edge::start(identity.public()).await;
        let (alive, alive_out) = watch::channel(Some(client.clone()));
        let (zones, zones_out) = watch::channel(None);
        let (bans, bans_out) = watch::channel(Book::default());
        let (secondaries, secondaries_out) = watch::channel(None);
        let (report_in, report) = watch::channel(Report::default());
        let file = Arc::new(Mutex::new(LinkFile::open(directory.path()).expect("opened")));
        let pusher = Pusher {
            signer: Arc::new(Signer::new(Arc::new(identity), file)),
            edge: alive_out,
            zones: zones_out,
            forward: Default::default(),
            bans: bans_out,
            secondaries: secondaries_out,
            wanted: Arc::default(),
            report: report_in,
        };
        tokio::spawn(pusher.run());
        Self { edge, client, alive, zones, bans, secondaries, report, _directory: directory }
    }

    fn declare(&self, zones: Vec<Zone>) {
        self.zones.send_replace(Some(DeclaredZones { zones, untouched: Vec::new() }));
    }

    async fn reported(&mut self, is_it: impl Fn(&Report) -> bool) -> Report {
        let limit = Duration::from_secs(10);
        let waited = tokio::time::timeout(limit, self.report.wait_for(is_it)).await;
        waited.expect("reported in time").expect("the pusher lives").clone()
    }
}

fn said_of(name: &str) -> SecondaryStatus {
    let error = Some(format!("bad\u{1b}[31m {}", "x".repeat(1000)));
    SecondaryStatus { name: name.to_owned(), error, ..SecondaryStatus::default() }
}

#[tokio::test]
async fn secondaries_are_brought_once_and_only_ours_are_reported() {
    let mut pushing = Pushing::start().await;
    let one = Secondary {
        name: "ns3.example".into(),
        addresses: vec![([192, 0, 2, 3], 53).into()],
        zones: None,
        keys: vec![TransferKey { name: "k1.ns3.example".into(), secret: Secret::new([7; 32]) }],
    };
    pushing.secondaries.send_replace(Some(SecondaryList::new(vec![one])));
    let report = pushing.reported(|report| report.secondaries.is_some()).await;
    let held = report.secondaries.expect("said");
    let names: Vec<&str> = held.secondaries.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["ns3.example"], "an edge that was taken over speaks of others");
    let error = held.secondaries[0].error.clone().expect("an error");
    assert!(error.len() < 400 && !error.contains('\u{1b}'), "{error}");
    pushing.declare(vec![zone("a.example.", 1)]);
    pushing.reported(has_accepted(&[1])).await;
    assert_eq!(pushing.edge.kept().changes, 2, "the list was sent again");
    pushing.secondaries.send_replace(Some(SecondaryList::new(Vec::new())));
    let edge = pushing.edge.clone();
    pushing.reported(move |_| edge.kept().secondaries.secondaries.is_empty()).await;
}

fn zone(origin: &str, serial: u32) -> Zone {
    let record = Record { name: origin.into(), record_type: "A".into(), ttl: 300, rdata: vec![192, 0, 2, 1] };
    Zone { origin: origin.into(), serial, records: vec![record] }
}

fn has_accepted(serials: &[u32]) -> impl Fn(&Report) -> bool {
    let wanted: Vec<(u32, bool)> = serials.iter().map(|serial| (*serial, true)).collect();
    move |report| report.zones.iter().map(|zone| (zone.serial, zone.accepted)).collect::<Vec<_>>() == wanted
}

#[tokio::test]
async fn zones_are_brought_changed_and_withdrawn_and_equal_ones_left_alone() {
    let mut pushing = Pushing::start().await;
    pushing.declare(vec![zone("a.example.", 1), zone("b.example.", 1)]);
    pushing.reported(has_accepted(&[1, 1])).await;
    assert_eq!(pushing.edge.kept().changes, 2);
    pushing.declare(vec![zone("a.example.", 2)]);
    let report = pushing.reported(has_accepted(&[2])).await;
    assert_eq!(
        report.edge.serial(&"a.example".parse().expect("a domain")),
        Some(2),
        "known without asking again"
    );
    let kept = pushing.edge.kept();
    assert_eq!(kept.zones.keys().collect::<Vec<_>>(), ["a.example"]);
    assert_eq!(kept.changes, 4);
}

#[tokio::test]
async fn a_domain_without_a_zone_keeps_what_the_edge_has_and_holds_nobody_up() {
    let mut pushing = Pushing::start().await;
    pushing.declare(vec![zone("a.example.", 1), zone("b.example.", 1), zone("c.example.", 1)]);
    pushing.reported(has_accepted(&[1, 1, 1])).await;
    let untouched = vec!["a.example".parse().expect("a domain")];
    pushing.zones.send_replace(Some(DeclaredZones { zones: vec![zone("b.example.", 2)], untouched }));
    pushing.reported(has_accepted(&[2])).await;
    let kept = pushing.edge.kept();
    let serials: Vec<(&str, u32)> =
        kept.zones.iter().map(|(origin, zone)| (origin.as_str(), zone.serial)).collect();
    assert_eq!(serials, [("a.example", 1), ("b.example", 2)]);
}

#[tokio::test]
async fn nothing_is_withdrawn_before_zones_are_declared() {
    let mut pushing = Pushing::start().await;
    pushing.edge.kept().zones.insert("a.example".into(), zone("a.example.", 1));
    let report = pushing.reported(|report| report.is_reached).await;
    assert_eq!(report.public_addresses, [IpAddr::from([192, 0, 2, 1])]);
    assert_eq!(pushing.edge.kept().zones.len(), 1);
}

#[tokio::test]
async fn a_failing_edge_is_tried_again_and_an_emptied_one_filled() {
    let mut pushing = Pushing::start().await;
    pushing.edge.kept().is_failing = true;
    pushing.declare(vec![zone("a.example.", 1)]);
    let report = pushing.reported(|report| report.error.is_some()).await;
    assert!(report.error.is_some_and(|text| text.contains("told to fail")));
    pushing.edge.kept().is_failing = false;
    pushing.reported(has_accepted(&[1])).await;
    pushing.edge.kept().zones.clear();
    pushing.alive.send_replace(None);
    pushing.reported(|report| !report.is_reached).await;
    pushing.alive.send_replace(Some(pushing.client.clone()));
    pushing.reported(|report| report.is_reached).await;
    assert_eq!(pushing.edge.kept().zones.len(), 1);
}

#[tokio::test]
async fn a_counter_that_is_behind_catches_up() {
    let mut pushing = Pushing::start().await;
    pushing.edge.kept().last_counter = 500;
    pushing.declare(vec![zone("a.example.", 1)]);
    pushing.reported(has_accepted(&[1])).await;
    assert_eq!(pushing.edge.kept().last_counter, 501);
}

#[tokio::test]
async fn the_port_map_is_brought_and_what_home_may_connect_to_stays_the_edges_to_say() {
    let mut pushing = Pushing::start().await;
    pushing.edge.kept().forward = Forward { ports: [(25, 25)].into(), home_may_connect_to: vec![25, 587] };
    pushing.declare(Vec::new());
    pushing.reported(|report| report.protection.as_ref().is_some_and(|known| known.forward.is_empty())).await;
    let forward = pushing.edge.kept().forward.clone();
    assert_eq!((forward.ports.len(), forward.home_may_connect_to), (0, vec![25, 587]));
}

#[tokio::test]
async fn bans_are_brought_with_each_change_and_to_an_edge_that_lost_them() {
    let mut pushing = Pushing::start().await;
    pushing.edge.kept().bans = Some(BanList::default());
    let entry = |network: &str, reason| Entry::new(network.parse().expect("a network"), 0, None, reason);
    let mut book = Book::default();
    book.insert(entry("203.0.113.7/32", "guessing")).expect("room");
    book.insert(entry("192.0.2.0/24", "refuse me")).expect("room");
    pushing.bans.send_replace(book.clone());
    let is_told = |report: &Report| report.protection.as_ref().is_some_and(|known| known.refused.len() == 1);
    pushing.reported(is_told).await;
    assert_eq!(pushing.edge.kept().bans.as_ref().map(|list| list.bans.len()), Some(2));
    let changes = pushing.edge.kept().changes;
    pushing.edge.kept().bans = Some(BanList::default());
    pushing.alive.send_replace(None);
    pushing.reported(|report| !report.is_reached).await;
    pushing.alive.send_replace(Some(pushing.client.clone()));
    pushing.reported(|report| report.is_reached).await;
    assert_eq!(pushing.edge.kept().bans, Some(book.list(0)));
    assert_eq!(pushing.edge.kept().changes, changes + 1, "nothing is pushed twice");
}
