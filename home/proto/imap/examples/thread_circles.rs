//! How long THREAD=REFERENCES takes with mail made to be slow: pairs whose first message hangs below a long line of messages that
//! are not there, after its answer came. Prints the seconds of 10,101, 20,202 and 40,405 messages; growth beyond that of their
//! number is what is looked for.
//!
//! `cargo run --release -p postern-imap --example thread_circles`

use std::num::NonZeroU64;
use std::time::Instant;

use postern_imap::thread::{Algorithm, SubjectKind, Threadable, Threadables, threads};

fn main() {
    for messages in [10_101, 20_202, 40_405] {
        let line = messages / 101 * 99;
        let made = pairs_below_a_line(messages, u64::from(line));
        let begun = Instant::now();
        let forest = threads(Algorithm::References, made);
        println!("{messages} messages, {} nodes: {:.3} s", forest.0.len(), begun.elapsed().as_secs_f64());
    }
}

/// Ids up to `line` are of missing messages, each below the one before it.
fn pairs_below_a_line(messages: u32, line: u64) -> Threadables {
    let mut made = Threadables::default();
    let mut uid = 0;
    for begin in (0..line).step_by(99) {
        uid += 1;
        made.push(message(uid, None), (begin..(begin + 100).min(line)).map(|at| at + 1));
    }
    while uid < messages {
        let id = 1_000_000 + u64::from(uid);
        made.push(message(uid + 1, None), [id]);
        made.push(message(uid + 2, NonZeroU64::new(id)), [line]);
        uid += 2;
    }
    made
}

fn message(uid: u32, message_id: Option<NonZeroU64>) -> Threadable {
    let base_subject = NonZeroU64::new(uid.into());
    Threadable { uid, sent: uid.into(), base_subject, kind: SubjectKind::Original, message_id }
}
