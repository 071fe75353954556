use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::db::Connection;
use crate::queue::QueueId;

const AMPLE: Bounds = Bounds { keep: Duration::from_secs(30 * 86_400), octets: 1 << 30 };

fn open(bounds: Bounds) -> (tempfile::TempDir, Journal) {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(crate::seal::tests::state_dir(directory.path()), bounds).unwrap();
    (directory, journal)
}

fn recipient(address: &str) -> Event {
    Event::Recipient { address: address.to_owned() }
}

fn found(journal: &Journal, what: &str) -> Vec<String> {
    let stories = journal.find(what, Timestamp::MIN, 100).unwrap();
    stories.into_iter().map(|story| story.id.to_string()).collect()
}

fn accepted() -> Event {
    Event::Accepted { reply: "ok".to_owned() }
}

fn trim_all(journal: &Journal, bounds: Bounds, now: Timestamp) {
    let database = &journal.0.database;
    while database.write(move |connection: &Connection| writer::trim(connection, bounds, now)).unwrap() > 0 {}
}

#[test]
fn a_story_is_found_by_all_that_it_names() {
    let (_directory, journal) = open(AMPLE);
    let story = StoryId::of_transaction("5f.1", 2);
    let events = [
        Event::Began {
            service: Service::Mta,
            client: "203.0.113.9".parse().unwrap(),
            helo: "mx.far.example".into(),
            tls: None,
            user: None,
            reverse_path: "Bob@far.example".into(),
        },
        recipient("ana@home.example"),
        Event::Received {
            message_id: Some("<One@far.example>".into()),
            author: vec!["robert@far.example".into()],
            octets: 1,
        },
        Event::Queued {
            queue_id: QueueId(17),
            recipients: vec!["eve@other.example".into()],
            not_before: None,
        },
        accepted(),
    ];
    for event in events.clone() {
        journal.tell(&story, event);
    }
    journal.tell(&StoryId::of_session("5f.12"), recipient("x@home.example"));
    for what in [
        "5f.1.2",
        "5f.1",
        " <bob@FAR.example> ",
        "ana@home.example",
        "robert@far.example",
        "<one@far.example>",
        "One@far.example",
        "eve@other.example",
        "17",
        "203.0.113.9",
    ] {
        assert_eq!(found(&journal, what), ["5f.1.2"], "{what}");
    }
    for what in ["", "5", "5f.", "nobody@home.example", "1"] {
        assert_eq!(found(&journal, what), Vec::<String>::new(), "{what}");
    }
    let told = journal.find("17", Timestamp::MIN, 1).unwrap().remove(0);
    let told: Vec<Event> = told.lines.into_iter().map(|line| line.event).collect();
    assert_eq!(told, events);
}

#[test]
fn the_newest_stories_come_first_and_old_ones_may_be_left_out() {
    let (_directory, journal) = open(AMPLE);
    for number in 1..=3 {
        journal.tell(&StoryId::of_transaction("1", number), recipient("ana@home.example"));
    }
    journal.tell(&StoryId::of_transaction("1", 1), accepted());
    let order = found(&journal, "ana@home.example");
    assert_eq!(order.len(), 3);
    let newest = journal.find("ana@home.example", Timestamp::MIN, 2).unwrap();
    assert_eq!(newest.len(), 2);
    let later = Timestamp::now() + SignedDuration::from_hours(1);
    assert!(journal.find("ana@home.example", later, 100).unwrap().is_empty());
}

#[test]
fn what_was_told_outlives_the_journal() {
    let (directory, journal) = open(AMPLE);
    journal.tell(&StoryId::of_session("1"), recipient("ana@home.example"));
    drop(journal);
    let journal = Journal::open(crate::seal::tests::state_dir(directory.path()), AMPLE).unwrap();
    assert_eq!((found(&journal, "ana@home.example"), journal.lost()), (vec!["1".to_owned()], 0));
}

#[test]
fn what_is_too_old_goes_whole() {
    let (_directory, journal) = open(AMPLE);
    let story = StoryId::of_session("1");
    journal.tell(&story, recipient("ana@home.example"));
    journal.tell(&story, accepted());
    journal.settle();
    let in_days = |days: i64| Timestamp::now() + SignedDuration::from_hours(24 * days);
    trim_all(&journal, AMPLE, in_days(29));
    assert_eq!(found(&journal, "ana@home.example").len(), 1);
    trim_all(&journal, AMPLE, in_days(31));
    let left = journal.0.database.read(|connection: &Connection| {
        let count =
            |table| connection.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0));
        Ok::<[i64; 3], crate::Error>([count("story")?, count("line")?, count("mention")?])
    });
    assert_eq!(left.unwrap(), [0, 0, 0]);
}

#[test]
fn a_flood_of_refusals_does_not_push_out_mail_that_came() {
    let (_directory, journal) = open(AMPLE);
    journal.tell(&StoryId::of_session("taken"), accepted());
    let refused = |number: u32| Event::Refused {
        check: "recipient".into(),
        recipient: Some(format!("{number}@home.example")),
        reply: "550 5.1.1 no such user here".repeat(10),
        reason: None,
    };
    for number in 0..3000 {
        journal.tell(&StoryId::of_transaction("flood", number), refused(number));
    }
    journal.settle();
    let small = Bounds { octets: 200_000, ..AMPLE };
    trim_all(&journal, small, Timestamp::now());
    assert_eq!(found(&journal, "taken"), ["taken"]);
    let left = found(&journal, "flood").len();
    assert!(left < 500, "{left} stories of the flood are left");
}

#[test]
fn what_comes_too_fast_is_counted_and_nobody_waits() {
    let (_directory, journal) = open(AMPLE);
    let (hold, held) = mpsc::sync_channel::<()>(0);
    // The database is busy until `hold` goes.
    let ticket = journal.0.database.submit(move |_: &Connection| {
        let _ = held.recv();
        Ok::<_, crate::Error>(())
    });
    let many = WAITING_MAX as u64 * 2;
    for _ in 0..many {
        journal.tell(&StoryId::of_session("1"), accepted());
    }
    let lost = journal.lost();
    assert!(lost > 0 && lost < many, "{lost} of {many} lost");
    drop(hold);
    ticket.wait().unwrap();
    journal.settle();
    let lines = journal.find("1", Timestamp::MIN, 1).unwrap().remove(0).lines.len() as u64;
    assert_eq!(lines + journal.lost(), many);
}

#[test]
fn a_line_of_a_newer_version_is_shown_as_such() {
    let (_directory, journal) = open(AMPLE);
    journal.tell(&StoryId::of_session("1"), accepted());
    journal.settle();
    let newer = |connection: &Connection| {
        let sql = "INSERT INTO line (story, moment, event) VALUES (1, 0, '{\"event\":\"teleported\",\"to\":\"x\"}')";
        Ok::<_, crate::Error>(connection.execute(sql, [])?)
    };
    journal.0.database.write(newer).unwrap();
    let lines = journal.find("1", Timestamp::MIN, 1).unwrap().remove(0).lines;
    assert_eq!(lines[1].event, Event::Unknown);
    let json = serde_json::to_string(&lines[0]).unwrap();
    assert_eq!(serde_json::from_str::<Line>(&json).unwrap(), lines[0]);
}
