//! Gathers the facts: home's own, the disk's, and what the world answers when it is asked now.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use postern_message::address::DomainName;
use postern_store::directory::DnsHosting;
use rustix::fs::StatVfsMountFlags;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::code::Code;
use super::here::Room;
use super::outside::{self, Wanted};
use super::row::{Report, Row, Verdict};
use super::{certificates, here, names};
use crate::admin::Admin;
use crate::backup::Record;
use crate::look::Looker;
use crate::status;

/// The file that is written, flushed and removed to see whether the disk takes it.
const PROBE: &str = ".doctor";

/// One look at a time: the edge has one mirror, and who closes it closes it for all.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Looks at everything now; takes as long as the slowest name server, a minute at most.
pub async fn examine(admin: &Admin) -> Report {
    let _one = ONE_AT_A_TIME.lock().await;
    let now = Timestamp::now();
    let mut looks = JoinSet::new();
    let snapshot = admin.directory.snapshot();
    for domain in snapshot.domains().cloned() {
        let is_here = snapshot.dns_hosting(&domain) != DnsHosting::External;
        looks.spawn(domain_rows(admin.clone(), domain, is_here));
    }
    let own = admin.clone();
    looks.spawn(async move {
        let rows = tokio::task::spawn_blocking(move || own_rows(&own, now)).await;
        rows.unwrap_or_else(|error| {
            let found = format!("home could not look at itself: {error}");
            vec![
                Row::well(Code::Services, "", found)
                    .but(Verdict::Failed)
                    .mend("The log says why; please report it."),
            ]
        })
    });
    looks.spawn(rows_from_outside(admin.clone()));
    Report::new(now, looks.join_all().await.concat())
}

/// What is seen from outside; takes some ten seconds, and a minute at most.
async fn rows_from_outside(admin: Admin) -> Vec<Row> {
    let status = admin.link.status();
    if status.addresses.is_none() {
        return Vec::new();
    }
    let looker = Looker {
        link: admin.link.clone(),
        resolver: admin.resolver.clone(),
        hostname: admin.hostname.clone(),
        directory: admin.directory.clone(),
        web: admin.web.clone(),
    };
    let seen = looker.look(&admin.mail_servers).await;
    let mail_host = admin.hostname.current();
    let edge = admin.link.edge_zones();
    let snapshot = admin.directory.snapshot();
    let serials = snapshot.domains().filter_map(|domain| Some((domain.clone(), edge.serial(domain)?)));
    let wanted = Wanted {
        shown: admin.tls.shown(mail_host.as_str()),
        serials: serials.collect(),
        path_mtu: status.epochs.iter().find(|epoch| epoch.alive).and_then(|epoch| epoch.path_mtu),
        mail_host,
    };
    outside::rows(&seen, &wanted)
}

/// What the world answers about a domain.
async fn domain_rows(admin: Admin, domain: DomainName, is_here: bool) -> Vec<Row> {
    let nothing = || "there are no records yet: an edge must be joined first".to_owned();
    let look = async {
        if !is_here {
            return Vec::new();
        }
        let looked = admin.survey.delegation(&domain).await.map_err(|error| error.to_string());
        names::delegation(&domain, looked.and_then(|found| found.ok_or_else(nothing)))
    };
    let difference = async {
        let looked = admin.survey.difference(&domain).await.map_err(|error| error.to_string());
        names::records(&domain, looked.and_then(|found| found.ok_or_else(nothing)))
    };
    let (mut rows, records) = tokio::join!(look, difference);
    rows.extend(records);
    rows
}

/// What home knows of itself; blocks on the disk.
fn own_rows(admin: &Admin, now: Timestamp) -> Vec<Row> {
    let (status, _) = status::gather(admin);
    let mut rows = here::link(&status.link);
    rows.extend(here::services(&status.listeners, &admin.listening.warnings));
    rows.extend(here::people(status.domains.len(), status.users));
    rows.push(here::queue(waiting(admin), now));
    let relay = admin.relays.for_overflow();
    rows.extend(here::destinations(
        &admin.relays.diversions(now),
        relay.as_ref().map(|relay| relay.name.as_str()),
    ));
    rows.extend(here::disk(&admin.state_dir, room(&admin.state_dir), write(&admin.state_dir)));
    rows.push(here::journal(admin.journal.lost()));
    let record = Record::of(&admin.state_dir).map_err(|error| error.to_string());
    rows.extend(here::backup(record, admin.backup_every, now));
    rows.extend(names::zones(&status.link.zones, &status.zones.troubles));
    rows.extend(names::secondaries(&status.link.secondaries));
    rows.push(names::resolver(admin.resolver.warning()));
    rows.extend(names::reputation(&status.reputation.addresses, &status.hostname));
    rows.extend(certificates::certificates(&admin.certificates.borrow(), now));
    rows.extend(certificates::mta_sts(&status.mta_sts));
    rows
}

/// How many messages wait, and since when the first does.
fn waiting(admin: &Admin) -> Result<(u64, Option<Timestamp>), String> {
    let count = admin.queue.len().map_err(|error| error.to_string())?;
    let first = admin.queue.list(None, 1).map_err(|error| error.to_string())?;
    Ok((count, first.first().and_then(|first| first.arrived.parse().ok())))
}

fn room(place: &Path) -> Result<Room, String> {
    let disk = rustix::fs::statvfs(place).map_err(|error| error.to_string())?;
    Ok(Room {
        octets: disk.f_bavail.saturating_mul(disk.f_frsize),
        all_octets: disk.f_blocks.saturating_mul(disk.f_frsize),
        files: disk.f_favail,
        all_files: disk.f_files,
        read_only: disk.f_flag.contains(StatVfsMountFlags::RDONLY),
    })
}

/// Writes a file, flushes it to the disk, and removes it; how long the first two took.
fn write(place: &Path) -> Result<Duration, String> {
    let path = place.join(PROBE);
    let probe = || {
        let mut file = File::create(&path)?;
        let begun = Instant::now();
        file.write_all(b"?")?;
        file.sync_data()?;
        Ok(begun.elapsed())
    };
    let took = probe().map_err(|error: std::io::Error| error.to_string());
    // A full disk may have made the file and not taken the octet.
    let _ = std::fs::remove_file(&path);
    took
}
