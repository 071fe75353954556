//! What the command lines of both programs have in common: how arguments become a command, exit codes, errors, colour and
//! JSON output.
//!
//! In: the outcome of a command. Out: text or JSON on standard output, one paragraph (or one JSON object) on standard
//! error where it failed, and the exit code. Nothing here reads the environment: `main` decides [`Colour`].

mod check;
mod command_line;
mod generate;
mod reference;
mod text;
mod time;

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};

use crate::config::ConfigError;
use crate::http::Method;
use crate::local::{self, CallError};

pub use check::report_check;
pub use command_line::main;
pub use generate::{completions, manual};
pub use reference::{Origins, explain_config, show_config};
pub use text::write_row;
pub use time::{parse_time, time_text};

/// How a program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// The command was understood and failed.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// Only warnings were found.
    Warnings = 3,
    /// The daemon that should have answered is not reachable.
    Unreachable = 4,
}

impl Exit {
    /// [`Exit::Done`] where there is nothing to warn of.
    pub fn of_warnings(warnings: &[String]) -> Self {
        if warnings.is_empty() { Self::Done } else { Self::Warnings }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// The form in which a command answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// One JSON value on standard output; errors as one JSON object on standard error.
    Json,
}

impl Output {
    /// The form that a `--json` switch asks for.
    pub fn from_switch(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }

    /// Prints `value` as JSON, or `text` for people, on standard output.
    ///
    /// # Errors
    /// A [`Failure`] when standard output cannot be written (a full disk, a closed pipe).
    pub fn print<T: Serialize>(self, value: &T, text: impl fmt::Display) -> Result<(), Failure> {
        let line = match self {
            Self::Text => text.to_string(),
            Self::Json => serde_json::to_string_pretty(value).map_err(|error| {
                Failure::failed(format!("the answer cannot be written as JSON: {error}."))
            })?,
        };
        write_stdout(&format!("{}\n", line.trim_end_matches('\n')))
    }
}

/// A reader that has seen enough, as `head` has, is no failure.
fn write_stdout(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("standard output cannot be written: {error}.")))
        }
        _ => Ok(()),
    }
}

/// Sends one request to the running daemon whose socket is in `runtime_dir`, and waits for the answer.
///
/// # Errors
/// What the daemon refused, or that there is none.
pub fn ask<B: Serialize, T: DeserializeOwned>(
    runtime_dir: &Path,
    method: Method,
    path: &str,
    body: &B,
) -> Result<T, Failure> {
    let runtime = runtime(Builder::new_current_thread())?;
    Ok(runtime.block_on(local::call(runtime_dir, method, path, body))?)
}

/// Starts a runtime of the given kind.
///
/// # Errors
/// When the system gives no thread or descriptor for it.
pub fn runtime(mut builder: Builder) -> Result<Runtime, Failure> {
    let built = builder.enable_all().build();
    built.map_err(|error| Failure::failed(format!("the program cannot start: {error}.")))
}

/// Whether styled text may be written at all. `NO_COLOR` set to anything asks for [`Colour::Never`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colour {
    /// Where standard error is a terminal.
    #[default]
    Auto,
    /// Nowhere.
    Never,
}

impl Colour {
    /// The choice that the value of the environment variable `NO_COLOR` makes (<https://no-color.org>).
    pub fn from_no_color(value: Option<std::ffi::OsString>) -> Self {
        if value.is_some_and(|value| !value.is_empty()) { Self::Never } else { Self::Auto }
    }

    /// Whether standard error takes colour.
    pub fn on_stderr(self) -> bool {
        self == Self::Auto && io::stderr().is_terminal()
    }
}

/// Why a command did not succeed: one paragraph for the operator, and the exit code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The exit code it leads to.
    pub exit: Exit,
    /// What happened, what was expected, and how to mend it; without the program's name.
    pub message: String,
}

impl Failure {
    /// The command was understood and failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into() }
    }

    /// The command line or the configuration is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }

    /// The daemon is not reachable.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self { exit: Exit::Unreachable, message: message.into() }
    }

    /// Writes the failure to standard error and gives the exit code.
    pub fn report(&self, program: &str, output: Output) -> ExitCode {
        let line = self.render(program, output);
        // Standard error being closed must not hide the exit code.
        let _ = writeln!(io::stderr().lock(), "{line}");
        self.exit.into()
    }

    /// The failure as one line: a paragraph, or a JSON object with `error` and `exit_code`.
    pub fn render(&self, program: &str, output: Output) -> String {
        let message = self.message.split_whitespace().collect::<Vec<_>>().join(" ");
        match output {
            Output::Text => format!("{program}: {message}"),
            Output::Json => serde_json::json!({ "error": message, "exit_code": self.exit as u8 }).to_string(),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NotRunning { .. } | CallError::Forbidden { .. } => {
                Self::unreachable(error.to_string())
            }
            CallError::Refused { .. } | CallError::Broken { .. } => Self::failed(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_paragraph_or_one_object() {
        let failure = Failure::usage("no such\n key.");
        assert_eq!(failure.render("postern-edge", Output::Text), "postern-edge: no such key.");
        assert_eq!(failure.render("postern-edge", Output::Json), r#"{"error":"no such key.","exit_code":2}"#);
    }

    #[test]
    fn no_color_counts_only_when_it_says_something() {
        assert_eq!(Colour::from_no_color(None), Colour::Auto);
        assert_eq!(Colour::from_no_color(Some("".into())), Colour::Auto);
        assert_eq!(Colour::from_no_color(Some("1".into())), Colour::Never);
    }
}
