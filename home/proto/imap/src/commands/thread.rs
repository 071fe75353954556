//! THREAD (RFC 5256 §3). The host runs the algorithms of [`crate::thread`]: a large mailbox takes them a while.

use super::encode_name;
use super::search::{CharsetLabel, Search, charset};
use crate::parser::{ParseError, Parser, Result};
use crate::request::{Answer, Request};
use crate::response::Completion;
use crate::session::core::{Core, Expunges, Numbering};
use crate::session::task::{Input, Progress, Task, refused};
use crate::thread::{Algorithm, Forest};
use crate::types::SearchKey;

/// What to find, and how to group it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thread {
    /// What is a conversation.
    pub algorithm: Algorithm,
    /// What the results are.
    pub numbering: Numbering,
    /// The criteria.
    pub key: SearchKey,
}

impl Thread {
    pub(super) fn parse(numbering: Numbering, parser: &mut Parser<'_>) -> Result<Thread> {
        parser.space()?;
        let algorithm =
            Algorithm::named(&parser.keyword()?).ok_or(ParseError::Syntax("Unknown algorithm"))?;
        parser.space()?;
        let charset = charset(parser)?;
        Ok(Thread { algorithm, numbering, key: SearchKey::parse_program(parser, charset)? })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        encode_name(self.numbering, "THREAD", out);
        out.extend_from_slice(self.algorithm.name().as_bytes());
        out.extend_from_slice(b" UTF-8 ");
        self.key.encode(out);
    }

    fn search(&self) -> Search {
        Search {
            numbering: self.numbering,
            returns: None,
            charset: CharsetLabel::Absent,
            key: self.key.clone(),
        }
    }

    fn start(&self, core: &mut Core) -> std::result::Result<Progress, Completion> {
        let (mailbox, key) = self.search().resolved(core)?;
        let up_to = core.selected.as_ref().map_or(0, |selected| selected.view.largest_uid());
        Ok(Progress::Ask(Request::Threads { mailbox, key, algorithm: self.algorithm, up_to }))
    }

    fn tell(&self, core: &mut Core, forest: &Forest) {
        let Some(selected) = &core.selected else {
            return;
        };
        let view = &selected.view;
        let number = |uid: u32| match self.numbering {
            Numbering::Uid => uid,
            Numbering::Sequence => view.sequence_of(uid).unwrap_or(uid),
        };
        core.output.extend_from_slice(b"* THREAD");
        if !forest.0.is_empty() {
            core.output.push(b' ');
        }
        forest.encode(&number, &mut core.output);
        core.output.extend_from_slice(b"\r\n");
    }
}

impl Task for Thread {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start => self.start(core).unwrap_or_else(Progress::Done),
            Input::Answer(Answer::Threads(forest)) => {
                self.tell(core, &forest);
                Completion::ok("THREAD completed").into()
            }
            other => refused(other),
        }
    }

    fn expunges(&self) -> Expunges {
        self.search().expunges()
    }
}
