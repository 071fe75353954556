//! SELECT and EXAMINE (RFC 9051 §6.3.2, §6.3.3).

use crate::parser::{Parser, Result};
use crate::request::{Access, Answer, Refusal, Request, Snapshot};
use crate::response::{Code, Completion, encode};
use crate::session::core::{Core, Selected};
use crate::session::task::{Input, Progress, Task, refused};
use crate::types::{Flag, MailboxName, NameEncoding};

/// Which mailbox, and whether it may be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    /// The mailbox.
    pub mailbox: MailboxName,
    /// SELECT or EXAMINE.
    pub access: Access,
}

impl Select {
    pub(super) fn parse(name: &str, parser: &mut Parser<'_>) -> Result<Select> {
        parser.space()?;
        let mailbox = parser.mailbox()?;
        let access = if name == "SELECT" { Access::ReadWrite } else { Access::ReadOnly };
        Ok(Select { mailbox, access })
    }

    pub(super) fn encode(&self, names: NameEncoding, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.access {
            Access::ReadWrite => b"SELECT ",
            Access::ReadOnly => b"EXAMINE ",
        });
        encode::mailbox(&names.encode(self.mailbox.as_str()), out);
    }

    fn opened(&self, core: &mut Core, snapshot: &Snapshot) -> Completion {
        core.select(snapshot, self.access);
        announce(core, snapshot, self.access);
        match self.access {
            Access::ReadWrite => Completion::ok("SELECT completed").with(Code::Word("READ-WRITE")),
            Access::ReadOnly => Completion::ok("EXAMINE completed").with(Code::Word("READ-ONLY")),
        }
    }
}

impl Task for Select {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start => {
                // RFC 9051 §6.3.2: the old mailbox is left even when the new one cannot be opened.
                if core.selected.take().is_some() {
                    core.untagged("OK [CLOSED] Previous mailbox closed");
                }
                Progress::Ask(Request::Open(self.mailbox.clone(), self.access))
            }
            Input::Answer(Answer::Opened(snapshot)) => self.opened(core, &snapshot).into(),
            Input::Answer(Answer::Refused(Refusal::NonExistent)) => {
                Completion::no("NONEXISTENT", "No such mailbox").into()
            }
            other => refused(other),
        }
    }
}

fn announce(core: &mut Core, snapshot: &Snapshot, access: Access) {
    let Some(selected) = &core.selected else {
        return;
    };
    let (exists, recent) = (selected.view.exists(), selected.recent_count());
    let first_unseen = snapshot.first_unseen.and_then(|uid| selected.view.sequence_of(uid));
    let system = Flag::SYSTEM.map(|flag| flag.name().into_owned());
    let flags: Vec<&str> = system.iter().chain(&snapshot.keywords).map(String::as_str).collect();
    let permanent = Selected::permanent_flags(access, &snapshot.keywords);
    core.untagged(&format!("FLAGS ({})", flags.join(" ")));
    core.untagged(&format!("OK [PERMANENTFLAGS ({permanent})] Flags permitted"));
    core.untagged(&format!("{exists} EXISTS"));
    core.untagged(&format!("{recent} RECENT"));
    if let Some(sequence) = first_unseen {
        core.untagged(&format!("OK [UNSEEN {sequence}] First unseen message"));
    }
    core.untagged(&format!("OK [UIDVALIDITY {}] UIDs valid", snapshot.uid_validity));
    core.untagged(&format!("OK [UIDNEXT {}] Predicted next UID", snapshot.uid_next));
}
