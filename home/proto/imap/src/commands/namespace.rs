//! NAMESPACE (RFC 9051 §6.3.10, RFC 2342): one personal namespace, and one of the other users' mailboxes.

use crate::response::Completion;
use crate::session::core::Core;
use crate::session::task::{Input, Progress, Task};
use crate::types::{DELIMITER, OTHER_USERS};

#[derive(Debug)]
pub(crate) struct Namespace;

impl Task for Namespace {
    fn resume(&mut self, core: &mut Core, _: Input) -> Progress {
        core.untagged(&format!(
            "NAMESPACE ((\"\" \"{DELIMITER}\")) ((\"{OTHER_USERS}{DELIMITER}\" \"{DELIMITER}\")) NIL"
        ));
        Completion::ok("NAMESPACE completed").into()
    }
}
