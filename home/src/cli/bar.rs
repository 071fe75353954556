//! A bar of progress on a terminal.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

/// Columns of the bar.
const WIDTH: u64 = 30;
/// Columns for what stands behind it.
const WHAT: usize = 40;
/// Between two pictures.
const PAUSE: Duration = Duration::from_millis(100);

/// How far an import is, on standard error where that is a terminal.
pub(super) struct Bar {
    shown: Option<Instant>,
    is_wanted: bool,
}

impl Bar {
    /// Empty.
    pub(super) fn new() -> Bar {
        Bar { shown: None, is_wanted: stderr().is_terminal() }
    }

    /// Shows so many octets of so many, unless it has just been shown.
    pub(super) fn show(&mut self, behind: u64, total: u64, what: &str) {
        if !self.is_wanted || self.shown.is_some_and(|shown| shown.elapsed() < PAUSE) {
            return;
        }
        self.shown = Some(Instant::now());
        // A picture that cannot be shown is missed by nobody.
        let _ = write!(stderr(), "\r{}\x1b[K", picture(behind, total, what));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.shown.is_some() {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}

fn picture(behind: u64, total: u64, what: &str) -> String {
    let (behind, total) = (behind.min(total), total.max(1));
    let full = usize::try_from(behind * WIDTH / total).unwrap_or(0);
    let empty = usize::try_from(WIDTH).unwrap_or(0) - full;
    let what: String = what.chars().filter(|character| !character.is_control()).take(WHAT).collect();
    format!("[{}{}] {:3} % {what}", "#".repeat(full), "-".repeat(empty), behind * 100 / total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_grows_and_never_bursts() {
        assert_eq!(picture(0, 0, "INBOX"), format!("[{}]   0 % INBOX", "-".repeat(30)));
        assert_eq!(picture(50, 100, "a\x1b"), format!("[{}{}]  50 % a", "#".repeat(15), "-".repeat(15)));
        assert_eq!(
            picture(300, 100, &"x".repeat(99)),
            format!("[{}] 100 % {}", "#".repeat(30), "x".repeat(40))
        );
    }
}
