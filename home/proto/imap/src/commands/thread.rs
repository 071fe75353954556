//! THREAD (RFC 5256 §3); the algorithms are in [`crate::thread`].

use super::encode_name;
use super::search::{Search, charset};
use crate::parser::{ParseError, Parser, Result};
use crate::request::{Answer, Request};
use crate::response::Completion;
use crate::session::core::{Core, Expunges, Numbering};
use crate::session::task::{Input, Progress, Task, refused};
use crate::thread::{self, Algorithm, Threadable};
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
        Search { numbering: self.numbering, returns: None, key: self.key.clone() }
    }

    fn start(&self, core: &mut Core) -> std::result::Result<Progress, Completion> {
        let (mailbox, key) = self.search().resolved(core)?;
        Ok(Progress::Ask(Request::Threadable { mailbox, key }))
    }

    fn tell(&self, core: &mut Core, messages: Vec<Threadable>) {
        let Some(selected) = &core.selected else {
            return;
        };
        let view = &selected.view;
        let known = messages.into_iter().filter(|message| view.sequence_of(message.uid).is_some()).collect();
        let forest = thread::threads(self.algorithm, known);
        let number = |uid: u32| match self.numbering {
            Numbering::Uid => uid,
            Numbering::Sequence => view.sequence_of(uid).unwrap_or(uid),
        };
        core.output.extend_from_slice(b"* THREAD");
        if !forest.is_empty() {
            core.output.push(b' ');
        }
        for node in &forest {
            node.encode(&number, &mut core.output);
        }
        core.output.extend_from_slice(b"\r\n");
    }
}

impl Task for Thread {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start => self.start(core).unwrap_or_else(Progress::Done),
            Input::Answer(Answer::Threadable(messages)) => {
                self.tell(core, messages);
                Completion::ok("THREAD completed").into()
            }
            other => refused(other),
        }
    }

    fn expunges(&self) -> Expunges {
        self.search().expunges()
    }
}
