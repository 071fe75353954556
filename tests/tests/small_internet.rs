//! The lab itself, without Postern: it is a working internet, and it leaves nothing behind.

use std::time::Duration;

use anyhow::{Context, Result};
use postern_lab::{Host, Lab, Stage, instances, lab, mail, wait_until};

fn internet() -> Result<Lab> {
    let mut options = lab::scenario_options()?;
    options.stage = Stage::Internet;
    Lab::start(options)
}

#[test]
fn names_resolve_from_a_signed_root_and_mail_reaches_the_stranger() -> Result<()> {
    let lab = internet()?;
    let cafe = lab.host(Host::Cafe);
    let signed = cafe.run(["dig", "+dnssec", "test.", "SOA"])?.success()?.stdout;
    assert!(signed.contains(" ad;"), "the resolver has not validated: {signed}");
    let pointer = cafe.run(["dig", "+short", "-x", "192.0.2.10"])?.success()?.stdout;
    assert_eq!(pointer.trim(), "mail.home.example.");

    let swaks =
        ["swaks", "--from", "x@cafe.test", "--to", mail::SAM, "--tls", "--header", "Subject: from the cafe"];
    cafe.run(swaks)?.success()?;
    let message = lab.await_stranger_message("from the cafe")?;
    let verdict = lab.authenticate(&message)?;
    assert!(
        verdict.require_pass().is_err(),
        "an unsigned message of a domain without policy passes: {verdict:?}"
    );
    Ok(())
}

#[test]
fn home_reaches_the_world_through_nat_and_the_world_does_not_reach_home() -> Result<()> {
    let lab = internet()?;
    assert_eq!(address_seen_by_stranger(&lab)?, "203.0.113.10");
    lab.change_isp_address()?;
    assert_eq!(address_seen_by_stranger(&lab)?, "203.0.113.77");

    let ping = lab.host(Host::Cafe).run(["ping", "-c", "1", "-W", "1", &Host::Home.v4().to_string()])?;
    assert_ne!(ping.code(), 0, "the cafe reaches home's private address: {}", ping.stdout);
    Ok(())
}

fn address_seen_by_stranger(lab: &Lab) -> Result<String> {
    let banner =
        "import socket; print(socket.create_connection(('mx.stranger.test', 25), 5).recv(3).decode())";
    let connected = lab.host(Host::Home).run(["python3", "-c", banner])?.success()?;
    assert_eq!(connected.stdout.trim(), "220");
    let log = lab.log_text(Host::Stranger);
    let line =
        log.lines().rev().find(|line| line.contains(" connect from ")).context("no connection in the log")?;
    let address = line.rsplit(['[', ']']).nth(1).context("the line names an address")?;
    Ok(address.to_owned())
}

#[test]
fn two_labs_stand_side_by_side_and_a_killed_one_leaves_nothing() -> Result<()> {
    let (one, two) = (internet()?, internet()?);
    let supervisor = one.supervisor()?;
    let inside = one.host(Host::Stranger).run(["pgrep", "-c", "."])?.success()?;
    assert!(inside.stdout.trim().parse::<u32>()? > 5, "the lab has processes: {}", inside.stdout);
    let members = processes_of_namespace(supervisor)?;
    assert!(members > 5, "{members} processes in the lab's process namespace");

    rustix::process::kill_process(
        rustix::process::Pid::from_raw(supervisor).context("a process id")?,
        rustix::process::Signal::KILL,
    )?;
    wait_until("every process of the killed lab is gone", Duration::from_secs(5), || {
        processes_of_namespace(supervisor).map(|members| members == 0).unwrap_or(true)
    })?;
    two.resolve("stranger.test", "MX").context("the other lab still works")?;
    let name = one.name().to_owned();
    assert!(!instances::list()?.contains(&name));
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    assert!(!mounts.contains(&name), "a mount of the lab stays: {mounts}");
    Ok(())
}

/// How many processes live in the process namespace whose first process is `supervisor`; 0 when it is gone.
fn processes_of_namespace(supervisor: i32) -> Result<usize> {
    let Ok(namespace) = std::fs::read_link(format!("/proc/{supervisor}/ns/pid")) else { return Ok(0) };
    let entries = std::fs::read_dir("/proc")?.flatten();
    Ok(entries
        .filter(|entry| std::fs::read_link(entry.path().join("ns/pid")).is_ok_and(|n| n == namespace))
        .count())
}
