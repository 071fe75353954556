//! CLOSE (RFC 9051 §6.4.1) and UNSELECT (RFC 9051 §6.4.2, RFC 3691).

use crate::request::{Access, Answer, Refusal, Request};
use crate::response::Completion;
use crate::session::core::Core;
use crate::session::task::{Input, Progress, Task, refused};

/// Both leave the mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// CLOSE: messages marked `\Deleted` are removed, untold.
    Expunging,
    /// UNSELECT: nothing is removed.
    Keeping,
}

impl Close {
    pub(super) fn name(self) -> &'static str {
        match self {
            Close::Expunging => "CLOSE",
            Close::Keeping => "UNSELECT",
        }
    }
}

impl Task for Close {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start => match (core.selected.take(), self) {
                (Some(selected), Close::Expunging) if selected.access == Access::ReadWrite => {
                    Progress::Ask(Request::Expunge { mailbox: selected.mailbox, uids: None })
                }
                (_, Close::Expunging) => Completion::ok("CLOSE completed").into(),
                (_, Close::Keeping) => Completion::ok("UNSELECT completed").into(),
            },
            // RFC 4314 §4: without the right to expunge, CLOSE only closes.
            Input::Answer(Answer::Expunged(_) | Answer::Refused(Refusal::NoPermission)) => {
                Completion::ok("CLOSE completed").into()
            }
            other => refused(other),
        }
    }
}
