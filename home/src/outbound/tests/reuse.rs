//! Several messages on one connection, and connections that end in between.

use std::collections::BTreeSet;

use postern_smtp::client::TlsUse;

use super::super::connection::{Begin, Connection};
use super::super::demand::{By, Peer};
use super::super::idle::{Fingerprint, Made};
use super::*;
use crate::inner::Network;
use crate::outbound::IdleConnections;

/// A server, and settings under which one message goes after the other.
async fn one_by_one(behaviour: Behaviour) -> (Settings, Arc<Mutex<Seen>>) {
    let (mut settings, seen) = far_server(FAR, behaviour).await;
    settings.concurrency.per_destination = 1;
    (settings, seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_for_one_server_share_a_connection() {
    let (settings, seen) = one_by_one(Behaviour::default()).await;
    let mut names = far(FAR);
    names.push(("near.example", Entry { mx: vec![(10, "mx.far.example")], ..Entry::default() }));
    let home = Home::start(&names, settings, LinkState::Connected).await;
    for to in ["bo@far.example", "cy@far.example", "di@near.example"] {
        home.until_gone(home.enqueue(&[to])).await;
    }
    {
        let seen = seen.lock().unwrap();
        assert_eq!((seen.connections, seen.taken.len()), (1, 3));
    }
    // What came over another way may have broken with it.
    home.link.send_replace(status(LinkState::Connecting));
    let held = |detail: &Detail| detail.summary.held_because.is_some();
    let id = home.enqueue(&["bo@far.example"]);
    home.until(id, |detail| detail.is_some_and(held)).await;
    home.link.send_replace(status(LinkState::Connected));
    home.until_gone(id).await;
    assert_eq!(seen.lock().unwrap().connections, 2);
    home.stop().await;
}

/// Were the first connection's end taken for the message's, it would wait for five minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_ended_before_the_content_loses_and_doubles_nothing() {
    for at in [Point::Taken, Point::Refused, Point::Mail, Point::Rcpt, Point::Data] {
        let cut = Some(Cut { after: 2, at });
        let (settings, seen) = one_by_one(Behaviour { cut, ..Behaviour::default() }).await;
        let home = Home::start(&far(FAR), settings, LinkState::Connected).await;
        for number in 0..5 {
            home.until_gone(home.enqueue(&[&format!("bo{number}@far.example")])).await;
        }
        let taken: Vec<String> = seen.lock().unwrap().taken.iter().flat_map(|one| one.rcpt.clone()).collect();
        assert_eq!(taken.len(), 5, "{at:?}");
        assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), 5, "{at:?}: {taken:?}");
        assert_eq!(seen.lock().unwrap().connections, 3, "{at:?}");
        home.stop().await;
    }
}

/// Nobody knows whether the server has it (RFC 1047).
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_on_a_connection_used_again_is_not_asked_for_at_once() {
    let cut = Some(Cut { after: 1, at: Point::Content });
    let (settings, seen) = one_by_one(Behaviour { cut, ..Behaviour::default() }).await;
    let home = Home::start(&far(FAR), settings, LinkState::Connected).await;
    home.until_gone(home.enqueue(&["bo@far.example"])).await;
    let detail = home.until_tried(home.enqueue(&["cy@far.example"])).await;
    let reply = detail.recipient_details[0].last_reply.clone().unwrap();
    assert!(reply.contains("after the end of the message"), "{reply}");
    let seen = seen.lock().unwrap();
    assert_eq!((seen.connections, seen.taken.len()), (1, 1));
}

async fn connection(port: u16) -> Connection {
    let tls = tls::opportunistic_client();
    let begin = Begin { host_name: "mail.home.example", tls_use: TlsUse::Never, tls: &tls, login: None };
    let server = (FAR, port).into();
    let open =
        Connection::open(&Network::Machine, server, Ipv4Addr::LOCALHOST.into(), "mx.far.example", begin);
    let mut connection = open.await.unwrap();
    connection.make_ready(&tls).await.unwrap();
    connection
}

fn made(port: u16) -> Made {
    Made {
        host: "mx.far.example".to_owned(),
        server: (FAR, port).into(),
        source: Ipv4Addr::LOCALHOST.into(),
        host_name: "mail.home.example".to_owned(),
        tls_use: TlsUse::Required,
        demand: Some((By::MtaSts, Peer::Vouched)),
        login: Some(Fingerprint::of("home", "a word")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_needs_another_connection_does_not_get_this_one() {
    let (port, _) = mail_server(FAR.into(), 0, Behaviour::default()).await;
    let idle = IdleConnections::default();
    idle.put(made(port), connection(port).await);
    let records = Peer::Recorded { records: Vec::new(), names: Vec::new() };
    let others = [
        Made { host: "mx.near.example".to_owned(), ..made(port) },
        Made { server: (FAR, port - 1).into(), ..made(port) },
        Made { source: FAR.into(), ..made(port) },
        Made { host_name: "mail.other.example".to_owned(), ..made(port) },
        Made { tls_use: TlsUse::Opportunistic, ..made(port) },
        Made { demand: None, ..made(port) },
        Made { demand: Some((By::Dane, Peer::Vouched)), ..made(port) },
        Made { demand: Some((By::MtaSts, Peer::Anybody)), ..made(port) },
        Made { demand: Some((By::MtaSts, records)), ..made(port) },
        Made { login: None, ..made(port) },
        Made { login: Some(Fingerprint::of("home", "another")), ..made(port) },
    ];
    for other in others {
        assert!(idle.take(&other).await.is_none(), "{other:?}");
    }
    assert!(idle.take(&made(port)).await.is_some());
    assert!(idle.take(&made(port)).await.is_none(), "one message at a time");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_wait_in_bounded_number_and_time() {
    let (port, seen) = mail_server(FAR.into(), 0, Behaviour::default()).await;
    let idle = IdleConnections::default();
    for _ in 0..25 {
        idle.put(made(port), connection(port).await);
    }
    let mut waited = 0;
    while idle.take(&made(port)).await.is_some() {
        waited += 1;
    }
    assert_eq!(waited, 20);
    for _ in 0..2 {
        idle.put(made(port), connection(port).await);
    }
    let end = Instant::now() + Duration::from_secs(30);
    while seen.lock().unwrap().goodbyes < 7 {
        assert!(Instant::now() < end, "they wait for ever");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(idle.take(&made(port)).await.is_none());
}
