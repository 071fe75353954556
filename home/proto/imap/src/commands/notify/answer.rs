//! What NOTIFY answers.

use super::{Event, EventGroup, Notify, StatusIndicator};
use crate::request::Answer;
use crate::response::{Code, Completion};
use crate::session::core::Core;
use crate::session::notify::{MOST_WATCHED, Watch};
use crate::session::task::{Input, Progress, Task, refused};

impl Task for Notify {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start if self.groups().iter().any(EventGroup::has_unknown) => {
                Completion::no("BADEVENT", "That is not watched").with(Code::BadEvent(Event::KNOWN)).into()
            }
            Input::Start if self.groups().iter().all(|group| group.filter.is_selected()) => {
                self.watch(core, Watch::new(self.groups()))
            }
            Input::Start => Progress::Ask(Watch::new(self.groups()).request()),
            Input::Answer(Answer::Watched(watched)) if watched.mailboxes.len() > MOST_WATCHED => {
                Completion::no("NOTIFICATIONOVERFLOW", "Too many mailboxes to watch").into()
            }
            Input::Answer(Answer::Watched(watched)) => {
                self.watch(core, Watch::new(self.groups()).begin(watched))
            }
            other => refused(other),
        }
    }
}

impl Notify {
    fn groups(&self) -> &[EventGroup] {
        match self {
            Notify::None => &[],
            Notify::Set(_, groups) => groups,
        }
    }

    /// RFC 5465 §3.1: from here on, and everything that is not told yet of the selected mailbox with it.
    fn watch(&self, core: &mut Core, watch: Watch) -> Progress {
        watch.tell_no_access(core);
        if matches!(self, Notify::Set(StatusIndicator::Told, _)) {
            watch.tell_status(core);
        }
        core.watch = Some(watch);
        core.changed = true;
        Completion::ok("NOTIFY completed").into()
    }
}

impl EventGroup {
    fn has_unknown(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Unknown(_)))
    }
}
