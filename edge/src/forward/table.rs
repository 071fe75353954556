//! The transactions on the table `inet postern`.
//!
//! [`replace`] makes the table anew. [`update`] changes all its rules at once and keeps what it has learnt: counters, bans
//! and the clients that are being limited. Between two rulesets there is no moment without one.

use ipnet::IpNet;
use nftables::schema::{Counter, NfListObject, Table};
use nftables::types::NfFamily;
use serde_json::{Value, json};

use super::bans::{self, BANNED_V4, BANNED_V6, Bans, Difference};
use super::limits;
use super::rules::{chains, json, rules};
use super::state::{DesiredState, FIXED_COUNTERS, port_counter};

/// The table's name, in the family `inet`.
pub const TABLE: &str = "postern";

/// The table's family.
pub const FAMILY: NfFamily = NfFamily::INet;

/// The commands that replace the whole table by the one for `state`, or make it.
pub fn replace(state: &DesiredState) -> Vec<Value> {
    [remove(), vec![add(&table())], sets(), content(state)].concat()
}

/// The commands that bring a table that [`replace`] made to `state`. Adding a chain or a counter that is there changes
/// nothing; the sets depend on no state.
pub fn update(state: &DesiredState) -> Vec<Value> {
    [vec![add(&table()), json!({ "flush": json(&table()) })], content(state)].concat()
}

/// The commands after which the table is gone, whether it was there or not: adding first makes the deletion valid.
pub fn remove() -> Vec<Value> {
    vec![add(&table()), json!({ "delete": json(&table()) })]
}

/// The transactions that change the banned networks, each with a batch of elements: first what goes, then what comes.
pub fn change_bans(change: &Difference, now: u64) -> Vec<Vec<Value>> {
    let deletions: Vec<_> = change.delete.iter().map(|network| (*network, None)).collect();
    let deletions = deletions.chunks(bans::BATCH).map(|batch| of_each_set("delete", batch, now));
    let additions = change.add.chunks(bans::BATCH).map(|batch| of_each_set("add", batch, now));
    deletions.chain(additions).collect()
}

/// The commands that empty the sets of banned networks and fill them anew, at once.
pub fn refill_bans(wanted: &Bans, now: u64) -> Vec<Value> {
    let flush = [BANNED_V4, BANNED_V6].map(|name| json!({ "flush": { "set": named(name) } }));
    let wanted: Vec<_> = wanted.iter().map(|(network, until)| (*network, *until)).collect();
    [flush.into(), of_each_set("add", &wanted, now)].concat()
}

/// One command for all elements of a set: `nft` reads the whole set for each.
fn of_each_set(verb: &str, networks: &[(IpNet, Option<u64>)], now: u64) -> Vec<Value> {
    let of_set = |set| {
        let networks = networks.iter().filter(|(network, _)| bans::set_of(network) == set);
        let all: Vec<Value> = networks.map(|(network, until)| bans::element(network, *until, now)).collect();
        (!all.is_empty()).then(|| elements(verb, set, all))
    };
    [BANNED_V4, BANNED_V6].into_iter().filter_map(of_set).collect()
}

fn elements(verb: &str, set: &str, all: Vec<Value>) -> Value {
    let mut element = named(set);
    element["elem"] = all.into();
    json!({ verb: { "element": element } })
}

fn content(state: &DesiredState) -> Vec<Value> {
    let chains = chains(state).into_iter().map(|chain| add(&chain));
    let counters = counters(state).into_iter().map(|name| add(&counter(name)));
    let rules = rules(state).into_iter().map(|(chain, expr)| {
        json!({ "add": { "rule": { "family": FAMILY, "table": TABLE, "chain": chain, "expr": expr } } })
    });
    chains.chain(counters).chain(rules).collect()
}

fn sets() -> Vec<Value> {
    let banned = [(BANNED_V4, "ipv4_addr"), (BANNED_V6, "ipv6_addr")];
    let banned = banned.map(|(name, kind)| set(name, kind, bans::set_options()));
    let limited = limits::sets().map(|(name, kind)| set(name, kind, limits::set_options()));
    [banned.to_vec(), limited.to_vec()].concat()
}

fn set(name: &str, kind: &str, mut options: Value) -> Value {
    options["family"] = json!(FAMILY);
    options["table"] = json!(TABLE);
    options["name"] = json!(name);
    options["type"] = json!(kind);
    json!({ "add": { "set": options } })
}

fn named(name: &str) -> Value {
    json!({ "family": FAMILY, "table": TABLE, "name": name })
}

fn add(object: &NfListObject<'_>) -> Value {
    json!({ "add": json(object) })
}

fn table() -> NfListObject<'static> {
    NfListObject::Table(Table { family: FAMILY, name: TABLE.into(), handle: None })
}

fn counters(state: &DesiredState) -> Vec<String> {
    let fixed = FIXED_COUNTERS.into_iter().map(str::to_owned);
    fixed.chain(state.ports.keys().map(|port| port_counter(*port))).collect()
}

fn counter(name: String) -> NfListObject<'static> {
    NfListObject::Counter(Counter {
        family: FAMILY,
        table: TABLE.into(),
        name: name.into(),
        handle: None,
        packets: Some(0),
        bytes: Some(0),
    })
}
