//! The answer of `config check`.

use std::path::Path;

use serde::Serialize;

use super::{Exit, Failure, Output};

/// A file that is correct, with what else the operator should know.
#[derive(Debug, Serialize)]
struct Checked<'a> {
    file: &'a Path,
    warnings: Vec<String>,
}

/// Prints that the file is correct, and the warnings; with some, the exit code is [`Exit::Warnings`].
///
/// # Errors
/// When standard output cannot be written.
pub fn report_check(file: &Path, warnings: Vec<String>, output: Output) -> Result<Exit, Failure> {
    let checked = Checked { file, warnings };
    let mut text = format!("{}: correct", file.display());
    for warning in &checked.warnings {
        text.push_str(&format!("\nwarning: {warning}"));
    }
    output.print(&checked, text)?;
    Ok(Exit::of_warnings(&checked.warnings))
}
