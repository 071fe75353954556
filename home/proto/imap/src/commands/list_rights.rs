//! LISTRIGHTS (RFC 4314 §3.4): which rights somebody can be given.

use super::set_acl::identifier;
use crate::parser::{Parser, Result};
use crate::request::{Answer, Grantable, Request};
use crate::response::{Completion, encode};
use crate::session::core::Core;
use crate::session::task::{Input, Progress, Task, refused};
use crate::types::{MailboxName, NameEncoding};

/// Of whom, on which mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRights {
    /// The mailbox.
    pub mailbox: MailboxName,
    /// As for SETACL.
    pub identifier: String,
}

impl ListRights {
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<ListRights> {
        parser.space()?;
        let mailbox = parser.mailbox()?;
        parser.space()?;
        Ok(ListRights { mailbox, identifier: identifier(parser)? })
    }

    pub(super) fn encode(&self, names: NameEncoding, out: &mut Vec<u8>) {
        out.extend_from_slice(b"LISTRIGHTS ");
        encode::mailbox(&names.encode(self.mailbox.as_str()), out);
        out.push(b' ');
        encode::astring(self.identifier.as_bytes(), out);
    }

    /// RFC 4314 §3.7
    fn tell(&self, core: &mut Core, grantable: &Grantable) {
        core.output.extend_from_slice(b"* LISTRIGHTS ");
        encode::mailbox(&core.names.encode(self.mailbox.as_str()), &mut core.output);
        core.output.push(b' ');
        encode::astring(self.identifier.as_bytes(), &mut core.output);
        for rights in std::iter::once(&grantable.always).chain(&grantable.optional) {
            core.output.push(b' ');
            encode::astring(rights.as_str().as_bytes(), &mut core.output);
        }
        core.output.extend_from_slice(b"\r\n");
    }
}

impl Task for ListRights {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start => {
                let (mailbox, identifier) = (self.mailbox.clone(), self.identifier.clone());
                Progress::Ask(Request::ListRights { mailbox, identifier })
            }
            Input::Answer(Answer::Grantable(grantable)) => {
                self.tell(core, &grantable);
                Completion::ok("LISTRIGHTS completed").into()
            }
            other => refused(other),
        }
    }
}
