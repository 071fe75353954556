//! Layer-3 forwarding between the world and home: the firewall table and the kernel switches it needs.
//!
//! In: a [`DesiredState`]. Out: the table `inet postern`, replaced in one transaction by `nft`, and packet forwarding
//! switched on. Undone when [`Forwarding`] is dropped, unless the operator keeps the table. Refused: a machine without
//! `nft` or a user without CAP_NET_ADMIN, each with a sentence that says so.

mod kernel;
mod rules;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

use nftables::schema::Nftables;

pub use kernel::KernelError;
pub use rules::{
    DROPPED_FROM_HOME, DROPPED_INPUT, DROPPED_TOWARDS_HOME, DesiredState, HOME_OUTBOUND, OpenPorts, TABLE,
    port_counter,
};

use kernel::Switches;

/// Why forwarding could not be set up; each text is a paragraph for the operator.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// There is no `nft`.
    #[error(
        "the program `nft` is not installed, and the edge cannot forward without it. Install it: `apt-get install nftables`."
    )]
    NoNft,
    /// `nft` may not change the ruleset.
    #[error(
        "this user may not change the firewall. Run postern-edge as root, or give its service AmbientCapabilities=CAP_NET_ADMIN."
    )]
    Permission,
    /// `nft` could not be run.
    #[error("the program `nft` could not be run: {0}.")]
    Run(#[from] io::Error),
    /// `nft` refused the table.
    #[error(
        "`nft` refused the table `inet postern`: {0} See that the kernel has nf_tables, nft_nat, nft_fib_inet and nft_masq."
    )]
    Refused(String),
    /// Forwarding could not be switched on.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// What stays behind when the daemon stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStop {
    /// The table is removed and the kernel switches are put back.
    Remove,
    /// Everything stays.
    Keep,
}

/// Packets and octets of one named counter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Count {
    /// Packets; for connection counters, connections.
    pub packets: u64,
    /// Octets of those packets.
    pub octets: u64,
}

/// The forwarding in force. Dropping it undoes it, as its [`OnStop`] says.
#[derive(Debug)]
pub struct Forwarding {
    state: DesiredState,
    on_stop: OnStop,
    switches: Switches,
}

impl Forwarding {
    /// Switches forwarding on and puts the table in place. `public_interface` goes on accepting router advertisements.
    ///
    /// # Errors
    /// See [`ForwardError`]; nothing is left behind.
    pub fn start(
        state: DesiredState,
        public_interface: Option<&str>,
        on_stop: OnStop,
    ) -> Result<Self, ForwardError> {
        apply(&rules::replace(&state))?;
        match Switches::on(public_interface) {
            Ok(switches) => Ok(Self { state, on_stop, switches }),
            Err(error) => {
                remove_table();
                Err(error.into())
            }
        }
    }

    /// The state in force.
    pub fn state(&self) -> &DesiredState {
        &self.state
    }

    /// Replaces the table by the one for `state`, in one transaction.
    ///
    /// # Errors
    /// See [`ForwardError`]; the old table is then still in force.
    pub fn change(&mut self, state: DesiredState) -> Result<(), ForwardError> {
        if state != self.state {
            apply(&rules::replace(&state))?;
            self.state = state;
        }
        Ok(())
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        if self.on_stop == OnStop::Remove {
            remove_table();
            self.switches.restore();
        }
    }
}

/// The table's named counters.
///
/// # Errors
/// See [`ForwardError`].
pub fn read_counters() -> Result<BTreeMap<String, Count>, ForwardError> {
    let output = Command::new("nft").args(["-j", "list", "counters", "table", "inet", TABLE]).output();
    let output = check(output)?;
    let listing: serde_json::Value =
        serde_json::from_slice(&output.stdout).map_err(|error| ForwardError::Refused(error.to_string()))?;
    Ok(parse_counters(&listing))
}

/// The chains of other programs that drop forwarded packets unless they know them, as `family table chain`. A packet must
/// pass every table's chains, so mail stays out until they let it through. Empty where this user may not look.
pub fn foreign_drops() -> Vec<String> {
    let Ok(output) = check(Command::new("nft").args(["-j", "list", "chains"]).output()) else {
        return Vec::new();
    };
    serde_json::from_slice(&output.stdout)
        .map_or_else(|_| Vec::new(), |listing| parse_foreign_drops(&listing))
}

fn parse_foreign_drops(listing: &serde_json::Value) -> Vec<String> {
    let objects = listing["nftables"].as_array().map_or(&[][..], Vec::as_slice);
    let chains = objects.iter().filter_map(|object| object.get("chain"));
    let drops = chains
        .filter(|chain| chain["hook"] == "forward" && chain["policy"] == "drop" && chain["table"] != TABLE);
    drops
        .filter_map(|chain| {
            Some(format!(
                "{} {} {}",
                chain["family"].as_str()?,
                chain["table"].as_str()?,
                chain["name"].as_str()?
            ))
        })
        .collect()
}

/// Reads the listing by hand: the crate's counter type holds 32 bits, which 4 GiB overflow.
fn parse_counters(listing: &serde_json::Value) -> BTreeMap<String, Count> {
    let objects = listing["nftables"].as_array().map_or(&[][..], Vec::as_slice);
    objects
        .iter()
        .filter_map(|object| {
            let counter = object.get("counter")?;
            let count = Count { packets: counter["packets"].as_u64()?, octets: counter["bytes"].as_u64()? };
            Some((counter["name"].as_str()?.to_owned(), count))
        })
        .collect()
}

fn remove_table() {
    if let Err(error) = apply(&rules::remove()) {
        tracing::warn!(%error, table = TABLE, "firewall table could not be removed");
    }
}

/// Runs one transaction. The crate's own runner loses what `nft` writes to standard error, so this is ours.
fn apply(transaction: &Nftables<'_>) -> Result<(), ForwardError> {
    let payload =
        serde_json::to_vec(transaction).map_err(|error| ForwardError::Refused(error.to_string()))?;
    let mut command = Command::new("nft");
    command.args(["-j", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.spawn().and_then(|mut child| {
        // Taking the handle closes it after writing: `nft` waits for the end of its input.
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(&payload)?;
        }
        child.wait_with_output()
    });
    check(output).map(drop)
}

fn check(output: io::Result<Output>) -> Result<Output, ForwardError> {
    let output = output.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ForwardError::NoNft,
        _ => ForwardError::Run(error),
    })?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    if said.contains("Operation not permitted") || said.contains("you must be root") {
        return Err(ForwardError::Permission);
    }
    Err(ForwardError::Refused(said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_beyond_32_bits_are_read() {
        let listing = serde_json::json!({ "nftables": [
            { "metainfo": { "version": "1.0.6" } },
            { "counter": { "family": "inet", "name": "port_25", "packets": 3, "bytes": 5_000_000_000_u64 } },
        ] });
        let counters = parse_counters(&listing);
        assert_eq!(counters["port_25"], Count { packets: 3, octets: 5_000_000_000 });
        assert!(parse_counters(&serde_json::json!({})).is_empty());
    }

    #[test]
    fn other_programs_closed_doors_are_found() {
        let chain = |table: &str, hook: &str, policy: &str| serde_json::json!({ "chain": { "family": "ip", "table": table, "name": "FORWARD", "hook": hook, "policy": policy } });
        let listing = serde_json::json!({ "nftables": [
            chain("filter", "forward", "drop"), chain("filter", "input", "drop"), chain("nat", "forward", "accept"),
            chain(TABLE, "forward", "drop"), { "chain": { "family": "ip", "table": "filter", "name": "DOCKER" } },
        ] });
        assert_eq!(parse_foreign_drops(&listing), ["ip filter FORWARD"]);
    }
}
