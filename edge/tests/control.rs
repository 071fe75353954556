//! The control protocol from enrolment to a served zone, by a home that signs as the real one does.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

mod support;

use std::future::Future;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use hickory_proto::rr::rdata::{NS, SOA};
use hickory_proto::rr::{Name, RData, Record};
use postern_edge::config::Config;
use postern_edge::control::handle;
use postern_edge::dns::Served;
use postern_edge::enrol::Enrolment;
use postern_edge::forward::Forwarding;
use postern_edge::host::Public;
use postern_edge::service::{Service, desired_state, on_stop};
use postern_edge::state::State;
use postern_edge::tunnel;
use postern_shared::control::{Changed, Forward, Status, ZoneStatus};
use postern_shared::enrolment::{BOOTSTRAP_HOME_V4, EnrolRequest, EnrolResponse};
use postern_shared::http::{Method, Request, Response, StatusCode};
use postern_shared::identity::{Identity, SIGNATURE_HEADER};
use postern_shared::join_code::JoinCode;
use postern_shared::look::{
    Facts, MOST_ECHO_OCTETS, MOST_MIRROR_SECONDS, Mirror, MirrorWish, OutboundSeen, OutboundWish,
};
use postern_shared::rotation::kem::{RandomPart, Seed};
use postern_shared::rotation::{Commit, Offer};
use postern_shared::tunnel::{EpochId, PrivateKey};
use postern_shared::zone::Zone;
use support::{Namespace, require_root};

const HOME: &str = "10.118.0.2";

fn zone(origin: &str, serial: u32) -> Zone {
    let name = |text: &str| Name::from_ascii(text).unwrap();
    let soa = SOA::new(name(&format!("ns1.{origin}")), name(&format!("hm.{origin}")), serial, 1, 1, 1, 300);
    let records = [
        Record::from_rdata(name(origin), 60, RData::SOA(soa)),
        Record::from_rdata(name(origin), 60, RData::NS(NS(name(&format!("ns1.{origin}"))))),
    ];
    Zone::from_records(&name(origin), &records).unwrap()
}

/// An edge in its own namespace, with everything but its sockets for the world.
async fn edge(state_dir: &Path) -> Service {
    let config = Config { state_dir: state_dir.to_path_buf(), ..Config::default() };
    let state = State::open(state_dir).unwrap();
    let served = Served::default();
    served.zones.replace(state.load_zones());
    served.secondaries.replace(state.load_secondaries());
    let tunnel = tunnel::start(&config.tunnel).await.unwrap();
    let wanted = desired_state(&config, state.load_forward().as_ref(), 2525);
    let forwarding = Forwarding::start(wanted, None, on_stop(&config)).unwrap();
    let public = Public { interface: None, addresses: vec!["203.0.113.1".parse().unwrap()] };
    let enrolment = Enrolment::open(state_dir).unwrap();
    Service::new(config, public, served, state, enrolment, tunnel, forwarding).await
}

/// A home: an identity and the counter of its signed calls.
struct Home {
    identity: Identity,
    counter: u64,
}

impl Home {
    fn new(directory: &Path) -> Self {
        Self { identity: Identity::load_or_generate(&directory.join("identity.key")).unwrap(), counter: 0 }
    }

    fn sign(&mut self, mut request: Request) -> Request {
        self.counter += 1;
        let signature =
            self.identity.sign_request(request.method.as_str(), &request.path, &request.body, self.counter);
        request.headers.insert(SIGNATURE_HEADER, signature.to_string().parse().unwrap());
        request
    }

    async fn join(&mut self, edge: &Service) {
        let code = edge.invite("203.0.113.1:51820".parse().unwrap(), Duration::from_secs(60)).await.unwrap();
        let answer = from(edge, BOOTSTRAP_HOME_V4.into(), self.enrolment(&code)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.error_text());
        assert_eq!(answer.json::<EnrolResponse>().unwrap().control_port, 8053);
    }

    fn enrolment(&mut self, code: &JoinCode) -> Request {
        let home_key = PrivateKey::generate().unwrap().public();
        let body = EnrolRequest { identity: self.identity.public(), invite: code.edge_key, home_key };
        self.sign(Request::new(Method::POST, "/v1/enrol").with_json(&body).unwrap())
    }

    async fn put<T: serde::Serialize>(&mut self, edge: &Service, path: &str, body: &T) -> Response {
        let request = self.sign(Request::new(Method::PUT, path).with_json(body).unwrap());
        from_home(edge, request).await
    }
}

async fn from(edge: &Service, peer: IpAddr, request: Request) -> Response {
    handle(edge, peer, request).await
}

async fn from_home(edge: &Service, request: Request) -> Response {
    from(edge, HOME.parse().unwrap(), request).await
}

async fn status(edge: &Service) -> Status {
    from_home(edge, Request::new(Method::GET, "/v1/status")).await.json().unwrap()
}

/// Runs an async test on a runtime whose threads all live in one new namespace.
fn in_namespace<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send) {
    require_root();
    let namespace = Namespace::new("control");
    namespace.inside(|| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async move { test().await });
    });
}

#[test]
fn a_home_joins_pushes_and_is_remembered() {
    let (state, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    in_namespace(|| async {
        let mut home = Home::new(keys.path());
        {
            let edge = edge(state.path()).await;
            assert!(!status(&edge).await.joined);
            home.join(&edge).await;
            let answer = home.put(&edge, "/v1/zones/home.example", &zone("home.example.", 7)).await;
            assert_eq!(answer.json::<ZoneStatus>().unwrap().digest, zone("home.example.", 7).digest());
            let forward = Forward { ports: [(25, 2525)].into(), home_may_connect_to: vec![25, 465] };
            assert_eq!(home.put(&edge, "/v1/forward", &forward).await.status, StatusCode::OK);
        }
        let edge = edge(state.path()).await;
        let status = status(&edge).await;
        assert!(status.joined);
        assert_eq!((status.zones[0].serial, status.last_counter), (7, home.counter));
        assert_eq!(status.forward.ports, [(25, 2525)].into());
        let unsigned = Request::new(Method::DELETE, "/v1/epochs/1");
        assert_eq!(from_home(&edge, unsigned.clone()).await.status, StatusCode::FORBIDDEN);
        let in_use = from_home(&edge, home.sign(unsigned)).await;
        assert_eq!(in_use.status, StatusCode::CONFLICT, "the epoch in use cannot be retired");
        let key = PrivateKey::generate().unwrap().public();
        for (epoch, status) in [(2, StatusCode::CONFLICT), (3, StatusCode::UNPROCESSABLE_ENTITY)] {
            let commit = Commit { epoch: EpochId(epoch), home_key: key, edge_key: key };
            let request = Request::new(Method::POST, "/v1/epochs/2/commit").with_json(&commit).unwrap();
            let answer = from_home(&edge, home.sign(request)).await;
            assert_eq!(answer.status, status, "nobody offered epoch {epoch}, and the path says 2");
        }
        let delete = home.sign(Request::new(Method::DELETE, "/v1/zones/home.example"));
        assert_eq!(from_home(&edge, delete).await.status, StatusCode::OK);
        assert!(self::status(&edge).await.zones.is_empty());
    });
}

#[test]
fn a_home_of_the_version_before_commits_by_the_number_alone() {
    let (state, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    in_namespace(|| async {
        let (mut home, edge) = (Home::new(keys.path()), edge(state.path()).await);
        home.join(&edge).await;
        let commit = Request::new(Method::POST, "/v1/epochs/2/commit");
        let unknown = from_home(&edge, home.sign(commit.clone())).await;
        assert_eq!(unknown.status, StatusCode::CONFLICT, "nobody offered it");
        let offer = Offer {
            epoch: EpochId(2),
            home_key: PrivateKey::generate().unwrap().public(),
            encapsulation_key: Seed::generate().unwrap().encapsulation_key(),
            random: RandomPart::generate().unwrap(),
        };
        assert_eq!(home.put(&edge, "/v1/epochs/2", &offer).await.status, StatusCode::OK);
        for changed in [true, false] {
            let answer = from_home(&edge, home.sign(commit.clone())).await;
            assert_eq!(answer.json::<Changed>().unwrap(), Changed { changed }, "{}", answer.error_text());
        }
    });
}

#[test]
fn what_home_did_not_sign_changes_nothing() {
    let (state, keys, other) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    in_namespace(|| async {
        let edge = edge(state.path()).await;
        let (mut home, mut stranger) = (Home::new(keys.path()), Home::new(other.path()));
        home.join(&edge).await;
        stranger.counter = 1000;
        let path = "/v1/zones/home.example";
        let plain = Request::new(Method::PUT, path).with_json(&zone("home.example.", 7)).unwrap();
        assert_eq!(from_home(&edge, plain.clone()).await.status, StatusCode::FORBIDDEN);
        assert_eq!(from_home(&edge, stranger.sign(plain.clone())).await.status, StatusCode::FORBIDDEN);
        let signed = home.sign(plain);
        let mut elsewhere = signed.clone();
        elsewhere.path = "/v1/zones/other.example".to_owned();
        assert_eq!(from_home(&edge, elsewhere).await.status, StatusCode::FORBIDDEN);
        let mut altered = signed.clone();
        altered.body = serde_json::to_vec(&zone("home.example.", 8)).unwrap().into();
        assert_eq!(from_home(&edge, altered).await.status, StatusCode::FORBIDDEN);
        assert!(status(&edge).await.zones.is_empty());
        assert_eq!(from_home(&edge, signed.clone()).await.status, StatusCode::OK);
        assert_eq!(from_home(&edge, signed).await.status, StatusCode::FORBIDDEN, "a call counts once");
    });
}

#[test]
fn what_cannot_be_served_or_forwarded_is_refused_and_the_old_stays() {
    let (state, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    in_namespace(|| async {
        let edge = edge(state.path()).await;
        let mut home = Home::new(keys.path());
        home.join(&edge).await;
        let path = "/v1/zones/home.example";
        assert_eq!(home.put(&edge, path, &zone("home.example.", 7)).await.status, StatusCode::OK);
        let mut torn = zone("home.example.", 8);
        torn.records.truncate(1);
        for (body, expected) in [
            (zone("home.example.", 6), StatusCode::CONFLICT),
            (zone("other.example.", 9), StatusCode::UNPROCESSABLE_ENTITY),
            (torn, StatusCode::UNPROCESSABLE_ENTITY),
        ] {
            assert_eq!(home.put(&edge, path, &body).await.status, expected);
        }
        assert_eq!(home.put(&edge, path, &"not a zone").await.status, StatusCode::BAD_REQUEST);
        let greedy = Forward { ports: [(22, 22)].into(), home_may_connect_to: vec![] };
        assert_eq!(home.put(&edge, "/v1/forward", &greedy).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        let status = status(&edge).await;
        assert_eq!(status.zones[0].serial, 7);
        assert_eq!(status.forward.ports.len(), 6);
        assert_eq!(
            from_home(&edge, Request::new(Method::GET, "/v2/status")).await.status,
            StatusCode::NOT_FOUND
        );
    });
}

#[test]
fn a_joining_home_can_only_enrol_and_only_once() {
    let (state, keys, other) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    in_namespace(|| async {
        let edge = edge(state.path()).await;
        let (mut home, mut late) = (Home::new(keys.path()), Home::new(other.path()));
        let bootstrap = IpAddr::from(BOOTSTRAP_HOME_V4);
        let code = edge.invite("203.0.113.1:51820".parse().unwrap(), Duration::from_secs(60)).await.unwrap();
        let look = Request::new(Method::GET, "/v1/status");
        assert_eq!(from(&edge, bootstrap, look).await.status, StatusCode::FORBIDDEN);
        let request = home.enrolment(&code);
        assert_eq!(
            from_home(&edge, request.clone()).await.status,
            StatusCode::FORBIDDEN,
            "only through the bootstrap epoch"
        );
        assert_eq!(from(&edge, bootstrap, request).await.status, StatusCode::OK);
        let refused = from(&edge, bootstrap, late.enrolment(&code)).await;
        assert_eq!(refused.status, StatusCode::CONFLICT);
        assert!(refused.error_text().contains("postern-edge invite"), "{}", refused.error_text());
    });
}

#[test]
fn a_home_that_takes_over_starts_with_nothing_of_the_former_ones() {
    let (state, keys, other) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    in_namespace(|| async {
        let edge = edge(state.path()).await;
        let (mut former, mut next) = (Home::new(keys.path()), Home::new(other.path()));
        former.join(&edge).await;
        former.put(&edge, "/v1/zones/home.example", &zone("home.example.", 900)).await;
        let forward = Forward { ports: [(25, 2525)].into(), home_may_connect_to: vec![] };
        former.put(&edge, "/v1/forward", &forward).await;
        next.join(&edge).await;
        assert!(status(&edge).await.zones.is_empty());
        assert_eq!(status(&edge).await.forward.ports.len(), 6);
        let answer = next.put(&edge, "/v1/zones/home.example", &zone("home.example.", 1)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.error_text());
        let answer = former.put(&edge, "/v1/zones/home.example", &zone("home.example.", 901)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        drop(edge);
        assert_eq!(State::open(state.path()).unwrap().load_forward(), None);
    });
}

#[test]
fn a_home_that_joins_again_may_start_its_serials_anew() {
    let (state, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    in_namespace(|| async {
        let edge = edge(state.path()).await;
        let mut home = Home::new(keys.path());
        let path = "/v1/zones/home.example";
        home.join(&edge).await;
        assert_eq!(home.put(&edge, path, &zone("home.example.", 900)).await.status, StatusCode::OK);
        home.join(&edge).await;
        assert_eq!(status(&edge).await.zones[0].serial, 900, "the zone is served until the next push");
        assert_eq!(home.put(&edge, path, &zone("home.example.", 7)).await.status, StatusCode::OK);
        assert_eq!(home.put(&edge, path, &zone("home.example.", 6)).await.status, StatusCode::CONFLICT);
    });
}

#[test]
fn home_has_things_looked_at_by_its_signature_and_within_bounds() {
    let (state, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    in_namespace(|| async {
        let mut home = Home::new(keys.path());
        let edge = edge(state.path()).await;
        home.join(&edge).await;
        let facts = from_home(&edge, Request::new(Method::GET, "/v1/facts")).await;
        let facts: Facts = facts.json().unwrap();
        assert!(facts.memory.is_some() && facts.disk.unwrap().not_writable.is_none());

        for path in ["/v1/echo", "/v1/outbound", "/v1/mirror"] {
            let unsigned = from_home(&edge, Request::new(Method::POST, path)).await;
            assert_eq!(unsigned.status, StatusCode::FORBIDDEN, "{path}");
        }
        let echo = |octets: usize| Request {
            body: vec![7; octets].into(),
            ..Request::new(Method::POST, "/v1/echo")
        };
        let echoed = from_home(&edge, home.sign(echo(100_000))).await;
        assert!(echoed.status == StatusCode::OK && echoed.body == vec![7; 100_000]);
        let refused = from_home(&edge, home.sign(echo(MOST_ECHO_OCTETS + 1))).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);

        let outbound = |server: &str| {
            let wish = OutboundWish { servers: vec![server.parse().unwrap()] };
            Request::new(Method::POST, "/v1/outbound").with_json(&wish).unwrap()
        };
        let refused = from_home(&edge, home.sign(outbound("10.118.0.1"))).await;
        assert!(refused.error_text().contains("is no address of the internet"), "{}", refused.error_text());
        let seen: OutboundSeen = from_home(&edge, home.sign(outbound("203.0.113.77"))).await.json().unwrap();
        assert!(seen.servers[0].error.as_ref().unwrap().contains("failed"), "no way there: {seen:?}");
        assert_eq!(
            from_home(&edge, home.sign(outbound("203.0.113.77"))).await.status,
            StatusCode::TOO_MANY_REQUESTS
        );

        let mirror =
            |seconds| Request::new(Method::POST, "/v1/mirror").with_json(&MirrorWish { seconds }).unwrap();
        let open: Mirror = from_home(&edge, home.sign(mirror(1))).await.json().unwrap();
        assert!(open.seconds == 1 && open.ports.contains(&25) && open.held.is_none(), "{open:?}");
        let table = || {
            String::from_utf8(
                Command::new("nft").args(["list", "table", "inet", "postern"]).output().unwrap().stdout,
            )
            .unwrap()
        };
        assert!(table().contains("snat ip to 192.0.0.8"), "{}", table());
        edge.shut_mirror_in_time().await;
        assert!(table().contains("snat ip to"), "its time is not over");
        tokio::time::sleep(Duration::from_secs(1)).await;
        edge.shut_mirror_in_time().await;
        assert!(!table().contains("snat ip to"), "{}", table());
        let long: Mirror = from_home(&edge, home.sign(mirror(u32::MAX))).await.json().unwrap();
        assert_eq!(long.seconds, MOST_MIRROR_SECONDS);
    });
}
