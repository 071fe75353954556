//! Addresses that lead elsewhere, and the way back.

use postern_store::directory::{Forward, Kept};
use postern_store::queue::QueueId;

use super::*;

const MESSAGE: &str = "From: bob@stranger.example\r\nSubject: onward\r\n\r\n..dot\r\nend";

async fn forwarding_home() -> (Home, Client) {
    let home = Home::start().await;
    let forward = Forward { target: "ana@far.example".parse().expect("address"), kept: Kept::Nothing };
    home.directory.set_forward(&"ana@home.example".parse().expect("address"), forward).expect("set");
    let mut client = home.client().await;
    client.command("EHLO mx.stranger.example", "250").await;
    (home, client)
}

/// What is queued: number, reverse-path and all octets.
fn queued(home: &Home) -> Vec<(QueueId, String, String)> {
    let text = |id| {
        let mut content = home.queue.content(id).expect("content").expect("is there");
        let mut octets = content.prepend;
        content.file.read_to_end(&mut octets).expect("read");
        String::from_utf8(octets).expect("text")
    };
    let listed = home.queue.list(None, 10).expect("list");
    listed.into_iter().map(|one| (one.id, one.reverse_path, text(one.id))).collect()
}

fn recipients(home: &Home, id: QueueId) -> Vec<String> {
    let detail = home.queue.show(id).expect("read").expect("is there");
    detail.recipient_details.into_iter().map(|one| one.forward_path).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forwarded_message_is_sealed_and_its_report_comes_back_to_the_sender() {
    let (home, mut client) = forwarding_home().await;
    client.mail("bob@stranger.example", &["ana@home.example"], MESSAGE, "250 2.0.0").await;
    assert!(home.inbox("ana@home.example").is_empty());
    let [(id, sender, text)] = queued(&home).try_into().expect("one message");
    assert_eq!(recipients(&home, id), ["ana@far.example"]);
    assert!(
        sender.starts_with("SRS0=") && sender.ends_with("=stranger.example=bob@home.example"),
        "{sender}"
    );
    assert!(text.starts_with("ARC-Seal: i=1; a=rsa-sha256; d=home.example;"), "{text}");
    assert!(text.contains("\r\nARC-Authentication-Results: i=1; mail.home.example;\r\n\tspf="), "{text}");
    assert!(
        text.contains("\r\nDelivered-To: ana@home.example\r\nReceived: from mx.stranger.example"),
        "{text}"
    );
    assert!(
        text.ends_with("\r\nFrom: bob@stranger.example\r\nSubject: onward\r\n\r\n.dot\r\nend\r\n"),
        "{text}"
    );
    assert!(home.stories("ana@far.example")[0].contains("ana@far.example"), "the journal has it");

    home.queue.drop_message(id).expect("dropped");
    let report = "From: mailer-daemon@far.example\r\nSubject: no\r\n\r\nx";
    client.mail("", &[&sender.to_lowercase()], report, "250 2.0.0").await;
    let [(id, sender, _)] = queued(&home).try_into().expect("one message");
    assert_eq!((sender.as_str(), recipients(&home, id)), ("", vec!["bob@stranger.example".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sends_through_a_rewritten_address() {
    let (home, mut client) = forwarding_home().await;
    client.mail("bob@stranger.example", &["ana@home.example"], MESSAGE, "250 2.0.0").await;
    let [(id, genuine, _)] = queued(&home).try_into().expect("one message");
    home.queue.drop_message(id).expect("dropped");
    client.command("MAIL FROM:<spam@elsewhere.example>", "250").await;
    client.command(&format!("RCPT TO:<{genuine}>"), "550 5.1.1 only reports").await;
    client.command("RSET", "250").await;
    client.command("MAIL FROM:<>", "250").await;
    let tag = genuine.split('=').nth(1).expect("a tag");
    let day = genuine.split('=').nth(2).expect("a day");
    for forged in [
        genuine.replace("=bob@", "=eve@"),
        genuine.replace("stranger.example", "elsewhere.example"),
        format!("SRS0={tag}={day}=elsewhere.example=x@home.example"),
        format!("SRS0+{tag}={day}=elsewhere.example=x@home.example"),
        format!("SRS1={tag}=far.example=={tag}={day}=stranger.example=bob@home.example"),
        "SRS0=aaaaaaaa=aa=elsewhere.example=x@home.example".to_owned(),
    ] {
        client.command(&format!("RCPT TO:<{forged}>"), "550 5.1.1 this return address").await;
    }
    client.command("RCPT TO:<SRS0=aa=bb=stranger.example=bob@elsewhere.example>", "550 5.7.1").await;
    assert!(queued(&home).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_on_does_not_go_round() {
    let (home, mut client) = forwarding_home().await;
    let again = format!("Delivered-To: Ana@home.example\r\n{MESSAGE}");
    client.mail("bob@stranger.example", &["ana@home.example"], &again, "554 5.4.6").await;
    let other = format!("Delivered-To: ben@home.example\r\n{MESSAGE}");
    client.mail("bob@stranger.example", &["ana@home.example"], &other, "250 2.0.0").await;
    assert_eq!(queued(&home).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_has_its_copies_here_and_elsewhere_and_a_queue_that_fails_is_no_loss() {
    let (home, mut client) = forwarding_home().await;
    let targets = ["ben@home.example", "friend@far.example", "ana@home.example"];
    let targets = targets.map(|target| target.parse().expect("address"));
    home.directory.add_alias(&"club@home.example".parse().expect("address"), &targets).expect("added");
    client.mail("", &["club@home.example"], MESSAGE, "250 2.0.0").await;
    assert_eq!(home.inbox("ben@home.example").len(), 1);
    let mut paths: Vec<_> = queued(&home).iter().flat_map(|(id, ..)| recipients(&home, *id)).collect();
    paths.sort();
    assert_eq!(paths, ["ana@far.example", "friend@far.example"]);
    assert!(queued(&home).iter().all(|(_, sender, _)| sender.is_empty()), "a report stays one");

    std::fs::remove_dir_all(home.state_dir.path().join("queue")).expect("removed");
    let large = format!("{MESSAGE}\r\n{}", "0123456789\r\n".repeat(12_000));
    client.mail("bob@stranger.example", &["club@home.example"], &large, "451 4.3.0").await;
    assert_eq!(home.inbox("ben@home.example").len(), 2, "the client will come again, and ben has two");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_user_sends_as_a_mask() {
    let home = Home::start().await;
    let address = |text: &str| text.parse().expect("address");
    let mask = home.directory.add_mask(&address("ana@home.example"), None, "shop").expect("made").address;
    let other = home.directory.add_mask(&address("ben@home.example"), None, "").expect("made").address;
    let mut client = home.submitter().await;
    client.login(PASSWORD, "235").await;
    let from = |address: &_| format!("From: {address}\r\n\r\nx");
    client.mail(&mask.to_string(), &["x@far.example"], &from(&mask), "250 2.0.0 queued").await;
    client.mail("ana@home.example", &["x@far.example"], &from(&other), "550 5.7.1 From").await;
    client.command(&format!("MAIL FROM:<{other}>"), "553 5.7.1").await;
}
