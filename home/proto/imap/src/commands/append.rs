//! APPEND (RFC 9051 §6.3.12), with APPENDUID (RFC 4315 §3), several messages (MULTIAPPEND, RFC 3502) and literal8
//! (BINARY, RFC 3516 §4.4). The messages flow through and are never held whole.

use crate::framer::{LiteralHeader, LiteralKind};
use crate::parser::{Parser, Result};
use crate::request::{Answer, Refusal, Request};
use crate::response::{Code, Completion};
use crate::session::core::{Config, Core, State, missing_mailbox};
use crate::session::task::{Input, Progress, Task, refused};
use crate::types::{DateTime, Flag, MailboxName};

/// Messages in one APPEND; none is stored before all have come. Together they may have as many octets as one message.
const MAX_MESSAGES: usize = 100;

/// Everything before the first literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Where to.
    pub mailbox: MailboxName,
    /// What is said of the first message.
    pub message: AppendMessage,
}

/// What is said of a message before its literal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendMessage {
    /// Its flags.
    pub flags: Vec<Flag>,
    /// Its INTERNALDATE.
    pub internal_date: Option<DateTime>,
}

impl Append {
    /// Reads what stands between the command's name and the end of the literal's announcement.
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Append> {
        parser.space()?;
        let mailbox = parser.mailbox()?;
        Ok(Append { mailbox, message: AppendMessage::parse(parser)? })
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
        check_size(&core.config, 0, header)
    }

    pub(crate) fn into_task(self, header: LiteralHeader) -> Box<dyn Task> {
        let Append { mailbox, message } = self;
        let (count, octets) = (1, header.size);
        Box::new(Appending {
            mailbox,
            message,
            header,
            count,
            octets,
            stage: Stage::Beginning,
            refusal: None,
        })
    }
}

impl AppendMessage {
    /// `[SP flag-list] [SP date-time] SP literal`, to the end of the literal's announcement.
    fn parse(parser: &mut Parser<'_>) -> Result<AppendMessage> {
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
        Ok(AppendMessage { flags, internal_date })
    }
}

/// Whether a message may follow those with `before` octets. RFC 7889 §5: TOOBIG. RFC 3502 §3: no octets at all is a way to
/// cancel.
fn check_size(config: &Config, before: u64, header: LiteralHeader) -> std::result::Result<(), Completion> {
    match header.size {
        0 => Err(Completion::no("CANNOT", "Empty message")),
        size if size > config.max_message => Err(Completion::no("TOOBIG", "Message too large")),
        size if before.saturating_add(size) > config.max_message => {
            Err(Completion::no("TOOBIG", "Messages too large together"))
        }
        _ => Ok(()),
    }
}

/// The message under way.
///
/// | step | waits for |
/// |---|---|
/// | `AppendBegin`, `AppendNext` | whether the mailbox takes it |
/// | literal | octets, each piece given on and awaited |
/// | rest of the command | an empty line, or the next message |
/// | `AppendCommit` | the UIDs |
#[derive(Debug)]
struct Appending {
    mailbox: MailboxName,
    message: AppendMessage,
    header: LiteralHeader,
    /// Messages so far.
    count: usize,
    /// Octets of them all.
    octets: u64,
    stage: Stage,
    /// The literal is read to its end, but only to be thrown away.
    refusal: Option<Completion>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    Beginning,
    Taking,
    Ending,
    /// The host forgets what came; then the command ends so.
    Aborting(Completion),
}

impl Task for Appending {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start => {
                Progress::Ask(Request::AppendBegin { mailbox: self.mailbox.clone(), size: self.header.size })
            }
            Input::Data(_) | Input::DataEnd if self.refusal.is_some() => Progress::MoreLiteral,
            Input::Data(octets) => Progress::Ask(Request::AppendData(octets)),
            Input::DataEnd => Progress::MoreLiteral,
            Input::Line(rest) => self.end(&rest),
            Input::AnotherLiteral { prefix, header } => self.next_message(core, &prefix, header),
            Input::Answer(Answer::Done) => self.go_on(core),
            Input::Answer(Answer::Appended { uid_validity, uids }) => {
                Completion::ok("APPEND completed").with(Code::AppendUid { uid_validity, uids }).into()
            }
            Input::Answer(Answer::Refused(refusal)) => self.refuse(refusal),
            other => refused(other),
        }
    }
}

impl Appending {
    /// After `AppendBegin` the literal is invited; after each piece, the next; after `AppendAbort`, the end.
    fn go_on(&mut self, core: &mut Core) -> Progress {
        match &self.stage {
            Stage::Beginning => {
                self.stage = Stage::Taking;
                if self.header.kind == LiteralKind::Synchronizing {
                    core.output.extend_from_slice(b"+ Ready for literal data\r\n");
                }
                Progress::Literal
            }
            Stage::Taking => Progress::MoreLiteral,
            Stage::Ending => Completion::no("SERVERBUG", "Internal error").into(),
            Stage::Aborting(completion) => completion.clone().into(),
        }
    }

    /// Another message of the same command. What cannot be read of it must not be taken for commands.
    fn next_message(&mut self, core: &mut Core, prefix: &[u8], header: LiteralHeader) -> Progress {
        let parsed = AppendMessage::parse(&mut Parser::new(prefix, core.names)).map_err(Completion::from);
        let room = match self.count < MAX_MESSAGES {
            true => check_size(&core.config, self.octets, header),
            false => Err(Completion::no("LIMIT", "Too many messages in one command")),
        };
        let refusal = self.refusal.take();
        let next = parsed.and_then(|message| room.map(|()| message));
        match (refusal.map_or(next, Err), header.kind) {
            (Ok(message), _) => {
                let AppendMessage { flags, internal_date } = std::mem::replace(&mut self.message, message);
                (self.header, self.stage) = (header, Stage::Beginning);
                self.count += 1;
                self.octets += header.size;
                Progress::Ask(Request::AppendNext { size: header.size, flags, internal_date })
            }
            (Err(completion), LiteralKind::Synchronizing) => self.abort(completion),
            (Err(completion), LiteralKind::NonSynchronizing) => {
                completion.encode(&core.tag, &mut core.output);
                core.untagged("BYE Literal refused");
                Progress::Close
            }
        }
    }

    fn abort(&mut self, completion: Completion) -> Progress {
        self.stage = Stage::Aborting(completion);
        Progress::Ask(Request::AppendAbort)
    }

    /// The rest of the command after the last literal.
    fn end(&mut self, rest: &[u8]) -> Progress {
        if let Some(refusal) = self.refusal.take() {
            return self.abort(refusal);
        }
        if !rest.is_empty() {
            return self.abort(Completion::bad("Unexpected argument after the literal"));
        }
        self.stage = Stage::Ending;
        Progress::Ask(Request::AppendCommit {
            mailbox: self.mailbox.clone(),
            flags: self.message.flags.clone(),
            internal_date: self.message.internal_date,
        })
    }

    /// A client that waits is told at once; of one that does not, the octets must be read first.
    fn refuse(&mut self, refusal: Refusal) -> Progress {
        let completion = match refusal {
            Refusal::NonExistent => missing_mailbox(&self.mailbox),
            other => other.into(),
        };
        match (&self.stage, self.header.kind) {
            (Stage::Ending | Stage::Aborting(_), _) => completion.into(),
            (Stage::Beginning, LiteralKind::Synchronizing) => self.abort(completion),
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
