//! The certificate authority that we did not write: Pebble, which refuses good nonces on purpose and asks the lab's own
//! name system for proofs.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::hosts::{PEBBLE_LIFE, acme_home_config, pebble_json};
use crate::lab::{Lab, scenario_options};
use crate::options::Options;
use crate::topology::Host;
use crate::wait::wait_until;

/// How long a certificate may take: keys, zones, proofs and the authority's test service first.
pub const ISSUE_LIMIT: Duration = Duration::from_secs(60);

impl Lab {
    /// Starts a lab with Pebble, in which home has joined the edge and is set up, as [`Lab::joined`], but orders its own
    /// certificates.
    ///
    /// # Errors
    /// As [`Lab::joined`].
    pub fn certified() -> Result<Lab> {
        Lab::with_pebble(PEBBLE_LIFE, "")
    }

    /// As [`Lab::certified`], with certificates that count for so many seconds.
    ///
    /// # Errors
    /// As [`Lab::joined`].
    pub fn certified_for(seconds: u64) -> Result<Lab> {
        Lab::with_pebble(seconds, "")
    }

    /// As [`Lab::certified`], with a line more in the section `[acme]` of home.toml.
    ///
    /// # Errors
    /// As [`Lab::joined`].
    pub fn certified_with(line: &str) -> Result<Lab> {
        Lab::with_pebble(PEBBLE_LIFE, line)
    }

    fn with_pebble(life: u64, line: &str) -> Result<Lab> {
        let home_config = acme_home_config().replacen("[acme]", &format!("[acme]\n{line}"), 1);
        let lab = Lab::start(Options { home_config, ..scenario_options()? })?;
        let set_up = || {
            lab.set_pebble_life(life)?;
            lab.start_pebble()?;
            lab.join()?;
            lab.set_up_home()
        };
        set_up().map_err(|error| lab.explain(error))?;
        Ok(lab)
    }

    /// Starts Pebble and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub fn start_pebble(&self) -> Result<()> {
        self.start_daemon(Host::Authority, "pebble")?;
        wait_until("Pebble answers", Duration::from_secs(20), || {
            let fetch = ["curl", "--silent", "--fail", "--max-time", "2", "https://acme.test/dir"];
            self.host(Host::Home).run(fetch)?.success()
        })?;
        Ok(())
    }

    /// Lets the certificates of Pebble's next start count for so many seconds.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_pebble_life(&self, seconds: u64) -> Result<()> {
        self.host(Host::Authority).write("/etc/pebble/pebble.json", pebble_json(seconds).as_bytes())
    }

    /// `postern-home cert list --json`.
    ///
    /// # Errors
    /// When home does not answer.
    pub fn certificates(&self) -> Result<Vec<Value>> {
        let list = self.host(Host::Home).run(["postern-home", "cert", "list", "--json"])?;
        let report: Value = serde_json::from_str(&list.stdout).context(list.stderr)?;
        Ok(report.get("certificates").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    /// The certificate of a name, as `cert list` tells of it.
    ///
    /// # Errors
    /// When there is none in the list.
    pub fn certificate_of(&self, name: &str) -> Result<Value> {
        let is_meant = |certificate: &Value| {
            certificate
                .get("names")
                .and_then(Value::as_array)
                .is_some_and(|names| names.iter().any(|candidate| candidate.as_str() == Some(name)))
        };
        let certificates = self.certificates()?;
        let found = certificates.iter().find(|certificate| is_meant(certificate)).cloned();
        found.with_context(|| format!("no certificate of {name} in {certificates:?}"))
    }

    /// Waits until a name's certificate is one of Pebble's.
    ///
    /// # Errors
    /// When none comes.
    pub fn await_certificate(&self, name: &str) -> Result<Value> {
        wait_until(&format!("{name} has a certificate"), ISSUE_LIMIT, || {
            let certificate = self.certificate_of(name)?;
            ensure!(certificate.get("origin").and_then(Value::as_str) == Some("acme"), "{certificate:#}");
            Ok(certificate)
        })
    }

    /// Puts the root of Pebble's certificates into a file of a host, and of nothing else's.
    ///
    /// # Errors
    /// When Pebble does not give it.
    pub fn fetch_pebble_root(&self, host: Host, path: &str) -> Result<()> {
        let url = "https://acme.test:15000/roots/0";
        self.host(host).run(["curl", "--silent", "--fail", "--output", path, url])?.success()?;
        Ok(())
    }
}
