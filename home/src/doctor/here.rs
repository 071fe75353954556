//! Rows of what home knows of itself: the tunnel, the services, the queue, the disk, the backups.

use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::code::Code;
use super::row::{Row, Verdict};
use crate::backup::Record;
use crate::link::{LinkState, LinkStatus};
use crate::relay::overflow::Diversion;
use crate::status::{Listener, little_room};

/// A clock that is so far off is worth a word, in seconds.
const CLOCK_LIMIT: u64 = 5;
/// A clock that is so far off has others refuse signatures and certificates, in seconds.
const CLOCK_WRONG: u64 = 120;
/// Mail that waits so long is not only greylisted.
const LONG_WAIT: SignedDuration = SignedDuration::from_hours(24);
/// A round trip of the tunnel from which on programs feel it.
const SLOW: Duration = Duration::from_millis(400);
/// The part of packets that may be lost before connections suffer.
const LOSS_LIMIT: f32 = 0.05;
/// A disk that takes longer than this for one write and flush makes every delivery wait.
const SLOW_WRITE: Duration = Duration::from_millis(500);

/// The tunnel, its keys, the clocks of its ends, and who is kept out at the edge.
pub fn link(link: &LinkStatus) -> Vec<Row> {
    let mut rows = vec![tunnel(link)];
    if link.state == LinkState::Unjoined {
        return rows;
    }
    rows.extend(link.keys.as_ref().map(|keys| {
        match &keys.error {
            None => Row::well(Code::TunnelKeys, "", format!("epoch {}, nothing waits", keys.epoch.0)),
            Some(error) => Row::well(Code::TunnelKeys, "", format!("their renewal waits: {error}"))
                .but(Verdict::Warning)
                .mend("It is tried again by itself. `postern-home tunnel status` shows how far it has come."),
        }
    }));
    rows.push(clock(link));
    rows.extend(link.protection.as_ref().map(|protection| match protection.refused.as_slice() {
        [] => Row::well(Code::Bans, "", format!("{} at the edge", protection.bans.unwrap_or(0))),
        refused => {
            let all: Vec<String> = refused.iter().map(|ban| ban.why.clone()).collect();
            Row::well(Code::Bans, "", format!("the edge does not take {}: {}", refused.len(), all.join("; ")))
                .but(Verdict::Warning)
                .mend("`postern-home bans remove NETWORK` ends a ban here.")
        }
    }));
    rows
}

fn tunnel(link: &LinkStatus) -> Row {
    let edge = link.edge.clone().unwrap_or_default();
    let failed = |found: String, mend: &str| {
        Row::well(Code::Tunnel, "", found).but(Verdict::Failed).expected("the edge answers").mend(mend)
    };
    match link.state {
        LinkState::Unjoined => failed(
            String::from("no edge is joined, so nobody can reach this home"),
            "Run `postern-edge invite` on the edge and `postern-home join` here.",
        ),
        LinkState::Joining => Row::well(Code::Tunnel, "", "the edge is being joined").but(Verdict::Waiting),
        LinkState::Connecting => {
            let why = link.last_error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
            failed(
                format!("the edge {edge} does not answer{why}"),
                "Look whether the edge's machine runs (`postern-edge status` there) and whether its provider passes the tunnel's \
                 UDP port; docs/runbooks.md says what to do where it is lost.",
            )
        }
        LinkState::Fenced => failed(
            String::from("another home with the same keys is connected"),
            &link.fenced_warning().unwrap_or_default(),
        ),
        LinkState::Connected => connected(link, &edge),
    }
}

fn connected(link: &LinkStatus, edge: &str) -> Row {
    let epoch = link.epochs.iter().rev().find(|epoch| epoch.alive);
    let trip = epoch.and_then(|epoch| epoch.round_trip);
    let loss = epoch.and_then(|epoch| epoch.loss).unwrap_or(0.0);
    let mut found = format!("{edge} answers");
    found += &trip.map(|trip| format!(", round trip {} ms", trip.as_millis())).unwrap_or_default();
    found += &format!(", {:.1} % lost", loss * 100.0);
    let mtu = epoch.and_then(|epoch| epoch.path_mtu);
    found += &mtu.map(|mtu| format!(", path MTU {mtu}")).unwrap_or_default();
    let row = Row::well(Code::Tunnel, "", found);
    if loss > LOSS_LIMIT || trip.is_some_and(|trip| trip > SLOW) {
        return row
            .but(Verdict::Warning)
            .expected(format!("under {} ms, and under {:.0} % lost", SLOW.as_millis(), LOSS_LIMIT * 100.0))
            .mend("The line at home is full or disturbed, or the edge is far away; mail works and programs feel slow.");
    }
    row
}

fn clock(link: &LinkStatus) -> Row {
    if link.state != LinkState::Connected {
        return Row::well(Code::Clock, "", "there is no edge to compare it with").but(Verdict::Unknown);
    }
    let off = link.clock_ahead.unsigned_abs();
    let direction = if link.clock_ahead > 0 { "ahead of" } else { "behind" };
    if off <= CLOCK_LIMIT {
        return Row::well(Code::Clock, "", "as the edge's");
    }
    let verdict = if off >= CLOCK_WRONG { Verdict::Failed } else { Verdict::Warning };
    Row::well(Code::Clock, "", format!("{off} s {direction} the edge's"))
        .but(verdict)
        .expected(format!("at most {CLOCK_LIMIT} s apart"))
        .mend("`timedatectl set-ntp true` here; if this machine's time is right, the same on the edge.")
}

/// What is listened on, and what could not be.
pub fn services(listeners: &[Listener], warnings: &[String]) -> Vec<Row> {
    let mut ports: Vec<u16> = listeners.iter().map(|listener| listener.address.port()).collect();
    ports.sort_unstable();
    ports.dedup();
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    let mut rows: Vec<Row> = warnings
        .iter()
        .map(|warning| {
            Row::well(Code::Services, "", warning.clone())
                .but(Verdict::Warning)
                .mend("Stop what holds the port, or change the address in home.toml, section `[listen]`.")
        })
        .collect();
    rows.push(Row::well(Code::Services, "", format!("ports {}", ports.join(", "))));
    rows
}

/// Domains and users.
pub fn people(domains: usize, users: usize) -> [Row; 2] {
    let domain = match domains {
        0 => Row::well(Code::Domain, "", "there is none")
            .but(Verdict::Failed)
            .mend("`postern-home domain add home.example`, with your name."),
        count => Row::well(Code::Domain, "", format!("{count}")),
    };
    let user = match users {
        0 => Row::well(Code::User, "", "there is none, so all mail is refused, even to postmaster")
            .but(Verdict::Failed)
            .mend("`postern-home user add ana@home.example`, with your address."),
        count => Row::well(Code::User, "", format!("{count}")),
    };
    [domain, user]
}

/// The queue: how many messages wait, and since when the first of them does.
pub fn queue(waiting: Result<(u64, Option<Timestamp>), String>, now: Timestamp) -> Row {
    let (count, oldest) = match waiting {
        Ok(waiting) => waiting,
        Err(error) => {
            return Row::well(Code::Queue, "", format!("it cannot be read: {error}"))
                .but(Verdict::Failed)
                .mend("`postern-home store verify` names what is damaged.");
        }
    };
    let Some(oldest) = oldest else { return Row::well(Code::Queue, "", "empty") };
    let row = Row::well(
        Code::Queue,
        "",
        format!("{count} waiting, the first since {}", oldest.strftime("%Y-%m-%d %H:%M UTC")),
    );
    if now.duration_since(oldest) < LONG_WAIT {
        return row;
    }
    row.but(Verdict::Warning)
        .expected("nothing waits for more than a day")
        .mend("`postern-home queue list` says where to, and why.")
}

/// Destinations that have said that they distrust the edge's address.
pub fn destinations(diversions: &[Diversion], relay: Option<&str>) -> Vec<Row> {
    if diversions.is_empty() {
        return vec![Row::well(Code::Destinations, "", "none has refused the edge's address lately")];
    }
    let row = |diversion: &Diversion| {
        let Diversion { destination, provider, reply, until, .. } = diversion;
        let row = Row::well(
            Code::Destinations,
            destination,
            format!("distrusts the edge's address, in words of {provider}: {reply:?}"),
        );
        match relay {
            Some(relay) => row.but(Verdict::Warning).mend(format!(
                "Its mail goes by the relay {relay} until {}. Ask its postmaster to take the address off the list.",
                until.strftime("%Y-%m-%d %H:%M UTC")
            )),
            None => row.but(Verdict::Failed).mend(
                "Name a relay for such destinations: `postern-home relay add`, then `postern-home relay use NAME overflow`; and ask \
                 its postmaster to take the address off the list.",
            ),
        }
    };
    diversions.iter().map(row).collect()
}

/// The room on a disk: octets and files, free and in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Octets that can still be written.
    pub octets: u64,
    /// Of so many.
    pub all_octets: u64,
    /// Files that can still be made.
    pub files: u64,
    /// Of so many; 0 where their number is not fixed.
    pub all_files: u64,
    /// Whether nothing can be written at all.
    pub read_only: bool,
}

/// The room under the state directory, and how long one octet took to reach the disk.
pub fn disk(place: &Path, room: Result<Room, String>, written: Result<Duration, String>) -> [Row; 2] {
    let place = place.display();
    let room = match room {
        Err(error) => {
            Row::well(Code::DiskRoom, place.to_string(), format!("it cannot be looked at: {error}"))
                .but(Verdict::Unknown)
        }
        Ok(room) if room.read_only => {
            Row::well(Code::DiskRoom, place.to_string(), "it is read-only, so no mail can be taken")
                .but(Verdict::Failed)
                .mend("`dmesg` says why. A disk that fails should be replaced: docs/runbooks.md.")
        }
        Ok(room) => {
            let left = format!("{} MiB of {} free", room.octets >> 20, room.all_octets >> 20);
            let row = Row::well(Code::DiskRoom, place.to_string(), left);
            match little_room(room.octets, room.all_octets, room.files, room.all_files) {
                None => row,
                Some(what) => Row { found: what, ..row }
                    .but(Verdict::Warning)
                    .expected("a twentieth of the disk, or 5 GiB")
                    .mend("Make room (docs/runbooks.md, \"The disk is full\"); without room mail is told to come later."),
            }
        }
    };
    let write = match written {
        Err(error) => {
            Row::well(Code::DiskWrite, place.to_string(), format!("a file could not be written: {error}"))
                .but(Verdict::Failed)
                .mend("`dmesg` says why. Mail is told to come later until it can be.")
        }
        Ok(took) => {
            let row = Row::well(
                Code::DiskWrite,
                place.to_string(),
                format!("one write and flush took {:.1} ms", took.as_secs_f64() * 1000.0),
            );
            if took > SLOW_WRITE {
                row.but(Verdict::Warning)
                    .expected(format!("under {} ms", SLOW_WRITE.as_millis()))
                    .mend("Every message waits so long. A worn SD card does that; so does a disk that something else keeps busy.")
            } else {
                row
            }
        }
    };
    [room, write]
}

/// Whether the journal of messages has kept up.
pub fn journal(lost: u64) -> Row {
    match lost {
        0 => Row::well(Code::Journal, "", "complete"),
        lost => Row::well(Code::Journal, "", format!("{lost} event(s) were not written since the start"))
            .but(Verdict::Warning)
            .expected("none")
            .mend("No mail was lost by that: the disk did not keep up, or took nothing; see disk-write."),
    }
}

/// The backups: the last one that was made, and the last that was restored to see whether it can be.
pub fn backup(record: Result<Record, String>, every: Option<Duration>, now: Timestamp) -> Vec<Row> {
    let Some(every) = every else {
        return vec![
            Row::well(Code::Backup, "", "none is made")
                .but(Verdict::Warning)
                .expected("one a day")
                .mend("Name a place in home.toml, section `[backup]` (docs/backup.md): what dies with this disk is lost."),
        ];
    };
    let record = match record {
        Ok(record) => record,
        Err(error) => return vec![Row::well(Code::Backup, "", error).but(Verdict::Unknown)],
    };
    let failure = record.tried.as_ref().and_then(|tried| tried.error.clone());
    let limit = SignedDuration::try_from(every).unwrap_or(SignedDuration::MAX).saturating_mul(2);
    let made = match (&record.made, failure) {
        (Some((at, made)), failure) => {
            let row = Row::well(
                Code::Backup,
                "",
                format!(
                    "the last is of {}, with {} messages",
                    at.strftime("%Y-%m-%d %H:%M UTC"),
                    made.messages
                ),
            );
            let is_old = now.duration_since(*at) > limit;
            if failure.is_none() && !is_old {
                row
            } else {
                let why = failure.map(|error| format!(", and the next one failed: {error}"));
                Row { found: row.found.clone() + &why.unwrap_or_default(), ..row }
                    .but(if is_old { Verdict::Failed } else { Verdict::Warning })
                    .expected(format!("one every {} h", every.as_secs() / 3600))
                    .mend("`postern-home backup create` tries now, and says what hinders it.")
            }
        }
        (None, Some(error)) => {
            Row::well(Code::Backup, "", format!("there is none yet, and the first failed: {error}"))
                .but(Verdict::Failed)
                .mend("`postern-home backup create` tries now, and says what hinders it.")
        }
        (None, None) => Row::well(Code::Backup, "", "the first is still to be made").but(Verdict::Waiting),
    };
    let drill = record.drilled.as_ref().map(|drilled| match &drilled.error {
        None => Row::well(
            Code::Drill,
            "",
            format!("the backup of {} came back whole", drilled.at.strftime("%Y-%m-%d %H:%M UTC")),
        ),
        Some(error) => Row::well(
            Code::Drill,
            "",
            format!("the last backup did not come back whole: {error}"),
        )
        .but(Verdict::Failed)
        .mend("`postern-home backup verify` names what is damaged, `postern-home backup drill` tries again."),
    });
    let waiting =
        || Row::well(Code::Drill, "", "none was restored to see whether it can be yet").but(Verdict::Waiting);
    vec![made, drill.unwrap_or_else(waiting)]
}

#[cfg(test)]
mod tests;
