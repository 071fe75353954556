//! One mail transaction: which command goes next, and what each reply means for each recipient.
//!
//! In: the envelope, what the server offers, and the replies in order. Out: the commands to send, then one
//! [`RecipientResult`] for every recipient. With PIPELINING, MAIL, all RCPT and DATA go out as one group;
//! without it, each waits for the reply before (RFC 2920 §3.1). With CHUNKING there is no DATA: the content follows when
//! all recipients are answered, so that none is sent for nobody.

use std::collections::VecDeque;
use std::time::Duration;

use super::capabilities::{Capabilities, Transfer};
use super::content::Chunks;
use super::envelope::{Envelope, Unsupported};
use super::reply::Reply;
use super::timeouts;

/// What became of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecipientResult {
    /// The server has taken responsibility (RFC 5321 §6.1).
    Accepted(Reply),
    /// The server refused, for now (4yz) or for good (5yz).
    Refused(Reply),
    /// This server can never take this message.
    Unsupported(Unsupported),
    /// It did not fit into this transaction: the server takes so many recipients at once (RFC 9422).
    Postponed(usize),
    /// The connection ended before the server decided; to be tried again.
    Interrupted(String),
}

/// What the session is to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Wait for the reply to what was sent.
    Wait,
    /// The server said 354 and at least one recipient stands: send the content.
    SendContent,
    /// The server said 354 although no recipient stands: send an empty content (RFC 2920 §3.1).
    SendNothing,
    /// All recipients have their result, and the server has a transaction open: RSET.
    Reset,
    /// All recipients have their result, and the server is ready for another transaction.
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Mail,
    Rcpt(usize),
    Data,
    Chunk,
    Content,
}

/// A mail transaction in progress.
#[derive(Debug)]
pub(super) struct Transaction {
    envelope: Envelope,
    results: Vec<Option<RecipientResult>>,
    unsent: VecDeque<Command>,
    awaited: VecDeque<Command>,
    pipelining: bool,
    transfer: Transfer,
    mail_accepted: bool,
}

impl Transaction {
    pub(super) fn new(envelope: Envelope, capabilities: &Capabilities) -> Self {
        let mut unsent = VecDeque::from([Command::Mail]);
        let count = envelope.recipients.len();
        let taken = capabilities.recipients_max.map_or(count, |most| most.min(count));
        unsent.extend((0..taken).map(Command::Rcpt));
        let postponed = |index| (index >= taken).then_some(RecipientResult::Postponed(taken));
        let transfer = capabilities.transfer();
        if transfer == Transfer::Data {
            unsent.push_back(Command::Data);
        }
        Transaction {
            results: (0..count).map(postponed).collect(),
            envelope,
            unsent,
            awaited: VecDeque::new(),
            pipelining: capabilities.pipelining,
            transfer,
            mail_accepted: false,
        }
    }

    /// Appends the commands that may go out now.
    pub(super) fn write_commands(&mut self, capabilities: &Capabilities, output: &mut Vec<u8>) {
        while self.pipelining || self.awaited.is_empty() {
            let Some(command) = self.unsent.pop_front() else { return };
            if let Some(line) = self.command_line(command, capabilities) {
                output.extend_from_slice(line.as_bytes());
                self.awaited.push_back(command);
            }
        }
    }

    /// How long to wait for the next reply.
    pub(super) fn timeout(&self) -> Duration {
        match self.awaited.front() {
            Some(Command::Data) => timeouts::DATA_INITIATION,
            Some(Command::Chunk | Command::Content) => timeouts::DATA_TERMINATION,
            Some(Command::Mail | Command::Rcpt(_)) | None => timeouts::ENVELOPE,
        }
    }

    /// Names what is waited for, for reasons that people read.
    pub(super) fn stage(&self) -> &'static str {
        match self.awaited.front() {
            Some(Command::Mail) => "after MAIL",
            Some(Command::Rcpt(_)) => "after RCPT",
            Some(Command::Data) => "after DATA",
            Some(Command::Chunk) => "after a chunk of the message",
            Some(Command::Content) => "after the end of the message",
            None => "between commands",
        }
    }

    /// Takes the reply to the oldest command that has none yet; `None` where no reply is due.
    pub(super) fn handle_reply(&mut self, reply: Reply) -> Option<Step> {
        let command = self.awaited.pop_front()?;
        Some(match command {
            Command::Mail => self.after_mail(reply),
            Command::Rcpt(index) => self.after_rcpt(index, reply),
            Command::Data => self.after_data(reply),
            Command::Chunk => self.after_chunk(reply),
            Command::Content => self.after_content(reply),
        })
    }

    /// How the content goes out.
    pub(super) fn transfer(&self) -> Transfer {
        self.transfer
    }

    /// Chunks are out; the reply to each is awaited.
    pub(super) fn chunks_sent(&mut self, Chunks(chunks): Chunks) {
        self.awaited.extend(std::iter::repeat_n(Command::Chunk, chunks));
    }

    /// Whether the next reply is to a chunk.
    pub(super) fn awaits_chunk(&self) -> bool {
        self.awaited.front() == Some(&Command::Chunk)
    }

    /// The content is out; its reply is awaited.
    pub(super) fn content_sent(&mut self) {
        self.awaited.push_back(Command::Content);
    }

    /// Ends the transaction: recipients without a result get the one that `result` makes.
    pub(super) fn into_results(self, result: impl Fn() -> RecipientResult) -> Vec<RecipientResult> {
        self.results.into_iter().map(|known| known.unwrap_or_else(&result)).collect()
    }

    fn command_line(&self, command: Command, capabilities: &Capabilities) -> Option<String> {
        match command {
            Command::Mail => Some(self.envelope.mail_command(capabilities)),
            Command::Rcpt(index) => {
                let recipient = self.envelope.recipients.get(index)?;
                Some(self.envelope.rcpt_command(recipient, capabilities))
            }
            Command::Data => Some("DATA\r\n".to_owned()),
            Command::Chunk | Command::Content => None,
        }
    }

    fn after_mail(&mut self, reply: Reply) -> Step {
        self.mail_accepted = reply.is_positive();
        if !self.mail_accepted {
            self.refuse_undecided(&reply);
            self.unsent.clear();
        }
        self.step_in_envelope()
    }

    fn after_rcpt(&mut self, index: usize, reply: Reply) -> Step {
        if let Some(result @ None) = self.results.get_mut(index)
            && !reply.is_positive()
        {
            *result = Some(RecipientResult::Refused(reply));
        }
        if self.is_decided() {
            self.unsent.clear();
        }
        self.step_in_envelope()
    }

    fn after_data(&mut self, reply: Reply) -> Step {
        if reply.is_intermediate() {
            return if self.is_decided() { Step::SendNothing } else { Step::SendContent };
        }
        self.refuse_undecided(&reply);
        Step::Reset
    }

    /// A refused chunk is a refused message, whatever is said of the rest.
    fn after_chunk(&mut self, reply: Reply) -> Step {
        if !reply.is_positive() {
            self.refuse_undecided(&reply);
        }
        Step::Wait
    }

    fn after_content(&mut self, reply: Reply) -> Step {
        if reply.is_positive() {
            for result in self.results.iter_mut().filter(|result| result.is_none()) {
                *result = Some(RecipientResult::Accepted(reply.clone()));
            }
        } else {
            self.refuse_undecided(&reply);
        }
        Step::Done
    }

    /// Within the envelope the next step depends on whether replies are outstanding and recipients left.
    fn step_in_envelope(&self) -> Step {
        if !self.awaited.is_empty() || !self.unsent.is_empty() {
            Step::Wait
        } else if self.mail_accepted && self.transfer == Transfer::Chunks && !self.is_decided() {
            Step::SendContent
        } else if self.mail_accepted {
            Step::Reset
        } else {
            Step::Done
        }
    }

    fn is_decided(&self) -> bool {
        self.results.iter().all(Option::is_some)
    }

    /// A reply that is neither success nor failure where success was due is taken as a refusal too.
    fn refuse_undecided(&mut self, reply: &Reply) {
        for result in self.results.iter_mut().filter(|result| result.is_none()) {
            *result = Some(RecipientResult::Refused(reply.clone()));
        }
    }
}
