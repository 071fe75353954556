//! The way to the running daemon.

use std::fmt::Display;
use std::path::PathBuf;

use postern_shared::cli::{self, Exit, Failure, Output};
use postern_shared::http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::admin::wire::OfAccounts;

/// Asks the daemon of one configuration, and prints in one form.
pub(super) struct Client {
    runtime_dir: PathBuf,
    output: Output,
}

impl Client {
    pub(super) fn new(runtime_dir: PathBuf, output: Output) -> Self {
        Self { runtime_dir, output }
    }

    /// Sends one request and waits for the answer.
    pub(super) fn call<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &B,
    ) -> Result<T, Failure> {
        cli::ask(&self.runtime_dir, method, path, body)
    }

    /// Asks for something that takes no parameters.
    pub(super) fn fetch<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::GET, path, &())
    }

    /// Whether the answer is wanted as JSON.
    pub(super) fn is_for_programs(&self) -> bool {
        matches!(self.output, Output::Json)
    }

    /// Prints what the accounts hold, and fails behind it where some could not be read.
    pub(super) fn print_of_accounts<T: Serialize>(
        &self,
        answer: &OfAccounts<T>,
        text: impl Display,
    ) -> Result<Exit, Failure> {
        self.print(&answer.entries, text)?;
        match answer.unreadable.as_slice() {
            [] => Ok(Exit::Done),
            unreadable => Err(Failure::failed(format!("{}.", unreadable.join("; ")))),
        }
    }

    /// Prints the answer as JSON, or the text for people.
    pub(super) fn print<T: Serialize>(&self, answer: &T, text: impl Display) -> Result<Exit, Failure> {
        self.output.print(answer, text)?;
        Ok(Exit::Done)
    }
}
