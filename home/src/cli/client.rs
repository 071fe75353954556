//! The way to the running daemon.

use std::fmt::Display;
use std::path::PathBuf;

use postern_shared::cli::{Exit, Failure, Output};
use postern_shared::http::Method;
use postern_shared::local;
use serde::Serialize;
use serde::de::DeserializeOwned;

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
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| Failure::failed(format!("the program cannot start: {error}.")))?;
        Ok(runtime.block_on(local::call(&self.runtime_dir, method, path, body))?)
    }

    /// Asks for something that takes no parameters.
    pub(super) fn fetch<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::GET, path, &())
    }

    /// Prints the answer as JSON, or the text for people.
    pub(super) fn print<T: Serialize>(&self, answer: &T, text: impl Display) -> Result<Exit, Failure> {
        self.output.print(answer, text)?;
        Ok(Exit::Done)
    }
}
