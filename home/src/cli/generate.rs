//! Completion scripts and manual pages, made from the command line's own description.

use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;
use postern_shared::cli::{Exit, Failure};

use super::Cli;

pub(super) fn completions(shell: clap_complete::Shell) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "postern-home", &mut script);
    let written = io::stdout().lock().write_all(&script);
    written.map_err(|error| Failure::failed(format!("standard output cannot be written: {error}.")))?;
    Ok(Exit::Done)
}

pub(super) fn manual(directory: &Path) -> Result<Exit, Failure> {
    clap_mangen::generate_to(Cli::command(), directory).map_err(|error| {
        Failure::failed(format!("{}: the manual pages cannot be written: {error}.", directory.display()))
    })?;
    Ok(Exit::Done)
}
