//! One host of a running lab: run programs there, read and write its files.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

use crate::enter;
use crate::topology::Host;

/// A host of a running lab.
#[derive(Debug, Clone, Copy)]
pub struct HostHandle {
    host: Host,
    door: Door,
}

/// The way in.
#[derive(Debug, Clone, Copy)]
enum Door {
    /// Through the lab's supervisor to the process that holds the host's namespaces.
    Namespaces { supervisor: i32, anchor: i32 },
    /// To the process 1 of a machine that stands in the host's place.
    Machine { systemd: i32 },
}

/// How a program ended and what it printed.
#[derive(Debug, Clone)]
pub struct Output {
    /// What was run, for messages.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Output {
    /// The output, if the program ended with status 0.
    ///
    /// # Errors
    /// Otherwise, with all that it printed.
    pub fn success(self) -> Result<Output> {
        if self.status.success() {
            return Ok(self);
        }
        bail!("{} ended with {}\n{}{}", self.command, self.status, self.stdout, self.stderr)
    }

    /// The exit status as a number; -1 after a signal.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }
}

impl HostHandle {
    pub(crate) fn new(host: Host, supervisor: i32, anchor: i32) -> HostHandle {
        HostHandle { host, door: Door::Namespaces { supervisor, anchor } }
    }

    /// The machine in a host's place whose process 1 is `systemd`, as this process sees it.
    pub(crate) fn machine(host: Host, systemd: i32) -> HostHandle {
        HostHandle { host, door: Door::Machine { systemd } }
    }

    /// The command line that runs a program here, for a caller that wants its own pipes.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let arguments: Vec<S> = arguments.into_iter().collect();
        match self.door {
            Door::Namespaces { supervisor, anchor } => {
                enter::command_from_outside(supervisor, anchor, &arguments)
            }
            Door::Machine { systemd } => enter::machine_command(systemd, &arguments),
        }
    }

    /// Runs a program to its end, without input.
    ///
    /// # Errors
    /// When it cannot be started; its own failure is in the output.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<Output> {
        self.run_with_input(arguments, b"")
    }

    /// Runs a program to its end, with `input` on its standard input.
    ///
    /// # Errors
    /// When it cannot be started; its own failure is in the output.
    pub fn run_with_input<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
        input: &[u8],
    ) -> Result<Output> {
        let arguments: Vec<S> = arguments.into_iter().collect();
        let command = self.caption(&arguments);
        let mut child = self
            .command(&arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| command.clone())?;
        let mut stdin = child.stdin.take().context("standard input is piped")?;
        let output = std::thread::scope(|scope| {
            // The program may end without reading its input; how it ends then tells more than the write.
            scope.spawn(move || stdin.write_all(input));
            child.wait_with_output()
        })?;
        Ok(Output {
            command,
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// The command line for messages, without the further lines of a script.
    fn caption<S: AsRef<OsStr>>(&self, arguments: &[S]) -> String {
        let first_line =
            |word: &S| word.as_ref().to_string_lossy().lines().next().unwrap_or_default().to_owned();
        let words: Vec<_> = arguments.iter().map(first_line).collect();
        format!("{}$ {}", self.host, words.join(" "))
    }

    /// Runs a shell script to its end.
    ///
    /// # Errors
    /// When it does not end with status 0.
    pub fn sh(&self, script: &str) -> Result<Output> {
        self.run(["sh", "-ec", script])?.success()
    }

    /// Starts a program and leaves it running; its pipes are the caller's.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<Child> {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command.spawn()?)
    }

    /// Replaces this process by a program on the host.
    pub fn exec<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> std::io::Error {
        let mut command = self.command(arguments);
        command.stdin(Stdio::inherit());
        if let Some(terminal) = std::env::var_os("TERM") {
            command.env("TERM", terminal);
        }
        command.exec()
    }

    /// Reads a file of the host.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self, path: &str) -> Result<Vec<u8>> {
        let output = self.command(["cat", "--", path]).output()?;
        if !output.status.success() {
            bail!("{}: {}", self.host, String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(output.stdout)
    }

    /// Writes a file of the host, readable by its owner only.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &str, content: &[u8]) -> Result<()> {
        self.run_with_input(["sh", "-ec", "umask 077; cat > \"$0\"", path], content)?.success()?;
        Ok(())
    }
}
