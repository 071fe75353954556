//! Rows of the edge's machine and of the tunnel to it.

use postern_shared::look::Facts;

use super::{Code, Row, Verdict, Wanted};
use crate::link::NotAsked;
use crate::look::Outside;

/// Less than this part of the memory or disk is worth a word.
const LITTLE: u64 = 10;
/// Free octets below which the edge may not take a zone.
const LEAST_FREE: u64 = 16 << 20;
/// Stolen time, in hundredths of a per cent, from which on it is felt.
const MUCH_STOLEN: u32 = 1000;
/// An IP datagram of so many octets carries the least MTU of IPv6 through the tunnel; see docs/tunnel.md.
const NARROW: u16 = 1340;
/// Octets of a mebibyte.
const MEBIBYTE: u64 = 1 << 20;

pub fn rows(seen: &Outside, wanted: &Wanted) -> Vec<Row> {
    let mut rows = vec![versions(seen), path(seen, wanted)];
    rows.extend(match &seen.facts {
        Ok(facts) => vec![machine(facts)],
        Err(NotAsked::TooOld | NotAsked::Unheard) => Vec::new(),
        Err(error) => vec![Row::well(Code::Edge, "", error.to_string()).but(Verdict::Unknown)],
    });
    rows
}

/// Neighbouring versions work together, so a difference is no fault.
fn versions(seen: &Outside) -> Row {
    let home = env!("CARGO_PKG_VERSION");
    let is_too_old = [
        seen.facts.as_ref().err(),
        seen.echo.as_ref().err(),
        seen.mirror.as_ref().err(),
        seen.outbound.edge.as_ref().err(),
    ];
    let is_too_old = is_too_old.into_iter().flatten().any(|error| matches!(error, NotAsked::TooOld));
    match &seen.status {
        Ok(status) if is_too_old => {
            let found = format!(
                "edge {}, home {home}: this edge cannot look at all that home asks for",
                status.version
            );
            let mend = "Bring the edge to home's release, or make a new edge and join it.";
            Row::well(Code::Versions, "", found).but(Verdict::Warning).mend(mend)
        }
        Ok(status) if status.version == home => {
            Row::well(Code::Versions, "", format!("edge and home are {home}"))
        }
        Ok(status) => Row::well(Code::Versions, "", format!("edge {}, home {home}", status.version))
            .but(Verdict::Warning)
            .expected("the same at both")
            .mend("They work together one release apart; upgrade the older one."),
        Err(error) => Row::well(Code::Versions, "", format!("home {home}; {error}")).but(Verdict::Unknown),
    }
}

fn path(seen: &Outside, wanted: &Wanted) -> Row {
    let limit = wanted
        .path_mtu
        .map(|mtu| format!("; datagrams of up to {mtu} octets pass whole between this line and the edge"))
        .unwrap_or_default();
    match &seen.echo {
        Ok((octets, milliseconds)) => {
            let found = format!("{octets} octets went to the edge and came back in {milliseconds} ms{limit}");
            let row = Row::well(Code::TunnelPath, "", found);
            match wanted.path_mtu {
                Some(mtu) if mtu < NARROW => row
                    .but(Verdict::Warning)
                    .expected(format!("{NARROW} octets or more"))
                    .mend("Look at this machine's line: see \"A narrow path\" in docs/tunnel.md. Mail passes all the same."),
                _ => row,
            }
        }
        Err(error @ (NotAsked::TooOld | NotAsked::Unheard)) => {
            Row::well(Code::TunnelPath, "", format!("not tried: {error}{limit}")).but(Verdict::Unknown)
        }
        Err(error) => Row::well(Code::TunnelPath, "", format!("octets do not come back whole: {error}"))
            .but(Verdict::Failed)
            .mend("See `postern-home tunnel status`, and \"When the line is bad\" in docs/tunnel.md."),
    }
}

/// One row with all that is known; the first trouble decides.
fn machine(facts: &Facts) -> Row {
    let mut found = Vec::new();
    let mut troubles = Vec::new();
    if let Some(memory) = facts.memory {
        let (available, total) = (memory.available / MEBIBYTE, memory.total / MEBIBYTE);
        found.push(format!("{available} of {total} MiB memory free"));
        if memory.available < memory.total / LITTLE {
            troubles.push((Verdict::Warning, "Memory is short: see what else runs there."));
        }
    }
    if let Some(disk) = &facts.disk {
        found.push(format!("{} of {} MiB disk free", disk.free / MEBIBYTE, disk.total / MEBIBYTE));
        if let Some(error) = &disk.not_writable {
            found.push(format!("its state directory cannot be written: {error}"));
            troubles.push((
                Verdict::Failed,
                "Make room on the edge's disk, or mend it; zones and bans cannot be kept.",
            ));
        } else if disk.free < LEAST_FREE {
            troubles
                .push((Verdict::Warning, "Make room on the edge's disk: `journalctl --vacuum-size=50M`."));
        }
    }
    if let Some(processors) = facts.processors {
        let stolen = f64::from(processors.stolen) / 100.0;
        found.push(format!("load {:.2} on {} CPU, {stolen:.1} % stolen", processors.load, processors.count));
        if processors.stolen >= MUCH_STOLEN {
            troubles.push((Verdict::Warning, "The provider gives its processor to others: CPU credits are spent, or the machine is overbooked."));
        }
    }
    if let Some(reason) = facts.unknown.get("cpu_credits") {
        found.push(format!("CPU credits not known ({reason})"));
    }
    let row = Row::well(Code::Edge, "", found.join("; "));
    match troubles.into_iter().max_by_key(|(verdict, _)| *verdict) {
        Some((verdict, mend)) => row.but(verdict).mend(mend),
        None => row,
    }
}

#[cfg(test)]
mod tests {
    use postern_shared::look::{Disk, Memory, Processors};

    use super::*;

    fn facts() -> Facts {
        Facts {
            memory: Some(Memory { total: 500 << 20, available: 300 << 20 }),
            disk: Some(Disk { total: 8 << 30, free: 4 << 30, not_writable: None }),
            processors: Some(Processors { count: 2, load: 0.05, stolen: 12 }),
            ..Facts::default()
        }
    }

    #[test]
    fn a_machine_with_room_is_well_and_the_worst_trouble_decides() {
        let row = machine(&facts());
        assert_eq!(row.verdict, Verdict::Well);
        assert_eq!(
            row.found,
            "300 of 500 MiB memory free; 4096 of 8192 MiB disk free; load 0.05 on 2 CPU, 0.1 % stolen"
        );
        let stolen = Facts { processors: Some(Processors { count: 2, load: 3.0, stolen: 2500 }), ..facts() };
        assert_eq!(machine(&stolen).verdict, Verdict::Warning);
        let full = Disk { total: 8 << 30, free: 0, not_writable: Some("No space left on device".to_owned()) };
        let row = machine(&Facts { disk: Some(full), ..stolen });
        assert!(row.verdict == Verdict::Failed && row.found.contains("No space left"), "{row:?}");
    }
}
