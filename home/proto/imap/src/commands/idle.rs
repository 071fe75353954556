//! IDLE (RFC 9051 §6.3.13, RFC 2177): news as they come, until DONE.

use crate::request::{Answer, Refusal, Request};
use crate::response::Completion;
use crate::session::core::{Core, Expunges, RIGHTS_LOST};
use crate::session::task::{Input, Progress, Task};

#[derive(Debug)]
pub(crate) struct Idle;

impl Task for Idle {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start => {
                core.output.extend_from_slice(b"+ idling\r\n");
                core.tell_expunged();
                Progress::LineOrChange
            }
            Input::Line(line) if line.eq_ignore_ascii_case(b"DONE") => {
                Completion::ok("IDLE completed").into()
            }
            Input::Line(_) => Completion::bad("Expected DONE").into(),
            Input::Changed => match &core.selected {
                Some(selected) => {
                    Progress::Ask(Request::Changes { mailbox: selected.mailbox, since: selected.mod_seq })
                }
                None => Progress::LineOrChange,
            },
            Input::Answer(Answer::Changes(changes)) => {
                core.apply_changes(changes, Expunges::Told);
                Progress::LineOrChange
            }
            Input::Answer(Answer::Refused(Refusal::NoPermission)) => {
                core.untagged(RIGHTS_LOST);
                Progress::Close
            }
            _ => Progress::LineOrChange,
        }
    }
}
