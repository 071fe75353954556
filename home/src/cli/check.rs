//! `postern-home config check`: reads the configuration and the files it names; changes nothing.

use std::path::Path;

use postern_shared::cli::{Exit, Failure, Output};

use crate::config::Config;
use crate::tls::Tls;

pub(super) fn check(path: &Path, output: Output) -> Result<Exit, Failure> {
    let config = Config::load(path)?;
    Tls::check(&config.tls).map_err(|error| Failure::usage(error.to_string()))?;
    let answer = serde_json::json!({ "path": path, "valid": true });
    output.print(&answer, format_args!("{}: the configuration is valid.", path.display()))?;
    Ok(Exit::Done)
}
