//! Kills a process at random moments while it queues, holds, releases and settles, and looks at what is left.
//!
//! The child is this test program itself, run again with `POSTERN_QUEUE_CRASH` naming the state directory. It writes a
//! line to its output before and after each step; what it said is done must be so after its death.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;

use super::tests::Taking;
use super::*;

const CHILD: &str = "POSTERN_QUEUE_CRASH";
const KILLS: u64 = 25;

fn message(content: &[u8]) -> NewMessage<'_> {
    NewMessage {
        reverse_path: "ana@home.example".parse().ok(),
        recipients: vec![NewRecipient::new("bo@far.example".parse().expect("an address"))],
        sender: None,
        forwarder: None,
        prepend: Vec::new(),
        content: Content::Bytes(content),
        smtp_utf8: false,
        envelope_id: None,
        ret: Ret::Headers,
        wishes: Default::default(),
        story: crate::journal::StoryId::of_session("test"),
    }
}

/// The child's whole life: queues messages from several threads, and settles them from one more; every third one fails
/// and has a report queued. Does nothing in an ordinary test run.
#[test]
fn child() {
    let Some(state_dir) = std::env::var_os(CHILD) else { return };
    let queue = Queue::open(crate::seal::tests::state_dir(Path::new(&state_dir)))
        .expect("the queue opens after every kill");
    std::thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(|| {
                loop {
                    let id = queue.enqueue(message(b"content\r\n")).expect("queued");
                    say(&format!("queued {id}"));
                }
            });
        }
        threads.spawn(|| {
            loop {
                let id = queue.enqueue(message(b"content\r\n")).expect("queued");
                say(&format!("queued {id}"));
                if queue.hold_message(id).expect("held") {
                    say(&format!("held {id}"));
                    if id.0 % 2 == 0 {
                        say(&format!("releasing {id}"));
                        queue.release(id).expect("released");
                    }
                }
            }
        });
        threads.spawn(|| {
            loop {
                for job in
                    queue.due(Timestamp::now(), 10, &mut Taking { left: 5, ..Taking::all() }).expect("due")
                {
                    settle(&queue, &job);
                }
            }
        });
    });
}

fn settle(queue: &Queue, job: &Job) {
    let is_report = job.envelope.reverse_path.is_none();
    let fails = !is_report && job.message.0 % 3 == 0;
    let outcome = if fails { Outcome::Failed } else { Outcome::Delivered };
    let settlement =
        Settlement { recipient: job.recipients[0].id, outcome, reply: "x".into(), remote_host: None };
    let report = NewMessage { reverse_path: None, ..message(b"report\r\n") };
    say(&format!("settling {}", job.message));
    let reports = if fails { vec![report] } else { Vec::new() };
    let settled = queue.settle(job.message, vec![settlement], reports).expect("settled");
    say(&format!("settled {} {}", job.message, settled.reports.first().map_or(0, |id| id.0)));
}

fn say(line: &str) {
    // One write for each line; a half line at the end of a killed child's output is passed over.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Runs the child for a while, kills it, and gives the lines it completed.
fn run_and_kill(state_dir: &Path, after: Duration) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "queue::crash::child", "--nocapture", "--test-threads=1"])
        .env(CHILD, state_dir)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let output = BufReader::new(child.stderr.take().expect("piped"));
    let reader = std::thread::spawn(move || output.lines().map_while(Result::ok).collect::<Vec<_>>());
    std::thread::sleep(after);
    child.kill().expect("killed");
    child.wait().expect("gone");
    reader.join().expect("read")
}

#[test]
fn nothing_is_lost_and_nothing_comes_back() {
    let directory = tempfile::tempdir().expect("a directory");
    // A directory whose sealing was killed opens for nobody until it has ended.
    crate::seal::tests::state_dir(directory.path());
    let mut waiting = HashSet::new();
    let mut settled = HashMap::new();
    let mut in_doubt = HashSet::new();
    let mut held = HashSet::new();
    // On a busy machine a child may be killed before it has done anything; then there are more rounds, and longer ones.
    for kill in 0..10 * KILLS {
        if kill >= KILLS && settled.len() > 20 {
            break;
        }
        // Spread over the time of some commits.
        for line in
            run_and_kill(directory.path(), Duration::from_millis(60 + kill * 7 % 50 + kill / KILLS * 60))
        {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |index: usize| words.get(index).and_then(|word| word.parse::<i64>().ok());
            match (words[0], number(1), number(2)) {
                ("queued", Some(id), None) => {
                    waiting.insert(id);
                }
                ("held", Some(id), None) => {
                    held.insert(id);
                }
                ("releasing", Some(id), None) => {
                    held.remove(&id);
                }
                ("settling", Some(id), None) => {
                    in_doubt.insert(id);
                }
                ("settled", Some(id), Some(report)) => {
                    settled.insert(id, report);
                    if report != 0 {
                        waiting.insert(report);
                    }
                }
                _ => panic!("the child said {line:?}"),
            }
        }
        check(directory.path(), &waiting, &settled, &in_doubt);
        check_held(directory.path(), &held, &in_doubt);
    }
    assert!(!held.is_empty(), "the child held messages");
    assert!(settled.len() > 20, "the child did work: {} settled", settled.len());
}

/// What was said to be queued is there unless it was settled, or was being settled when the end came; what was said to
/// be settled is not there; every row has its file, and no file is without its row.
fn check(state_dir: &Path, waiting: &HashSet<i64>, settled: &HashMap<i64, i64>, in_doubt: &HashSet<i64>) {
    let queue = Queue::open(crate::seal::tests::state_dir(state_dir)).expect("opens");
    let present: HashSet<i64> =
        queue.list(None, usize::MAX).expect("listed").iter().map(|summary| summary.id.0).collect();
    for id in waiting {
        let gone_rightly = settled.contains_key(id) || in_doubt.contains(id);
        assert!(present.contains(id) || gone_rightly, "message {id} is lost");
    }
    for id in settled.keys() {
        assert!(!present.contains(id), "message {id} came back");
    }
    for id in &present {
        assert!(
            queue.content(QueueId(*id)).expect("readable").is_some(),
            "message {id} has lost its content"
        );
    }
    let files = std::fs::read_dir(state_dir.join("queue")).expect("listed").count();
    assert_eq!(files, present.len(), "files and rows");
}

/// What was said to be held is, but for what was being delivered when it was.
fn check_held(state_dir: &Path, held: &HashSet<i64>, in_doubt: &HashSet<i64>) {
    let queue = Queue::open(crate::seal::tests::state_dir(state_dir)).expect("opens");
    for id in held.difference(in_doubt) {
        let detail = queue.show(QueueId(*id)).expect("readable").expect("not lost");
        assert_eq!(detail.summary.held, 1, "message {id} is no longer held");
    }
}
