//! Fairness: what one user sends keeps no other waiting.

use std::collections::VecDeque;

use postern_store::account::AccountId;
use postern_store::queue::{Job, Kind, Lane, Slots, choose};
use proptest::prelude::*;

use super::super::schedule::tests::job;
use super::super::schedule::{Concurrency, Moment, Schedule};
use super::*;

const ANA: Lane = Lane { account: Some(AccountId(1)), kind: Kind::Personal };
const ANAS: QueueId = QueueId(-1);

/// A queue in memory under the real schedule; time goes in ticks.
struct Model {
    slots: Moment,
    waiting: VecDeque<Job>,
    /// With the tick at which each ends.
    running: Vec<(u32, Job)>,
    tick: u32,
}

impl Model {
    /// Lets a tick pass: what has come to its end ends, and what may begin begins, to last for so many ticks.
    fn pass(&mut self, mut lasting: impl FnMut(&Job) -> u32) {
        self.tick += 1;
        for (_, job) in self.running.extract_if(.., |(end, _)| *end <= self.tick) {
            self.slots.schedule.end(job.message, &job.domain);
        }
        let mut lanes: Vec<Lane> = self.waiting.iter().map(|job| job.lane).collect();
        lanes.sort();
        lanes.dedup();
        let next = |lane, slots: &Moment| {
            let may_begin = |job: &&Job| {
                job.lane == lane
                    && !slots.is_busy(job.message, &job.domain)
                    && slots.is_free(lane, &job.domain)
            };
            Ok::<_, ()>(self.waiting.iter().find(may_begin).cloned())
        };
        let begun = choose(lanes, &mut self.slots, next).unwrap();
        self.waiting.retain(|job| !begun.iter().any(|begun| begun.message == job.message));
        self.running.extend(begun.into_iter().map(|job| (self.tick + lasting(&job), job)));
    }

    fn is_running(&self, message: QueueId) -> bool {
        self.running.iter().any(|(_, job)| job.message == message)
    }
}

/// Another user's mail: so many messages to so many destinations.
fn flood(lane: Lane, messages: i64, destinations: i64) -> Vec<Job> {
    let first = i64::from(lane.account.unwrap().0) * 100_000;
    let domain = |number: i64| format!("{}.example", number % destinations);
    (0..messages).map(|number| Job { lane, ..job(first + number, &domain(number)) }).collect()
}

fn model(floods: Vec<Job>) -> Model {
    let slots = Moment { schedule: Schedule::new(Concurrency::default()), now: Timestamp::UNIX_EPOCH };
    Model { slots, waiting: floods.into(), running: Vec::new(), tick: 0 }
}

fn anas(domain: &str) -> Job {
    Job { lane: ANA, ..job(ANAS.0, domain) }
}

#[test]
fn ten_thousand_messages_do_not_delay_one() {
    for (destinations, anas_domain) in [(1, "0.example"), (1, "far.example"), (5000, "4000.example")] {
        for kind in [Kind::Personal, Kind::Bulk] {
            let other = Lane { account: Some(AccountId(2)), kind };
            let mut model = model(flood(other, 10_000, destinations));
            (0..100).for_each(|_| model.pass(|job| 1 + u32::try_from(job.message.0 % 7).unwrap()));
            model.waiting.push_back(anas(anas_domain));
            model.pass(|_| 3);
            assert!(model.is_running(ANAS), "{kind:?} to {destinations}");
        }
    }
}

#[test]
fn nobody_waits_for_destinations_that_do_not_answer() {
    let other = Lane { account: Some(AccountId(2)), kind: Kind::Personal };
    let mut model = model(flood(other, 1000, 1000));
    model.pass(|_| u32::MAX / 2);
    model.waiting.push_back(anas("far.example"));
    model.pass(|_| 1);
    assert!(model.is_running(ANAS));
    model.pass(|_| 1);
    assert!(!model.is_running(ANAS));
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Personal), Just(Kind::Bulk), Just(Kind::Forwarded)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// With two others something is always left; with more of them the first slot that is given back is Ana's.
    #[test]
    fn a_message_begins_at_once_or_with_the_next_slot(
        floods in proptest::collection::vec((kinds(), 1i64..400, 1i64..60), 1..6),
        to in 0i64..60,
        arrival in 0u32..40,
        durations in proptest::collection::vec(1u32..30, 1..50),
    ) {
        let lane = |(index, (kind, ..)): (u32, &(Kind, i64, i64))| Lane { account: Some(AccountId(index + 2)), kind: *kind };
        let jobs = (0..).zip(&floods).flat_map(|(index, one)| flood(lane((index, one)), one.1, one.2));
        let mut model = model(jobs.collect());
        let lasting = |job: &Job| durations[usize::try_from(job.message.0.unsigned_abs()).unwrap() % durations.len()];
        (0..arrival).for_each(|_| model.pass(lasting));
        let domain = format!("{to}.example");
        model.waiting.push_back(anas(&domain));
        let at_her_destination = |model: &Model| model.running.iter().filter(|(_, job)| job.domain == domain).map(|(end, _)| *end).min();
        let next_end = at_her_destination(&model);
        model.pass(lasting);
        if floods.len() <= 2 {
            prop_assert!(model.is_running(ANAS));
        }
        while !model.is_running(ANAS) {
            prop_assert!(model.tick < next_end.expect("only a busy destination makes her wait"));
            model.pass(lasting);
        }
    }

    #[test]
    fn all_of_it_is_sent(floods in proptest::collection::vec((kinds(), 1i64..200, 1i64..20), 1..5)) {
        let lane = |index: u32, kind| Lane { account: Some(AccountId(index + 2)), kind };
        let jobs = (0..).zip(&floods).flat_map(|(index, (kind, messages, to))| flood(lane(index, *kind), *messages, *to));
        let mut model = model(jobs.collect());
        let most = u32::try_from(model.waiting.len()).unwrap() * 2 + 2;
        while !(model.waiting.is_empty() && model.running.is_empty()) {
            model.pass(|_| 1);
            prop_assert!(model.tick <= most, "{} wait for nothing", model.waiting.len());
        }
    }
}

/// The same over the real queue, to one destination that takes one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn one_message_overtakes_what_another_user_has_queued() {
    let (mut settings, seen) = far_server(FAR, Behaviour::default()).await;
    settings.concurrency = Concurrency { total: 2, per_destination: 1 };
    let home = Home::start(&far(FAR), settings, LinkState::Connecting).await;
    home.directory.add_user(&"ben@home.example".parse().unwrap(), "correct horse battery").unwrap();
    for number in 0..40 {
        home.enqueue(&[&format!("bo{number}@far.example")]);
    }
    let bens = home.enqueue_from("ben@home.example", &["ben@far.example"], CONTENT);
    home.link.send_replace(status(LinkState::Connected));
    home.until_gone(bens).await;
    let position = seen.lock().unwrap().taken.iter().position(|taken| taken.rcpt == ["ben@far.example"]);
    assert!(position.is_some_and(|before| before <= 2), "{position:?}");
    home.stop().await;
}
