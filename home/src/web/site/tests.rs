//! Pages as a client gets them.

use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::mta_sts::{Judgement, Presence, watch::DomainSeen};
use crate::web::connection;

struct World {
    site: Arc<Site>,
    _state_dir: tempfile::TempDir,
    _seen: watch::Sender<Seen>,
}

fn world() -> World {
    let state_dir = tempfile::tempdir().expect("temporary directory");
    let directory = Directory::open(state_dir.path()).expect("opened");
    for name in ["home.example", "other.example"] {
        directory.add_domain(&name.parse().expect("a domain")).expect("added");
    }
    let presence = Presence { certified: [WebName::MtaSts].into(), ..Presence::default() };
    let with_policy = DomainSeen { presence, judgement: Judgement::Right };
    let seen = BTreeMap::from([("home.example".parse().expect("a domain"), with_policy)]);
    let seen = watch::Sender::new(Arc::new(seen));
    let hostname = Hostname::new("mail.home.example".parse().ok(), directory.clone());
    let offered = [ServiceKind::Submissions, ServiceKind::Imaps].into();
    let site = Site { directory, hostname, offered, seen: seen.subscribe() };
    World { site: Arc::new(site), _state_dir: state_dir, _seen: seen }
}

async fn request(world: &World, head: &str, host: &str, body: &str) -> String {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let site = world.site.clone();
    let page = move |request| {
        let site = site.clone();
        async move { site.answer(request).await }
    };
    let (_order, shutdown) = watch::channel(false);
    let serving = tokio::spawn(connection::serve(server, connection::TIMES, shutdown, page));
    let length = body.len();
    let text = format!(
        "{head} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    client.write_all(text.as_bytes()).await.expect("written");
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.expect("read");
    serving.await.expect("served");
    answer
}

async fn get(world: &World, host: &str, path: &str) -> String {
    request(world, &format!("GET {path}"), host, "").await
}

fn is_found(answer: &str) -> bool {
    assert!(answer.starts_with("HTTP/1.1 200 ") || answer.starts_with("HTTP/1.1 404 "), "{answer}");
    answer.starts_with("HTTP/1.1 200 ")
}

#[tokio::test]
async fn a_policy_stands_at_its_host_alone() {
    let world = world();
    let path = "/.well-known/mta-sts.txt";
    let policy = get(&world, "MTA-STS.home.example", path).await;
    assert!(is_found(&policy) && policy.contains("content-type: text/plain"), "{policy}");
    assert!(
        policy.ends_with(
            "\r\n\r\nversion: STSv1\r\nmode: testing\r\nmx: mail.home.example\r\nmax_age: 86400\r\n"
        )
    );
    for host in [
        "home.example",
        "autoconfig.home.example",
        "mta-sts.other.example",
        "mta-sts.strange.example",
        "192.0.2.1",
    ] {
        assert!(!is_found(&get(&world, host, path).await), "{host}");
    }
    assert!(!is_found(&get(&world, "mta-sts.home.example", "/mail/config-v1.1.xml").await));
}

#[tokio::test]
async fn settings_are_found_where_programs_look_for_them() {
    let world = world();
    for (host, path) in [
        ("autoconfig.home.example", "/mail/config-v1.1.xml?emailaddress=ana%40home.example"),
        ("home.example", "/.well-known/autoconfig/mail/config-v1.1.xml"),
        ("mail.home.example", "/mail/config-v1.1.xml?emailaddress=eve%40other.example"),
        ("autoconfig.other.example", "/apple.mobileconfig?email=eve%40other.example"),
    ] {
        assert!(is_found(&get(&world, host, path).await), "{host}{path}");
    }
    for (host, path) in [
        ("autoconfig.strange.example", "/mail/config-v1.1.xml"),
        ("mail.home.example", "/mail/config-v1.1.xml"),
        ("mail.home.example", "/mail/config-v1.1.xml?emailaddress=ana%40strange.example"),
        ("autoconfig.home.example", "/apple.mobileconfig"),
        ("autoconfig.home.example", "/"),
        ("autoconfig.home.example", "/mail/../mail/config-v1.1.xml"),
    ] {
        assert!(!is_found(&get(&world, host, path).await), "{host}{path}");
    }
}

#[tokio::test]
async fn methods_and_bodies_are_those_that_a_page_takes() {
    let world = world();
    let post = request(&world, "POST /mail/config-v1.1.xml", "autoconfig.home.example", "x").await;
    assert!(post.starts_with("HTTP/1.1 405 ") && post.contains("allow: GET, HEAD\r\n"), "{post}");
    let head = request(&world, "HEAD /mail/config-v1.1.xml", "autoconfig.home.example", "").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    let got = get(&world, "autodiscover.home.example", "/autodiscover/autodiscover.xml").await;
    assert!(got.starts_with("HTTP/1.1 405 ") && got.contains("allow: POST\r\n"), "{got}");
    let ask = "<EMailAddress>ana@home.example</EMailAddress>";
    let told = request(&world, "POST /Autodiscover/Autodiscover.xml", "autodiscover.home.example", ask).await;
    assert!(is_found(&told) && told.contains("<Server>mail.home.example</Server>"), "{told}");
    let long = "x".repeat(autodiscover::MOST_OCTETS + 1);
    let refused =
        request(&world, "POST /autodiscover/autodiscover.xml", "autodiscover.home.example", &long).await;
    assert!(refused.starts_with("HTTP/1.1 413 "), "{refused}");
}

#[tokio::test]
async fn every_answer_has_the_headers_that_protect_browsers() {
    let world = world();
    for path in ["/mail/config-v1.1.xml", "/nothing"] {
        let answer = get(&world, "autoconfig.home.example", path).await.to_lowercase();
        for header in [
            "strict-transport-security: ",
            "x-content-type-options: nosniff",
            "content-security-policy: default-src 'none'",
        ] {
            assert!(answer.contains(header), "{path}: {answer}");
        }
        assert!(!answer.contains("\r\nserver:"), "{answer}");
    }
}
