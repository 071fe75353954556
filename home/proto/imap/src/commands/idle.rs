//! IDLE (RFC 9051 §6.3.13, RFC 2177): news as they come, until DONE.

use crate::response::Completion;
use crate::session::core::{Core, Expunges};
use crate::session::news::TellNews;
use crate::session::task::{Input, Progress, Task};

#[derive(Debug, Default)]
pub(crate) struct Idle {
    /// Under way.
    news: Option<TellNews>,
}

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
            Input::Changed => {
                self.news = Some(TellNews::new(Expunges::Told));
                self.tell(core, Input::Start)
            }
            other => self.tell(core, other),
        }
    }

    fn is_between_responses(&self) -> bool {
        self.news.as_ref().is_none_or(Task::is_between_responses)
    }
}

impl Idle {
    fn tell(&mut self, core: &mut Core, input: Input) -> Progress {
        match self.news.as_mut().map(|news| news.resume(core, input)) {
            Some(Progress::Done(_)) | None => {
                self.news = None;
                Progress::LineOrChange
            }
            Some(progress) => progress,
        }
    }
}
