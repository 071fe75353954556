//! The conversation with a lab's supervisor: one JSON request and one JSON answer a connection, over the Unix
//! socket `control.sock` in the lab's state directory.
//!
//! The connection itself tells the supervisor's process id as this process sees it (SO_PEERCRED), which is
//! the way into the lab's namespaces; a refused connection means that the lab is gone.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::topology::Host;

/// What a client asks of the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// The hosts' anchors and the daemons' states.
    Status,
    /// Starts a daemon that is not running.
    Start {
        /// Where.
        host: Host,
        /// Which.
        daemon: String,
    },
    /// Signals a daemon and its descendants, and waits for the end of them all.
    Stop {
        /// Where.
        host: Host,
        /// Which.
        daemon: String,
        /// SIGTERM or SIGKILL.
        signal: Signal,
    },
    /// Ends the lab.
    Down,
}

/// How a daemon is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signal {
    /// SIGTERM: as an operator would.
    Terminate,
    /// SIGKILL: as a power cut would.
    Kill,
}

/// The lab's processes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The process that holds each host's namespaces, numbered as inside the lab.
    pub anchors: BTreeMap<Host, i32>,
    /// Every daemon and whether it runs.
    pub daemons: Vec<DaemonStatus>,
}

/// The state of one daemon.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DaemonStatus {
    /// Where it runs.
    pub host: Host,
    /// Its name.
    pub name: String,
    /// Whether it runs now.
    pub running: bool,
    /// How the last run ended.
    pub last_end: Option<String>,
}

/// The supervisor's answer; an error is a sentence for people.
pub type Answer = Result<Status, String>;

/// The answer to a request, and the supervisor's process id as this process sees it.
pub struct Reply {
    /// What the supervisor said.
    pub status: Status,
    /// The supervisor.
    pub supervisor: i32,
}

/// Asks the supervisor behind `socket`.
///
/// # Errors
/// When there is no supervisor, or it refuses.
pub fn ask(socket: &Path, request: &Request) -> Result<Reply> {
    let mut stream = UnixStream::connect(socket).context("the lab does not answer")?;
    let supervisor = rustix::net::sockopt::socket_peercred(&stream)?.pid.as_raw_nonzero().get();
    serde_json::to_writer(&mut stream, request)?;
    stream.shutdown(Shutdown::Write)?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let answer: Answer = serde_json::from_str(&line).context("the lab ended while answering")?;
    Ok(Reply { status: answer.map_err(|error| anyhow!(error))?, supervisor })
}

/// Reads the request of one connection, on the supervisor's side.
pub(crate) fn read_request(stream: &UnixStream) -> Result<Request> {
    Ok(serde_json::from_reader(BufReader::new(stream))?)
}

/// Answers one connection, on the supervisor's side.
pub(crate) fn answer(mut stream: &UnixStream, answer: &Answer) -> Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    Ok(stream.write_all(&line)?)
}
