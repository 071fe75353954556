//! Brings the edge's zones to what they should be.
//!
//! In: the declared zones, the edge while it is heard. Out: signed `PUT` and `DELETE` requests, and a [`Report`]. A round
//! asks the edge what it serves and changes what differs by digest; there is a round whenever the zones change, whenever
//! the edge comes alive, and every [`ROUND`], so that an edge that lost its state is filled again.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use postern_shared::control::{Status, ZoneStatus, zone_path};
use postern_shared::http::{Method, Request};
use postern_shared::identity::Identity;
use postern_shared::zone::Zone;
use tokio::sync::watch;

use super::client::{ControlClient, ControlError, accepted};
use super::state::LinkFile;
use super::{LinkError, ZonePush};

/// How often the edge is asked while nothing changes.
const ROUND: Duration = Duration::from_secs(30);

/// The pause after the first failed round; it doubles up to [`ROUND`].
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// What the last round found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Whether the edge answered.
    pub is_reached: bool,
    /// The edge's addresses, once it has said them.
    pub public_addresses: Vec<IpAddr>,
    /// The declared zones.
    pub zones: Vec<ZonePush>,
    /// What went wrong, if something did.
    pub error: Option<String>,
}

/// The pushing side of the control protocol.
pub struct Pusher {
    /// Signs the requests.
    pub identity: Arc<Identity>,
    /// Keeps the request counter.
    pub file: Arc<Mutex<LinkFile>>,
    /// The edge, while it is heard.
    pub edge: watch::Receiver<Option<ControlClient>>,
    /// The declared zones; `None` until they are declared.
    pub zones: watch::Receiver<Option<Vec<Zone>>>,
    /// Where the reports go.
    pub report: watch::Sender<Report>,
}

impl Pusher {
    /// Works until the link is gone.
    pub async fn run(mut self) {
        let mut retry = FIRST_RETRY;
        loop {
            let edge = *self.edge.borrow_and_update();
            let zones = self.zones.borrow_and_update().clone();
            let pause = match edge {
                None => {
                    self.report.send_modify(|report| report.is_reached = false);
                    ROUND
                }
                Some(edge) => {
                    let report = self.round(edge, zones.as_deref()).await;
                    let is_well = report.error.is_none();
                    self.report.send_replace(report);
                    retry = if is_well { FIRST_RETRY } else { (retry * 2).min(ROUND) };
                    if is_well { ROUND } else { retry }
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = self.edge.changed() => if changed.is_err() { return },
                changed = self.zones.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn round(&self, edge: ControlClient, zones: Option<&[Zone]>) -> Report {
        let status = match edge.status().await {
            Ok(status) => status,
            Err(error) => {
                tracing::warn!(%error, "the edge's control server does not answer");
                let known = self.report.borrow().clone();
                return Report { is_reached: false, error: Some(error.to_string()), ..known };
            }
        };
        let mut report = Report {
            is_reached: true,
            public_addresses: status.public_addresses.clone(),
            ..Report::default()
        };
        let Some(zones) = zones else { return report };
        for zone in zones {
            let pushed = self.bring(edge, &status, zone).await.map_err(|error| error.to_string());
            report.zones.push(ZonePush {
                origin: zone.origin.clone(),
                serial: zone.serial,
                accepted: pushed.is_ok(),
                error: pushed.err(),
            });
        }
        let withdrawn = self.withdraw_others(edge, &status, zones).await.map_err(|error| error.to_string());
        let failed = report.zones.iter().find_map(|zone| zone.error.clone());
        Report { error: failed.or(withdrawn.err()), ..report }
    }

    /// Pushes a zone unless the edge serves it already.
    async fn bring(&self, edge: ControlClient, status: &Status, zone: &Zone) -> Result<(), LinkError> {
        if status
            .zones
            .iter()
            .any(|held| is_same_name(&held.origin, &zone.origin) && held.digest == zone.digest())
        {
            return Ok(());
        }
        let request = Request::new(Method::PUT, zone_path(&zone.origin));
        let request = request.with_json(zone).map_err(ControlError::Request)?;
        self.send_signed(edge, request, status.last_counter).await?;
        tracing::info!(origin = %zone.origin, serial = zone.serial, "the edge has taken the zone");
        Ok(())
    }

    async fn withdraw_others(
        &self,
        edge: ControlClient,
        status: &Status,
        zones: &[Zone],
    ) -> Result<(), LinkError> {
        let is_declared =
            |held: &&ZoneStatus| zones.iter().any(|zone| is_same_name(&zone.origin, &held.origin));
        for held in status.zones.iter().filter(|held| !is_declared(held)) {
            let request = Request::new(Method::DELETE, zone_path(&held.origin));
            self.send_signed(edge, request, status.last_counter).await?;
            tracing::info!(origin = %held.origin, "the edge has withdrawn the zone");
        }
        Ok(())
    }

    async fn send_signed(&self, edge: ControlClient, request: Request, seen: u64) -> Result<(), LinkError> {
        let (method, path) = (request.method.to_string(), request.path.clone());
        let counter = lock(&self.file).next_counter(seen)?;
        let signature = self.identity.sign_request(&method, &path, &request.body, counter);
        let response = edge.send_signed(request, &signature).await?;
        Ok(accepted(&method, &path, &response)?)
    }
}

/// Locks the file; it is consistent also after a panic elsewhere, since a change is applied as a whole.
pub fn lock(file: &Mutex<LinkFile>) -> std::sync::MutexGuard<'_, LinkFile> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

/// RFC 4343: names compare without regard to case; the final dot is presentation.
fn is_same_name(one: &str, other: &str) -> bool {
    one.trim_end_matches('.').eq_ignore_ascii_case(other.trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use postern_shared::http::{Limits, Response, StatusCode, serve_connection};
    use postern_shared::identity::{PublicIdentity, RequestSignature, SIGNATURE_HEADER};
    use postern_shared::zone::Record;
    use tokio::net::TcpListener;

    use super::*;

    /// An edge that keeps zones, checks signatures and can be told to fail.
    #[derive(Clone)]
    struct Edge {
        kept: Arc<Mutex<Kept>>,
        home: PublicIdentity,
    }

    #[derive(Default)]
    struct Kept {
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
            (edge, ControlClient { from: to.ip(), to })
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
                zones: self.zones.values().map(zone).collect(),
                forward: Default::default(),
            }
        }
    }

    /// A pusher at work against an [`Edge`].
    struct Pushing {
        edge: Edge,
        client: ControlClient,
        alive: watch::Sender<Option<ControlClient>>,
        zones: watch::Sender<Option<Vec<Zone>>>,
        report: watch::Receiver<Report>,
        _directory: tempfile::TempDir,
    }

    impl Pushing {
        async fn start() -> Self {
            let directory = tempfile::tempdir().expect("temporary directory");
            let identity =
                Identity::load_or_generate(&directory.path().join("identity.key")).expect("an identity");
            let (edge, client) = Edge::start(identity.public()).await;
            let (alive, alive_out) = watch::channel(Some(client));
            let (zones, zones_out) = watch::channel(None);
            let (report_in, report) = watch::channel(Report::default());
            let pusher = Pusher {
                identity: Arc::new(identity),
                file: Arc::new(Mutex::new(LinkFile::open(directory.path()).expect("opened"))),
                edge: alive_out,
                zones: zones_out,
                report: report_in,
            };
            tokio::spawn(pusher.run());
            Self { edge, client, alive, zones, report, _directory: directory }
        }

        async fn reported(&mut self, is_it: impl Fn(&Report) -> bool) -> Report {
            let limit = Duration::from_secs(10);
            let waited = tokio::time::timeout(limit, self.report.wait_for(is_it)).await;
            waited.expect("reported in time").expect("the pusher lives").clone()
        }
    }

    fn zone(origin: &str, serial: u32) -> Zone {
        let record =
            Record { name: origin.into(), record_type: "A".into(), ttl: 300, rdata: vec![192, 0, 2, 1] };
        Zone { origin: origin.into(), serial, records: vec![record] }
    }

    fn has_accepted(serials: &[u32]) -> impl Fn(&Report) -> bool {
        let wanted: Vec<(u32, bool)> = serials.iter().map(|serial| (*serial, true)).collect();
        move |report| {
            report.zones.iter().map(|zone| (zone.serial, zone.accepted)).collect::<Vec<_>>() == wanted
        }
    }

    #[tokio::test]
    async fn zones_are_brought_changed_and_withdrawn_and_equal_ones_left_alone() {
        let mut pushing = Pushing::start().await;
        pushing.zones.send_replace(Some(vec![zone("a.example.", 1), zone("b.example.", 1)]));
        pushing.reported(has_accepted(&[1, 1])).await;
        assert_eq!(pushing.edge.kept().changes, 2);
        pushing.zones.send_replace(Some(vec![zone("a.example.", 2)]));
        pushing.reported(has_accepted(&[2])).await;
        let kept = pushing.edge.kept();
        assert_eq!(kept.zones.keys().collect::<Vec<_>>(), ["a.example"]);
        assert_eq!(kept.changes, 4);
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
        pushing.zones.send_replace(Some(vec![zone("a.example.", 1)]));
        let report = pushing.reported(|report| report.error.is_some()).await;
        assert!(report.error.is_some_and(|text| text.contains("told to fail")));
        pushing.edge.kept().is_failing = false;
        pushing.reported(has_accepted(&[1])).await;
        pushing.edge.kept().zones.clear();
        pushing.alive.send_replace(None);
        pushing.reported(|report| !report.is_reached).await;
        pushing.alive.send_replace(Some(pushing.client));
        pushing.reported(|report| report.is_reached).await;
        assert_eq!(pushing.edge.kept().zones.len(), 1);
    }

    #[tokio::test]
    async fn a_counter_that_is_behind_catches_up() {
        let mut pushing = Pushing::start().await;
        pushing.edge.kept().last_counter = 500;
        pushing.zones.send_replace(Some(vec![zone("a.example.", 1)]));
        pushing.reported(has_accepted(&[1])).await;
        assert_eq!(pushing.edge.kept().last_counter, 501);
    }
}
