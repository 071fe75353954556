//! Layer-3 forwarding between the world and home: the firewall table and the kernel switches it needs.
//!
//! In: a [`DesiredState`], and what is banned. Out: the table `inet postern`, changed in one transaction by `nft`, and
//! packet forwarding switched on. Undone when [`Forwarding`] is dropped, unless the operator keeps the table. Refused: a
//! machine without `nft` or a user without CAP_NET_ADMIN, each with a sentence that says so.
//!
//! | module | holds |
//! |---|---|
//! | `state` | what is wanted |
//! | `rules`, `limits`, `mirror`, `words` | chains and rules, as a pure function of that |
//! | `bans` | the banned networks, and the way from one list to the next |
//! | `table` | the transactions |
//! | `nft` | runs them |
//! | `conntrack` | forgets flows that nobody has answered, after the way has changed |
//! | `kernel` | the switches in `/proc/sys` |

mod state;

mod limits;
mod mirror;
mod rules;
mod words;

mod bans;
mod table;

mod conntrack;
mod kernel;
mod nft;

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use postern_shared::control::Count;
use serde_json::Value;

pub use bans::Bans;
pub use kernel::KernelError;
pub use state::{
    DROPPED_BANNED, DROPPED_FROM_HOME, DROPPED_INPUT, DROPPED_LIMITED, DROPPED_TOWARDS_HOME, DesiredState,
    HELD_OTHERS, HELD_SMTP, HOME_OUTBOUND, Limits, MIRRORED_SMTP, Mirror, OpenPorts, Passage, SMTP,
    port_counter,
};
pub use table::TABLE;

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
    /// `nft` ended well and said something else than what was asked.
    #[error("`nft` lists something that this program cannot read: {0}.")]
    Unreadable(String),
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

/// The forwarding in force. Dropping it undoes it, as its [`OnStop`] says.
#[derive(Debug)]
pub struct Forwarding {
    state: DesiredState,
    /// What the sets of banned networks hold.
    banned: Bans,
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
        nft::apply(&table::replace(&state))?;
        match Switches::on(public_interface) {
            Ok(switches) => Ok(Self { state, banned: Bans::new(), on_stop, switches }),
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

    /// Brings the table to `state`, in one transaction. Flows that go on are not touched; those that nobody has answered
    /// yet are forgotten where the way of new ones has changed.
    ///
    /// # Errors
    /// See [`ForwardError`]; the rules before are then still in force.
    pub fn change(&mut self, state: DesiredState) -> Result<(), ForwardError> {
        if state == self.state {
            return Ok(());
        }
        nft::apply(&table::update(&state))?;
        let before = std::mem::replace(&mut self.state, state);
        if (before.passage, &before.ports) != (self.state.passage, &self.state.ports) {
            forget_unanswered(before.ports.keys().chain(self.state.ports.keys()).copied().collect());
        }
        Ok(())
    }

    /// Bans exactly these networks, those that have not ended at `now` (seconds since 1970). To be repeated every few
    /// seconds, since a wider ban that ends may uncover another.
    ///
    /// # Errors
    /// See [`ForwardError`]; the next call makes up for it.
    pub fn ban(&mut self, wanted: &Bans, now: u64) -> Result<(), ForwardError> {
        let wanted = bans::outermost(wanted, now);
        self.banned.retain(|_, until| until.is_none_or(|until| until > now));
        let change = bans::difference(&self.banned, &wanted, now);
        if change.delete.len() > bans::FEW {
            return self.refill(wanted, now);
        }
        for batch in table::change_bans(&change, now) {
            if let Err(error) = nft::apply(&batch) {
                tracing::warn!(%error, "the banned networks cannot be changed one by one; all are set anew");
                return self.refill(wanted, now);
            }
        }
        for network in &change.delete {
            self.banned.remove(network);
        }
        self.banned.extend(change.add);
        Ok(())
    }

    /// Bans these networks, none inside another, in the place of all before: in one transaction, so without a gap.
    fn refill(&mut self, wanted: Bans, now: u64) -> Result<(), ForwardError> {
        nft::apply(&table::refill_bans(&wanted, now))?;
        self.banned = wanted;
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

/// A SYN that was sent the old way has pinned its translation: until it is forgotten, every repetition goes there too.
fn forget_unanswered(ports: BTreeSet<u16>) {
    match conntrack::forget_unanswered(&ports) {
        Ok(0) => {}
        Ok(flows) => {
            tracing::info!(flows, "flows without an answer are forgotten, so that they can begin anew")
        }
        Err(error) => {
            tracing::warn!(%error, "flows without an answer cannot be forgotten; they have to time out")
        }
    }
}

/// The table's named counters.
///
/// # Errors
/// See [`ForwardError`].
pub fn read_counters() -> Result<BTreeMap<String, Count>, ForwardError> {
    Ok(parse_counters(&nft::list(&["counters", "table", "inet", TABLE])?))
}

/// The chains of other programs that drop forwarded packets unless they know them, as `family table chain`. A packet must
/// pass every table's chains, so mail stays out until they let it through. Empty where this user may not look.
pub fn foreign_drops() -> Vec<String> {
    nft::list(&["chains"]).map_or_else(|_| Vec::new(), |listing| parse_foreign_drops(&listing))
}

fn parse_foreign_drops(listing: &[Value]) -> Vec<String> {
    let chains = listing.iter().filter_map(|object| object.get("chain"));
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
fn parse_counters(listing: &[Value]) -> BTreeMap<String, Count> {
    let counters = listing.iter().filter_map(|object| object.get("counter"));
    counters
        .filter_map(|counter| {
            let count = Count { packets: counter["packets"].as_u64()?, octets: counter["bytes"].as_u64()? };
            Some((counter["name"].as_str()?.to_owned(), count))
        })
        .collect()
}

fn remove_table() {
    if let Err(error) = nft::apply(&table::remove()) {
        tracing::warn!(%error, table = TABLE, "firewall table could not be removed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_beyond_32_bits_are_read() {
        let listing = [
            serde_json::json!({ "metainfo": { "version": "1.0.6" } }),
            serde_json::json!({ "counter": { "family": "inet", "name": "port_25", "packets": 3, "bytes": 5_000_000_000_u64 } }),
        ];
        let counters = parse_counters(&listing);
        assert_eq!(counters["port_25"], Count { packets: 3, octets: 5_000_000_000 });
        assert!(parse_counters(&[]).is_empty());
    }

    #[test]
    fn other_programs_closed_doors_are_found() {
        let chain = |table: &str, hook: &str, policy: &str| serde_json::json!({ "chain": { "family": "ip", "table": table, "name": "FORWARD", "hook": hook, "policy": policy } });
        let listing = [
            chain("filter", "forward", "drop"),
            chain("filter", "input", "drop"),
            chain("nat", "forward", "accept"),
            chain(TABLE, "forward", "drop"),
            serde_json::json!({ "chain": { "family": "ip", "table": "filter", "name": "DOCKER" } }),
        ];
        assert_eq!(parse_foreign_drops(&listing), ["ip filter FORWARD"]);
    }
}
