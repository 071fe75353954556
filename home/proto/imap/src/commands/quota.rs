//! GETQUOTA and GETQUOTAROOT (RFC 9208 §4.1.1, §4.1.2): the root of the account has the empty name, that of a mailbox
//! the mailbox's lasting name (MAILBOXID). The operator sets the limits, so there is no SETQUOTA.

use crate::parser::{Parser, Result};
use crate::request::{Answer, Quota, QuotaOf, Refusal, Request};
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

    fn subject(&self) -> QuotaOf {
        match self {
            GetQuota::Root(name) => QuotaOf::Root(String::from_utf8_lossy(name).into_owned()),
            GetQuota::Mailbox(name) => QuotaOf::Mailbox(name.clone()),
        }
    }

    fn tell(&self, core: &mut Core, quotas: &[Quota]) -> Completion {
        if let GetQuota::Mailbox(name) = self {
            core.output.extend_from_slice(b"* QUOTAROOT ");
            encode::mailbox(&core.names.encode(name.as_str()), &mut core.output);
            for quota in quotas {
                core.output.push(b' ');
                encode::astring(quota.root.as_bytes(), &mut core.output);
            }
            core.output.extend_from_slice(b"\r\n");
        }
        quotas.iter().for_each(|quota| tell_one(core, quota));
        Completion::ok(match self {
            GetQuota::Root(_) => "GETQUOTA completed",
            GetQuota::Mailbox(_) => "GETQUOTAROOT completed",
        })
    }
}

impl Task for GetQuota {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start => Progress::Ask(Request::Quota(self.subject())),
            Input::Answer(Answer::Quotas(quotas)) => self.tell(core, &quotas).into(),
            Input::Answer(Answer::Refused(Refusal::NonExistent)) => {
                Completion::no("NONEXISTENT", "No such quota root").into()
            }
            other => refused(other),
        }
    }
}

/// RFC 9208 §4.2.1: what is not named is not limited.
fn tell_one(core: &mut Core, quota: &Quota) {
    let storage = quota.max_octets.map(|max| ("STORAGE", quota.octets.div_ceil(UNIT), max / UNIT));
    let messages = quota.max_messages.map(|max| ("MESSAGE", quota.messages, max));
    core.output.extend_from_slice(b"* QUOTA ");
    encode::astring(quota.root.as_bytes(), &mut core.output);
    core.output.push(b' ');
    let resource = |(name, used, max): (&str, u64, u64), out: &mut Vec<u8>| {
        out.extend_from_slice(format!("{name} {used} {max}").as_bytes());
    };
    encode::parenthesised(storage.into_iter().chain(messages), resource, &mut core.output);
    core.output.extend_from_slice(b"\r\n");
}
