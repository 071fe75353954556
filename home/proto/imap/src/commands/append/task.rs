//! What APPEND and REPLACE do, piece by piece.
//!
//! | stage | waits for |
//! |---|---|
//! | `Opening` | whether the mailbox and the quotas take a message, or a literal of it |
//! | `Adding` | the octets of a URL |
//! | `Taking` | a literal's octets, each portion given on and awaited; then the rest of the command, or its next literal |
//! | `Ending` | the UIDs |
//! | `Aborting` | that the host has forgotten what came |

use std::collections::VecDeque;

use super::{AppendMessage, Piece, Place};
use crate::commands::replace::{Replace, Replaced};
use crate::framer::{LiteralHeader, LiteralKind};
use crate::parser::{ParseError, Parser};
use crate::request::{Answer, Refusal, Request};
use crate::response::{Code, Completion};
use crate::session::core::{Config, Core, missing_mailbox};
use crate::session::task::{Input, Progress, Task, refused};
use crate::types::{MailboxName, MessageUrl};

/// Messages in one APPEND; none is stored before all have come. Together they may have as many octets as one message.
const MAX_MESSAGES: usize = 100;

pub(super) fn task(
    replaces: Option<Replace>,
    mailbox: MailboxName,
    pieces: VecDeque<Piece>,
    place: Place,
    header: Option<LiteralHeader>,
) -> Box<dyn Task> {
    Box::new(Appending {
        replaces,
        replaced: None,
        mailbox,
        pieces,
        place,
        header,
        message: None,
        count: 0,
        octets: 0,
        url: Vec::new(),
        stage: Stage::Opening,
        refusal: None,
    })
}

/// Whether a message that is one literal may follow those with `before` octets. RFC 3502 §3: no octets at all is a way to
/// cancel.
pub(super) fn check_message(
    config: &Config,
    before: u64,
    header: LiteralHeader,
) -> std::result::Result<(), Completion> {
    match header.size {
        0 => Err(Completion::no("CANNOT", "Empty message")),
        size => check_size(config, before, size),
    }
}

/// RFC 7889 §5: TOOBIG.
fn check_size(config: &Config, before: u64, size: u64) -> std::result::Result<(), Completion> {
    if size > config.max_message {
        Err(Completion::no("TOOBIG", "Message too large"))
    } else if before.saturating_add(size) > config.max_message {
        Err(Completion::no("TOOBIG", "Messages too large together"))
    } else {
        Ok(())
    }
}

#[derive(Debug)]
struct Appending {
    replaces: Option<Replace>,
    /// What it stood for when the command began.
    replaced: Option<Replaced>,
    mailbox: MailboxName,
    /// What has been said and not been done.
    pieces: VecDeque<Piece>,
    /// Where in the grammar that ends.
    place: Place,
    /// The literal that was announced and not invited.
    header: Option<LiteralHeader>,
    /// The message under way.
    message: Option<AppendMessage>,
    /// Messages so far.
    count: usize,
    /// Octets of them all.
    octets: u64,
    /// The URL whose octets are waited for.
    url: Vec<u8>,
    stage: Stage,
    /// What the client sends is read to its end, but only to be thrown away.
    refusal: Option<Completion>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    Opening,
    Adding,
    Taking,
    Ending,
    Aborting(Completion),
}

type Step = std::result::Result<Progress, Completion>;

impl Task for Appending {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        let step = match input {
            Input::Start => self.start(core),
            Input::Data(_) | Input::DataEnd if self.refusal.is_some() => Ok(Progress::MoreLiteral),
            Input::Data(octets) => Ok(Progress::Ask(Request::AppendData(octets))),
            Input::DataEnd => Ok(Progress::MoreLiteral),
            Input::Line(rest) => self.read_on(core, &rest, None),
            Input::AnotherLiteral { prefix, header } => self.read_on(core, &prefix, Some(header)),
            Input::Answer(Answer::Done) => self.go_on(core),
            Input::Answer(Answer::Taken(octets)) => {
                self.octets += octets;
                self.next(core)
            }
            Input::Answer(Answer::Appended { uid_validity, uids }) => {
                Ok(self.appended(core, Code::AppendUid { uid_validity, uids }))
            }
            Input::Answer(Answer::Refused(refusal)) => return self.refuse(refusal),
            other => return refused(other),
        };
        step.unwrap_or_else(|completion| self.fail(core, completion))
    }
}

impl Appending {
    fn start(&mut self, core: &Core) -> Step {
        if let Some(replaces) = &self.replaces {
            self.replaced = Some(replaces.resolve(core)?);
        }
        self.next(core)
    }

    /// The next piece; the end of the command behind the last one.
    fn next(&mut self, core: &Core) -> Step {
        match self.pieces.pop_front() {
            None => self.commit(),
            Some(Piece::Message(message)) => {
                let size = self.header.map_or(Ok(0), |header| {
                    check_message(&core.config, self.octets, header).map(|()| header.size)
                })?;
                self.open(message, size)
            }
            Some(Piece::List(message)) => self.open(message, 0),
            Some(literal @ (Piece::Literal | Piece::Utf8Literal)) => {
                let size = self.header.map_or(0, |header| header.size);
                check_size(&core.config, self.octets, size)?;
                self.pieces.push_front(literal);
                self.stage = Stage::Opening;
                Ok(Progress::Ask(Request::AppendLiteral { size }))
            }
            Some(Piece::Url(url)) => self.add(core, url),
            Some(Piece::ListEnd) => self.next(core),
        }
    }

    /// Begins a message, the first part of which has `size` octets.
    fn open(&mut self, message: AppendMessage, size: u64) -> Step {
        if self.count >= MAX_MESSAGES {
            return Err(Completion::no("LIMIT", "Too many messages in one command"));
        }
        // RFC 8508 §4.7
        if self.count > 0 && self.replaced.is_some() {
            return Err(Completion::bad("REPLACE takes one message"));
        }
        self.count += 1;
        self.stage = Stage::Opening;
        Ok(Progress::Ask(match self.message.replace(message) {
            None => Request::AppendBegin { mailbox: self.mailbox.clone(), size, replaces: self.replaced },
            Some(AppendMessage { flags, internal_date }) => {
                Request::AppendNext { size, flags, internal_date }
            }
        }))
    }

    fn add(&mut self, core: &Core, url: Vec<u8>) -> Step {
        let selected = core.selected.as_ref().map(|selected| selected.mailbox);
        let parsed = MessageUrl::parse(&url).filter(|parsed| parsed.mailbox.is_some() || selected.is_some());
        self.url = url;
        let url = parsed.ok_or_else(|| self.bad_url())?;
        self.stage = Stage::Adding;
        let at_most = core.config.max_message.saturating_sub(self.octets);
        Ok(Progress::Ask(Request::AppendUrl { url, selected, at_most }))
    }

    /// RFC 4469 §4.1
    fn bad_url(&self) -> Completion {
        Completion::no("BADURL", "No such message part").with(Code::BadUrl(self.url.clone()))
    }

    /// After a message is opened its literal is invited; after each portion, the next; after `AppendAbort`, the end.
    fn go_on(&mut self, core: &mut Core) -> Step {
        match &self.stage {
            Stage::Opening => {
                match self.header.filter(|_| self.pieces.front().is_some_and(Piece::is_literal)) {
                    Some(header) => Ok(self.invite(core, header)),
                    None => self.next(core),
                }
            }
            Stage::Taking => Ok(Progress::MoreLiteral),
            Stage::Adding | Stage::Ending => Ok(Completion::no("SERVERBUG", "Internal error").into()),
            Stage::Aborting(completion) => Ok(completion.clone().into()),
        }
    }

    fn invite(&mut self, core: &mut Core, header: LiteralHeader) -> Progress {
        (self.header, self.stage) = (None, Stage::Taking);
        self.pieces.pop_front();
        self.octets += header.size;
        if header.kind == LiteralKind::Synchronizing {
            core.output.extend_from_slice(b"+ Ready for literal data\r\n");
        }
        Progress::Literal
    }

    /// What follows a literal: the rest of the command, or what stands before its next literal. What cannot be read of
    /// it must not be taken for commands.
    fn read_on(&mut self, core: &Core, text: &[u8], header: Option<LiteralHeader>) -> Step {
        self.header = header;
        if let Some(refusal) = self.refusal.take() {
            return Err(refusal);
        }
        let mut place = self.place;
        match (Piece::parse_all(&mut Parser::new(text, core.names), &mut place), header) {
            // A URL may be a literal too: it is read into the command.
            (Err(ParseError::Incomplete), Some(_)) => {
                self.header = None;
                Ok(Progress::CollectLiteral)
            }
            (Ok(pieces), header) if header.is_some() == pieces.last().is_some_and(Piece::is_literal) => {
                self.place = place;
                self.pieces.extend(pieces);
                self.next(core)
            }
            (Ok(_), _) => Err(Completion::bad("Unexpected literal")),
            (Err(error), _) => Err(error.into()),
        }
    }

    fn commit(&mut self) -> Step {
        let Some(AppendMessage { flags, internal_date }) = self.message.take() else {
            return Err(Completion::bad("Expected a message"));
        };
        self.stage = Stage::Ending;
        Ok(Progress::Ask(Request::AppendCommit { mailbox: self.mailbox.clone(), flags, internal_date }))
    }

    fn appended(&self, core: &mut Core, code: Code) -> Progress {
        match self.replaced {
            None => Completion::ok("APPEND completed").with(code).into(),
            Some(replaced) => replaced.tell(core, code).into(),
        }
    }

    /// The end of a command that this side refuses. Of a client that does not wait for an invitation, the literal can only
    /// be told from commands by reading it: close if that is too much.
    fn fail(&mut self, core: &mut Core, completion: Completion) -> Progress {
        match self.header {
            None | Some(LiteralHeader { kind: LiteralKind::Synchronizing, .. }) => self.abort(completion),
            Some(LiteralHeader { size, .. }) if size <= core.config.max_message => {
                self.throw_away(completion)
            }
            Some(_) => {
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

    /// Reads the literal that comes anyway, for nothing.
    fn throw_away(&mut self, refusal: Completion) -> Progress {
        (self.refusal, self.header) = (Some(refusal), None);
        self.pieces.clear();
        Progress::Literal
    }

    /// A client that waits is told at once; of one that does not, the octets must be read first.
    fn refuse(&mut self, refusal: Refusal) -> Progress {
        let completion = match refusal {
            Refusal::NonExistent => missing_mailbox(&self.mailbox),
            Refusal::BadUrl => self.bad_url(),
            other => other.into(),
        };
        match (&self.stage, self.header.map(|header| header.kind)) {
            (Stage::Ending | Stage::Aborting(_), _) => completion.into(),
            (Stage::Taking, _) => {
                self.refusal = Some(completion);
                Progress::MoreLiteral
            }
            (Stage::Opening | Stage::Adding, Some(LiteralKind::NonSynchronizing)) => {
                self.throw_away(completion)
            }
            (Stage::Opening | Stage::Adding, _) => self.abort(completion),
        }
    }
}
