//! `postern-home config check` and `show`: read the configuration, and the former the files it names; change nothing.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use postern_shared::cli::{Exit, Failure, Origins, Output, report_check, show_config};
use postern_shared::config::Source;

use crate::config::{Config, REFERENCE};
use crate::tls::Tls;

pub(super) fn check(path: &Path, output: Output) -> Result<Exit, Failure> {
    let config = Config::load(path)?;
    Tls::check(&config.tls)?;
    report_check(path, warnings(&config), output)
}

/// Addresses that whoever knows may write to.
const SECRETS: [&str; 2] = ["notices.webhook", "notices.ntfy"];

/// Only a file that the daemon would take is shown.
pub(super) fn show(path: &Path, origins: Origins, output: Output) -> Result<Exit, Failure> {
    let source = Source::read(path)?;
    Config::from_source(&source)?;
    show_config(REFERENCE, &source, &SECRETS, origins, output)
}

fn warnings(config: &Config) -> Vec<String> {
    let key = config.tls.key.iter();
    let exposed =
        key.filter(|key| key.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0));
    exposed
        .map(|key| {
            format!(
                "{0}: every user of this machine may read the private key (`chmod 600 {0}`).",
                key.display()
            )
        })
        .collect()
}
