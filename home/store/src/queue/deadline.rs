//! Deadlines: by when a message is to be delivered, and what is done with it when it is late.
//!
//! In: what the sender says. Out: the columns of the message's row, and whether it is late at a moment.

use jiff::Timestamp;

/// The time by which a message is to be delivered (RFC 2852).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// The time.
    pub time: Timestamp,
    /// What is done when it has passed.
    pub late: Late,
    /// Whether each server on the way is asked to report.
    pub trace: bool,
}

/// What is done with a message that is late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// The sender is told, and it is tried further.
    Told,
    /// It goes back.
    Returned,
}

impl Deadline {
    /// Whether a message is late now, and what is done then.
    pub fn late(&self, now: Timestamp) -> Option<Late> {
        (now >= self.time).then_some(self.late)
    }

    /// Two bits.
    pub(super) fn mode_column(&self) -> i64 {
        i64::from(self.late == Late::Returned) | i64::from(self.trace) << 1
    }

    pub(super) fn from_columns(time: Option<i64>, mode: i64) -> Option<Self> {
        let time = Timestamp::from_millisecond(time?).ok()?;
        let late = if mode & 1 != 0 { Late::Returned } else { Late::Told };
        Some(Deadline { time, late, trace: mode & 2 != 0 })
    }
}
