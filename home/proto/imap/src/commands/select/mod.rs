//! SELECT and EXAMINE (RFC 9051 §6.3.2, §6.3.3), with CONDSTORE and QRESYNC (RFC 7162 §3.1.8, §3.2.5) and MAILBOXID
//! (RFC 8474 §4.2).

mod qresync;

use crate::parser::{ParseError, Parser, Result};
use crate::request::{Access, Answer, Refusal, Request, Snapshot};
use crate::response::{Code, Completion, encode};
use crate::session::core::{Core, Numbering};
use crate::session::enabled::Extension;
use crate::session::task::{Input, Progress, Task, refused};
use crate::types::{DELIMITER, Flag, MailboxName, NameEncoding};

pub use qresync::QResync;
pub(super) use qresync::contains;

/// Which mailbox, and whether it may be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Select {
    /// The mailbox.
    pub mailbox: MailboxName,
    /// SELECT or EXAMINE.
    pub access: Access,
    /// In the client's order.
    pub parameters: Vec<SelectParameter>,
}

/// `select-param` (RFC 4466 §2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SelectParameter {
    /// CONDSTORE
    CondStore,
    /// QRESYNC
    QResync(QResync),
}

impl SelectParameter {
    fn parse(parser: &mut Parser<'_>) -> Result<SelectParameter> {
        match parser.keyword()?.as_str() {
            "CONDSTORE" => Ok(SelectParameter::CondStore),
            "QRESYNC" => QResync::parse(parser).map(SelectParameter::QResync),
            _ => Err(ParseError::Syntax("Unknown SELECT parameter")),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            SelectParameter::CondStore => out.extend_from_slice(b"CONDSTORE"),
            SelectParameter::QResync(resync) => resync.encode(out),
        }
    }
}

impl Select {
    pub(super) fn parse(name: &str, parser: &mut Parser<'_>) -> Result<Select> {
        parser.space()?;
        let mailbox = parser.mailbox()?;
        let access = if name == "SELECT" { Access::ReadWrite } else { Access::ReadOnly };
        let parameters = match parser.eat(b' ') {
            true => parser.list("Expected SELECT parameters", SelectParameter::parse)?,
            false => Vec::new(),
        };
        Ok(Select { mailbox, access, parameters })
    }

    pub(super) fn encode(&self, names: NameEncoding, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.access {
            Access::ReadWrite => b"SELECT ",
            Access::ReadOnly => b"EXAMINE ",
        });
        encode::mailbox(&names.encode(self.mailbox.as_str()), out);
        if !self.parameters.is_empty() {
            out.push(b' ');
            encode::parenthesised(&self.parameters, SelectParameter::encode, out);
        }
    }

    fn start(&self, core: &mut Core) -> Progress {
        // RFC 7162 §3.2.5
        if self.resync().is_some() && !core.enabled.has(Extension::QResync) {
            return Completion::bad("QRESYNC is not enabled").into();
        }
        if self.resync().is_some_and(|resync| resync.samples.is_some())
            && let Err(completion) = core.require_uids(Numbering::Sequence)
        {
            return completion.into();
        }
        // RFC 9051 §6.3.2: the old mailbox is left even when the new one cannot be opened.
        if core.selected.take().is_some() {
            core.untagged("OK [CLOSED] Previous mailbox closed");
        }
        if !self.parameters.is_empty() {
            core.enable_cond_store();
        }
        Progress::Ask(Request::Open(self.mailbox.clone(), self.access))
    }

    fn resync(&self) -> Option<&QResync> {
        self.parameters.iter().find_map(|parameter| match parameter {
            SelectParameter::QResync(resync) => Some(resync),
            SelectParameter::CondStore => None,
        })
    }

    fn opened(&self, core: &mut Core, snapshot: &Snapshot) -> Progress {
        core.select(snapshot);
        announce(core, snapshot);
        if core.enabled.has(Extension::Imap4Rev2) {
            // RFC 9051 §6.3.2: the name as the server has it.
            core.output.extend_from_slice(format!("* LIST () \"{DELIMITER}\" ").as_bytes());
            encode::mailbox(&core.names.encode(self.mailbox.as_str()), &mut core.output);
            core.output.extend_from_slice(b"\r\n");
        }
        match self.resync() {
            // RFC 7162 §3.2.5: with other UIDs, nothing that the client knows is worth a word.
            Some(resync) if resync.uid_validity == snapshot.uid_validity => {
                Progress::Ask(Request::Changes { mailbox: snapshot.mailbox, since: resync.mod_seq })
            }
            _ => self.completed(core).into(),
        }
    }

    /// RFC 4314 §5.2: SELECT is read-only where the user may change nothing.
    fn completed(&self, core: &Core) -> Completion {
        let text = match self.access {
            Access::ReadWrite => "SELECT completed",
            Access::ReadOnly => "EXAMINE completed",
        };
        let code = match core.selected.as_ref().map(|selected| selected.access) {
            Some(Access::ReadWrite) => "READ-WRITE",
            Some(Access::ReadOnly) | None => "READ-ONLY",
        };
        Completion::ok(text).with(Code::Word(code))
    }
}

impl Task for Select {
    fn resume(&mut self, core: &mut Core, input: Input) -> Progress {
        match input {
            Input::Start => self.start(core),
            Input::Answer(Answer::Opened(snapshot)) => self.opened(core, &snapshot),
            Input::Answer(Answer::Changes(changes)) => {
                if let Some(resync) = self.resync() {
                    resync.tell(core, changes);
                }
                self.completed(core).into()
            }
            Input::Answer(Answer::Refused(Refusal::NonExistent)) => {
                Completion::no("NONEXISTENT", "No such mailbox").into()
            }
            other => refused(other),
        }
    }
}

fn announce(core: &mut Core, snapshot: &Snapshot) {
    let Some(selected) = &core.selected else {
        return;
    };
    let (exists, recent) = (selected.view.exists(), selected.recent_count());
    let first_unseen = snapshot.first_unseen.and_then(|uid| selected.view.sequence_of(uid));
    let system = Flag::SYSTEM.map(|flag| flag.name().into_owned());
    let flags: Vec<&str> = system.iter().chain(&snapshot.keywords).map(String::as_str).collect();
    let permanent = permanent_flags(snapshot);
    core.untagged(&format!("FLAGS ({})", flags.join(" ")));
    core.untagged(&format!("OK [PERMANENTFLAGS ({permanent})] Flags permitted"));
    core.untagged(&format!("{exists} EXISTS"));
    // RFC 9051 Appendix E: RECENT and UNSEEN are no more.
    if !core.enabled.has(Extension::Imap4Rev2) {
        core.untagged(&format!("{recent} RECENT"));
        // RFC 9586 §3.6
        if let Some(sequence) = first_unseen.filter(|_| !core.enabled.has(Extension::UidOnly)) {
            core.untagged(&format!("OK [UNSEEN {sequence}] First unseen message"));
        }
    }
    core.untagged(&format!("OK [UIDVALIDITY {}] UIDs valid", snapshot.uid_validity));
    core.untagged(&format!("OK [UIDNEXT {}] Predicted next UID", snapshot.uid_next));
    core.untagged(&format!("OK [HIGHESTMODSEQ {}] Highest", snapshot.mod_seq));
    core.untagged(&format!("OK [MAILBOXID ({})] Lasting name", snapshot.object_id));
}

/// The flags that the user can store for good, and `\*` where new keywords can be made.
fn permanent_flags(snapshot: &Snapshot) -> String {
    if snapshot.access == Access::ReadOnly {
        return String::new();
    }
    let mut names: Vec<_> = snapshot.permanent_flags.iter().map(Flag::name).collect();
    names.extend(snapshot.new_keywords.then_some("\\*".into()));
    names.join(" ")
}
