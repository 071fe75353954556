//! Evidence of guessing, gathered into batches.
//!
//! In: one report for each client whose logins have failed too often. Out: batches of distinct clients: the first report
//! at once, then what has come in a second, in two, and so on up to [`LAST_PAUSE`] while they keep coming. Each batch costs
//! a write of the whole list and a push of it to the edge, megabytes where it is full: however many guess at once, that
//! must stay far below what the line carries. Refused: more than [`MOST`] clients in a batch; they fail again and come with
//! the next.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// The pause after the first batch.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause between batches.
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// Clients in one batch.
const MOST: usize = 4096;

/// The reports that come, and how long to wait for more of them.
pub struct Gathering {
    inbox: mpsc::Receiver<IpAddr>,
    pauses: [Duration; 2],
    /// The pause before the next batch; `None` while all is quiet.
    pause: Option<Duration>,
}

impl Gathering {
    /// Gathers what comes through a channel.
    pub fn new(inbox: mpsc::Receiver<IpAddr>) -> Self {
        Self { inbox, pauses: [FIRST_PAUSE, LAST_PAUSE], pause: None }
    }

    /// The next batch, never an empty one; `None` once the channel's other end is gone.
    pub async fn next(&mut self) -> Option<BTreeSet<IpAddr>> {
        let [first, last] = self.pauses;
        if let Some(pause) = self.pause {
            let clients = self.gather(pause).await;
            if !clients.is_empty() {
                self.pause = Some((pause * 2).min(last));
                return Some(clients);
            }
        }
        self.pause = Some(first);
        self.inbox.recv().await.map(|client| BTreeSet::from([client]))
    }

    async fn gather(&mut self, pause: Duration) -> BTreeSet<IpAddr> {
        let (end, mut clients) = (Instant::now() + pause, BTreeSet::new());
        while let Ok(Some(client)) = timeout_at(end, self.inbox.recv()).await {
            if clients.len() < MOST {
                clients.insert(client);
            }
        }
        clients
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u32) -> IpAddr {
        std::net::Ipv4Addr::from(0x0b00_0000 + number).into()
    }

    #[tokio::test]
    async fn the_first_report_comes_at_once_and_many_come_in_few_batches() {
        let (report, inbox) = mpsc::channel(64);
        let pauses = [Duration::from_millis(10), Duration::from_millis(160)];
        let mut gathering = Gathering { pauses, ..Gathering::new(inbox) };
        report.send(client(0)).await.expect("open");
        assert_eq!(gathering.next().await, Some(BTreeSet::from([client(0)])));
        let guessing = tokio::spawn(async move {
            for number in 1..500 {
                report.send(client(number)).await.expect("open");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        let start = Instant::now();
        let (mut batches, mut clients) = (0, BTreeSet::new());
        while let Some(batch) = gathering.next().await {
            assert!(!batch.is_empty());
            batches += 1;
            clients.extend(batch);
        }
        guessing.await.expect("ended");
        assert_eq!(clients.len(), 499, "none is lost");
        // Four pauses grow, the others are 160 ms; a machine that is busy makes fewer batches in the same time.
        let most = 6 + start.elapsed().as_millis() / 160;
        assert!(batches <= most, "{batches} batches, {most} are enough");
    }

    #[tokio::test]
    async fn after_a_quiet_time_the_next_report_comes_at_once() {
        let (report, inbox) = mpsc::channel(64);
        let pauses = [Duration::from_millis(1), Duration::from_millis(1)];
        let mut gathering = Gathering { pauses, ..Gathering::new(inbox) };
        for number in [1, 2] {
            report.send(client(number)).await.expect("open");
            assert_eq!(gathering.next().await, Some(BTreeSet::from([client(number)])));
            assert!(gathering.gather(Duration::from_millis(1)).await.is_empty());
        }
        drop(report);
        assert_eq!(gathering.next().await, None);
    }
}
