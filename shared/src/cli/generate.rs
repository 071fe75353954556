//! Completion scripts and manual pages, made from the command line's own description.

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Exit, Failure, write_stdout};

/// Prints the completions of `program` for a shell.
///
/// # Errors
/// When standard output cannot be written.
pub fn completions<C: CommandFactory>(program: &str, shell: Shell) -> Result<Exit, Failure> {
    // In memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut C::command(), program, &mut script);
    write_stdout(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

/// Writes a manual page for each command into a directory, which is made where it is missing.
///
/// # Errors
/// When the pages cannot be written.
pub fn manual<C: CommandFactory>(directory: &Path) -> Result<Exit, Failure> {
    let written =
        fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(C::command(), directory));
    written.map(|()| Exit::Done).map_err(|error| {
        Failure::failed(format!("{}: the manual pages cannot be written: {error}.", directory.display()))
    })
}
