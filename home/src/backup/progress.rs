//! How far a backup is, on standard error where that is a terminal.

use std::io::{IsTerminal, Write, stderr};
use std::sync::atomic::{AtomicU64, Ordering};

use rustic_core::{ProgressBars, ProgressType, RusticProgress};

/// Whether it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nowhere.
    Hidden,
    /// On standard error.
    Terminal,
}

impl Progress {
    /// On standard error, where that is a terminal.
    pub fn of_terminal() -> Self {
        if stderr().is_terminal() { Self::Terminal } else { Self::Hidden }
    }
}

impl ProgressBars for Progress {
    fn progress(&self, kind: ProgressType, title: &str) -> rustic_core::Progress {
        match (self, kind) {
            (Self::Terminal, ProgressType::Counter | ProgressType::Bytes) => {
                rustic_core::Progress::new(Line { title: title.to_owned(), ..Line::default() })
            }
            _ => rustic_core::Progress::hidden(),
        }
    }
}

/// One line, written anew at each percent.
#[derive(Debug, Default)]
struct Line {
    title: String,
    done: AtomicU64,
    total: AtomicU64,
    shown: AtomicU64,
}

impl RusticProgress for Line {
    fn is_hidden(&self) -> bool {
        false
    }

    fn set_length(&self, length: u64) {
        self.total.store(length, Ordering::Relaxed);
    }

    fn set_title(&self, _title: &str) {}

    fn inc(&self, step: u64) {
        let done = self.done.fetch_add(step, Ordering::Relaxed).saturating_add(step);
        let total = self.total.load(Ordering::Relaxed).max(1);
        let percent = done.min(total).saturating_mul(100) / total;
        if self.shown.swap(percent, Ordering::Relaxed) != percent {
            // A picture that cannot be shown is missed by nobody.
            let _ = write!(stderr().lock(), "\r{} {percent:3} %\x1b[K", self.title);
        }
    }

    fn finish(&self) {
        let _ = write!(stderr().lock(), "\r\x1b[K");
    }
}
