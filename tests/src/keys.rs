//! What home and edge say of the tunnel's keys.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::lab::Lab;
use crate::options::Options;
use crate::topology::Host;
use crate::wait::wait_until;

/// Enough for a daemon's restart, a new handshake and the whole ladder.
pub const CONVERGENCE: Duration = Duration::from_secs(60);

/// The keys of both ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The epoch that home is certain of.
    pub epoch: u64,
    /// Home's rung of the ladder.
    pub step: String,
    /// The epoch that home's rotation leads to.
    pub target: u64,
    /// Home's public key.
    pub home_key: String,
    /// The edge's public key, in home's opinion.
    pub edge_key: String,
    /// Why home's last step failed.
    pub error: Option<String>,
    /// The epochs that the edge accepts, newest first.
    pub accepted_by_edge: Vec<u64>,
    /// The preferred epoch's keys in the edge's opinion: the edge's own and home's.
    pub at_edge: (String, String),
}

/// Options for scenarios of rotation: an old epoch is dropped after one second without traffic, not three minutes.
pub fn quick_rotation(mut options: Options) -> Options {
    options.home_config += "[tunnel]\ndrain_seconds = 1\n";
    options
}

impl Lab {
    /// What both ends say.
    ///
    /// # Errors
    /// When one of them does not answer or knows no keys.
    pub fn keys(&self) -> Result<Keys> {
        let home = self.json(Host::Home, &["postern-home", "tunnel", "status"])?;
        let edge = self.json(Host::Edge, &["postern-edge", "status"])?;
        let keys = home.pointer("/keys").context("home has no keys")?;
        let epochs = edge.pointer("/enrolment/epochs").and_then(Value::as_array).context("epochs")?;
        let preferred =
            epochs.iter().find(|epoch| epoch.get("place").is_some_and(|place| place == "preferred"));
        let preferred = preferred.context("a preferred epoch")?;
        Ok(Keys {
            epoch: number(keys, "epoch")?,
            step: text(keys, "step")?,
            target: number(keys, "target")?,
            home_key: text(keys, "home_key")?,
            edge_key: text(keys, "edge_key")?,
            error: text(keys, "error").ok(),
            accepted_by_edge: epochs.iter().filter_map(|epoch| epoch.get("id")?.as_u64()).collect(),
            at_edge: (text(preferred, "edge_key")?, text(preferred, "home_key")?),
        })
    }

    /// Says whether both ends hold this epoch and no other, with the same keys, and home is connected.
    ///
    /// # Errors
    /// What else they hold.
    pub fn rests_on(&self, epoch: u64) -> Result<()> {
        let keys = self.keys()?;
        let is_at_rest = keys.step == "stable" && keys.epoch == epoch && keys.accepted_by_edge == [epoch];
        ensure!(is_at_rest, "{keys:?}");
        ensure!(keys.at_edge == (keys.edge_key.clone(), keys.home_key.clone()), "the ends differ: {keys:?}");
        self.is_connected()
    }

    /// Waits until both ends rest on an epoch.
    ///
    /// # Errors
    /// When they do not.
    pub fn await_rest_on(&self, epoch: u64) -> Result<()> {
        let what = format!("both ends rest on epoch {epoch}");
        wait_until(&what, CONVERGENCE, || self.rests_on(epoch)).map_err(|error| self.explain(error))
    }

    /// Runs a command of Postern's with `--json`.
    ///
    /// # Errors
    /// When it prints no JSON.
    pub fn json(&self, host: Host, command: &[&str]) -> Result<Value> {
        let output = self.host(host).run([command, &["--json"]].concat())?;
        serde_json::from_str(&output.stdout).with_context(|| output.stderr.clone())
    }
}

fn text(value: &Value, name: &str) -> Result<String> {
    Ok(value.get(name).and_then(Value::as_str).with_context(|| name.to_owned())?.to_owned())
}

fn number(value: &Value, name: &str) -> Result<u64> {
    value.get(name).and_then(Value::as_u64).with_context(|| name.to_owned())
}
