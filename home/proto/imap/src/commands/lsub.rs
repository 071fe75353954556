//! LSUB (RFC 3501 §6.3.9): the subscribed mailboxes.

use super::list::Pattern;
use crate::parser::{Parser, Result};
use crate::request::{Answer, MailboxInfo, Request, Subscription};
use crate::response::{Completion, encode};
use crate::session::core::Core;
use crate::session::task::{Input, Progress, Task, refused};
use crate::types::{DELIMITER, NameEncoding};

/// Reference and pattern, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lsub {
    /// Stands before the pattern.
    pub reference: String,
    /// With `*` and `%`.
    pub pattern: String,
}

impl Lsub {
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Lsub> {
        parser.space()?;
        let reference = parser.mailbox()?.as_str().to_owned();
        parser.space()?;
        Ok(Lsub { reference, pattern: parser.list_mailbox()? })
    }

    pub(super) fn encode(&self, names: NameEncoding, out: &mut Vec<u8>) {
        out.extend_from_slice(b"LSUB ");
        encode::mailbox(&names.encode(&self.reference), out);
        out.push(b' ');
        encode::string(names.encode(&self.pattern).as_bytes(), out);
    }

    fn tell(&self, core: &mut Core, mailboxes: &[MailboxInfo]) {
        let pattern = Pattern::new(&self.reference, &self.pattern);
        let mut told: Vec<&str> = Vec::new();
        for mailbox in mailboxes.iter().filter(|mailbox| mailbox.subscription == Subscription::Subscribed) {
            let name = mailbox.name.as_str();
            match pattern.matches(name) {
                true => line(core, "()", name),
                false => {
                    // RFC 3501 §6.3.9: with `%`, a parent that only leads to a match is told of once, as \Noselect.
                    let Some(parent) =
                        pattern.matching_ancestor(name).filter(|parent| !told.contains(parent))
                    else {
                        continue;
                    };
                    let itself = mailboxes.iter().find(|other| other.name.as_str() == parent);
                    if itself.is_none_or(|other| other.subscription == Subscription::Unsubscribed) {
                        line(core, "(\\Noselect)", parent);
                        told.push(parent);
                    }
                }
            }
        }
    }
}

fn line(core: &mut Core, attributes: &str, name: &str) {
    core.output.extend_from_slice(format!("* LSUB {attributes} \"{DELIMITER}\" ").as_bytes());
    encode::mailbox(&core.names.encode(name), &mut core.output);
    core.output.extend_from_slice(b"\r\n");
}

impl Task for Lsub {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start => Progress::Ask(Request::Mailboxes),
            Input::Answer(Answer::Mailboxes(mailboxes)) => {
                self.tell(core, &mailboxes);
                Completion::ok("LSUB completed").into()
            }
            other => refused(other),
        }
    }
}
