//! MYRIGHTS (RFC 4314 §3.5): what the user may do with a mailbox.

use crate::parser::{Parser, Result};
use crate::request::{Answer, Request};
use crate::response::{Completion, encode};
use crate::session::core::Core;
use crate::session::task::{Input, Progress, Task, refused};
use crate::types::{MailboxName, NameEncoding, Rights};

/// The mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MyRights {
    /// Where.
    pub mailbox: MailboxName,
}

impl MyRights {
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<MyRights> {
        parser.space()?;
        Ok(MyRights { mailbox: parser.mailbox()? })
    }

    pub(super) fn encode(&self, names: NameEncoding, out: &mut Vec<u8>) {
        out.extend_from_slice(b"MYRIGHTS ");
        encode::mailbox(&names.encode(self.mailbox.as_str()), out);
    }
}

impl Task for MyRights {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start => Progress::Ask(Request::MyRights(self.mailbox.clone())),
            Input::Answer(Answer::Rights(rights)) => {
                tell(core, &self.mailbox, &rights);
                Completion::ok("MYRIGHTS completed").into()
            }
            other => refused(other),
        }
    }
}

/// Writes `* MYRIGHTS name rights` (RFC 4314 §3.8).
pub(super) fn tell(core: &mut Core, mailbox: &MailboxName, rights: &Rights) {
    core.output.extend_from_slice(b"* MYRIGHTS ");
    encode::mailbox(&core.names.encode(mailbox.as_str()), &mut core.output);
    core.output.push(b' ');
    encode::astring(rights.as_str().as_bytes(), &mut core.output);
    core.output.extend_from_slice(b"\r\n");
}
