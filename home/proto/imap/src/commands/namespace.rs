//! NAMESPACE (RFC 9051 §6.3.10, RFC 2342): one personal namespace, no others.

use crate::response::Completion;
use crate::session::core::Core;
use crate::session::task::{Input, Progress, Task};
use crate::types::DELIMITER;

#[derive(Debug)]
pub(crate) struct Namespace;

impl Task for Namespace {
    fn resume(&mut self, core: &mut Core, _: Input) -> Progress {
        core.untagged(&format!("NAMESPACE ((\"\" \"{DELIMITER}\")) NIL NIL"));
        Completion::ok("NAMESPACE completed").into()
    }
}
