//! Tells what happened that nobody asked for: while IDLE runs (RFC 2177), and after NOTIFY at any time (RFC 5465).

use crate::commands::Fetch;
use crate::request::{Answer, Refusal};
use crate::response::Completion;
use crate::session::core::{Core, Expunges, Numbering, RIGHTS_LOST};
use crate::session::notify::Watch;
use crate::session::task::{Input, Progress, Task};
use crate::types::SequenceSet;

/// First of the selected mailbox, then its new messages as NOTIFY asked for them, then of the other mailboxes.
#[derive(Debug)]
pub(crate) struct TellNews {
    expunges: Expunges,
    /// Shows the new messages.
    fetching: Option<Box<dyn Task>>,
}

impl TellNews {
    pub(crate) fn new(expunges: Expunges) -> TellNews {
        TellNews { expunges, fetching: None }
    }

    fn start(&mut self, core: &mut Core) -> Progress {
        if self.expunges == Expunges::Told {
            core.tell_expunged();
        }
        match core.changes_wanted() {
            Some(request) => Progress::Ask(request),
            None => self.show_arrivals(core),
        }
    }

    fn show_arrivals(&mut self, core: &mut Core) -> Progress {
        let Some(watch) = &mut core.watch else { return told() };
        let uids = watch.take_arrivals();
        if uids.is_empty() {
            return TellNews::look_around(core);
        }
        let items = watch.attributes().to_vec();
        let set = SequenceSet::of_uids(&uids);
        let fetch = Fetch { numbering: Numbering::Uid, set, items, modifiers: Default::default() };
        self.fetching = Some(fetch.into_task());
        self.fetch(core, Input::Start)
    }

    fn fetch(&mut self, core: &mut Core, input: Input) -> Progress {
        match self.fetching.as_mut().map(|task| task.resume(core, input)) {
            Some(Progress::Done(_)) | None => {
                self.fetching = None;
                TellNews::look_around(core)
            }
            Some(progress) => progress,
        }
    }

    fn look_around(core: &mut Core) -> Progress {
        match core.watch.as_mut().and_then(Watch::take_due) {
            Some(request) => Progress::Ask(request),
            None => told(),
        }
    }
}

impl Task for TellNews {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            input if self.fetching.is_some() => self.fetch(core, input),
            Input::Start => self.start(core),
            Input::Answer(Answer::Changes(changes)) => {
                core.apply_changes(changes, self.expunges);
                self.show_arrivals(core)
            }
            Input::Answer(Answer::Watched(watched)) => {
                core.tell_watched(watched);
                told()
            }
            Input::Answer(Answer::Refused(Refusal::NoPermission)) => {
                core.untagged(RIGHTS_LOST);
                Progress::Close
            }
            _ => told(),
        }
    }

    fn expunges(&self) -> Expunges {
        self.expunges
    }
}

fn told() -> Progress {
    Completion::ok("Told").into()
}
