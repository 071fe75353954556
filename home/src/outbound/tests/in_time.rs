//! Messages that are to be delivered by a time.

use jiff::SignedDuration;
use postern_store::queue::{Deadline, Late, Wishes};

use super::*;

/// Queues Ana's message with a deadline so many seconds from now.
fn enqueue(home: &Home, late: Late, seconds: i64) -> QueueId {
    let ana = home.directory.user_by_login("ana@home.example").unwrap();
    let time = Timestamp::now() + SignedDuration::from_secs(seconds);
    let wishes = Wishes { deadline: Some(Deadline { time, late, trace: false }), ..Wishes::default() };
    let message = NewMessage {
        reverse_path: Some(ana.address),
        recipients: vec![NewRecipient::new("bo@far.example".parse().unwrap())],
        sender: Some(ana.account),
        forwarder: None,
        prepend: Vec::new(),
        content: Content::Bytes(CONTENT),
        smtp_utf8: false,
        envelope_id: None,
        ret: Ret::Headers,
        wishes,
        story: StoryId::of_session("test"),
    };
    home.queue.enqueue(message).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_keeps_to_times_is_told_what_is_left() {
    let behaviour = Behaviour { deliver_by: true, ..Behaviour::default() };
    let (settings, seen) = far_server(FAR, behaviour).await;
    let home = Home::start(&far(FAR), settings, LinkState::Connected).await;
    for (late, mode) in [(Late::Returned, 'R'), (Late::Told, 'N')] {
        home.until_gone(enqueue(&home, late, 3600)).await;
        let mail = seen.lock().unwrap().taken.last().unwrap().mail.clone();
        let by = mail.split_once(" BY=").unwrap().1.to_owned();
        let (seconds, said) = by.split_once(';').unwrap();
        assert!(said.starts_with(mode), "{mail}");
        assert!((3500..=3600).contains(&seconds.parse::<i64>().unwrap()), "{mail}");
    }
    assert_eq!(home.queue.len().unwrap(), 0, "nothing is reported");
    home.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_gets_only_what_need_not_come_back() {
    let (settings, seen) = far_server(FAR, Behaviour::default()).await;
    let home = Home::start(&far(FAR), settings, LinkState::Connected).await;
    home.until_gone(enqueue(&home, Late::Returned, 3600)).await;
    let failed = home.inbox(1).await.remove(0);
    assert!(failed.contains("Action: failed\r\nStatus: 5.4.7\r\n"), "{failed}");
    assert!(failed.contains("\r\nDeliver-By-Date: ") && failed.contains("(DELIVERBY)"), "{failed}");
    assert!(seen.lock().unwrap().taken.is_empty());
    home.until_gone(enqueue(&home, Late::Told, 3600)).await;
    let relayed = home.inbox(2).await.remove(1);
    assert!(relayed.contains("Action: relayed\r\n"), "{relayed}");
    assert_eq!(seen.lock().unwrap().taken.len(), 1);
    home.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_late_comes_back_or_is_told_of_and_tried_further() {
    let refuse = HashMap::from([("bo@far.example", "450 4.2.0 later")]);
    let behaviour = Behaviour { refuse, deliver_by: true, ..Behaviour::default() };
    let (settings, _) = far_server(FAR, behaviour).await;
    let home = Home::start(&far(FAR), settings, LinkState::Connected).await;
    home.until_gone(enqueue(&home, Late::Returned, 2)).await;
    let failed = home.inbox(1).await.remove(0);
    assert!(failed.contains("Action: failed\r\nStatus: 5.4.7\r\n"), "{failed}");
    assert!(failed.contains("in the time that its sender set"), "{failed}");
    let told = enqueue(&home, Late::Told, 2);
    let delayed = home.inbox(2).await.remove(1);
    assert!(delayed.contains("Action: delayed\r\n"), "{delayed}");
    assert!(home.queue.show(told).unwrap().is_some());
    home.stop().await;
}
