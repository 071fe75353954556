//! A home that cannot sign, or cannot keep what it has signed, leaves the world with the zone of before, says why, and goes
//! on by itself once it can.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::names::HOME_DOMAIN;
use postern_lab::{Host, Lab, Signal, wait_until};

/// Longer than home's pause between two looks at its zones while something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);
/// Home's one database of domains, keys and signed zones.
const DATABASE: &str = "/var/lib/postern-home/server.sqlite";
/// A service less, so that home must publish another zone from its next start on.
const WITHOUT_SUBMISSION: &str = "printf '[listen]\\nsubmission = []\\n' >> /etc/postern/home.toml";
/// How home is run.
const RUN: &str = "postern-home run --config /etc/postern/home.toml";

#[test]
fn a_full_disk_at_signing_leaves_the_old_zone_and_room_brings_the_new_one() -> Result<()> {
    let lab = Lab::joined()?;
    failing_calls_leave_the_old_zone(&lab, "pwrite64:error=ENOSPC", "full")
}

#[test]
fn a_failing_flush_at_signing_leaves_the_old_zone_until_flushes_work() -> Result<()> {
    let lab = Lab::joined()?;
    failing_calls_leave_the_old_zone(&lab, "fsync,fdatasync:error=EIO", "I/O error")
}

/// Has system calls on the database fail, as on a full or a dying disk, from home's start until home has told of it.
fn failing_calls_leave_the_old_zone(lab: &Lab, fault: &str, reason: &str) -> Result<()> {
    let home = lab.host(Host::Home);
    let serial = stop_and_reconfigure(lab)?;
    home.sh(&format!(
        "strace -D -I1 -f -qq -o /run/calls -P {DATABASE} -P {DATABASE}-wal -e inject={fault} {RUN} >/run/home.log 2>&1 &"
    ))?;
    old_zone_stays(lab, serial, reason)?;
    let log = String::from_utf8(home.read("/run/home.log")?)?;
    ensure!(
        log.contains("zones are not as they should be") && log.contains(reason),
        "home's log does not tell: {log}"
    );

    home.sh("kill $(pgrep -x strace)")?;
    new_zone_comes(lab, serial)
}

#[test]
fn a_damaged_key_signs_nothing_and_the_right_one_signs_again() -> Result<()> {
    let lab = Lab::joined()?;
    let serial = stop_and_reconfigure(&lab)?;
    change_database(&lab, "CREATE TABLE kept AS SELECT * FROM dnssec_key")?;
    change_database(&lab, "UPDATE dnssec_key SET private_key = substr(private_key, 1, 20)")?;
    lab.start_daemon(Host::Home, "postern-home")?;
    old_zone_stays(&lab, serial, "the zone's key cannot be used")?;

    change_database(&lab, "UPDATE dnssec_key SET private_key = (SELECT private_key FROM kept)")?;
    new_zone_comes(&lab, serial)
}

fn change_database(lab: &Lab, statement: &str) -> Result<()> {
    let script = format!(
        "import sqlite3
database = sqlite3.connect('{DATABASE}')
database.execute('{statement}')
database.commit()"
    );
    lab.host(Host::Home).run(["python3", "-c", &script])?.success().map(drop)
}

#[test]
fn a_home_with_a_read_only_disk_does_not_start_and_the_domain_is_served_on() -> Result<()> {
    let lab = Lab::joined()?;
    let home = lab.host(Host::Home);
    let serial = stop_and_reconfigure(&lab)?;
    home.sh("mount --bind /var/lib/postern-home /var/lib/postern-home
         mount -o remount,bind,ro /var/lib/postern-home")?;
    let refused = home.run(["sh", "-c", &format!("timeout 20 {RUN}")])?;
    let said = refused.stdout.clone() + &refused.stderr;
    ensure!(refused.code() != 0 && refused.code() != 124, "home runs: {said}");
    ensure!(said.to_lowercase().contains("read-only"), "home does not say why: {said}");
    ensure!(served_serial(&lab)? == serial, "the edge has another zone");
    lab.require_validated(HOME_DOMAIN, "MX")?;

    home.sh("umount /var/lib/postern-home")?;
    lab.start_daemon(Host::Home, "postern-home")?;
    new_zone_comes(&lab, serial)
}

/// Stops home, which has something to sign at its next start; the serial that is served until then.
fn stop_and_reconfigure(lab: &Lab) -> Result<u32> {
    lab.stop_daemon(Host::Home, "postern-home", Signal::Terminate)?;
    lab.host(Host::Home).sh(WITHOUT_SUBMISSION)?;
    served_serial(lab)
}

/// Waits until a connected home says that it cannot renew its zone, and why; the world notices nothing.
fn old_zone_stays(lab: &Lab, serial: u32, reason: &str) -> Result<()> {
    wait_until("home says that it cannot renew its zone", PATIENCE, || {
        let warnings = warnings(lab)?;
        ensure!(warnings.contains("home.example cannot be renewed"), "{warnings}");
        ensure!(warnings.contains(reason), "{warnings}");
        lab.is_connected()
    })
    .map_err(|error| lab.explain(error))?;
    ensure!(served_serial(lab)? == serial, "the edge has another zone");
    ensure!(lab.resolve(SUBMISSION, "SRV")? != [NOT_OFFERED], "the old zone is not served");
    lab.require_validated(HOME_DOMAIN, "MX")
}

/// Waits until the zone without submission is served, with nothing to complain of.
fn new_zone_comes(lab: &Lab, serial: u32) -> Result<()> {
    wait_until("the new zone is served", PATIENCE, || {
        ensure!(served_serial(lab)? > serial);
        ensure!(lab.resolve(SUBMISSION, "SRV")? == [NOT_OFFERED]);
        let warnings = warnings(lab)?;
        ensure!(!warnings.contains("cannot be renewed") && !warnings.contains("refuse"), "{warnings}");
        lab.require_validated(SUBMISSION, "SRV")
    })
    .map_err(|error| lab.explain(error))
}

/// What a service less changes in the zone.
const SUBMISSION: &str = "_submission._tcp.home.example";
/// RFC 2782: the service is decidedly not here.
const NOT_OFFERED: &str = "0 0 0 .";

fn warnings(lab: &Lab) -> Result<String> {
    Ok(lab.json(Host::Home, &["postern-home", "status"])?["warnings"].to_string())
}

fn served_serial(lab: &Lab) -> Result<u32> {
    let server = format!("@{}", Host::Edge.v4());
    let dig = ["dig", "+short", "+norecurse", &server, HOME_DOMAIN, "SOA"];
    let soa = lab.host(Host::Cafe).run(dig)?.success()?.stdout;
    Ok(soa.split_whitespace().nth(2).context("a SOA record")?.parse()?)
}
