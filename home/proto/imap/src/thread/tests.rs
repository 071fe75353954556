use std::hash::{DefaultHasher, Hash, Hasher};

use proptest::prelude::*;

use super::*;

/// A number for a text: another one for another text.
fn number(text: &str) -> NonZeroU64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    NonZeroU64::new(hasher.finish()).unwrap()
}

/// A message, and what it refers to.
type Made = (Threadable, Vec<u64>);

fn message(uid: u32, subject: &str, id: &str, references: &[&str]) -> Made {
    let base = subject.trim_start_matches("Re: ");
    let kind = if base == subject { SubjectKind::Original } else { SubjectKind::ReplyOrForward };
    let message = Threadable {
        uid,
        sent: i64::from(uid),
        base_subject: (!base.is_empty()).then(|| number(base)),
        kind,
        message_id: (!id.is_empty()).then(|| number(id)),
    };
    (message, references.iter().map(|id| number(id).get()).collect())
}

fn threadables(made: Vec<Made>) -> Threadables {
    let mut messages = Threadables::default();
    made.into_iter().for_each(|(message, references)| messages.push(message, references));
    messages
}

fn written(algorithm: Algorithm, made: Vec<Made>) -> String {
    encoded(&threads(algorithm, threadables(made)))
}

fn encoded(forest: &Forest) -> String {
    let mut out = Vec::new();
    forest.encode(&|uid| uid, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn nests_as_the_rfc_shows() {
    let node = |uid, children| Node { uid, children };
    // RFC 5256 §4, the first example.
    let example = [(3, 1), (6, 2), (4, 1), (23, 0), (44, 1), (7, 1), (96, 0)];
    let mut nodes = vec![node(Some(2), 0)];
    nodes.extend(example.map(|(uid, children)| node(Some(uid), children)));
    nodes.extend([node(None, 2), node(Some(3), 0), node(Some(5), 0)]);
    assert_eq!(encoded(&Forest(nodes)), "(2)(3 6 (4 23)(44 7 96))((3)(5))");
}

#[test]
fn equal_subjects() {
    let messages = vec![message(1, "a", "", &[]), message(2, "b", "", &[]), message(3, "Re: a", "", &[])];
    let more = [messages, vec![message(4, "Re: a", "", &[])]].concat();
    assert_eq!(written(Algorithm::OrderedSubject, more), "(1 (3)(4))(2)");
}

#[test]
fn answers_below_what_they_answer() {
    let messages = vec![
        message(1, "a", "one", &[]),
        message(2, "Re: a", "two", &["one"]),
        message(3, "Re: a", "three", &["one", "two"]),
        message(4, "Re: a", "four", &["one"]),
    ];
    assert_eq!(written(Algorithm::References, messages), "(1 (2 3)(4))");
}

#[test]
fn a_missing_parent_joins_its_children() {
    let two = vec![message(1, "x", "one", &["gone"]), message(2, "y", "two", &["gone"])];
    assert_eq!(written(Algorithm::References, two), "((1)(2))");
    assert_eq!(written(Algorithm::References, vec![message(1, "x", "one", &["gone"])]), "(1)");
}

#[test]
fn a_subject_joins_what_no_reference_does() {
    let messages = vec![message(1, "a", "", &[]), message(2, "Re: a", "", &[]), message(3, "b", "", &[])];
    assert_eq!(written(Algorithm::References, messages), "(1 2)(3)");
    let originals = vec![message(1, "a", "", &[]), message(2, "a", "", &[])];
    assert_eq!(written(Algorithm::References, originals), "((1)(2))");
    // The answer came first; what it answers is the table's all the same.
    let late = vec![message(1, "Re: a", "", &[]), message(2, "a", "", &[])];
    assert_eq!(written(Algorithm::References, late), "(2 1)");
}

#[test]
fn circles_and_depth() {
    let circle = vec![message(1, "a", "one", &["two"]), message(2, "b", "two", &["one"])];
    assert_eq!(written(Algorithm::References, circle), "(2 1)");
    let chain: Vec<Made> = (1..50_000u32)
        .map(|uid| message(uid, &uid.to_string(), &uid.to_string(), &[&(uid - 1).to_string()]))
        .collect();
    assert!(written(Algorithm::References, chain).starts_with("(1 2 3 4 "));
}

/// Each dummy is taken apart once: handing the children up one by one, these would take minutes.
#[test]
fn many_children_below_a_long_line_of_missing_parents() {
    const LENGTH: u32 = 50_000;
    let line: Vec<String> = (0..LENGTH).map(|at| format!("gone{at}")).collect();
    let last = line.last().unwrap().as_str();
    let mut messages = vec![message(1, "a", "", &line.iter().map(String::as_str).collect::<Vec<_>>())];
    messages.extend((2..=LENGTH).map(|uid| message(uid, "a", "", &[last])));
    let begun = std::time::Instant::now();
    assert!(written(Algorithm::References, messages).starts_with("((1)(2)(3)"));
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// Each leaves its parent for another one: looking it up among its siblings, these would take minutes.
#[test]
fn many_siblings_that_leave() {
    const COUNT: u32 = 60_000;
    let id = |number: u32| format!("id{number}");
    // The first ones name all the others as children of one message; then each says that it answers another one.
    let mut messages = vec![message(1, "a", "top", &[])];
    messages.extend((2..COUNT).map(|uid| message(uid, "a", "", &["top", &id(uid)])));
    messages.extend((2..COUNT).map(|uid| message(COUNT + uid, "a", &id(uid), &["other"])));
    let begun = std::time::Instant::now();
    let text = written(Algorithm::References, messages);
    assert_eq!(text.matches('(').count(), text.matches(')').count());
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// Pairs whose first message hangs below a long line of missing ones after its answer came: walking to the top for each,
/// these took time with the square of their number.
fn pairs_below_a_line(messages: u32, line: u32) -> Threadables {
    let mut made = Threadables::default();
    let mut push = |uid: u32, id: u64, references: &mut dyn Iterator<Item = u64>| {
        let message =
            Threadable { message_id: NonZeroU64::new(id), ..message(uid, &uid.to_string(), "", &[]).0 };
        made.push(message, references);
    };
    let line = u64::from(line);
    let lines = (0..line).step_by(99);
    let mut uid = 0;
    for begin in lines {
        uid += 1;
        push(uid, 0, &mut (begin..(begin + 100).min(line)).map(|at| at + 1));
    }
    while uid < messages {
        let id = 1_000_000 + u64::from(uid);
        push(uid + 1, 0, &mut std::iter::once(id));
        push(uid + 2, id, &mut std::iter::once(line));
        uid += 2;
    }
    made
}

#[test]
fn answered_messages_below_a_long_line_of_missing_parents() {
    let begun = std::time::Instant::now();
    let forest = threads(Algorithm::References, pairs_below_a_line(40_405, 40_000));
    assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(forest.0.iter().filter(|node| node.uid.is_some()).count(), 40_405);
    let small = pairs_below_a_line(2_000, 1_000);
    assert_eq!(threads(Algorithm::References, small.clone()), references::tests::by_walking(&small));
}

proptest! {
    /// References at random, circles and all: the same threads as by walking to the top each time.
    #[test]
    fn circles_are_found_as_by_walking(
        made in prop::collection::vec((0u8..30, prop::collection::vec(0u8..40, 0..6)), 0..60),
    ) {
        let messages = (1..).zip(&made).map(|(uid, (id, references))| {
            let ids: Vec<String> = references.iter().map(u8::to_string).collect();
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            message(uid, &uid.to_string(), &id.to_string(), &ids)
        });
        let messages = threadables(messages.collect());
        let walked = references::tests::by_walking(&messages);
        prop_assert_eq!(&references::tests::by_paths(&messages), &walked);
        prop_assert_eq!(&threads(Algorithm::References, messages), &walked);
    }

    #[test]
    fn every_message_stands_once(
        made in prop::collection::vec(("[ab]", prop::bool::ANY, 0u8..6, prop::collection::vec(0u8..8, 0..4)), 0..12),
    ) {
        let messages: Vec<Made> = (1..).zip(&made).map(|(uid, (subject, reply, id, references))| {
            let subject = if *reply { format!("Re: {subject}") } else { subject.clone() };
            let ids: Vec<String> = references.iter().map(u8::to_string).collect();
            message(uid, &subject, &id.to_string(), &ids.iter().map(String::as_str).collect::<Vec<_>>())
        }).collect();
        for algorithm in [Algorithm::OrderedSubject, Algorithm::References] {
            let text = written(algorithm, messages.clone());
            let numbers = text.split(|letter: char| !letter.is_ascii_digit()).filter(|word| !word.is_empty());
            let mut found: Vec<u32> = numbers.map(|word| word.parse().unwrap()).collect();
            found.sort_unstable();
            prop_assert_eq!(found, (1..=made.len() as u32).collect::<Vec<_>>(), "{}", text);
            prop_assert_eq!(text.matches('(').count(), text.matches(')').count());
        }
    }
}
