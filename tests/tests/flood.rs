//! A flood of forged handshakes against the edge's tunnel port: who is connected notices nothing, and who was cut off
//! comes back.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::{Host, Lab, Signal, wait_until};
use serde_json::Value;

const FORGER: &str = include_str!("../bench/tunnel/forger.py");
/// More than any honest number of homes would send.
const FORGED_PER_SECOND: u32 = 10_000;
const SECONDS: u32 = 14;
/// A cookie takes one attempt more than usual.
const RECONNECTION: Duration = Duration::from_secs(10);

#[test]
fn a_flood_of_forged_handshakes_hurts_nobody() -> Result<()> {
    let lab = Lab::joined()?;
    let (edge, home, cafe) = (lab.host(Host::Edge), lab.host(Host::Home), lab.host(Host::Cafe));
    let link: Value = serde_json::from_slice(&home.read("/var/lib/postern-home/link.json")?)?;
    let key = link.pointer("/edge/edge_key").and_then(Value::as_str).context("the edge's key")?;
    // The café owns a whole network to forge addresses of, and gets what comes back for them.
    cafe.sh("ip route add local 198.19.0.0/16 dev lo")?.success()?;
    let way_back = format!("ip route add 198.19.0.0/16 via {}", Host::Cafe.v4());
    lab.host(Host::Internet).sh(&way_back)?.success()?;
    let datagrams = || -> Result<u64> {
        let counters = edge.sh("nstat -az UdpInDatagrams | awk '/UdpIn/ {print $2}'")?.success()?.stdout;
        Ok(counters.trim().parse()?)
    };
    let before = datagrams()?;
    let (rate, seconds) = (FORGED_PER_SECOND.to_string(), SECONDS.to_string());
    let forger =
        ["python3", "-c", FORGER, key, "192.0.2.10", "51820", "initiation", &rate, &seconds, "198.19"];
    let mut forger = cafe.spawn(forger)?;
    let mut told = BufReader::new(forger.stdout.take().context("piped")?);
    let mut line = String::new();
    told.read_line(&mut line)?;
    ensure!(line == "flooding\n", "{line:?}");

    let ping = ["ping", "-q", "-i", "0.005", "-c", "600", "10.118.0.2"];
    let flow = edge.run(ping)?.success()?.stdout;
    let answered = flow.split(", ").find_map(|part| part.strip_suffix(" received")).context(flow.clone())?;
    assert!(answered.parse::<u32>()? > 594, "the flow loses one packet in a hundred or more: {flow}");

    lab.stop_daemon(Host::Home, "postern-home", Signal::Kill)?;
    lab.start_daemon(Host::Home, "postern-home")?;
    wait_until("a killed home is connected again", RECONNECTION, || lab.is_connected())?;
    ensure!(forger.try_wait()?.is_none(), "the flood ended before home was back");

    line.clear();
    told.read_line(&mut line)?;
    let forged: Value = serde_json::from_str(&line)?;
    let sent = forged["sent"].as_u64().context("a number")?;
    assert!(sent >= u64::from(FORGED_PER_SECOND * SECONDS) * 9 / 10, "too few for a flood: {forged}");
    assert!(forged["cookies"].as_u64() > Some(1000), "the edge asks for cookies: {forged}");
    assert!(datagrams()? - before >= sent * 9 / 10, "the flood did not reach the edge: {forged}");
    Ok(())
}
