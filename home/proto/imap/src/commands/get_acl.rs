//! GETACL (RFC 4314 §3.3): who may do what with a mailbox.

use crate::parser::{Parser, Result};
use crate::request::{AclEntry, Answer, Request};
use crate::response::{Completion, encode};
use crate::session::core::Core;
use crate::session::task::{Input, Progress, Task, refused};
use crate::types::{MailboxName, NameEncoding};

/// The mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetAcl {
    /// Whose list is asked.
    pub mailbox: MailboxName,
}

impl GetAcl {
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<GetAcl> {
        parser.space()?;
        Ok(GetAcl { mailbox: parser.mailbox()? })
    }

    pub(super) fn encode(&self, names: NameEncoding, out: &mut Vec<u8>) {
        out.extend_from_slice(b"GETACL ");
        encode::mailbox(&names.encode(self.mailbox.as_str()), out);
    }

    /// RFC 4314 §3.6
    fn tell(&self, core: &mut Core, entries: &[AclEntry]) {
        core.output.extend_from_slice(b"* ACL ");
        encode::mailbox(&core.names.encode(self.mailbox.as_str()), &mut core.output);
        for AclEntry { identifier, rights } in entries {
            core.output.push(b' ');
            encode::astring(identifier.as_bytes(), &mut core.output);
            core.output.push(b' ');
            encode::astring(rights.as_str().as_bytes(), &mut core.output);
        }
        core.output.extend_from_slice(b"\r\n");
    }
}

impl Task for GetAcl {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start => Progress::Ask(Request::Acl(self.mailbox.clone())),
            Input::Answer(Answer::Acl(entries)) => {
                self.tell(core, &entries);
                Completion::ok("GETACL completed").into()
            }
            other => refused(other),
        }
    }
}
