//! APPEND (RFC 9051 §6.3.12), with APPENDUID (RFC 4315 §3). The message flows through and is never held whole.

use crate::framer::{LiteralHeader, LiteralKind};
use crate::parser::{Parser, Result};
use crate::request::{Answer, Refusal, Request};
use crate::response::{Code, Completion};
use crate::session::core::{Core, State, missing_mailbox};
use crate::session::task::{Input, Progress, Task, refused};
use crate::types::{DateTime, Flag, MailboxName};

/// Everything before the literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Where to.
    pub mailbox: MailboxName,
    /// The message's flags.
    pub flags: Vec<Flag>,
    /// Its INTERNALDATE.
    pub internal_date: Option<DateTime>,
}

impl Append {
    /// Reads what stands between the command's name and the end of the literal's announcement.
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Append> {
        parser.space()?;
        let mailbox = parser.mailbox()?;
        parser.space()?;
        let flags = match parser.peek() {
            Some(b'(') => {
                let flags = parser.flag_list()?;
                parser.space()?;
                flags
            }
            _ => Vec::new(),
        };
        let internal_date = match parser.peek() {
            Some(b'"') => {
                let date = DateTime::parse(parser)?;
                parser.space()?;
                Some(date)
            }
            _ => None,
        };
        parser.literal_announcement()?;
        Ok(Append { mailbox, flags, internal_date })
    }

    /// Refuses the literal before it comes.
    pub(crate) fn permitted(
        &self,
        core: &Core,
        header: LiteralHeader,
    ) -> std::result::Result<(), Completion> {
        if core.state == State::NotAuthenticated {
            return Err(Completion::bad("Please log in first"));
        }
        // RFC 7889 §5: TOOBIG.
        if header.size > core.config.max_message {
            return Err(Completion::no("TOOBIG", "Message too large"));
        }
        if header.size == 0 {
            return Err(Completion::no("CANNOT", "Empty message"));
        }
        Ok(())
    }

    pub(crate) fn into_task(self, header: LiteralHeader) -> Box<dyn Task> {
        Box::new(Appending { command: self, header, stage: Stage::Beginning, refusal: None })
    }
}

/// The message under way.
///
/// | step | waits for |
/// |---|---|
/// | `AppendBegin` | whether the mailbox takes it |
/// | literal | octets, each piece given on and awaited |
/// | rest of the command | an empty line |
/// | `AppendCommit` | the UID |
#[derive(Debug)]
struct Appending {
    command: Append,
    header: LiteralHeader,
    stage: Stage,
    /// The literal is read to its end, but only to be thrown away.
    refusal: Option<Completion>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Beginning,
    Taking,
    Ending,
}

impl Task for Appending {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start => self.begin(),
            Input::Data(_) | Input::DataEnd if self.refusal.is_some() => Progress::MoreLiteral,
            Input::Data(octets) => Progress::Ask(Request::AppendData(octets)),
            Input::DataEnd => Progress::MoreLiteral,
            Input::Line(rest) => self.end(&rest),
            Input::AnotherLiteral => another_literal(core),
            Input::Answer(Answer::Done) => self.go_on(core),
            Input::Answer(Answer::Appended { uid_validity, uid }) => {
                Completion::ok("APPEND completed").with(Code::AppendUid { uid_validity, uid }).into()
            }
            Input::Answer(Answer::Refused(refusal)) => self.refuse(refusal),
            other => refused(other),
        }
    }
}

impl Appending {
    fn begin(&self) -> Progress {
        Progress::Ask(Request::AppendBegin { mailbox: self.command.mailbox.clone(), size: self.header.size })
    }

    /// After `AppendBegin` the literal is invited; after each piece, the next; after `AppendAbort`, the end.
    fn go_on(&mut self, core: &mut Core) -> Progress {
        match self.stage {
            Stage::Beginning => {
                self.stage = Stage::Taking;
                if self.header.kind == LiteralKind::Synchronizing {
                    core.output.extend_from_slice(b"+ Ready for literal data\r\n");
                }
                Progress::Literal
            }
            Stage::Taking => Progress::MoreLiteral,
            Stage::Ending => Completion::bad("Unexpected argument after the literal").into(),
        }
    }

    /// The rest of the command after the literal.
    fn end(&mut self, rest: &[u8]) -> Progress {
        if let Some(refusal) = self.refusal.take() {
            return refusal.into();
        }
        self.stage = Stage::Ending;
        if !rest.is_empty() {
            return Progress::Ask(Request::AppendAbort);
        }
        Progress::Ask(Request::AppendCommit {
            mailbox: self.command.mailbox.clone(),
            flags: self.command.flags.clone(),
            internal_date: self.command.internal_date,
        })
    }

    /// A client that waits is told at once; of one that does not, the octets must be read first.
    fn refuse(&mut self, refusal: Refusal) -> Progress {
        let completion = match refusal {
            Refusal::NonExistent => missing_mailbox(&self.command.mailbox),
            other => other.into(),
        };
        match (self.stage, self.header.kind) {
            (Stage::Ending, _) | (Stage::Beginning, LiteralKind::Synchronizing) => completion.into(),
            (Stage::Beginning, LiteralKind::NonSynchronizing) => {
                self.refusal = Some(completion);
                Progress::Literal
            }
            (Stage::Taking, _) => {
                self.refusal = Some(completion);
                Progress::MoreLiteral
            }
        }
    }
}

/// Only one message at a time (MULTIAPPEND is not offered). What follows cannot be told from commands: close.
fn another_literal(core: &mut Core) -> Progress {
    core.untagged("BYE Only one message for each APPEND");
    Progress::Close
}
