//! UNAUTHENTICATE (RFC 8437): another login on the same connection, for those that look after many accounts.

use crate::request::{Answer, Request};
use crate::response::Completion;
use crate::session::core::Core;
use crate::session::task::{Input, Progress, Task};

#[derive(Debug)]
pub(crate) struct Unauthenticate;

impl Task for Unauthenticate {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start => Progress::Ask(Request::CloseAccount),
            Input::Answer(Answer::Done) => {
                // RFC 8437 §4.1: everything but TLS is as it was at the start; compression ends behind the response.
                core.reset();
                Completion::ok("UNAUTHENTICATE completed").into()
            }
            // RFC 8437 §3: NO is not permitted.
            _ => {
                core.untagged("BYE The account cannot be left");
                Progress::Close
            }
        }
    }
}
