//! The daemons of a lab, as children of its supervisor.
//!
//! The supervisor is process 1 of the lab's process namespace, so every orphan becomes its child too: one
//! thread reaps them all, and this table learns from it how each daemon ended.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, WaitOptions, WaitStatus, kill_process, test_kill_process, wait};

use crate::control::{DaemonStatus, Signal};
use crate::enter;
use crate::hosts::{self, DAEMONS, Daemon};
use crate::options::HomeRights;
use crate::topology::Host;
use crate::wait::wait_until;

/// How long a daemon may take to end by itself after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(20);

/// The table of running daemons.
pub struct Daemons {
    anchors: BTreeMap<Host, i32>,
    logs: PathBuf,
    home_rights: HomeRights,
    runs: Mutex<BTreeMap<(Host, &'static str), Run>>,
}

/// The latest run of a daemon.
struct Run {
    pid: Pid,
    end: Option<String>,
}

impl Daemons {
    /// A table with nothing running; logs go to `logs/HOST/DAEMON.log`.
    pub fn new(anchors: BTreeMap<Host, i32>, logs: &Path, home_rights: HomeRights) -> Daemons {
        Daemons { anchors, logs: logs.to_owned(), home_rights, runs: Mutex::default() }
    }

    /// The daemon of that name on that host.
    ///
    /// # Errors
    /// When the lab has none.
    pub fn find(host: Host, name: &str) -> Result<&'static Daemon> {
        DAEMONS
            .iter()
            .find(|daemon| daemon.host == host && daemon.name == name)
            .with_context(|| format!("no daemon {name:?} on {host}"))
    }

    /// Starts a daemon.
    ///
    /// # Errors
    /// When it runs already or its program cannot be started.
    pub fn start(&self, daemon: &Daemon) -> Result<()> {
        let mut runs = self.lock();
        if runs.get(&(daemon.host, daemon.name)).is_some_and(|run| run.end.is_none()) {
            bail!("{} on {} runs already", daemon.name, daemon.host);
        }
        let anchor = self.anchors.get(&daemon.host).context("the host is not up")?;
        let directory = self.logs.join(daemon.host.name());
        std::fs::create_dir_all(&directory)?;
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(directory.join(format!("{}.log", daemon.name)))?;
        let child = enter::host_command(*anchor, &self.command_line(daemon))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        // The reaper waits for it, not this handle.
        let pid = Pid::from_child(&child);
        runs.insert((daemon.host, daemon.name), Run { pid, end: None });
        Ok(())
    }

    fn command_line(&self, daemon: &Daemon) -> Vec<String> {
        let is_home = daemon.host == Host::Home && daemon.is_postern();
        let prefix = if is_home { hosts::home_prefix(self.home_rights) } else { Vec::new() };
        prefix.into_iter().chain(daemon.command.iter().map(|word| (*word).to_owned())).collect()
    }

    /// Signals a daemon and its descendants and waits for the end of them all.
    ///
    /// # Errors
    /// When it does not run, or outlives the patience of 20 seconds.
    pub fn stop(&self, daemon: &Daemon, signal: Signal) -> Result<()> {
        let key = (daemon.host, daemon.name);
        let Some(pid) = self.lock().get(&key).filter(|run| run.end.is_none()).map(|run| run.pid) else {
            bail!("{} on {} does not run", daemon.name, daemon.host);
        };
        let family = descendants(pid);
        for member in &family {
            // One that has ended meanwhile has done what is wanted.
            let _ = kill_process(*member, signal.number());
        }
        let what = format!("{} on {} has ended after {signal:?}", daemon.name, daemon.host);
        wait_until(&what, PATIENCE, || {
            let recorded = self.lock().get(&key).is_some_and(|run| run.end.is_some());
            recorded && !family.iter().any(|member| test_kill_process(*member).is_ok())
        })
    }

    /// Every daemon and its state.
    pub fn status(&self) -> Vec<DaemonStatus> {
        let runs = self.lock();
        DAEMONS
            .iter()
            .map(|daemon| {
                let run = runs.get(&(daemon.host, daemon.name));
                DaemonStatus {
                    host: daemon.host,
                    name: daemon.name.to_owned(),
                    running: run.is_some_and(|run| run.end.is_none()),
                    last_end: run.and_then(|run| run.end.clone()),
                }
            })
            .collect()
    }

    /// Reaps every child for ever.
    pub fn reap(&self) {
        loop {
            match wait(WaitOptions::empty()) {
                Ok(Some((pid, status))) => self.record_end(pid, status),
                // No child at the moment: the anchors are children, so this cannot last.
                Ok(None) | Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    fn record_end(&self, pid: Pid, status: WaitStatus) {
        let mut runs = self.lock();
        if let Some(run) = runs.values_mut().find(|run| run.pid == pid && run.end.is_none()) {
            run.end = Some(match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => format!("status {code}"),
                (None, Some(signal)) => format!("signal {signal}"),
                (None, None) => String::from("unknown"),
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Host, &'static str), Run>> {
        self.runs.lock().expect("no thread panics with the table")
    }
}

/// A process and all that came from it: Postfix's master leaves the process group of its script.
fn descendants(root: Pid) -> Vec<Pid> {
    let mut family = vec![root];
    let mut next = 0;
    while let Some(parent) = family.get(next) {
        let path = format!("/proc/{0}/task/{0}/children", parent.as_raw_nonzero());
        let children = std::fs::read_to_string(path).unwrap_or_default();
        family.extend(children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)));
        next += 1;
    }
    family
}

impl Signal {
    fn number(self) -> rustix::process::Signal {
        match self {
            Signal::Terminate => rustix::process::Signal::TERM,
            Signal::Kill => rustix::process::Signal::KILL,
        }
    }
}
