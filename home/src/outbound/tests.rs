//! The whole of delivery on loopback: a real queue, store and directory, scripted servers.

mod fairness;
mod in_time;
mod reuse;
mod sent_on;
mod stock;
mod world;

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use postern_store::Store;
use postern_store::account::{Account, Message, UidSet};
use postern_store::directory::Directory;
use postern_store::journal::{Journal, StoryId};
use postern_store::queue::{Content, Detail, NewMessage, NewRecipient, Queue, QueueId, Ret};
use tokio::sync::watch;

use self::world::{Behaviour, Cut, Entry, Point, Seen, mail_server, name_server};
use super::demand::policies::Policies;
use super::{Families, Gate, Parts, Settings, Worker};
use crate::hostname::Hostname;
use crate::link::{EdgeAddresses, LinkState, LinkStatus};
use crate::relay::Relays;
use crate::relay::book::{self, Use};
use crate::relay::distrust::WORDS;
use crate::resolver::{Dnssec, Resolver};
use crate::{config, tls};

const CONTENT: &[u8] = b"Subject: hello\r\nFrom: ana@home.example\r\n\r\n.a dot\r\nbye\r\n";

/// A home with one user and its worker running.
struct Home {
    queue: Arc<Queue>,
    journal: Journal,
    store: Store,
    directory: Directory,
    relays: Relays,
    link: watch::Sender<LinkStatus>,
    _addresses: watch::Sender<Option<EdgeAddresses>>,
    stop: watch::Sender<bool>,
    worker: tokio::task::JoinHandle<()>,
    _state: tempfile::TempDir,
}

fn status(state: LinkState) -> LinkStatus {
    LinkStatus {
        kind: Default::default(),
        kind_reason: None,
        state,
        identity: String::new(),
        edge: None,
        addresses: None,
        epochs: Vec::new(),
        rotate_every: Default::default(),
        keys: None,
        zones: Vec::new(),
        secondaries: Vec::new(),
        clock_ahead: 0,
        protection: None,
        last_error: None,
    }
}

impl Home {
    async fn start(names: &[(&'static str, Entry)], settings: Settings, state: LinkState) -> Home {
        let directory_of_state = tempfile::tempdir().unwrap();
        let path = directory_of_state.path();
        let directory = Directory::open(path).unwrap();
        directory.add_domain(&"home.example".parse().unwrap()).unwrap();
        directory.add_user(&"ana@home.example".parse().unwrap(), "correct horse battery").unwrap();
        let (queue, store) = (Arc::new(Queue::open(path).unwrap()), Store::open(path).unwrap());
        let journal = Journal::open(path, crate::config::Journal::default().bounds()).unwrap();
        let resolver = Resolver::new(&[name_server(names).await], Dnssec::Validate(None)).unwrap();
        let relays = Relays::open(directory.clone()).unwrap();
        let parts = Parts {
            queue: queue.clone(),
            journal: journal.clone(),
            store: store.clone(),
            directory: directory.clone(),
            policies: Arc::new(Policies::new(resolver.clone(), directory.clone(), None)),
            resolver,
            hostname: Hostname::new(None, directory.clone()),
            tls: tls::opportunistic_client(),
            network: crate::inner::Network::Machine,
            relays: relays.clone(),
            tally: Default::default(),
            idle: Default::default(),
        };
        let addresses = EdgeAddresses {
            public: vec!["192.0.2.1".parse().unwrap()],
            home_v4: Ipv4Addr::LOCALHOST,
            home_v6: "::1".parse().unwrap(),
        };
        let (_addresses, watch_addresses) = watch::channel(Some(addresses));
        let (link, watch_link) = watch::channel(status(state));
        let (stop, stopped) = watch::channel(false);
        let worker = Worker::new(parts, settings, Gate::new(watch_addresses, watch_link));
        let worker = tokio::spawn(worker.run(stopped));
        Home {
            queue,
            journal,
            store,
            directory,
            relays,
            link,
            _addresses,
            stop,
            worker,
            _state: directory_of_state,
        }
    }

    fn enqueue(&self, recipients: &[&str]) -> QueueId {
        self.enqueue_content(recipients, CONTENT)
    }

    fn enqueue_content(&self, recipients: &[&str], content: &[u8]) -> QueueId {
        self.enqueue_from("ana@home.example", recipients, content)
    }

    fn enqueue_from(&self, login: &str, recipients: &[&str], content: &[u8]) -> QueueId {
        let sender = self.directory.user_by_login(login).unwrap();
        let message = NewMessage {
            reverse_path: Some(sender.address),
            recipients: recipients.iter().map(|text| NewRecipient::new(text.parse().unwrap())).collect(),
            sender: Some(sender.account),
            forwarder: None,
            prepend: b"X-Added: yes\r\n".to_vec(),
            content: Content::Bytes(content),
            smtp_utf8: false,
            envelope_id: None,
            ret: Ret::Headers,
            wishes: Default::default(),
            story: StoryId::of_session("test"),
        };
        self.queue.enqueue(message).unwrap()
    }

    /// Waits until the message's entry satisfies the condition; `None` is that it has left the queue.
    async fn until(&self, id: QueueId, condition: impl Fn(Option<&Detail>) -> bool) -> Option<Detail> {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let detail = self.queue.show(id).unwrap();
            if condition(detail.as_ref()) {
                return detail;
            }
            assert!(Instant::now() < end, "still {detail:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn until_gone(&self, id: QueueId) {
        self.until(id, |detail| detail.is_none()).await;
    }

    async fn until_tried(&self, id: QueueId) -> Detail {
        let tried = |detail: &Detail| detail.recipient_details.iter().all(|recipient| recipient.attempts > 0);
        self.until(id, |detail| detail.is_some_and(tried)).await.unwrap()
    }

    /// Ana's mail, newest last, once there are as many messages.
    async fn inbox(&self, messages: usize) -> Vec<String> {
        let ana = self.directory.user_by_login("ana@home.example").unwrap();
        let account = self.store.account(ana.account).unwrap();
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let mail = inbox(&account);
            if mail.len() >= messages {
                return mail;
            }
            assert!(Instant::now() < end, "{mail:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        self.worker.await.unwrap();
    }
}

fn far(address: Ipv4Addr) -> Vec<(&'static str, Entry)> {
    vec![
        ("far.example", Entry { mx: vec![(10, "mx.far.example")], ..Entry::default() }),
        ("mx.far.example", Entry { a: Some(address), ..Entry::default() }),
    ]
}

async fn far_server(address: Ipv4Addr, behaviour: Behaviour) -> (Settings, Arc<Mutex<Seen>>) {
    let (remote_port, seen) = mail_server(address.into(), 0, behaviour).await;
    (Settings { remote_port, ..Settings::default() }, seen)
}

const FAR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

#[tokio::test(flavor = "multi_thread")]
async fn a_message_arrives_whole_and_at_once() {
    let (settings, seen) = far_server(FAR, Behaviour::default()).await;
    let home = Home::start(&far(FAR), settings, LinkState::Connected).await;
    let begin = Instant::now();
    let id = home.enqueue(&["bo@far.example", "cy@far.example"]);
    home.until_gone(id).await;
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    let taken = seen.lock().unwrap().taken.clone();
    assert_eq!(taken.len(), 1, "one transaction for both");
    assert_eq!(taken[0].rcpt, ["bo@far.example", "cy@far.example"]);
    assert_eq!(taken[0].mail, "MAIL FROM:<ana@home.example>");
    let sent = [b"X-Added: yes\r\n".as_slice(), CONTENT].concat();
    assert_eq!(taken[0].content.replace("\r\n..", "\r\n.").as_bytes(), sent);
    home.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_reported_to_the_sender_and_a_deferral_kept_verbatim() {
    let refuse = HashMap::from([
        ("no@far.example", "550 5.1.1 <no@far.example>: unknown"),
        ("later@far.example", "450-4.2.0 first line\r\n450 4.2.0 second line"),
    ]);
    let (settings, seen) = far_server(FAR, Behaviour { refuse, ..Behaviour::default() }).await;
    let home = Home::start(&far(FAR), settings, LinkState::Connected).await;
    let id = home.enqueue(&["no@far.example", "yes@far.example", "later@far.example"]);
    let detail = home.until_tried(id).await;
    assert_eq!(seen.lock().unwrap().taken[0].rcpt, ["yes@far.example"]);
    let waiting = &detail.recipient_details[2];
    assert_eq!(waiting.last_reply.as_deref(), Some("450-4.2.0 first line\n450 4.2.0 second line"));
    assert_eq!(waiting.last_host.as_deref(), Some("mx.far.example (127.0.0.2)"));
    let report = home.inbox(1).await.remove(0);
    assert!(report.starts_with("Return-Path: <>\r\n"), "{report}");
    assert!(report.contains("Subject: Not delivered: no@far.example\r\n"));
    assert!(report.contains("Diagnostic-Code: smtp; 550 5.1.1 <no@far.example>: unknown\r\n"));
    assert!(report.contains("X-Added: yes\r\nSubject: hello\r\n"), "the original's header comes back");
    assert!(!report.contains("yes@far.example") && !report.contains("bye"));
    let story = home.journal.find("later@far.example", Timestamp::MIN, 1).unwrap().remove(0);
    let words: Vec<String> = story.lines.iter().map(|line| line.event.to_string()).collect();
    for (line, begins) in words.iter().zip([
        "given up for <no@far.example>; mx.far.example (127.0.0.2) said: 550 5.1.1 <no@far.example>: unknown",
        "delivered for <yes@far.example>; mx.far.example (127.0.0.2) said: 250",
        "not delivered for <later@far.example> yet; mx.far.example (127.0.0.2) said: 450-4.2.0 first line",
        "<ana@home.example> is sent a report that it could not be delivered for no@far.example",
        "queued as 2 for ana@home.example",
        "delivered to ana@home.example, mailbox INBOX",
    ]) {
        assert!(line.starts_with(begins), "{line:?}, not {begins:?}");
    }
    assert_eq!(words.len(), 6, "{words:?}");
    home.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn starttls_is_used_where_offered() {
    let certificate = tempfile::tempdir().unwrap();
    let name = "mx.far.example".parse().unwrap();
    let server = tls::Tls::open(&config::Tls::default(), certificate.path(), &name).unwrap().server();
    let behaviour = Behaviour { starttls: Some(Some(server)), ..Behaviour::default() };
    let (settings, seen) = far_server(FAR, behaviour).await;
    let home = Home::start(&far(FAR), settings, LinkState::Connected).await;
    home.until_gone(home.enqueue(&["bo@far.example"])).await;
    assert!(seen.lock().unwrap().taken[0].under_tls);
    home.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_handshake_is_followed_by_one_try_in_clear() {
    let behaviour = Behaviour { starttls: Some(None), ..Behaviour::default() };
    let (settings, seen) = far_server(FAR, behaviour).await;
    let home = Home::start(&far(FAR), settings, LinkState::Connected).await;
    home.until_gone(home.enqueue(&["bo@far.example"])).await;
    let seen = seen.lock().unwrap();
    assert_eq!((seen.connections, seen.taken.len(), seen.taken[0].under_tls), (2, 1, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_host_is_tried_when_one_does_not_answer() {
    let second = Ipv4Addr::new(127, 0, 0, 3);
    let (settings, seen) = far_server(second, Behaviour::default()).await;
    let mut names = far(FAR);
    names[0].1.mx.push((20, "mx2.far.example"));
    names.push(("mx2.far.example", Entry { a: Some(second), ..Entry::default() }));
    let home = Home::start(&names, settings, LinkState::Connected).await;
    home.until_gone(home.enqueue(&["bo@far.example"])).await;
    assert_eq!(seen.lock().unwrap().taken.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn ipv6_is_used_where_it_is_wanted_and_the_only_way() {
    let local = std::net::Ipv6Addr::LOCALHOST;
    let (remote_port, seen) = mail_server(local.into(), 0, Behaviour::default()).await;
    let names = [("six.example", Entry { aaaa: Some(local), ..Entry::default() })];
    for (families, taken) in [(Families::Both, 1), (Families::V4, 1)] {
        let settings = Settings { remote_port, families, ..Settings::default() };
        let home = Home::start(&names, settings, LinkState::Connected).await;
        home.until_gone(home.enqueue(&["bo@six.example"])).await;
        assert_eq!(seen.lock().unwrap().taken.len(), taken, "{families:?}");
        home.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_destination_defers_all_that_waits_for_it() {
    // Nobody listens on the port that a server has just left.
    let (mut settings, _) = far_server(Ipv4Addr::new(127, 0, 0, 9), Behaviour::default()).await;
    // The second message then cannot start before what the first one found out is known.
    settings.concurrency.per_destination = 1;
    let home = Home::start(&far(FAR), settings, LinkState::Connected).await;
    let first = home.enqueue(&["bo@far.example"]);
    let detail = home.until_tried(first).await;
    let reply = detail.recipient_details[0].last_reply.clone().unwrap();
    assert!(reply.starts_with("mx.far.example (127.0.0.2): no connection: "), "{reply}");
    let second = home.enqueue(&["cy@far.example"]);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let detail = home.queue.show(second).unwrap().unwrap();
    assert_eq!(detail.recipient_details[0].attempts, 0, "the destination is left alone");
    assert!(home.queue.retry(second).unwrap());
    assert_eq!(home.until_tried(second).await.recipient_details[0].attempts, 1, "the operator knows better");
    home.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_waits_for_the_tunnel_and_leaves_when_it_is_up() {
    let (settings, seen) = far_server(FAR, Behaviour::default()).await;
    let home = Home::start(&far(FAR), settings, LinkState::Connecting).await;
    let id = home.enqueue(&["bo@far.example"]);
    let held = |detail: &Detail| detail.summary.held_because.is_some();
    let detail = home.until(id, |detail| detail.is_some_and(held)).await.unwrap();
    assert_eq!(detail.recipient_details[0].attempts, 0);
    assert!(detail.summary.held_because.unwrap().contains("waiting for the tunnel"));
    home.link.send_replace(status(LinkState::Connected));
    home.until_gone(id).await;
    assert_eq!(seen.lock().unwrap().taken.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_the_tunnel_broke_does_not_count() {
    let listener = tokio::net::TcpListener::bind((FAR, 0)).await.unwrap();
    let settings = Settings { remote_port: listener.local_addr().unwrap().port(), ..Settings::default() };
    let home = Home::start(&far(FAR), settings, LinkState::Connected).await;
    let id = home.enqueue(&["bo@far.example"]);
    let (connection, _) = listener.accept().await.unwrap();
    home.link.send_replace(status(LinkState::Connecting));
    drop(connection);
    let held = |detail: &Detail| detail.summary.held_because.is_some();
    let detail = home.until(id, |detail| detail.is_some_and(held)).await.unwrap();
    assert_eq!(detail.recipient_details[0].attempts, 0);
    home.link.send_replace(status(LinkState::Connected));
    let again = tokio::time::timeout(Duration::from_secs(5), listener.accept()).await;
    assert!(again.is_ok(), "it is tried again as soon as there is a way");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dns_decides_between_never_and_not_now() {
    let names = [
        ("null.example", Entry { mx: vec![(0, "")], ..Entry::default() }),
        ("empty.example", Entry::default()),
        ("loop.example", Entry { mx: vec![(5, "mail.home.example")], ..Entry::default() }),
        ("mail.home.example", Entry { a: Some(Ipv4Addr::new(192, 0, 2, 1)), ..Entry::default() }),
        ("broken.example", Entry { broken: true, ..Entry::default() }),
    ];
    let home = Home::start(&names, Settings::default(), LinkState::Connected).await;
    let mut reported = 0;
    for (domain, status) in [
        ("missing.example", "5.1.2"),
        ("null.example", "5.1.10"),
        ("empty.example", "5.4.4"),
        ("loop.example", "5.4.6"),
    ] {
        home.until_gone(home.enqueue(&[&format!("bo@{domain}")])).await;
        reported += 1;
        let report = home.inbox(reported).await.pop().unwrap();
        assert!(report.contains(&format!("rfc822; bo@{domain}\r\n")), "{report}");
        assert!(report.contains(&format!("Status: {status}\r\n")), "{domain}: {report}");
    }
    let detail = home.until_tried(home.enqueue(&["bo@broken.example"])).await;
    assert!(
        detail.recipient_details[0].last_reply.as_ref().unwrap().contains("broken.example failed for now")
    );
    home.stop().await;
}

/// One destination for each row of the table; without a relay the sender is told as ever.
#[tokio::test(flavor = "multi_thread")]
async fn words_of_distrust_are_noted_of_the_destination_that_says_them_alone() {
    let names: Vec<&'static str> =
        (0..WORDS.len()).map(|row| &*Box::leak(format!("row{row}.example").into_boxed_str())).collect();
    let recipients = names.iter().map(|name| &*Box::leak(format!("bo@{name}").into_boxed_str()));
    let refuse = recipients.zip(WORDS.iter().map(|words| &*words.example.replace('\n', "\r\n").leak()));
    let (settings, _) = far_server(FAR, Behaviour { refuse: refuse.collect(), ..Behaviour::default() }).await;
    let entry = || Entry { a: Some(FAR), ..Entry::default() };
    let mut entries: Vec<(&'static str, Entry)> = names.iter().map(|name| (*name, entry())).collect();
    entries.push(("friend.example", entry()));
    let home = Home::start(&entries, settings, LinkState::Connected).await;
    home.until_gone(home.enqueue(&["cy@friend.example"])).await;
    for name in &names {
        home.until(home.enqueue(&[&format!("bo@{name}")]), |detail| {
            detail.is_none_or(|detail| detail.recipient_details[0].attempts > 0)
        })
        .await;
    }
    let noted = home.relays.diversions(jiff::Timestamp::now());
    let provider =
        |name: &str| noted.iter().find(|one| one.destination == name).map(|one| one.provider.as_str());
    for (name, words) in names.iter().zip(WORDS) {
        assert_eq!(provider(name), Some(words.provider), "{}", words.example);
    }
    assert_eq!(provider("friend.example"), None);
    // It takes mail: what it said before is forgotten.
    home.relays.note_distrust("friend.example", "x", "x", jiff::Timestamp::now());
    home.until_gone(home.enqueue(&["cy@friend.example"])).await;
    assert!(
        home.relays.diversions(jiff::Timestamp::now()).iter().all(|one| one.destination != "friend.example")
    );
    home.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn local_recipients_get_their_copy_and_strangers_here_are_reported() {
    let home = Home::start(&[], Settings::default(), LinkState::Unjoined).await;
    home.until_gone(home.enqueue(&["ana+notes@home.example", "nobody@home.example"])).await;
    let mail = home.inbox(2).await;
    assert!(mail[0].starts_with("Return-Path: <ana@home.example>\r\nX-Added: yes\r\nSubject: hello\r\n"));
    assert!(mail[1].contains("Status: 5.1.1\r\n") && mail[1].contains("nobody@home.example"));
    home.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_tried_again_and_nothing_is_reported() {
    let cut = Some(Cut { after: 0, at: Point::Content });
    let (settings, seen) = far_server(FAR, Behaviour { cut, ..Behaviour::default() }).await;
    let home = Home::start(&far(FAR), settings, LinkState::Connected).await;
    let detail = home.until_tried(home.enqueue(&["bo@far.example"])).await;
    let reply = detail.recipient_details[0].last_reply.clone().unwrap();
    assert!(reply.contains("after the end of the message"), "{reply}");
    assert_eq!(seen.lock().unwrap().connections, 1);
    assert_eq!(home.queue.len().unwrap(), 1, "no report");
    home.stop().await;
}

/// What is beyond the plan is offered to the relay; that this one cannot be found shows that it was.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_beyond_the_warm_up_goes_by_the_relay() {
    let (settings, seen) = far_server(FAR, Behaviour::default()).await;
    let names = [
        ("far.example", Entry { mx: vec![(10, "mx.google.com")], ..Entry::default() }),
        ("mx.google.com", Entry { a: Some(FAR), ..Entry::default() }),
        ("near.example", Entry { a: Some(FAR), ..Entry::default() }),
    ];
    let home = Home::start(&names, settings, LinkState::Connected).await;
    let submit = async |to: &str| home.until_gone(home.enqueue(&[to])).await;
    submit("bo@far.example").await;
    assert_eq!(home.relays.plans(Timestamp::now()), [], "without a relay there is no plan");
    home.relays.change(|book| book.add(book::tests::relay("ses", None))).unwrap();
    home.relays.change(|book| book.assign(Use::Overflow, "ses")).unwrap();
    for _ in 0..20 {
        submit("bo@far.example").await;
    }
    assert_eq!(home.relays.plans(Timestamp::now())[0].taken, 20);
    let detail = home.until_tried(home.enqueue(&["bo@far.example"])).await;
    let reply = detail.recipient_details[0].last_reply.clone().unwrap();
    assert!(reply.contains("relay.example"), "{reply}");
    submit("bo@near.example").await;
    assert!(home.relays.end_warm_up("Gmail"));
    submit("cy@far.example").await;
    assert_eq!(seen.lock().unwrap().taken.len(), 23);
    home.stop().await;
}

/// The messages of INBOX in the order of their arrival.
fn inbox(account: &Account) -> Vec<String> {
    let inbox = account.mailbox_named("INBOX").unwrap();
    let messages = account.messages(inbox.id, &UidSet::all(), postern_store::account::Detail::Summary);
    let octets = |message: Message| account.read_blob(message.email.blob, 0..u64::MAX).unwrap();
    messages.map(|message| String::from_utf8(octets(message.unwrap())).unwrap()).collect()
}
