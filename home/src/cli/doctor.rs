//! `postern-home doctor`.

use std::io::IsTerminal;
use std::thread;
use std::time::Duration;

use postern_shared::cli::{Exit, Failure};

use super::client::Client;
use crate::doctor::{Report, Verdict};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(15);
/// Clears the terminal and goes to its first line (ECMA-48 ED, CUP).
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

pub(super) fn doctor(client: &Client, watch: bool) -> Result<Exit, Failure> {
    let mut before: Option<Report> = None;
    loop {
        let report: Report = client.fetch("/v1/doctor")?;
        if !watch {
            client.print(&report, &report)?;
            return Ok(report.exit());
        }
        // Where nobody looks on, only what has changed is worth a line.
        if before.as_ref().is_none_or(|before| before.rows != report.rows) {
            if std::io::stdout().is_terminal() && !client.is_for_programs() {
                print!("{CLEAR}");
            }
            client.print(&report, &report)?;
        }
        if report.worst() == Verdict::Well {
            return Ok(Exit::Done);
        }
        before = Some(report);
        thread::sleep(EVERY);
    }
}
