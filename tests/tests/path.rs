//! Home's line becomes narrow in the middle of transfers and nobody says so: every octet arrives all the same.

use std::io::Read;
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use postern_lab::lab::{ANA, ANA_PASSWORD};
use postern_lab::mail::SAM;
use postern_lab::{Fragments, Host, Lab, mail, wait_until};
use serde_json::Value;

/// Octets of an attachment that makes a message of 25 MB.
const ATTACHMENT: usize = 18_300_000;

/// The least path MTU of IPv6 (RFC 8200 §5).
const NARROW: u16 = 1280;

/// How long a transfer may stand still while the path MTU is found out: detection, and TCP's own pause.
const STANDSTILL: Duration = Duration::from_secs(10);

#[test]
fn messages_of_25_mb_pass_a_line_that_becomes_narrow_and_fragments() -> Result<()> {
    let lab = Lab::joined()?;
    transfers_survive(&lab, Fragments::Pass)
}

#[test]
fn messages_of_25_mb_pass_a_line_that_becomes_narrow_and_drops_fragments() -> Result<()> {
    let lab = Lab::joined()?;
    transfers_survive(&lab, Fragments::Vanish)
}

#[test]
fn messages_of_25_mb_pass_a_line_that_becomes_narrow_under_ipv6() -> Result<()> {
    let lab = Lab::running()?;
    lab.give_home_v6()?;
    let endpoint = format!("[{}]:51820", Host::Edge.v6().context("an address")?);
    lab.join_at(&endpoint).and_then(|()| lab.set_up_home()).map_err(|error| lab.explain(error))?;
    transfers_survive(&lab, Fragments::Pass)
}

/// One message comes in and another is fetched while the line becomes narrow; then both ends know the new path MTU.
fn transfers_survive(lab: &Lab, fragments: Fragments) -> Result<()> {
    let sent = mail::message_with_attachment(SAM, ANA, "first", ATTACHMENT);
    lab.host(Host::Stranger).write("/run/first", sent.as_bytes())?;
    ended(send(lab, "/run/first")?)?;
    let second = mail::message_with_attachment(SAM, ANA, "second", ATTACHMENT);
    lab.host(Host::Stranger).write("/run/second", second.as_bytes())?;
    wait_until("both ends know the wide path", Duration::from_secs(20), || path_is(lab, 1500))?;

    let uid = lab.search_subject("first")?.pop().context("the first message")?;
    let sending = send(lab, "/run/second")?;
    let fetching = fetch(lab, uid)?;
    wait_until("the transfer has begun", Duration::from_secs(20), || {
        ensure!(fetched(lab)? > 1_000_000);
        Ok(())
    })?;
    lab.narrow_home_line(NARROW, fragments)?;
    let standstill = longest_standstill(lab, sent.len() as u64)?;
    ensure!(standstill < STANDSTILL, "the download stood still for {standstill:?}");
    println!("{fragments:?}: the download stood still for {standstill:?}");
    ended(fetching)?;
    ended(sending)?;

    let stored = lab.host(Host::Cafe).read("/run/fetched")?;
    ensure!(mail::body_of(&stored)? == mail::body_of(sent.as_bytes())?, "the first message has changed");
    let stored = lab.await_ana_message("second")?;
    ensure!(mail::body_of(&stored)? == mail::body_of(second.as_bytes())?, "the second message has changed");
    wait_until("both ends know the narrow path", Duration::from_secs(30), || path_is(lab, NARROW))?;
    let mtu = lab.host(Host::Home).sh("ip -o link show postern0")?.stdout;
    ensure!(mtu.contains(" mtu 1280 "), "the interface keeps what IPv6 needs: {mtu}");
    Ok(())
}

/// The stranger hands a message to home's port 25 by itself, so that the transfer begins at once.
fn send(lab: &Lab, file: &str) -> Result<Child> {
    let script = format!(
        "import smtplib, ssl
server = smtplib.SMTP('mail.home.example', 25, 'mx.stranger.test', timeout=60)
server.starttls(context=ssl._create_unverified_context())
server.sendmail('{SAM}', '{ANA}', open('{file}').read())
server.quit()"
    );
    lab.host(Host::Stranger).spawn(["python3", "-c", &script])
}

/// Ana fetches a message slowly enough that the line can change meanwhile.
fn fetch(lab: &Lab, uid: u32) -> Result<Child> {
    let (user, url) = (format!("{ANA}:{ANA_PASSWORD}"), format!("imaps://mail.home.example/INBOX;UID={uid}"));
    let curl = ["curl", "-sS", "--user", &user, "--limit-rate", "4M", "--output", "/run/fetched", &url];
    lab.host(Host::Cafe).spawn(curl)
}

fn fetched(lab: &Lab) -> Result<u64> {
    Ok(lab.host(Host::Cafe).sh("stat -c %s /run/fetched")?.stdout.trim().parse()?)
}

/// The longest time in which the fetched file did not grow, until it has all octets.
fn longest_standstill(lab: &Lab, octets: u64) -> Result<Duration> {
    let (mut size, mut grown, mut longest) = (0, Instant::now(), Duration::ZERO);
    while size < octets && longest < Duration::from_secs(60) {
        let now = fetched(lab)?;
        longest = longest.max(grown.elapsed());
        if now > size {
            (size, grown) = (now, Instant::now());
        }
    }
    Ok(longest)
}

fn ended(mut child: Child) -> Result<()> {
    let status = child.wait()?;
    let mut complaint = String::new();
    child.stderr.take().context("piped")?.read_to_string(&mut complaint)?;
    ensure!(status.success(), "{complaint}");
    Ok(())
}

/// Both ends tell this path MTU of an epoch that is alive.
fn path_is(lab: &Lab, octets: u16) -> Result<()> {
    let ends = [
        (Host::Home, ["postern-home", "tunnel", "status", "--json"].as_slice(), "/epochs/0"),
        (Host::Edge, &["postern-edge", "status", "--json"], "/tunnel/epochs/0"),
    ];
    for (host, command, place) in ends {
        let output = lab.host(host).run(command)?;
        let status: Value = serde_json::from_str(&output.stdout).with_context(|| output.stderr.clone())?;
        let epoch = status.pointer(place).context("an epoch")?;
        let is_there = epoch["alive"] == true && epoch["path_mtu"] == octets;
        ensure!(is_there, "{host}: {epoch}");
    }
    Ok(())
}
