//! `postern-home config check`: reads the configuration and the files it names; changes nothing.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use postern_shared::cli::{Exit, Failure, Output, report_check};

use crate::config::Config;
use crate::tls::Tls;

pub(super) fn check(path: &Path, output: Output) -> Result<Exit, Failure> {
    let config = Config::load(path)?;
    Tls::check(&config.tls)?;
    report_check(path, warnings(&config), output)
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
