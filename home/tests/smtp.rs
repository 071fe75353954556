//! SMTP and submission over real sockets, with the real directory, store and queue in a temporary directory.
//!
//! The name server answers SERVFAIL, so that every check of the sender is a `temperror`, and no mail is refused for it; but it
//! knows that `bank.example` and `shop.example` want proof.

#[path = "smtp/addresses.rs"]
mod addresses;

use std::io::Read;
use std::net::SocketAddr;
use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::TXT;
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use postern_home::{
    config,
    forward::Forwarder,
    hostname::Hostname,
    inbound::{
        self, Inbound,
        checks::{lists::Lists, rate::Rate},
        regulars::Regulars,
    },
    net,
    notices::Notices,
    reports::{Intake, Sender, attachment::report_in},
    resolver::{Dnssec, Resolver},
    smtp::BUSY,
    submission::{self, Submission},
    tls,
};
use postern_report::Report;
use postern_smtp::server::Limits;
use postern_store::{
    Store, Timestamp,
    account::{Account, Detail, Limits as Quota, QuotaRoot, UidSet},
    directory::Directory,
    journal::{Journal, Story},
    queue::{Queue, QueueId},
    reports::{Counts, Day, Kind, Query, Reports},
    senders::Senders,
};
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::watch;

/// What the name server knows; an empty text is a name that is not there.
const TEXTS: [(&str, &str); 10] = [
    ("_dmarc.bank.example", "v=DMARC1; p=reject"),
    ("_dmarc.shop.example", "v=DMARC1; p=quarantine"),
    ("_dmarc.example", ""),
    ("asks.example", "v=spf1 ip4:127.0.0.1 -all"),
    (
        "_dmarc.asks.example",
        "v=DMARC1; p=none; sp=reject; rua=mailto:own@asks.example,mailto:third@agreed.example,\
         mailto:small@asks.example!10,mailto:victim@silent.example",
    ),
    ("sub.asks.example", "v=spf1 -all"),
    ("_dmarc.sub.asks.example", ""),
    ("asks.example._report._dmarc.agreed.example", "v=DMARC1"),
    ("asks.example._report._dmarc.silent.example", ""),
    ("_dmarc.silent.example", ""),
];

const PASSWORD: &str = "correct horse battery";

struct Home {
    state_dir: TempDir,
    directory: Directory,
    store: Store,
    queue: Arc<Queue>,
    reports: Arc<Reports>,
    journal: Journal,
    resolver: Resolver,
    notices: Notices,
    smtp: SocketAddr,
    submissions: SocketAddr,
    _running: watch::Sender<bool>,
}

impl Home {
    async fn start() -> Home {
        Home::start_with(config::Submission::default()).await
    }

    async fn start_with(policy: config::Submission) -> Home {
        let state_dir = tempfile::tempdir().expect("temporary directory");
        let directory = Directory::open(state_dir.path()).expect("directory");
        directory.add_domain(&"home.example".parse().expect("domain")).expect("added");
        for user in ["ana@home.example", "ben@home.example"] {
            directory.add_user(&user.parse().expect("address"), PASSWORD).expect("added");
        }
        let store = Store::open(state_dir.path()).expect("store");
        let queue = Arc::new(Queue::open(state_dir.path()).expect("queue"));
        let bounds = config::Journal::default().bounds();
        let journal = Journal::open(state_dir.path(), bounds).expect("journal");
        let notices = Notices::open(directory.clone()).expect("notices");
        let hostname = Hostname::new(None, directory.clone());
        let resolver = Resolver::new(&[broken_name_server().await], Dnssec::Off).expect("resolver");
        let tls = tls::Tls::open(&config::Tls::default(), state_dir.path(), &hostname.current())
            .expect("certificate");
        let limits = Limits { message_octets: 200_000, ..Limits::default() };
        let (running, shutdown) = watch::channel(false);

        let reports = Arc::new(Reports::open(state_dir.path()).expect("reports"));
        let inbound = Inbound::new(inbound::Parts {
            forwarder: Forwarder {
                directory: directory.clone(),
                queue: queue.clone(),
                journal: journal.clone(),
            },
            hostname: hostname.clone(),
            directory: directory.clone(),
            store: store.clone(),
            resolver: resolver.clone(),
            journal: journal.clone(),
            tls: tls.server(),
            limits,
            policy: config::Inbound::default(),
            observed: Arc::clone(&reports),
            reports: Intake::start(Arc::clone(&reports), directory.clone()),
            lists: Lists::default(),
            regulars: Regulars::open(Senders::open(state_dir.path()).expect("senders")).expect("regulars"),
            edge: watch::channel(None).1,
            failures: net::LoginFailures::default(),
            rate: Rate::new(config::Inbound::default().messages_per_hour),
        });
        let stop = shutdown.clone();
        let smtp = listen(net::Security::Clear { busy: BUSY }, &shutdown, move |one| {
            inbound.clone().serve(one, stop.clone())
        });
        let submission = Submission::new(submission::Parts {
            hostname,
            directory: directory.clone(),
            store: store.clone(),
            queue: queue.clone(),
            journal: journal.clone(),
            tls: tls.server(),
            limits,
            policy,
            notices: notices.clone(),
            failures: net::LoginFailures::default(),
        });
        let stop = shutdown.clone();
        let security = net::Security::Implicit(tls.server());
        let submissions = listen(security, &shutdown, move |one| submission.clone().serve(one, stop.clone()));
        Home {
            state_dir,
            directory,
            store,
            queue,
            reports,
            journal,
            resolver,
            notices,
            smtp,
            submissions,
            _running: running,
        }
    }

    /// The stories of this address, newest first, in words.
    fn stories(&self, of: &str) -> Vec<String> {
        let stories = self.journal.find(of, jiff::Timestamp::MIN, 100).expect("found");
        let words = |story: &Story| story.lines.iter().map(|line| line.event.to_string()).collect::<Vec<_>>();
        stories.iter().map(|story| format!("{}\n{}", story.id, words(story).join("\n"))).collect()
    }

    /// The messages in a user's INBOX.
    fn inbox(&self, login: &str) -> Vec<String> {
        self.mailbox(login, "INBOX")
    }

    fn account(&self, login: &str) -> Account {
        let user = self.directory.user_by_login(login).expect("user");
        self.store.account(user.account).expect("account")
    }

    /// The messages in one of a user's mailboxes.
    fn mailbox(&self, login: &str, name: &str) -> Vec<String> {
        let account = self.account(login);
        let inbox = account.mailbox_named(name).expect("a mailbox");
        let messages = account.messages(inbox.id, &UidSet::all(), Detail::Summary);
        let text = |message: postern_store::account::Message| {
            let blob = message.email.blob;
            let octets = account.read_blob(blob, 0..u64::MAX).expect("octets");
            String::from_utf8(octets).expect("text")
        };
        messages.map(|message| text(message.expect("message"))).collect()
    }

    /// A queued message with its prepended fields.
    fn queued(&self, id: QueueId) -> Vec<u8> {
        let mut content = self.queue.content(id).expect("content").expect("is there");
        let mut octets = content.prepend;
        content.file.read_to_end(&mut octets).expect("read");
        octets
    }

    /// The one recipient of a queued message.
    fn recipient(&self, id: QueueId) -> String {
        let detail = self.queue.show(id).expect("shown").expect("is there");
        let [recipient] = detail.recipient_details.try_into().expect("one recipient");
        recipient.forward_path
    }

    async fn client(&self) -> Client {
        let tcp = TcpStream::connect(self.smtp).await.expect("connected");
        let mut client = Client(BufStream::new(Box::new(tcp)));
        client.expect("220").await;
        client
    }

    async fn submitter(&self) -> Client {
        let tcp = TcpStream::connect(self.submissions).await.expect("connected");
        let mut client = Client(BufStream::new(Box::new(secure(tcp).await)));
        client.expect("220").await;
        client.command("EHLO laptop", "250").await;
        client
    }
}

/// Answers every question but those for the policy with SERVFAIL (RFC 1035 §4.1.1, RCODE 2).
async fn broken_name_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
    let address = socket.local_addr().expect("address");
    tokio::spawn(async move {
        let mut packet = [0; 1500];
        while let Ok((length, client)) = socket.recv_from(&mut packet).await {
            let Ok(query) = Message::from_vec(&packet[..length]) else { continue };
            let _ = socket.send_to(&answer(query), client).await;
        }
    });
    address
}

fn answer(query: Message) -> Vec<u8> {
    let name = query.queries[0].name().clone();
    let mut response = query.into_response();
    let known = TEXTS.iter().find(|(known, _)| name.to_ascii().strip_suffix('.') == Some(known));
    match known {
        Some((_, "")) => response.metadata.response_code = ResponseCode::NXDomain,
        Some((_, text)) if response.queries[0].query_type() == RecordType::TXT => {
            let text = TXT::new(vec![(*text).to_owned()]);
            response.add_answer(Record::from_rdata(name, 60, RData::TXT(text)));
        }
        _ => response.metadata.response_code = ResponseCode::ServFail,
    }
    response.to_vec().expect("encoded")
}

fn listen<F, Fut>(security: net::Security, shutdown: &watch::Receiver<bool>, handle: F) -> SocketAddr
where
    F: Fn(net::Connection) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = net::bind("127.0.0.1:0".parse().expect("address")).expect("bound");
    let address = listener.local_addr().expect("address");
    let limits = net::ConnectionLimits::new(1000, 10);
    let service = net::Service { name: "test", listener: net::Listener::Kernel(listener), security, limits };
    tokio::spawn(service.serve(shutdown.clone(), handle));
    address
}

async fn secure<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> tokio_rustls::client::TlsStream<S> {
    let connector = tokio_rustls::TlsConnector::from(tls::opportunistic_client());
    let name = ServerName::try_from("mail.home.example").expect("name");
    connector.connect(name, stream).await.expect("handshake")
}

trait Octets: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Octets for S {}

struct Client(BufStream<Box<dyn Octets>>);

impl Client {
    async fn send(&mut self, octets: &[u8]) {
        self.0.write_all(octets).await.expect("sent");
        self.0.flush().await.expect("sent");
    }

    /// Reads one reply and checks how it begins.
    async fn expect(&mut self, start: &str) -> String {
        let mut reply = String::new();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).await.expect("a line");
            reply.push_str(&line);
            if line.as_bytes().get(3) != Some(&b'-') {
                break;
            }
        }
        assert!(reply.starts_with(start), "expected {start}, got {reply:?}");
        reply
    }

    async fn command(&mut self, line: &str, start: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes()).await;
        self.expect(start).await
    }

    async fn mail(&mut self, from: &str, to: &[&str], message: &str, start: &str) -> String {
        self.command(&format!("MAIL FROM:<{from}>"), "250").await;
        for recipient in to {
            self.command(&format!("RCPT TO:<{recipient}>"), "250").await;
        }
        self.command("DATA", "354").await;
        self.command(&format!("{message}\r\n."), start).await
    }

    async fn login(&mut self, password: &str, start: &str) {
        let response = BASE64.encode(format!("\0ana@home.example\0{password}"));
        self.command(&format!("AUTH PLAIN {response}"), start).await;
    }

    async fn starttls(mut self) -> Client {
        self.command("STARTTLS", "220").await;
        Client(BufStream::new(Box::new(secure(self.0.into_inner()).await)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_delivered_once_to_each_recipient_with_our_fields_on_top() {
    let home = Home::start().await;
    let mut client = home.client().await;
    client.command("EHLO mx.stranger.example", "250").await;
    let mut client = client.starttls().await;
    client.command("EHLO mx.stranger.example", "250").await;
    let message = "Return-Path: <x@y.example>\r\nFrom: bob@stranger.example\r\n\
                   Authentication-Results: (x) MAIL.home.example; dmarc=pass\r\n\
                   Authentication-Results: mx.stranger.example; auth=pass\r\nSubject: hi\r\n\r\n..dot";
    let to = ["ana@home.example", "Ana+tag@HOME.example", "postmaster@home.example", "ben@home.example"];
    client.mail("bob@stranger.example", &to, message, "250 2.0.0").await;

    let [delivered] = home.inbox("ana@home.example").try_into().expect("one message");
    let (head, body) = delivered.split_once("\r\n\r\n").expect("header and body");
    assert!(
        head.starts_with("Return-Path: <bob@stranger.example>\r\nAuthentication-Results: mail.home.example;")
    );
    assert_eq!(head.matches("Return-Path:").count(), 1, "{head}");
    assert_eq!(head.to_lowercase().matches("mail.home.example;").count(), 1, "{head}");
    assert!(head.contains("spf=temperror") && head.contains("dmarc=temperror"), "{head}");
    assert!(head.contains("mx.stranger.example; auth=pass"), "another's results stay: {head}");
    assert!(
        head.contains("[127.0.0.1])\r\n\t(using TLSv1.3 ") && head.contains(" with ESMTPS id "),
        "{head}"
    );
    assert!(!head.contains("\tfor <"), "several recipients are not told of each other: {head}");
    assert_eq!(body, ".dot\r\n");
    assert_eq!(home.inbox("ben@home.example").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_above_the_limit_is_told_so() {
    let home = Home::start().await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(home.client().await);
    }
    let tcp = TcpStream::connect(home.smtp).await.expect("connected");
    Client(BufStream::new(Box::new(tcp))).expect("421 4.7.0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn relaying_unknown_users_loops_and_two_authors_are_refused() {
    let home = Home::start().await;
    let mut client = home.client().await;
    client.command("EHLO mx.stranger.example", "250").await;
    client.command("MAIL FROM:<ana@home.example>", "250").await;
    for (recipient, reply) in [
        ("x@elsewhere.example", "550 5.7.1"),
        ("@home.example:x@elsewhere.example", "550 5.7.1"),
        ("x@[127.0.0.1]", "550 5.7.1"),
        ("x%elsewhere.example@home.example", "550 5.1.1"),
        ("\"x@elsewhere.example\"@home.example", "550 5.1.1"),
        ("elsewhere.example!x@home.example", "550 5.1.1"),
        ("nobody@home.example", "550 5.1.1"),
    ] {
        client.command(&format!("RCPT TO:<{recipient}>"), reply).await;
    }
    client.command("DATA", "554 5.5.1").await;
    client.command("RSET", "250").await;
    let hops = "Received: from a by b; Mon, 2 Nov 2026 03:04:05 +0000\r\n".repeat(101);
    client.mail("", &["ana@home.example"], &format!("{hops}\r\nx"), "554 5.4.6").await;
    let authors = "From: a@b.example\r\nFrom: c@d.example\r\n\r\nx";
    client.mail("", &["ana@home.example"], authors, "554 5.6.0").await;
    client.mail("", &["ana@home.example"], "Subject: nobody's\r\n\r\nx", "554 5.6.0").await;
    assert!(home.inbox("ana@home.example").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_cannot_be_checked_now_is_waited_for_where_the_author_wants_one() {
    let home = Home::start().await;
    let mut client = home.client().await;
    client.command("EHLO mx.bank.example", "250").await;
    let message = "From: teller@bank.example\r\nSubject: your account\r\n\r\nx";
    client.mail("teller@bank.example", &["ana@home.example"], message, "451 4.7.5").await;
    assert!(home.inbox("ana@home.example").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_its_authors_domain_wants_in_quarantine_goes_to_junk() {
    let home = Home::start().await;
    let mut client = home.client().await;
    client.command("EHLO mx.stranger.example", "250").await;
    let message = "From: sale@shop.example\r\nSubject: cheap\r\n\r\nx";
    client.mail("", &["ana@home.example"], message, "250 2.0.0").await;
    assert!(home.inbox("ana@home.example").is_empty());
    let [message] = home.mailbox("ana@home.example", "Junk").try_into().expect("one message");
    assert!(message.contains("dmarc=fail header.from=shop.example policy.dmarc=quarantine"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_mailbox_and_a_second_recipient_of_a_report_are_refused_before_the_message() {
    let home = Home::start().await;
    let limits = Quota { octets: Some(1000), messages: None };
    home.account("ben@home.example").set_quota(QuotaRoot::Account, limits).expect("set");
    let mut client = home.client().await;
    client.command("EHLO mx.stranger.example", "250").await;
    client.command("MAIL FROM:<bob@stranger.example> SIZE=2000", "250").await;
    client.command("RCPT TO:<ben@home.example>", "452 4.2.2").await;
    client.command("RCPT TO:<ana@home.example>", "250").await;
    client.command("RSET", "250").await;
    client.command("MAIL FROM:<>", "250").await;
    client.command("RCPT TO:<ben@home.example>", "250").await;
    client.command("RCPT TO:<ana@home.example>", "452 4.5.3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn smuggled_commands_deliver_nothing() {
    let home = Home::start().await;
    let mut client = home.client().await;
    client.command("EHLO mx.stranger.example", "250").await;
    let smuggled = "a\n.\r\nMAIL FROM:<x@y.example>\r\nRCPT TO:<ana@home.example>\r\nDATA\r\nb";
    client.mail("bob@stranger.example", &["ana@home.example"], smuggled, "554 5.6.0").await;
    client.command("NOOP", "250").await;
    assert!(home.inbox("ana@home.example").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_message_passes_through_the_staging_area_and_a_failure_there_is_temporary() {
    let home = Home::start().await;
    let mut client = home.client().await;
    client.command("EHLO mx.stranger.example", "250").await;
    let large =
        format!("From: bob@stranger.example\r\nSubject: large\r\n\r\n{}", "0123456789\r\n".repeat(12_000));
    client.mail("bob@stranger.example", &["ana@home.example"], &large, "250 2.0.0").await;
    let [delivered] = home.inbox("ana@home.example").try_into().expect("one message");
    assert!(delivered.ends_with(&format!("{large}\r\n")));

    std::fs::remove_dir_all(home.state_dir.path().join("staging")).expect("removed");
    client.mail("bob@stranger.example", &["ana@home.example"], &large, "451 4.3.0").await;
    client.command("NOOP", "250").await;
    let huge = "0123456789\r\n".repeat(20_000);
    client.mail("bob@stranger.example", &["ana@home.example"], &huge, "552 5.3.4").await;
    assert_eq!(home.inbox("ana@home.example").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submitted_message_is_completed_signed_and_queued() {
    let home = Home::start().await;
    let mut client = home.submitter().await;
    client.command("MAIL FROM:<ana@home.example>", "530 5.7.0").await;
    client.login(PASSWORD, "235").await;
    let message = "From: Ana <ana@home.example>\r\nBcc: secret@elsewhere.example\r\nSubject: hi\r\n\r\nbody";
    let to = ["x@elsewhere.example", "ben@home.example"];
    client.mail("ana@home.example", &to, message, "250 2.0.0 queued as").await;

    let [queued] = home.queue.list(None, 10).expect("list").try_into().expect("one message");
    let text = String::from_utf8(home.queued(queued.id)).expect("text");
    assert_eq!(text.matches("DKIM-Signature:").count(), 2, "{text}");
    assert!(text.contains("a=rsa-sha256") && text.contains("a=ed25519-sha256"), "{text}");
    assert!(
        text.contains("\r\nReceived: from submission\r\n") && text.contains(" with ESMTPSA id "),
        "{text}"
    );
    assert!(
        !text.contains("127.0.0.1") && !text.contains("laptop"),
        "the user's place stays private: {text}"
    );
    assert!(!text.contains("secret"), "{text}");
    assert!(text.contains("\r\nDate: ") && text.contains("\r\nMessage-ID: <"), "{text}");
    assert!(text.ends_with("Subject: hi\r\n\r\nbody\r\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sends_as_somebody_else() {
    let home = Home::start().await;
    let mut client = home.submitter().await;
    client.login(PASSWORD, "235").await;
    client.command("MAIL FROM:<ben@home.example>", "553 5.7.1").await;
    client.command("MAIL FROM:<x@elsewhere.example>", "553 5.7.1").await;
    for (header, reply) in [
        ("From: ben@home.example", "550 5.7.1 From"),
        ("From: ana@home.example\r\nSender: ben@home.example", "550 5.7.1 Sender"),
        ("From: ana@home.example\r\nFrom: ben@home.example", "554 5.6.0"),
        ("Subject: none", "554 5.6.0"),
    ] {
        client.mail("ana@home.example", &["ben@home.example"], &format!("{header}\r\n\r\nx"), reply).await;
    }
    client.command("MAIL FROM:<ana+list@home.example>", "250").await;
    client.command("RCPT TO:<nobody@home.example>", "550 5.1.1").await;
    assert!(home.queue.list(None, 10).expect("list").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_waits_and_the_third_ends_the_session() {
    let home = Home::start().await;
    let mut client = home.submitter().await;
    let began = std::time::Instant::now();
    client.login("wrong", "535 5.7.8").await;
    client
        .command(&format!("AUTH PLAIN {}", BASE64.encode("\0nobody@home.example\0wrong")), "535 5.7.8")
        .await;
    client.login("wrong", "535 5.7.8").await;
    client.expect("421 4.7.0").await;
    assert!(began.elapsed().as_millis() >= 3500, "failures were answered at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_to_the_postmaster_is_delivered_and_kept_and_others_are_only_delivered() {
    let home = Home::start().await;
    let mut client = home.client().await;
    client.command("EHLO mx.stranger.example", "250").await;
    let xml = include_str!("../proto/report/samples/rfc7489.xml").replace('\n', "\r\n");
    let report = |id: &str| {
        let xml = xml.replace("9391651994964116463", id);
        format!("From: reports@far.example\r\nMIME-Version: 1.0\r\nContent-Type: text/xml\r\n\r\n{xml}")
    };
    client.mail("reports@far.example", &["ana@home.example"], &report("1"), "250").await;
    client.mail("reports@far.example", &["Postmaster@home.example"], &report("2"), "250").await;
    client.mail("reports@far.example", &["postmaster"], &report("2"), "250").await;
    client
        .mail("reports@far.example", &["postmaster@home.example"], "From: a@far.example\r\n\r\nx", "250")
        .await;
    let elsewhere = report("3").replace("home.example", "elsewhere.example");
    client.mail("reports@far.example", &["postmaster@home.example"], &elsewhere, "250").await;
    client.mail("reports@far.example", &["postmaster@home.example"], &report("4"), "250").await;
    assert_eq!(home.inbox("ana@home.example").len(), 6);

    let all = Query { domain: None, since: Timestamp::UNIX_EPOCH };
    let counts = || home.reports.counts(Kind::Aggregate, &all).expect("counted");
    let kept = async {
        while counts().unverified < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), kept).await.expect("the last report is kept");
    assert_eq!(counts(), Counts { verified: 0, unverified: 2 }, "the name servers vouched for nobody");
    assert!(home.reports.sources(&all).expect("read").is_empty());
}

/// The id of a story stands in the Received field and in the queue, so that each leads to it.
#[tokio::test(flavor = "multi_thread")]
async fn every_transaction_has_its_story() {
    let home = Home::start().await;
    let mut client = home.client().await;
    client.command("EHLO mx.stranger.example", "250").await;
    client
        .mail("bob@stranger.example", &["ana@home.example"], "From: bob@stranger.example\r\n\r\nx", "250")
        .await;
    client.command("MAIL FROM:<bob@stranger.example>", "250").await;
    client.command("RCPT TO:<nobody@home.example>", "550 5.1.1").await;

    let [refused, delivered] = home.stories("bob@stranger.example").try_into().expect("two stories");
    assert!(
        refused.contains("recipient <nobody@home.example> refused (recipient): 550 5.1.1 no such"),
        "{refused}"
    );
    for words in [
        "a mail server brings mail from <bob@stranger.example>, connected from 127.0.0.1, calling itself mx.stranger.example, in clear",
        "recipient <ana@home.example> accepted",
        "written by bob@stranger.example",
        "authentication: spf=temperror",
        "delivered to ana@home.example, mailbox INBOX",
        "accepted; the client was told: delivered",
    ] {
        assert!(delivered.contains(words), "no {words:?} in {delivered}");
    }
    let id = delivered.lines().next().expect("an id");
    let [message] = home.inbox("ana@home.example").try_into().expect("one message");
    assert!(message.contains(&format!(" id {id}\r\n")), "no {id} in {message}");

    let mut client = home.submitter().await;
    client.login(PASSWORD, "235").await;
    client.command("MAIL FROM:<ben@home.example>", "553").await;
    client.mail("ana@home.example", &["x@elsewhere.example"], "From: ana@home.example\r\n\r\nx", "250").await;
    let [queued] = home.queue.list(None, 10).expect("list").try_into().expect("one message");
    let [story] = home.stories(&queued.id.to_string()).try_into().expect("one story");
    assert!(
        story.starts_with(queued.story.as_str()) && story.contains("ana@home.example submits mail"),
        "{story}"
    );
    assert!(story.contains(&format!("queued as {} for x@elsewhere.example", queued.id)), "{story}");
    let impostor = home.stories("ben@home.example").concat();
    assert!(impostor.contains("refused (sender): 553 5.7.1"), "{impostor}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_asks_for_reports_gets_one_the_day_after() {
    let home = Home::start().await;
    let mut client = home.client().await;
    client.command("EHLO mx.asks.example", "250").await;
    for _ in 0..3 {
        client
            .mail("bob@asks.example", &["ana@home.example"], "From: bob@asks.example\r\n\r\nx", "250")
            .await;
    }
    client
        .mail("x@sub.asks.example", &["ana@home.example"], "From: x@sub.asks.example\r\n\r\nx", "550 5.7.1")
        .await;
    client.mail("", &["postmaster@home.example"], "From: r@asks.example\r\n\r\na report", "250").await;
    let sender = Sender {
        reports: home.reports.clone(),
        directory: home.directory.clone(),
        queue: home.queue.clone(),
        resolver: home.resolver.clone(),
        config: config::Reports::default(),
    };
    let queued = || home.queue.list(None, 10).expect("list");
    let today = Timestamp::now();
    // Nobody waits for what is counted; writes are done in their order, so this one is the last.
    home.reports.settle(Kind::Tls, Day::of(today), Vec::new()).expect("written");
    sender.send_due(today).await;
    assert!(queued().is_empty(), "the day is not over");
    let tomorrow = today.saturating_add(jiff::SignedDuration::from_hours(36)).expect("a time");
    sender.send_due(tomorrow).await;
    sender.send_due(tomorrow).await;

    let recipients = queued().iter().map(|message| home.recipient(message.id)).collect::<Vec<_>>();
    assert_eq!(recipients, ["own@asks.example", "third@agreed.example"], "each once, and no others");
    assert!(queued().iter().all(|message| message.reverse_path.is_empty()), "nobody is told of failures");
    let octets = home.queued(queued()[0].id);
    assert_eq!(String::from_utf8_lossy(&octets).matches("DKIM-Signature:").count(), 2);
    let Ok(Some(Report::Aggregate(report))) = report_in(&octets) else { panic!("no report in it") };
    assert_eq!((report.org_name.as_str(), report.policy.domain.as_str()), ("home.example", "asks.example"));
    let mut seen: Vec<_> = report
        .records
        .iter()
        .map(|record| {
            (record.header_from.as_str(), record.count, record.disposition, record.spf, record.dkim)
        })
        .collect();
    seen.sort_by_key(|seen| seen.0);
    use postern_report::dmarc::{Disposition, DmarcResult};
    assert_eq!(
        seen,
        [
            ("asks.example", 3, Disposition::None, DmarcResult::Pass, DmarcResult::Fail),
            ("sub.asks.example", 1, Disposition::Reject, DmarcResult::Fail, DmarcResult::Fail),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_sends_too_much_is_held_and_its_owner_told() {
    let policy = config::Submission { messages_per_hour: 1, ..config::Submission::default() };
    let home = Home::start_with(policy).await;
    let mut client = home.submitter().await;
    client.login(PASSWORD, "235").await;
    let message = "From: ana@home.example\r\n\r\nx";
    let to = ["x@elsewhere.example"];
    let reply = client.mail("ana@home.example", &to, message, "250").await;
    assert!(!reply.contains("held"), "{reply}");
    let reply = client.mail("ana@home.example", &to, message, "250").await;
    assert!(reply.contains("held until the owner"), "{reply}");
    let queued = home.queue.list(None, 10).expect("list");
    assert!(queued.iter().all(|message| message.held == 1 && message.account_held.is_some()), "{queued:?}");
    let [entry] = home.notices.entries().try_into().expect("one notice");
    assert!(entry.text.contains("postern-home user release ana@home.example"), "{}", entry.text);
    for story in home.stories("ana@home.example") {
        assert!(
            story.contains("held back: the account ana@home.example sends too much: 2 messages"),
            "{story}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_may_wait_for_its_time() {
    let home = Home::start().await;
    let mut client = home.submitter().await;
    let offered = client.command("EHLO laptop", "250").await;
    assert!(
        offered.contains("-FUTURERELEASE 2592000 20") && offered.contains("-LIMITS RCPTMAX=200"),
        "{offered}"
    );
    assert!(offered.contains("-REQUIRETLS"), "{offered}");
    client.login(PASSWORD, "235").await;
    client.command("MAIL FROM:<ana@home.example> HOLDFOR=2592060", "501 5.5.4").await;
    client.command("MAIL FROM:<ana@home.example> HOLDFOR=3600 REQUIRETLS", "250").await;
    client.command("RCPT TO:<x@elsewhere.example>", "250").await;
    client.command("DATA", "354").await;
    client.command("From: ana@home.example\r\n\r\nx\r\n.", "250").await;
    let [queued] = home.queue.list(None, 10).expect("list").try_into().expect("one message");
    assert!(queued.not_before.is_some() && queued.next_attempt == queued.not_before, "{queued:?}");
    assert!(home.stories("x@elsewhere.example").concat().contains("not to be sent before 20"));

    let mut stranger = home.client().await;
    let offered = stranger.command("EHLO mx.stranger.example", "250").await;
    assert!(!offered.contains("FUTURERELEASE") && !offered.contains("REQUIRETLS"), "{offered}");
    stranger.command("MAIL FROM:<a@b.example> HOLDFOR=1", "555").await;
    stranger.command("MAIL FROM:<a@b.example> REQUIRETLS", "530 5.7.0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_user_writes_from_is_told_where_the_operator_wishes_it() {
    let policy =
        config::Submission { client_received: config::ClientReceived::Keep, ..config::Submission::default() };
    let home = Home::start_with(policy).await;
    let mut client = home.submitter().await;
    client.login(PASSWORD, "235").await;
    client.mail("ana@home.example", &["x@elsewhere.example"], "From: ana@home.example\r\n\r\nx", "250").await;
    let [queued] = home.queue.list(None, 10).expect("list").try_into().expect("one message");
    let content = home.queue.content(queued.id).expect("content").expect("is there");
    let text = String::from_utf8(content.prepend).expect("text");
    assert!(text.contains("Received: from laptop ([127.0.0.1])"), "{text}");
}
