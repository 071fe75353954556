//! A whole Debian machine in a host's place, with systemd as process 1: what a cloud or a Pi starts, and packages are installed in.
//!
//! The machine has its own process, mount, IPC, UTS and control group namespaces and the host's network. Its disk is
//! `target/machine/root` (tests/setup/machine.sh), read only, under a layer that lasts until the lab ends: a machine that was
//! [cut off](Machine::cut_power) finds it again.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::host::Output;
use crate::lab::Lab;
use crate::shell;
use crate::topology::Host;
use crate::wait::wait_until;

/// How long a machine may take from process 1 to its target, cloud-init included.
const BOOT_LIMIT: Duration = Duration::from_secs(120);

/// Makes the machine's root and becomes its process 1; `$0` is the tree below, `$1` the host's name.
const BOOT: &str = include_str!("machine.sh");

/// A running machine; it ends when this is dropped.
pub struct Machine<'lab> {
    lab: &'lab Lab,
    host: Host,
    process: Child,
}

impl<'lab> Machine<'lab> {
    /// Starts the machine of a host, whose layer `files` (path from the root, content) are written into first.
    ///
    /// # Errors
    /// When `target/machine` has not been made, or systemd does not reach its target; a failed unit is no error.
    pub fn boot(lab: &'lab Lab, host: Host, files: &[(&str, &str)]) -> Result<Machine<'lab>> {
        let outside = lab.host(host);
        let tree = tree()?.canonicalize()?;
        for (path, content) in files {
            let place = format!("/run/machine/upper{path}");
            let directory = Path::new(&place).parent().context("a file has a directory")?.to_owned();
            outside.run(["mkdir", "-p", &directory.to_string_lossy()])?.success()?;
            outside.run_with_input(["tee", &place], content.as_bytes())?.success()?;
        }
        let namespaces = [
            "unshare",
            "--mount",
            "--pid",
            "--ipc",
            "--uts",
            "--cgroup",
            "--fork",
            "--kill-child",
            "--propagation",
            "private",
        ];
        let words = ["sh", "-ec", BOOT, &*tree.to_string_lossy(), host.name()];
        let mut command = outside.command(namespaces.into_iter().chain(words));
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let systemd = wait_until("the machine's systemd runs", Duration::from_secs(20), || {
            systemd_below(process.id())
        })?;
        lab.machines.lock().expect("no user of it panics").insert(host, systemd);
        let machine = Machine { lab, host, process };
        machine.await_target()?;
        Ok(machine)
    }

    /// What `journalctl` has of a unit.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn journal(&self, unit: &str) -> Result<String> {
        Ok(self.run(["journalctl", "--no-pager", "--output=cat", "--unit", unit])?.success()?.stdout)
    }

    /// `systemctl` with these words.
    ///
    /// # Errors
    /// When it cannot be run; its own failure is in the output.
    pub fn systemctl(&self, words: &[&str]) -> Result<Output> {
        self.run([&["systemctl", "--no-pager"], words].concat())
    }

    /// Pulls the plug: every process of the machine ends at once. What it had written stays, for the next [`Machine::boot`].
    pub fn cut_power(self) {}

    fn run(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Output> {
        self.lab.host(self.host).run(words)
    }

    fn await_target(&self) -> Result<()> {
        wait_until("the machine has started", BOOT_LIMIT, || {
            let state = self.systemctl(&["is-system-running"])?.stdout;
            match state.trim() {
                "running" | "degraded" => Ok(()),
                other => bail!("systemd is {other}"),
            }
        })
    }
}

impl Drop for Machine<'_> {
    fn drop(&mut self) {
        // With process 1 the kernel ends all the others.
        if let Some(systemd) = self.lab.machines.lock().expect("no user of it panics").remove(&self.host) {
            let _ = shell::output(shell::command("kill").args(["-KILL", &systemd.to_string()]));
        }
        let _ = self.process.wait();
    }
}

/// The tree that every machine's disk begins with.
fn tree() -> Result<PathBuf> {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/machine/root");
    if !tree.join("etc/debian_version").exists() {
        bail!("{} is not there; tests/setup/machine.sh makes it", tree.display());
    }
    Ok(tree)
}

/// The process of systemd among the descendants of `ancestor`, as this process sees it.
fn systemd_below(ancestor: u32) -> Result<i32> {
    let mut process = ancestor;
    loop {
        if fs::read_to_string(format!("/proc/{process}/comm"))?.trim() == "systemd" {
            return Ok(i32::try_from(process)?);
        }
        let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"))?;
        let child =
            children.split_whitespace().next().context("the machine has ended, or has not begun yet")?;
        process = child.parse()?;
    }
}
