//! `postern-home tunnel …`.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use postern_shared::cli::{Exit, Failure};
use postern_shared::http::Method;
use postern_shared::rotation::Step;
use postern_shared::tunnel::{EpochId, EpochStatus, Measured, moves};

use super::TunnelCommand;
use super::client::Client;
use crate::admin::wire::RotationTimer;
use crate::link::{LinkStatus, RotateEvery, TunnelKeys, seconds_now};

/// How often the daemon is asked while it rotates.
const POLL: Duration = Duration::from_millis(250);

pub(super) fn execute(client: &Client, command: TunnelCommand) -> Result<Exit, Failure> {
    match command {
        TunnelCommand::Status => {
            let status: LinkStatus = client.fetch("/v1/tunnel")?;
            client.print(&status, Report(&status))?;
            Ok(Exit::of_warnings(status.fenced_warning().as_slice()))
        }
        TunnelCommand::Rotate { every: None } => rotate(client),
        TunnelCommand::Rotate { every: Some(every) } => rotate_every(client, every),
    }
}

/// Sets the timer only; the daemon begins when the keys are old enough, which may be now.
fn rotate_every(client: &Client, every: RotateEvery) -> Result<Exit, Failure> {
    let timer: RotationTimer = client.call(Method::PUT, "/v1/tunnel/timer", &RotationTimer { every })?;
    let sentence = match timer.every {
        RotateEvery::NEVER => {
            "The keys are renewed only by `postern-home tunnel rotate` from now on.".to_owned()
        }
        every => format!("The keys are renewed by themselves from now on, when they are {every} old."),
    };
    client.print(&timer, sentence)
}

/// Starts the rotation or finds it under way, and tells each step. The daemon needs nobody to watch.
fn rotate(client: &Client) -> Result<Exit, Failure> {
    let started: TunnelKeys = client.call(Method::POST, "/v1/tunnel/rotate", &())?;
    let mut told = Step::Stable;
    let mut complaint = None;
    loop {
        let status: LinkStatus = client.fetch("/v1/tunnel")?;
        let keys = status.keys.ok_or_else(replaced)?;
        let is_done = keys.step == Step::Stable;
        if is_done && keys.epoch < started.target {
            return Err(replaced());
        }
        let reached = if is_done { Step::Drained } else { keys.step };
        for step in LADDER.iter().filter(|step| (told..=reached).contains(*step) && **step != told) {
            tell(client, format_args!("✓ {}", sentence(*step, started.target)))?;
        }
        told = reached;
        if is_done {
            return client.print(
                &keys,
                format_args!("✓ retired: the edge has dropped epoch {}", former(started.target)),
            );
        }
        if keys.error.is_some() && keys.error != complaint {
            tell(client, format_args!("  {}; tried again", keys.error.as_deref().unwrap_or_default()))?;
        }
        complaint = keys.error;
        std::thread::sleep(POLL);
    }
}

const LADDER: [Step; 5] = [Step::Generated, Step::Offered, Step::Proven, Step::Committed, Step::Drained];

fn sentence(step: Step, target: EpochId) -> String {
    let (new, old) = (target.0, former(target));
    match step {
        Step::Stable => format!("stable on epoch {new}"),
        Step::Generated => format!("generated: home has made its keys of epoch {new}"),
        Step::Offered => format!("offered: the edge accepts epoch {new} beside epoch {old}"),
        Step::Proven => format!("proven: epoch {new} has carried data both ways"),
        Step::Committed => {
            format!("committed: the edge prefers epoch {new}; epoch {old} is kept until it has been idle")
        }
        Step::Drained => format!("drained: home has deleted its keys of epoch {old}"),
    }
}

fn former(target: EpochId) -> u32 {
    target.0.saturating_sub(1)
}

/// For people only, at once; a program gets one answer at the end.
fn tell(client: &Client, line: impl Display) -> Result<(), Failure> {
    if client.is_for_programs() {
        return Ok(());
    }
    client.print(&(), line).map(drop)
}

fn replaced() -> Failure {
    Failure::failed("home has joined an edge anew meanwhile, which made new keys too; this rotation is void.")
}

/// The tunnel for people.
struct Report<'a>(&'a LinkStatus);

impl Display for Report<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let edge = self.0.edge.as_ref().map(|edge| format!("{edge}, ")).unwrap_or_default();
        write!(f, "edge      {edge}{}", self.0.state)?;
        write!(f, "\nlink      {}", self.0.described_kind())?;
        if let Some(keys) = &self.0.keys {
            write_keys(f, keys, self.0.rotate_every)?;
        }
        self.0.epochs.iter().try_for_each(|epoch| write_epoch(f, epoch))?;
        if let Some(error) = &self.0.last_error {
            write!(f, "\nwarning   {error}")?;
        }
        if let Some(warning) = self.0.fenced_warning() {
            write!(f, "\nwarning   {warning}")?;
        }
        Ok(())
    }
}

fn write_keys(f: &mut Formatter<'_>, keys: &TunnelKeys, every: RotateEvery) -> fmt::Result {
    let age = seconds_now().saturating_sub(keys.since);
    let shown = if keys.since == 0 { "of unknown age".to_owned() } else { format!("{} old", days(age)) };
    write!(f, "\nkeys      epoch {}, {shown}", keys.epoch.0)?;
    if let Some(left) = every.left(age) {
        write!(f, ", renewed every {every}, the next time in {}", days(left.as_secs()))?;
    }
    write!(f, "\n          home {}\n          edge {}", keys.home_key, keys.edge_key)?;
    if keys.step != Step::Stable {
        write!(f, "\nrotation  to epoch {}, {}", keys.target.0, sentence(keys.step, keys.target))?;
    }
    if let Some(error) = &keys.error {
        write!(f, "\nwarning   {error}; tried again")?;
    }
    Ok(())
}

fn days(seconds: u64) -> String {
    format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24)
}

fn write_epoch(f: &mut Formatter<'_>, epoch: &EpochStatus) -> fmt::Result {
    let state = match epoch.fenced {
        _ if epoch.alive => "up",
        Some(_) => "fenced",
        None => "down",
    };
    write!(f, "\nepoch {:<3} {state}", epoch.id.0)?;
    if let Some(endpoint) = epoch.endpoint {
        write!(f, ", {endpoint}")?;
    }
    if let Some(heard) = epoch.last_received {
        write!(f, ", heard {} s ago", heard.as_secs())?;
    }
    write!(f, ", {} octets received, {} sent", epoch.received_octets, epoch.sent_octets)?;
    let measured = Measured(epoch).to_string();
    if !measured.is_empty() {
        write!(f, "\n          {measured}")?;
    }
    moves(epoch, seconds_now()).try_for_each(|place| write!(f, "\n          {place}"))
}
