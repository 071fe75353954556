//! What is sent on for a user: what became of it is told to the user alone.

use postern_store::directory::{Forward, Kept};

use super::*;

fn forward(home: &Home, kept: Kept) {
    let forward = Forward { target: "ana@far.example".parse().unwrap(), kept };
    home.directory.set_forward(&"ana@home.example".parse().unwrap(), forward).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn local_mail_is_sent_on_under_its_own_sender() {
    let (settings, seen) = far_server(FAR, Behaviour::default()).await;
    let home = Home::start(&far(FAR), settings, LinkState::Connected).await;
    forward(&home, Kept::Copy);
    home.until_gone(home.enqueue(&["ana@home.example"])).await;
    home.until_gone(QueueId(2)).await;
    assert_eq!(home.inbox(1).await.len(), 1);
    let taken = seen.lock().unwrap().taken.clone();
    assert_eq!(taken[0].mail, "MAIL FROM:<ana@home.example>");
    assert!(taken[0].content.starts_with("Delivered-To: ana@home.example\r\nX-Added: yes\r\nSubject: hello"));
    home.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_comes_whole_into_the_mailbox_of_who_has_no_copy() {
    for (kept, comes_whole) in [(Kept::Nothing, true), (Kept::Copy, false)] {
        let refuse = HashMap::from([("ana@far.example", "550 5.1.1 gone")]);
        let (settings, _) = far_server(FAR, Behaviour { refuse, ..Behaviour::default() }).await;
        let home = Home::start(&far(FAR), settings, LinkState::Connected).await;
        forward(&home, kept);
        let id =
            home.enqueue_content(&["ana@home.example"], &[CONTENT, &vec![b'x'; 300_000], b"\r\n"].concat());
        home.until_gone(id).await;
        let report = home.inbox(if comes_whole { 1 } else { 2 }).await.pop().unwrap();
        assert!(report.starts_with("Return-Path: <>\r\nDelivered-To: ana@home.example\r\n"), "{report:.400}");
        assert!(report.contains("Diagnostic-Code: smtp; 550 5.1.1 gone\r\n"));
        assert_eq!(report.contains("xxxx"), comes_whole, "{:?}", report.len());
        home.until_gone(QueueId(3)).await;
        assert_eq!(home.queue.len().unwrap(), 0, "nothing goes round, nobody else is told");
        home.stop().await;
    }
}
