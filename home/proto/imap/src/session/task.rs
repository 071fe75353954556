//! A command under way.

use crate::framer::LiteralHeader;
use crate::request::{Answer, Request};
use crate::response::Completion;
use crate::session::core::{Core, Expunges};

/// A command that has been parsed and now runs, one step at a time. Between steps the session sends
/// output and waits, so a task holds no more than one batch of data.
pub(crate) trait Task: std::fmt::Debug + Send {
    /// Goes on with what the last step waited for.
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress;

    /// Whether the end of this command may tell of removals.
    fn expunges(&self) -> Expunges {
        Expunges::Told
    }

    /// Whether no response is half written, so that another one may stand here.
    fn is_between_responses(&self) -> bool {
        true
    }
}

/// What a task gets.
#[derive(Debug)]
pub(crate) enum Input {
    /// The first step.
    Start,
    /// The answer to its request.
    Answer(Answer),
    /// A line, after [`Progress::Line`].
    Line(Vec<u8>),
    /// Octets of the literal, after [`Progress::Literal`].
    Data(Vec<u8>),
    /// The literal is complete; the rest of the command follows as `Line`.
    DataEnd,
    /// Instead of the rest of the command, another literal is announced, after these octets.
    AnotherLiteral {
        /// From the end of the last literal to the end of the announcement.
        prefix: Vec<u8>,
        /// The announcement.
        header: LiteralHeader,
    },
    /// The account changed, during [`Progress::LineOrChange`].
    Changed,
    /// What was written has been given out, after [`Progress::Written`].
    Sent,
}

/// What a task waits for.
#[derive(Debug)]
pub(crate) enum Progress {
    /// The answer to this request.
    Ask(Request),
    /// A line from the client.
    Line,
    /// A line from the client, or a change of the account.
    LineOrChange,
    /// The octets of the literal that the command ends with: to be taken now.
    Literal,
    /// The literal is part of the command's text, which follows as `Line` or `AnotherLiteral`.
    CollectLiteral,
    /// The sending of what it has written so far: there is much of it.
    Written,
    /// More of a literal already being taken, or the line after it.
    MoreLiteral,
    /// The command has ended.
    Done(Completion),
    /// The connection must end; the reason has been written.
    Close,
}

impl From<Completion> for Progress {
    fn from(completion: Completion) -> Progress {
        Progress::Done(completion)
    }
}

/// The usual end of a command that is done when the store says so.
pub(crate) fn done_or_refused(input: Input, ok: &'static str) -> Progress {
    match input {
        Input::Answer(Answer::Done) => Completion::ok(ok).into(),
        other => refused(other),
    }
}

/// The end of a command on an answer that it did not hope for.
pub(crate) fn refused(input: Input) -> Progress {
    let Input::Answer(Answer::Refused(refusal)) = input else {
        return Completion::no("SERVERBUG", "Internal error").into();
    };
    Progress::Done(refusal.into())
}
