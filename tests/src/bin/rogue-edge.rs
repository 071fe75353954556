//! Stands in a taken-over edge's place: it has the edge's keys and none of its rules.
//!
//! In: a copy of `enrolment.json`. Out: the tunnel's interface `postern0`, through which whatever this machine sends
//! reaches home and whatever home sends reaches this machine; "ready" on standard output. Ends with its standard input.

use std::io::{Read, Write};
use std::net::IpAddr;

use anyhow::{Context, Result};
use postern_shared::netlink::Interface;
use postern_shared::rotation::{EdgeEpoch, EdgeLadder};
use postern_shared::tunnel::{Admission, EpochConfig, HeartbeatAddresses, Role, Tunnel, TunnelConfig};

const INTERFACE: &str = "postern0";
const PORT: u16 = 51820;

fn main() -> Result<()> {
    let path = std::env::args().nth(1).context("expected the path of enrolment.json")?;
    let state: serde_json::Value = serde_json::from_slice(&std::fs::read(path)?)?;
    let ladder: EdgeLadder =
        serde_json::from_value(state.get("home").context("no home has joined")?.clone())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tunnel = runtime.block_on(stand_in(&ladder))?;
    println!("ready");
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    tunnel.shutdown();
    Ok(())
}

async fn stand_in(ladder: &EdgeLadder) -> Result<Tunnel> {
    let tunnel =
        Tunnel::spawn(TunnelConfig { role: Role::Edge, interface: INTERFACE.to_owned(), port: PORT })?;
    let interface = Interface::open(INTERFACE)?;
    interface.bring_up(1380).await?;
    for (edge, home) in [("10.118.0.1", "10.118.0.2"), ("fd70:6f73:7465::1", "fd70:6f73:7465::2")] {
        interface.add_address(edge.parse::<IpAddr>()?, home.parse::<IpAddr>()?).await?;
    }
    let everything = || Ok::<_, anyhow::Error>(vec!["0.0.0.0/0".parse()?, "::/0".parse()?]);
    let epoch = |keys: &EdgeEpoch| {
        Ok(EpochConfig {
            id: keys.epoch,
            private_key: keys.edge_key.clone(),
            peer: keys.home_key,
            preshared_key: keys.preshared_key.clone(),
            endpoint: None,
            allowed_ips: everything()?,
            admission: Admission::Everything,
            heartbeat: HeartbeatAddresses { local: [10, 118, 0, 1].into(), peer: [10, 118, 0, 2].into() },
        })
    };
    tunnel.set_epochs(ladder.accepted().into_iter().map(epoch).collect::<Result<_>>()?);
    Ok(tunnel)
}
