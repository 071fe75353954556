//! Daemons that end, as by a power cut, at one chosen step of making a file durable.
//!
//! The steps are counted inside the daemon, by a small library that is loaded before its own (`tests/faults/steps.c`).

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::control::Signal;
use crate::lab::Lab;
use crate::topology::Host;
use crate::wait::wait_until;

/// Where the number of the last step is written, on the daemon's host.
const AT: &str = "/run/steps-at";
/// What the daemon and the library print, on the daemon's host.
const LOG: &str = "/run/steps.log";
/// How long a daemon may take to answer.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A daemon of the lab, run by this process instead of the supervisor.
pub struct Fragile<'a> {
    lab: &'a Lab,
    host: Host,
    daemon: &'static str,
    file: &'static str,
    library: PathBuf,
    process: Option<Child>,
}

impl<'a> Fragile<'a> {
    /// Takes over a running daemon of the lab; its steps with `file` count.
    ///
    /// # Errors
    /// When the library cannot be compiled or the daemon not be restarted.
    pub fn take_over(lab: &'a Lab, host: Host, daemon: &'static str, file: &'static str) -> Result<Self> {
        let library = compile(lab)?;
        lab.stop_daemon(host, daemon, Signal::Terminate)?;
        let mut fragile = Self { lab, host, daemon, file, library, process: None };
        fragile.start()?;
        Ok(fragile)
    }

    /// Ends the daemon at this step, counted from now on.
    ///
    /// # Errors
    /// When its host does not take the number.
    pub fn arm(&self, step: usize) -> Result<()> {
        self.lab.host(self.host).write(AT, step.to_string().as_bytes())
    }

    /// How the daemon has ended, if it has.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn end(&mut self) -> Result<Option<ExitStatus>> {
        let process = self.process.as_mut().context("the daemon was started")?;
        Ok(process.try_wait()?)
    }

    /// Starts the daemon again, with no step armed, and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub fn start(&mut self) -> Result<()> {
        let host = self.lab.host(self.host);
        let config = format!("/etc/postern/{}.toml", self.daemon.trim_start_matches("postern-"));
        let (daemon, library, file) = (self.daemon, self.library.display(), self.file);
        let script = format!(
            "rm -f {AT}; exec env LD_PRELOAD='{library}' STEPS_AT={AT} STEPS_OF={file} \
             {daemon} run --config {config} >>{LOG} 2>&1"
        );
        let mut command = host.command(["sh", "-c", &script]);
        self.process =
            Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
        wait_until(&format!("{daemon} answers"), START_LIMIT, || {
            let status = host.run([daemon, "status"])?;
            // 4: the daemon cannot be reached.
            ensure!(status.code() != 4, "{}", status.stderr);
            Ok(())
        })
        .with_context(|| self.log())
    }

    /// What the daemon has printed.
    pub fn log(&self) -> String {
        let log = self.lab.host(self.host).read(LOG).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// At which call the daemon was ended last, in the library's words.
    pub fn last_step(&self) -> String {
        self.log().lines().rfind(|line| line.starts_with("steps: ")).unwrap_or_default().to_owned()
    }
}

impl Drop for Fragile<'_> {
    fn drop(&mut self) {
        // The lab takes what is left with it.
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

fn compile(lab: &Lab) -> Result<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("faults/steps.c");
    let library = std::env::temp_dir().join(format!("{}-steps.so", lab.name()));
    let output =
        Command::new("gcc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).output()?;
    if !output.status.success() {
        bail!("the library of steps: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(library)
}
