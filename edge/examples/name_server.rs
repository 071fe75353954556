//! The edge's name server alone: no tunnel, no firewall, no home. For measurements (docs/performance.md).
//!
//! In: `ADDRESS ZONE.json limited|unlimited`. Out: answers for that zone at that address, until it is killed.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use postern_edge::config::Dns;
use postern_edge::dns::{NameServer, Served, ServedZone, SharedZones, ZoneSet};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, zone, limits] = arguments.as_slice() else {
        eprintln!("name_server ADDRESS ZONE.json limited|unlimited");
        return ExitCode::from(2);
    };
    match serve(address, Path::new(zone), limits == "limited") {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("name_server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(address: &str, zone: &Path, limit_answers: bool) -> Result<(), Box<dyn std::error::Error>> {
    let zone = serde_json::from_slice(&std::fs::read(zone)?)?;
    let zones = SharedZones::default();
    zones.replace(ZoneSet::default().with(Arc::new(ServedZone::new(&zone)?)));
    let config = Dns { listen: vec![address.parse()?], limit_answers, ..Dns::default() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut server = NameServer::start(&config, Served { zones, ..Served::default() })?;
        Err(server.failed().await.into())
    })
}
