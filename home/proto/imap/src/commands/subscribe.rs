//! SUBSCRIBE and UNSUBSCRIBE (RFC 9051 §6.3.7, §6.3.8).

use crate::parser::{Parser, Result};
use crate::request::{Request, Subscription};
use crate::response::encode;
use crate::session::core::Core;
use crate::session::task::{Input, Progress, Task, done_or_refused};
use crate::types::{MailboxName, NameEncoding};

/// Which mailbox, and which of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// The mailbox.
    pub mailbox: MailboxName,
    /// SUBSCRIBE or UNSUBSCRIBE.
    pub subscription: Subscription,
}

impl Subscribe {
    pub(super) fn parse(name: &str, parser: &mut Parser<'_>) -> Result<Subscribe> {
        parser.space()?;
        let mailbox = parser.mailbox()?.without_final_delimiter();
        let subscription = match name {
            "SUBSCRIBE" => Subscription::Subscribed,
            _ => Subscription::Unsubscribed,
        };
        Ok(Subscribe { mailbox, subscription })
    }

    pub(super) fn encode(&self, names: NameEncoding, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.subscription {
            Subscription::Subscribed => b"SUBSCRIBE ",
            Subscription::Unsubscribed => b"UNSUBSCRIBE ",
        });
        encode::mailbox(&names.encode(self.mailbox.as_str()), out);
    }
}

impl Task for Subscribe {
    fn resume(&mut self, _: &mut Core, input: Input) -> Progress {
        match (input, self.subscription) {
            (Input::Start, subscription) => {
                Progress::Ask(Request::Subscribe(self.mailbox.clone(), subscription))
            }
            (input, Subscription::Subscribed) => done_or_refused(input, "SUBSCRIBE completed"),
            (input, Subscription::Unsubscribed) => done_or_refused(input, "UNSUBSCRIBE completed"),
        }
    }
}
