//! NOOP (RFC 9051 §6.1.2) and CHECK (RFC 3501 §6.4.1): the session tells what is new at their end.

use crate::response::Completion;
use crate::session::core::Core;
use crate::session::task::{Input, Progress, Task};

/// Both do nothing; every change is durable before it is acknowledged, so CHECK has nothing to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noop {
    /// In any state.
    Noop,
    /// With a mailbox selected.
    Check,
}

impl Noop {
    pub(super) fn name(self) -> &'static str {
        match self {
            Noop::Noop => "NOOP",
            Noop::Check => "CHECK",
        }
    }
}

impl Task for Noop {
    fn resume(&mut self, _: &mut Core, _: Input) -> Progress {
        Completion::ok(match self {
            Noop::Noop => "NOOP completed",
            Noop::Check => "CHECK completed",
        })
        .into()
    }
}
