//! LOGOUT (RFC 9051 §6.1.3).

use crate::response::Completion;
use crate::session::core::Core;
use crate::session::task::{Input, Progress, Task};

#[derive(Debug)]
pub(crate) struct Logout;

impl Task for Logout {
    fn resume(&mut self, core: &mut Core, _: Input) -> Progress {
        core.untagged("BYE Goodbye");
        core.selected = None;
        core.closing = true;
        Completion::ok("LOGOUT completed").into()
    }
}
