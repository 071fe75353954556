//! Prints how many messages a second are delivered durably, and read whole, by size of message and number of writers: plain, and
//! sealed.
//!
//! `cargo run --release -p postern-store --example delivery_rate [DIRECTORY]`; the directory should be on the disk
//! that is to be measured.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use postern_store::account::{Account, AccountId, Detail, Flags, UidSet};
use postern_store::seal::{self, Envelope, Secret};
use postern_store::{Delivery, Place, Store, Timestamp};

const TIME: Duration = Duration::from_secs(4);

fn main() -> anyhow::Result<()> {
    let parent = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    println!("{:>8} {:>8} {:>8} {:>12} {:>8}", "", "octets", "writers", "delivered/s", "read/s");
    for size in [5_000, 50_000, 500_000] {
        for writers in [1, 20] {
            for (form, open) in [("plain", plain as fn(&Path) -> Place), ("sealed", sealed)] {
                let directory = tempfile::tempdir_in(&parent)?;
                let store = Store::open(open(directory.path()))?;
                store.account(AccountId(1))?;
                let delivered = rate(&store, size, writers);
                drop(store);
                // Opened again, so that nothing comes from SQLite's cache.
                let account = Store::open(open(directory.path()))?.account(AccountId(1))?;
                println!("{form:>8} {size:>8} {writers:>8} {delivered:>12.0} {:>8.0}", read_rate(&account)?);
            }
        }
    }
    Ok(())
}

fn plain(directory: &Path) -> Place {
    Place::from(directory)
}

fn sealed(directory: &Path) -> Place {
    let secret = Secret::Key(vec![7; 32].into());
    let made = Envelope::of(directory).expect("readable").is_some();
    if !made {
        seal::seal(directory, &secret, &mut |_| {}).expect("sealed");
    }
    let envelope = Envelope::of(directory).expect("readable").expect("sealed");
    envelope.unseal(directory, &secret).expect("unsealed")
}

fn read_rate(account: &Account) -> anyhow::Result<f64> {
    let inbox = account.mailbox_named("INBOX")?.id;
    let (begin, mut messages) = (Instant::now(), 0);
    for message in account.messages(inbox, &UidSet::all(), Detail::Structure) {
        account.read_blob(message?.email.blob, 0..u64::MAX)?;
        messages += 1;
    }
    Ok(f64::from(messages) / begin.elapsed().as_secs_f64())
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
