//! The server's side of one IMAP connection, without sockets, clock or store.
//!
//! In: octets ([`Session::handle_input`]), moments ([`Session::handle_timeout`]), answers to requests
//! ([`Session::handle_answer`]), and the news that the account changed ([`Session::handle_change`]).
//! Out: [`Output`], by [`Session::poll`] until it says `Wait` or `Close`.
//!
//! One command runs at a time; what a client sends ahead waits in the framer, and as nothing is read while output
//! or a request is under way, it waits in TCP's buffers beyond that. Output is given out in pieces of about
//! [`CHUNK`](crate::CHUNK) octets before the next request is made, so a stalled reader costs bounded memory.
//!
//! | phase | leaves on | to |
//! |---|---|---|
//! | `Ready` | a command | `Running` |
//! | `Running` | its last step | `Syncing` if the account changed, else `Ready` |
//! | `Syncing` | the answer with the changes | `Ready`, the tagged response written |
//! | `Ready` | a change, where NOTIFY asked for it | `Running`, for no command |
//! | any | LOGOUT, broken framing, autologout, shutdown | closing |

pub(crate) mod core;
mod deflate;
pub(crate) mod enabled;
pub(crate) mod news;
pub(crate) mod notify;
pub(crate) mod task;
mod view;

use std::time::{Duration, Instant};

use crate::commands::{self, Command};
use crate::framer::{Frame, FrameError, Framer, LiteralHeader, LiteralKind};
use crate::request::{Answer, Refusal, Request};
use crate::response::Completion;

use self::core::RIGHTS_LOST;
use self::core::{Compression, Core, Expunges};
pub use self::core::{Config, Numbering, State};
use self::deflate::Layer;
pub use self::enabled::Extension;
use self::news::TellNews;
use self::task::{Input, Progress, Task};
pub use self::view::MessageView;

/// A command before login, literals included, in octets.
const MAX_COMMAND_BEFORE_LOGIN: usize = 64 * 1024;
/// A command after login, small literals included: room for a long UID set.
const MAX_COMMAND: usize = 512 * 1024;
/// A line of AUTHENTICATE or IDLE.
const MAX_LINE: usize = 12 * 1024;
/// Output is given out when there is this much.
const HIGH_WATER: usize = crate::CHUNK;
/// From the greeting to the login, however much is said meanwhile.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(3 * 60);
/// RFC 9051 §5.4: at least 30 minutes.
const AUTOLOGOUT: Duration = Duration::from_secs(31 * 60);

/// What is to be done next.
#[derive(Debug)]
pub enum Output {
    /// Send these octets; then poll again.
    Send(Vec<u8>),
    /// Do this, and give the answer to [`Session::handle_answer`]; then poll again.
    Request(Request),
    /// Wait for input, a change or the deadline.
    Wait {
        /// When to call [`Session::handle_timeout`].
        deadline: Instant,
    },
    /// Close the connection.
    Close,
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    core: Core,
    framer: Framer,
    layer: Layer,
    phase: Phase,
    request: Option<Request>,
    /// Compression begins or ends behind the output that is there.
    turns: bool,
    /// The request given out changes the account.
    wrote: bool,
    /// Nobody is logged in since then, or whoever is may go by the command that runs.
    unauthenticated_since: Instant,
    last_input: Instant,
}

#[derive(Debug)]
enum Phase {
    Ready,
    Running(Running),
    Syncing { completion: Completion, expunges: Expunges },
}

#[derive(Debug)]
struct Running {
    task: Box<dyn Task>,
    waits_for: WaitsFor,
    purpose: Purpose,
}

/// Why a task runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// A command of the client's, which is answered.
    Command,
    /// NOTIFY: nothing was asked for, nothing is completed.
    News,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitsFor {
    Answer,
    /// [`Session::poll`] steps on only when there is room for output.
    Room,
    Line,
    LineOrChange,
    Literal,
}

impl Session {
    /// A new connection; the greeting is the first output.
    pub fn new(config: Config, now: Instant) -> Session {
        let mut core = Core::new(config);
        let capabilities = commands::capability_words(&core.state, &core.config);
        core.untagged(&format!("OK [CAPABILITY {capabilities}] IMAP4rev1 server ready"));
        Session {
            core,
            framer: Framer::new(MAX_COMMAND_BEFORE_LOGIN),
            layer: Layer::default(),
            phase: Phase::Ready,
            request: None,
            turns: false,
            wrote: false,
            unauthenticated_since: now,
            last_input: now,
        }
    }

    /// Takes octets from the client.
    pub fn handle_input(&mut self, octets: &[u8], now: Instant) {
        self.last_input = now;
        self.layer.push(octets, &mut self.framer);
    }

    /// Takes note that a deadline has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.autologout() <= now {
            self.bye("Autologout, idle for too long");
        }
    }

    /// Takes note that the account changed, by whatever hand.
    pub fn handle_change(&mut self) {
        self.core.note_change();
    }

    /// Takes note that the server goes down.
    pub fn handle_shutdown(&mut self) {
        self.bye("Server shutting down");
    }

    /// Takes the answer to the request that was given out.
    pub fn handle_answer(&mut self, answer: Answer) {
        if let Some(watch) = &mut self.core.watch {
            watch.note_answer(&answer);
        }
        // What this session changed is told before the command ends, together with what others did before it.
        if std::mem::take(&mut self.wrote) {
            self.core.note_change();
        }
        match std::mem::replace(&mut self.phase, Phase::Ready) {
            Phase::Running(running) => self.step(running, Input::Answer(answer)),
            Phase::Syncing { completion, expunges } => {
                let lost = matches!(answer, Answer::Refused(Refusal::NoPermission));
                if let Answer::Changes(changes) = answer {
                    self.core.apply_changes(changes, expunges);
                }
                self.conclude(completion);
                if lost {
                    self.core.untagged(RIGHTS_LOST);
                    self.core.closing = true;
                }
            }
            other => self.phase = other,
        }
    }

    /// Takes note that the answer keeps being waited for: the client is told that its command is not forgotten (RFC 9585 §4).
    pub fn handle_delay(&mut self) {
        let may_speak = match &self.phase {
            Phase::Running(running) => {
                running.purpose == Purpose::Command && running.task.is_between_responses()
            }
            Phase::Ready | Phase::Syncing { .. } => true,
        };
        if may_speak && matches!(self.core.state, State::Authenticated { .. }) {
            self.core.tell_in_progress();
        }
    }

    /// Who is logged in.
    pub fn state(&self) -> &State {
        &self.core.state
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Output {
        while self.core.output.len() < HIGH_WATER && !self.core.closing && !self.turns {
            if let Some(request) = self.request.take() {
                self.wrote = request.writes();
                if let Some(watch) = &mut self.core.watch {
                    watch.note_request(&request);
                }
                return Output::Request(request);
            }
            if !self.advance() && !self.inflate() {
                break;
            }
        }
        if !self.core.output.is_empty() {
            return Output::Send(self.outgoing());
        }
        if self.core.closing {
            return Output::Close;
        }
        self.layer.rest();
        Output::Wait { deadline: self.autologout() }
    }

    /// The output for the connection; behind it compression begins or ends where a command said so.
    fn outgoing(&mut self) -> Vec<u8> {
        let octets = self.layer.deflate(std::mem::take(&mut self.core.output));
        if std::mem::take(&mut self.turns) {
            match self.core.compression {
                Compression::On => self.layer.begin(&mut self.framer),
                _ => self.layer.end(&mut self.framer),
            }
        }
        octets
    }

    /// Makes input of what came compressed, if a command or a part of one is waited for.
    fn inflate(&mut self) -> bool {
        let waits = match &self.phase {
            Phase::Ready => true,
            Phase::Running(running) => running.waits_for != WaitsFor::Answer,
            Phase::Syncing { .. } => false,
        };
        let inflated = if waits { self.layer.inflate(&mut self.framer) } else { Ok(false) };
        inflated.unwrap_or_else(|corrupt| {
            self.bye(&corrupt.to_string());
            false
        })
    }

    /// Writes the end of a command, and decides what lies between the session and the connection from there on.
    fn conclude(&mut self, completion: Completion) {
        self.core.conclude(completion);
        self.core.compression = match self.core.compression {
            Compression::Wanted => Compression::On,
            Compression::Unwanted => Compression::Off,
            Compression::On | Compression::Off => return,
        };
        self.turns = true;
    }

    fn autologout(&self) -> Instant {
        match self.core.state {
            State::NotAuthenticated => self.unauthenticated_since + LOGIN_TIMEOUT,
            State::Authenticated { .. } => self.last_input + AUTOLOGOUT,
        }
    }

    /// Makes one step with what is there; tells whether there was one to make.
    fn advance(&mut self) -> bool {
        match std::mem::replace(&mut self.phase, Phase::Ready) {
            Phase::Ready => self.tell_news() || self.next_command(),
            Phase::Running(running) => self.feed(running),
            waiting @ Phase::Syncing { .. } => {
                self.phase = waiting;
                false
            }
        }
    }

    /// RFC 5465 §3.1: after NOTIFY the client listens all the time.
    fn tell_news(&mut self) -> bool {
        let Some(watch) = self.core.watch.as_ref().filter(|_| self.core.has_news()) else { return false };
        let task = Box::new(TellNews::new(watch.expunges()));
        self.step(Running { task, waits_for: WaitsFor::Answer, purpose: Purpose::News }, Input::Start);
        true
    }

    fn next_command(&mut self) -> bool {
        match self.framer.next_frame() {
            Ok(Some(Frame::Command(command))) => self.begin(&command),
            Ok(Some(Frame::Literal(header))) => self.literal(header),
            Ok(Some(Frame::Data(_) | Frame::DataEnd)) => {}
            Ok(None) => return false,
            Err(error) => self.broken(error),
        }
        true
    }

    fn begin(&mut self, command: &[u8]) {
        if self.core.state != State::NotAuthenticated {
            self.unauthenticated_since = self.last_input;
        }
        match commands::parse(command, self.core.names) {
            Ok(Command { tag, body }) => match commands::permitted(&body, &self.core) {
                Ok(()) => self.run(tag, body.into_task()),
                Err(completion) => completion.encode(&tag, &mut self.core.output),
            },
            Err((tag, error)) => Completion::from(error).encode(&tag, &mut self.core.output),
        }
    }

    fn run(&mut self, tag: String, task: Box<dyn Task>) {
        self.core.tag = tag;
        self.step(Running { task, waits_for: WaitsFor::Answer, purpose: Purpose::Command }, Input::Start);
    }

    /// Decides on a literal: the message of an APPEND is streamed, any other is taken into the command.
    fn literal(&mut self, header: LiteralHeader) {
        let append = commands::parse_append(self.framer.prefix(), self.core.names);
        match append {
            Some(Ok((tag, append))) => self.begin_append(tag, append, header),
            Some(Err((tag, error))) => self.refuse_literal(&tag, error.into(), header),
            None => self.collect(header),
        }
    }

    fn begin_append(&mut self, tag: String, append: commands::Append, header: LiteralHeader) {
        match append.permitted(&self.core, header) {
            Ok(()) => self.run(tag, append.into_task(Some(header))),
            Err(completion) => self.refuse_literal(&tag, completion, header),
        }
    }

    /// Says why not. Octets that come unasked cannot be told from commands, unless they are read: close.
    fn refuse_literal(&mut self, tag: &str, completion: Completion, header: LiteralHeader) {
        completion.encode(tag, &mut self.core.output);
        match header.kind {
            LiteralKind::Synchronizing => self.framer.refuse(),
            LiteralKind::NonSynchronizing => self.bye("Literal refused"),
        }
    }

    fn collect(&mut self, header: LiteralHeader) {
        let taken = self.framer.collect();
        match (taken, header.kind) {
            (Ok(()), LiteralKind::Synchronizing) => self.core.output.extend_from_slice(b"+ OK\r\n"),
            (Ok(()), LiteralKind::NonSynchronizing) => {}
            (Err(_), LiteralKind::Synchronizing) => {
                let tag = commands::tag_of(self.framer.prefix()).to_owned();
                Completion::no("LIMIT", "Literal too large").encode(&tag, &mut self.core.output);
                self.framer.refuse();
            }
            (Err(error), LiteralKind::NonSynchronizing) => self.broken(error),
        }
    }

    /// Gives a running task what it waits for, if that has come.
    fn feed(&mut self, running: Running) -> bool {
        let input = match running.waits_for {
            WaitsFor::Answer => Ok(None),
            WaitsFor::Room => Ok(Some(Input::Sent)),
            WaitsFor::LineOrChange if self.core.has_news() => Ok(Some(Input::Changed)),
            WaitsFor::Line | WaitsFor::LineOrChange => {
                self.framer.next_line(MAX_LINE).map(|line| line.map(Input::Line))
            }
            WaitsFor::Literal => self.framer.next_frame().map(|frame| self.literal_input(frame?)),
        };
        match input {
            Ok(Some(input)) => self.step(running, input),
            Ok(None) => {
                self.phase = Phase::Running(running);
                return false;
            }
            Err(error) => self.broken(error),
        }
        true
    }

    fn literal_input(&self, frame: Frame) -> Option<Input> {
        Some(match frame {
            Frame::Data(octets) => Input::Data(octets),
            Frame::DataEnd => Input::DataEnd,
            Frame::Command(rest) => Input::Line(rest),
            Frame::Literal(header) => Input::AnotherLiteral { prefix: self.framer.prefix().to_vec(), header },
        })
    }

    fn step(&mut self, mut running: Running, input: Input) {
        running.waits_for = match running.task.resume(&mut self.core, input) {
            Progress::Ask(request) => {
                self.request = Some(request);
                WaitsFor::Answer
            }
            Progress::Written => WaitsFor::Room,
            Progress::Line => WaitsFor::Line,
            Progress::LineOrChange => WaitsFor::LineOrChange,
            Progress::Literal => {
                self.framer.stream();
                WaitsFor::Literal
            }
            Progress::MoreLiteral => WaitsFor::Literal,
            Progress::CollectLiteral => {
                if let Some(header) = self.framer.announced() {
                    self.collect(header);
                }
                WaitsFor::Literal
            }
            Progress::Done(completion) => return self.finish(&running, completion),
            Progress::Close => {
                self.core.closing = true;
                return;
            }
        };
        self.phase = Phase::Running(running);
    }

    fn finish(&mut self, running: &Running, completion: Completion) {
        if running.purpose == Purpose::News {
            return;
        }
        // A task that ended before it took its literal: the client has been refused.
        self.framer.refuse();
        self.framer.set_max_command(match self.core.state {
            State::NotAuthenticated => MAX_COMMAND_BEFORE_LOGIN,
            State::Authenticated { .. } => MAX_COMMAND,
        });
        let expunges = running.task.expunges();
        if expunges == Expunges::Told {
            self.core.tell_expunged();
        }
        match self.core.changes_wanted() {
            Some(request) => {
                self.request = Some(request);
                self.phase = Phase::Syncing { completion, expunges };
            }
            None => self.conclude(completion),
        }
    }

    fn broken(&mut self, error: FrameError) {
        self.bye(&error.to_string());
    }

    fn bye(&mut self, text: &str) {
        if !self.core.closing {
            self.core.untagged(&format!("BYE {text}"));
            self.core.closing = true;
        }
    }
}
