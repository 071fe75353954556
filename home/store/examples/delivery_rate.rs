//! Prints how many messages a second are delivered durably, by size of message and number of writers.
//!
//! `cargo run --release -p postern-store --example delivery_rate [DIRECTORY]`; the directory should be on the disk
//! that is to be measured.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use postern_store::account::{AccountId, Flags};
use postern_store::{Delivery, Store, Timestamp};

const TIME: Duration = Duration::from_secs(4);

fn main() -> anyhow::Result<()> {
    let parent = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    println!("{:>10} {:>8} {:>10}", "octets", "writers", "msg/s");
    for size in [5_000, 50_000, 500_000] {
        for writers in [1, 20] {
            let directory = tempfile::tempdir_in(&parent)?;
            let store = Store::open(directory.path())?;
            store.account(AccountId(1))?;
            println!("{size:>10} {writers:>8} {:>10.0}", rate(&store, size, writers));
        }
    }
    Ok(())
}

fn rate(store: &Store, size: usize, writers: usize) -> f64 {
    let (begin, number) = (Instant::now(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..writers {
            scope.spawn(|| {
                while begin.elapsed() < TIME {
                    deliver(store, number.fetch_add(1, Ordering::Relaxed), size);
                }
            });
        }
    });
    number.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64()
}

fn deliver(store: &Store, number: u64, size: usize) {
    let mut staging = store.stage();
    let mut message = format!(
        "From: Ana <ana@home.example>\r\nTo: bo@home.example\r\nSubject: message {number}\r\n\
         Message-ID: <{number}@home.example>\r\nDate: Sun, 22 Nov 2026 12:00:00 +0000\r\n\r\n"
    );
    while message.len() < size {
        message.push_str("A line of text as it stands in a message, seventy-odd octets of it.\r\n");
    }
    staging.write(message.as_bytes()).expect("staging is writable");
    let message = Arc::new(staging.finish().expect("staging is writable"));
    let delivery = Delivery {
        account: AccountId(1),
        mailbox: None,
        flags: Flags::default(),
        internal_date: Timestamp::UNIX_EPOCH,
    };
    store.deliver(&message, &[delivery]).remove(0).expect("the message is delivered");
}
