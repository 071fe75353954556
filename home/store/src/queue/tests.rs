//! The queue on a real directory.

use std::io::Read;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::Error;
use crate::Inspection;
use crate::account::AccountId;
use crate::db::Connection;

/// Takes so many jobs, lane after lane in the order of their numbers.
pub(super) struct Taking {
    pub(super) left: usize,
    pub(super) for_each_destination: usize,
    pub(super) after: &'static str,
    pub(super) never: &'static str,
    pub(super) begun: Vec<(QueueId, String)>,
}

impl Taking {
    pub(super) fn all() -> Self {
        Taking { left: 1000, for_each_destination: 1000, after: "", never: "", begun: Vec::new() }
    }

    fn one_each() -> Self {
        Taking { for_each_destination: 1, ..Taking::all() }
    }
}

impl Slots for Taking {
    fn next_lane(&self, lanes: &[Lane]) -> Option<Lane> {
        lanes.first().copied().filter(|_| self.begun.len() < self.left)
    }

    fn last_served(&self, _: Lane) -> &str {
        self.after
    }

    fn is_free(&self, _: Lane, domain: &str) -> bool {
        let begun = self.begun.iter().filter(|(_, begun)| begun == domain).count();
        domain != self.never && begun < self.for_each_destination
    }

    fn is_busy(&self, message: QueueId, domain: &str) -> bool {
        self.begun.contains(&(message, domain.to_owned()))
    }

    fn begin(&mut self, job: &Job) {
        self.begun.push((job.message, job.domain.clone()));
    }
}

fn message<'a>(recipients: &[&str], content: &'a [u8]) -> NewMessage<'a> {
    NewMessage {
        reverse_path: "ana@home.example".parse().ok(),
        recipients: recipients.iter().map(|text| NewRecipient::new(text.parse().unwrap())).collect(),
        sender: Some(AccountId(7)),
        forwarder: None,
        prepend: b"Received: x\r\n".to_vec(),
        content: Content::Bytes(content),
        smtp_utf8: false,
        envelope_id: Some("id".into()),
        ret: Ret::Full,
        wishes: Default::default(),
        story: crate::journal::StoryId::of_session("test"),
    }
}

fn open() -> (tempfile::TempDir, Queue) {
    let directory = tempfile::tempdir().unwrap();
    let queue = Queue::open(crate::seal::tests::state_dir(directory.path())).unwrap();
    (directory, queue)
}

fn due(queue: &Queue) -> Vec<Job> {
    queue.due(Timestamp::now(), 100, &mut Taking::all()).unwrap()
}

fn in_an_hour() -> Timestamp {
    Timestamp::now() + SignedDuration::from_hours(1)
}

fn settlement(job: &Job, index: usize, outcome: Outcome) -> Settlement {
    Settlement {
        recipient: job.recipients[index].id,
        outcome,
        reply: "450-4.2.0 one\n450 4.2.0 two".into(),
        remote_host: Some("mx.far.example".into()),
    }
}

fn files(queue: &Queue) -> usize {
    std::fs::read_dir(queue.content_dir.path()).unwrap().count()
}

fn octets(content: QueuedContent) -> Vec<u8> {
    let mut octets = content.prepend;
    { content.file }.read_to_end(&mut octets).unwrap();
    octets
}

#[test]
fn what_goes_in_comes_out_after_a_restart() {
    let (directory, queue) = open();
    let id = queue
        .enqueue(message(&["bo@far.example", "cy@far.example", "di@near.example"], b"hello\r\n"))
        .unwrap();
    drop(queue);
    let queue = Queue::open(crate::seal::tests::state_dir(directory.path())).unwrap();
    let jobs = due(&queue);
    let shape: Vec<_> = jobs.iter().map(|job| (job.domain.as_str(), job.recipients.len())).collect();
    assert_eq!(shape, [("far.example", 2), ("near.example", 1)]);
    let envelope = &jobs[0].envelope;
    assert_eq!(envelope.reverse_path.as_ref().unwrap().to_string(), "ana@home.example");
    assert_eq!((envelope.sender, envelope.octets, envelope.ret), (Some(AccountId(7)), 20, Ret::Full));
    assert_eq!(jobs[0].recipients[0].notify, Notify::default());
    assert_eq!(octets(queue.content(id).unwrap().unwrap()), b"Received: x\r\nhello\r\n");
}

#[test]
fn a_staged_message_is_queued_inline_and_large() {
    let (directory, queue) = open();
    let store = crate::Store::open(crate::seal::tests::state_dir(directory.path())).unwrap();
    for size in [10, 300_000] {
        let mut staging = store.stage();
        staging.write(&vec![b'x'; size]).unwrap();
        let staged = staging.finish().unwrap();
        let id =
            queue.enqueue(NewMessage { content: Content::Staged(&staged), ..message(&["a@b.example"], b"") });
        drop(staged);
        assert_eq!(octets(queue.content(id.unwrap()).unwrap().unwrap()).len(), size + 13);
    }
}

#[test]
fn a_message_without_recipients_is_refused() {
    let (_directory, queue) = open();
    assert!(queue.enqueue(message(&[], b"")).is_err());
    assert_eq!((queue.len().unwrap(), files(&queue)), (0, 0));
}

#[test]
fn a_message_leaves_when_its_last_recipient_is_settled() {
    let (_directory, queue) = open();
    let id = queue.enqueue(message(&["bo@far.example", "cy@far.example"], b"x")).unwrap();
    let job = due(&queue).remove(0);
    let later = Outcome::Deferred { next_attempt: in_an_hour(), delay_reported: true };
    let settled =
        queue.settle(id, vec![settlement(&job, 0, Outcome::Delivered), settlement(&job, 1, later)], vec![]);
    assert!(!settled.unwrap().finished);
    assert_eq!(due(&queue), []);

    let detail = queue.show(id).unwrap().unwrap();
    assert_eq!((detail.summary.waiting, detail.summary.recipients), (1, 2));
    assert_eq!(detail.recipient_details[0].state, RecipientState::Delivered);
    let waiting = &detail.recipient_details[1];
    assert_eq!((waiting.attempts, waiting.last_host.as_deref()), (1, Some("mx.far.example")));
    assert_eq!(waiting.last_reply.as_deref(), Some("450-4.2.0 one\n450 4.2.0 two"), "verbatim");
    assert!(waiting.next_attempt.as_deref().is_some_and(|next| next.ends_with('Z')));

    assert!(queue.retry(id).unwrap());
    let job = due(&queue).remove(0);
    assert_eq!((job.recipients.len(), job.recipients[0].attempts), (1, 1));
    assert!(job.recipients[0].delay_reported, "a delay is reported once");
    assert!(queue.settle(id, vec![settlement(&job, 0, Outcome::Failed)], vec![]).unwrap().finished);
    assert_eq!((queue.len().unwrap(), files(&queue)), (0, 0));
}

#[test]
fn what_is_held_is_not_tried_until_it_is_released() {
    let (_directory, queue) = open();
    let id = queue.enqueue(message(&["bo@far.example", "cy@far.example"], b"x")).unwrap();
    let job = due(&queue).remove(0);
    assert!(queue.hold_message(id).unwrap() && !queue.hold_message(id).unwrap());
    assert_eq!((due(&queue), queue.retry(id).unwrap(), queue.retry_all().unwrap()), (vec![], false, 0));

    // An attempt that had begun counts; what it puts off stays held.
    let later = Outcome::Deferred { next_attempt: in_an_hour(), delay_reported: false };
    let settled =
        queue.settle(id, vec![settlement(&job, 0, Outcome::Delivered), settlement(&job, 1, later)], vec![]);
    assert!(!settled.unwrap().finished);
    let detail = queue.show(id).unwrap().unwrap();
    assert_eq!((detail.summary.waiting, detail.summary.held, detail.summary.recipients), (0, 1, 2));

    assert!(queue.release(id).unwrap() && !queue.release(id).unwrap());
    let job = due(&queue).remove(0);
    assert_eq!((job.recipients.len(), job.recipients[0].attempts), (1, 1));
    assert!(queue.settle(id, vec![settlement(&job, 0, Outcome::Delivered)], vec![]).unwrap().finished);
}

#[test]
fn a_report_is_queued_with_the_failure_that_calls_for_it() {
    let (_directory, queue) = open();
    let id = queue.enqueue(message(&["bo@far.example"], b"x")).unwrap();
    let job = due(&queue).remove(0);
    let changes = queue.changes();
    let report = NewMessage { reverse_path: None, sender: None, ..message(&["ana@home.example"], b"report") };
    let settled = queue.settle(id, vec![settlement(&job, 0, Outcome::Failed)], vec![report]).unwrap();
    assert!(settled.finished && changes.has_changed().unwrap());
    let report = due(&queue).remove(0);
    assert_eq!(
        (Some(report.message), report.envelope.reverse_path),
        (settled.reports.first().copied(), None)
    );
    assert_eq!(files(&queue), 1);
}

#[test]
fn a_dropped_message_makes_no_report() {
    let (_directory, queue) = open();
    let id = queue.enqueue(message(&["bo@far.example"], b"x")).unwrap();
    let job = due(&queue).remove(0);
    assert!(queue.drop_message(id).unwrap());
    assert!(!queue.drop_message(id).unwrap() && !queue.retry(id).unwrap());
    let report = message(&["ana@home.example"], b"report");
    let settled = queue.settle(id, vec![settlement(&job, 0, Outcome::Failed)], vec![report]).unwrap();
    assert_eq!(settled, Settled { finished: false, reports: vec![] });
    assert_eq!((queue.len().unwrap(), files(&queue)), (0, 0));
    assert!(queue.show(id).unwrap().is_none() && queue.content(id).unwrap().is_none());
}

#[test]
fn destinations_are_served_in_turn() {
    let (_directory, queue) = open();
    for domain in ["a", "a", "a", "b", "c"] {
        queue.enqueue(message(&[&format!("x@{domain}.example")], b"x")).unwrap();
    }
    let after = |after, left| {
        let mut slots = Taking { left, after, ..Taking::one_each() };
        let jobs = queue.due(Timestamp::now(), 100, &mut slots).unwrap();
        jobs.into_iter().map(|job| job.domain).collect::<Vec<_>>().concat().replace(".example", "")
    };
    assert_eq!(after("", 10), "abc");
    assert_eq!(after("a.example", 10), "bca");
    assert_eq!(after("b.example", 1), "c");
    assert_eq!(after("c.example", 2), "ab");
    let mut slots = Taking { never: "b.example", ..Taking::one_each() };
    assert_eq!(queue.due(Timestamp::now(), 100, &mut slots).unwrap().len(), 2);
    assert_eq!(due(&queue).len(), 5);
}

#[test]
fn each_sender_and_kind_has_a_lane() {
    let (_directory, queue) = open();
    let bulk = Wishes { precedence: Precedence::Bulk, ..Wishes::default() };
    let to = |domain| message(&[domain], b"x");
    queue.enqueue(NewMessage { wishes: bulk, ..to("a@far.example") }).unwrap();
    queue.enqueue(NewMessage { forwarder: Some(AccountId(3)), ..to("b@far.example") }).unwrap();
    queue.enqueue(NewMessage { sender: None, ..to("c@near.example") }).unwrap();
    queue.enqueue(to("d@far.example")).unwrap();
    queue.enqueue(NewMessage { sender: Some(AccountId(8)), ..to("e@far.example") }).unwrap();
    let lanes: Vec<_> = due(&queue).iter().map(|job| (job.lane.account, job.lane.kind)).collect();
    let account = |number| Some(AccountId(number));
    let expected = [
        (None, Kind::Personal),
        (account(3), Kind::Forwarded),
        (account(7), Kind::Personal),
        (account(7), Kind::Bulk),
        (account(8), Kind::Personal),
    ];
    assert_eq!(lanes, expected);
    assert_eq!(due(&queue)[3].envelope.wishes.precedence, Precedence::Bulk);
}

#[test]
fn a_transaction_takes_no_more_recipients_than_asked() {
    let (_directory, queue) = open();
    queue.enqueue(message(&["a@x.example", "b@x.example", "c@x.example"], b"x")).unwrap();
    assert_eq!(queue.due(Timestamp::now(), 2, &mut Taking::all()).unwrap()[0].recipients.len(), 2);
}

#[test]
fn a_deferred_destination_waits_as_a_whole_and_clocks_are_mended() {
    let (_directory, queue) = open();
    for to in ["a@far.example", "b@far.example", "c@near.example"] {
        queue.enqueue(message(&[to], b"x")).unwrap();
    }
    assert_eq!(queue.defer_destination("far.example", in_an_hour(), "no connection").unwrap(), 2);
    assert_eq!(due(&queue).len(), 1);
    let now = Timestamp::now();
    let next = queue.next_due(now).unwrap().unwrap();
    assert!(next > now + SignedDuration::from_mins(59));
    let reply = queue.list(None, 1).unwrap().remove(0).last_reply;
    assert_eq!(reply.as_deref(), Some("no connection"));

    assert_eq!(queue.clamp_next_attempts(now, in_an_hour()).unwrap(), 0);
    assert_eq!(queue.clamp_next_attempts(now, now + SignedDuration::from_mins(30)).unwrap(), 2);
    assert_eq!(due(&queue).len(), 3);
}

#[test]
fn the_operator_sees_the_queue_in_pages_and_why_it_is_held() {
    let (_directory, queue) = open();
    let ids: Vec<QueueId> = (0..3).map(|_| queue.enqueue(message(&["a@x.example"], b"x")).unwrap()).collect();
    assert_eq!(queue.list(None, 2).unwrap().iter().map(|summary| summary.id).collect::<Vec<_>>(), ids[..2]);
    queue.hold(Some("no tunnel"));
    let last = queue.list(Some(ids[1]), 2).unwrap();
    assert_eq!((last.len(), last[0].held_because.as_deref()), (1, Some("no tunnel")));
    queue.hold(None);
    assert_eq!(queue.show(ids[0]).unwrap().unwrap().summary.held_because, None);
    let json = serde_json::to_value(queue.show(ids[0]).unwrap()).unwrap();
    assert_eq!(json["recipient_details"][0]["state"], "waiting");
    assert_eq!(json["id"], ids[0].0);
}

#[test]
fn files_without_a_row_go_at_the_next_start() {
    let (directory, queue) = open();
    queue.enqueue(message(&["a@x.example"], b"x")).unwrap();
    std::fs::write(queue.content_dir.path().join("00112233445566778899aabbccddeeff"), b"left over").unwrap();
    drop(queue);
    assert_eq!(files(&Queue::open(crate::seal::tests::state_dir(directory.path())).unwrap()), 1);
}

#[test]
fn a_report_that_cannot_be_queued_leaves_no_file() {
    let (_directory, queue) = open();
    let id = queue.enqueue(message(&["bo@far.example"], b"x")).unwrap();
    let job = due(&queue).remove(0);
    let refuse = |connection: &Connection| {
        Ok::<_, Error>(connection.execute_batch(
            "CREATE TRIGGER refuse BEFORE INSERT ON message BEGIN SELECT RAISE(ABORT, 'no'); END",
        )?)
    };
    queue.database.write(refuse).unwrap();
    for _ in 0..3 {
        let report = message(&["ana@home.example"], b"report");
        queue.settle(id, vec![settlement(&job, 0, Outcome::Failed)], vec![report]).unwrap_err();
    }
    assert_eq!((queue.len().unwrap(), files(&queue)), (1, 1));
    assert_eq!(due(&queue), [job], "as before");
}

#[test]
fn a_damaged_row_keeps_nothing_else_waiting() {
    let (_directory, queue) = open();
    let all = ["a@x.example", "b@x.example", "c@x.example", "d@y.example"];
    let ids = all.map(|to| queue.enqueue(message(&[to], b"x")).unwrap());
    let [first, second] = [ids[0].0, ids[1].0];
    let damage = move |connection: &Connection| {
        connection.execute(
            "UPDATE recipient SET forward_path = 'a\u{1}', next_attempt = 0 WHERE message = ?1",
            [first],
        )?;
        connection.execute("UPDATE message SET reverse_path = '<>' WHERE id = ?1", [second])?;
        Ok::<_, Error>(())
    };
    queue.database.write(damage).unwrap();
    assert_eq!(due(&queue).iter().map(|job| job.message).collect::<Vec<_>>(), ids[2..]);
    let one_each = queue.due(Timestamp::now(), 100, &mut Taking::one_each()).unwrap();
    assert_eq!(one_each.len(), 2, "nor does it take a slot");
}

fn held_recipients(queue: &Queue) -> u32 {
    queue.list(None, 100).unwrap().iter().map(|summary| summary.held).sum()
}

fn submit(queue: &Queue, recipients: &[&str], allowance: Allowance) -> Submitted {
    queue.submit(message(recipients, b"x"), allowance).unwrap()
}

#[test]
fn an_account_beyond_its_allowance_is_held_with_all_that_waits() {
    let (directory, queue) = open();
    let allowance = Allowance { messages_per_hour: 2, ..Allowance::default() };
    let [first, second] = [(); 2].map(|()| submit(&queue, &["a@b.example"], allowance));
    let (Submitted::Queued(first), Submitted::Queued(second)) = (first, second) else {
        panic!("held too soon")
    };
    let other = NewMessage { sender: Some(AccountId(8)), ..message(&["a@b.example"], b"other") };
    assert!(matches!(queue.submit(other, allowance).unwrap(), Submitted::Queued(_)), "another user sends");
    queue.hold_message(second).unwrap();

    let Submitted::Held { id, reason, also } = submit(&queue, &["a@b.example"], allowance) else {
        panic!("not held")
    };
    assert_eq!(reason, "3 messages within an hour, where 2 are allowed");
    assert_eq!(also, [first], "what the operator holds is the operator's");
    assert_eq!((due(&queue).len(), held_recipients(&queue)), (1, 3));

    // Neither a restart nor a larger allowance lets it go.
    drop(queue);
    let queue = Queue::open(crate::seal::tests::state_dir(directory.path())).unwrap();
    assert!(matches!(submit(&queue, &["a@b.example"], Allowance::default()), Submitted::Held { .. }));
    let held: Vec<QueueId> = queue.held_of(AccountId(7)).unwrap().into_iter().map(|(id, _)| id).collect();
    assert_eq!((held.len(), held[..2].to_vec()), (3, vec![first, id]));
    assert_eq!(queue.held_senders().unwrap()[0].reason, reason);

    assert_eq!(queue.release_sender(AccountId(7), Fate::Sent).unwrap(), Some(held));
    assert_eq!((due(&queue).len(), held_recipients(&queue)), (4, 1));
    assert_eq!(queue.release_sender(AccountId(7), Fate::Sent).unwrap(), None);
    assert!(
        matches!(submit(&queue, &["a@b.example"], allowance), Submitted::Queued(_)),
        "counting begins anew"
    );
}

#[test]
fn what_was_held_may_be_dropped_and_a_held_account_fills_no_disk() {
    let (_directory, queue) = open();
    let allowance = Allowance { recipients_per_day: 1, ..Allowance::default() };
    for _ in 0..HELD_MAX {
        assert!(matches!(submit(&queue, &["a@b.example", "c@d.example"], allowance), Submitted::Held { .. }));
    }
    assert_eq!(submit(&queue, &["a@b.example"], allowance), Submitted::Full);
    assert_eq!((queue.len().unwrap(), files(&queue)), (u64::from(HELD_MAX), HELD_MAX as usize));
    let dropped = queue.release_sender(AccountId(7), Fate::Dropped).unwrap().unwrap();
    assert_eq!((dropped.len(), queue.len().unwrap(), files(&queue)), (HELD_MAX as usize, 0, 0));
}

#[test]
fn whom_one_has_written_to_is_not_new() {
    let (_directory, queue) = open();
    let allowance = Allowance { new_recipients_per_day: 2, ..Allowance::default() };
    for _ in 0..3 {
        assert!(matches!(
            submit(&queue, &["a@b.example", "A@b.example", "c@d.example"], allowance),
            Submitted::Queued(_)
        ));
    }
    let Submitted::Held { reason, .. } = submit(&queue, &["e@f.example"], allowance) else {
        panic!("not held")
    };
    assert_eq!(reason, "3 recipients within a day to whom it had never written, where 2 are allowed");
}

#[test]
fn a_message_with_a_time_of_its_own_goes_no_sooner() {
    let (_directory, queue) = open();
    let time = in_an_hour();
    let at = Timestamp::from_millisecond(time.as_millisecond()).unwrap();
    let deadline = Some(Deadline { time: at, late: Late::Returned, trace: true });
    let wishes = Wishes { not_before: Some(time), tls: TlsWish::Required, deadline, ..Wishes::default() };
    let id = queue.enqueue(NewMessage { wishes, ..message(&["a@b.example"], b"later") }).unwrap();
    let goes_no_sooner = || {
        assert!(due(&queue).is_empty());
        let job = queue.due(time, 1, &mut Taking::all()).unwrap().remove(0);
        assert_eq!(job.envelope.wishes.deadline, deadline);
        assert_eq!(
            (job.message, job.envelope.wishes.tls, job.envelope.begins()),
            (id, TlsWish::Required, Timestamp::from_millisecond(time.as_millisecond()).unwrap())
        );
    };
    goes_no_sooner();
    queue.retry(id).unwrap();
    queue.retry_all().unwrap();
    goes_no_sooner();
    queue.hold_message(id).unwrap();
    queue.release(id).unwrap();
    goes_no_sooner();
    queue.clamp_next_attempts(Timestamp::now(), Timestamp::now()).unwrap();
    goes_no_sooner();
    assert!(queue.show(id).unwrap().unwrap().summary.not_before.is_some());
    assert!(queue.drop_message(id).unwrap());
}

#[test]
fn a_check_names_each_message_whose_content_is_not_whole() {
    let (directory, queue) = open();
    crate::directory::Directory::open(crate::seal::tests::state_dir(directory.path())).unwrap();
    let inspection = Inspection::of(crate::seal::tests::state_dir(directory.path()));
    let [whole, gone, cut, empty] = [&b"whole\r\n"[..], b"gone\r\n", b"cut\r\n", b"empty\r\n"]
        .map(|content| queue.enqueue(message(&["bo@far.example"], content)).unwrap());
    assert_eq!(inspection.verify_server(), Vec::<String>::new());

    let path = |id: QueueId| {
        let name: String = queue
            .database
            .read(|connection: &Connection| {
                Ok::<_, Error>(connection.query_row(
                    "SELECT content FROM message WHERE id = ?1",
                    [id.0],
                    |row| row.get(0),
                )?)
            })
            .unwrap();
        directory.path().join("queue").join(name)
    };
    let shorten = |id: QueueId, by: u64| {
        let file = std::fs::OpenOptions::new().write(true).open(path(id)).unwrap();
        file.set_len(file.metadata().unwrap().len().saturating_sub(by)).unwrap();
    };
    std::fs::remove_file(path(gone)).unwrap();
    shorten(cut, 1);
    shorten(empty, u64::MAX);

    let damages = inspection.verify_server();
    assert_eq!(damages.len(), 3, "{damages:?}");
    for (damage, id) in damages.iter().zip([gone, cut, empty]) {
        assert!(damage.starts_with(&format!("queue.sqlite: message {id}: queue/")), "{damage}");
    }
    for id in [gone, cut, empty] {
        assert!(queue.drop_message(id).unwrap());
    }
    assert_eq!(inspection.verify_server(), Vec::<String>::new());
    assert!(queue.content(whole).unwrap().is_some());
}
