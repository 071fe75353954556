//! GETQUOTA and GETQUOTAROOT (RFC 9208 §4.1.1, §4.1.2): an account has one quota root, named by the empty string, which
//! limits the octets of all its mailboxes. It is set by the operator, so there is no SETQUOTA.

use crate::parser::{Parser, Result};
use crate::request::{Answer, Quota, Request};
use crate::response::{Completion, encode};
use crate::session::core::Core;
use crate::session::task::{Input, Progress, Task, refused};
use crate::types::{MailboxName, NameEncoding};

/// Octets in a unit of STORAGE (RFC 9208 §5.1).
const UNIT: u64 = 1024;

/// What the quota is asked of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GetQuota {
    /// GETQUOTA with the name of a root.
    Root(Vec<u8>),
    /// GETQUOTAROOT
    Mailbox(MailboxName),
}

impl GetQuota {
    pub(super) fn parse_root(parser: &mut Parser<'_>) -> Result<GetQuota> {
        parser.space()?;
        parser.astring().map(GetQuota::Root)
    }

    pub(super) fn parse_mailbox(parser: &mut Parser<'_>) -> Result<GetQuota> {
        parser.space()?;
        parser.mailbox().map(GetQuota::Mailbox)
    }

    pub(super) fn encode(&self, names: NameEncoding, out: &mut Vec<u8>) {
        match self {
            GetQuota::Root(name) => {
                out.extend_from_slice(b"GETQUOTA ");
                encode::astring(name, out);
            }
            GetQuota::Mailbox(name) => {
                out.extend_from_slice(b"GETQUOTAROOT ");
                encode::mailbox(&names.encode(name.as_str()), out);
            }
        }
    }

    fn tell(&self, core: &mut Core, quota: Quota) -> Completion {
        if let GetQuota::Mailbox(name) = self {
            core.output.extend_from_slice(b"* QUOTAROOT ");
            encode::mailbox(&core.names.encode(name.as_str()), &mut core.output);
            core.output.extend_from_slice(b" \"\"\r\n");
        }
        // RFC 9208 §4.2.1: what is not named is not limited.
        match quota.limit {
            Some(limit) => {
                core.untagged(&format!("QUOTA \"\" (STORAGE {} {})", quota.used.div_ceil(UNIT), limit / UNIT))
            }
            None => core.untagged("QUOTA \"\" ()"),
        }
        Completion::ok(match self {
            GetQuota::Root(_) => "GETQUOTA completed",
            GetQuota::Mailbox(_) => "GETQUOTAROOT completed",
        })
    }
}

impl Task for GetQuota {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match (input, &self) {
            (Input::Start, GetQuota::Root(name)) if !name.is_empty() => {
                Completion::no("NONEXISTENT", "No such quota root").into()
            }
            (Input::Start, _) => Progress::Ask(Request::Quota),
            (Input::Answer(Answer::Quota(quota)), _) => self.tell(core, quota).into(),
            (other, _) => refused(other),
        }
    }
}
