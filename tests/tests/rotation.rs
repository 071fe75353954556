//! The tunnel's keys are renewed while it works: no connection notices, and no crash leaves the two ends apart.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::lab::{ANA, ANA_PASSWORD, scenario_options};
use postern_lab::{Host, Lab, Signal, mail, wait_until};
use serde_json::Value;

const IDLE: &str = include_str!("../clients/idle.py");

/// Enough for a daemon's restart, a new handshake and the whole ladder.
const CONVERGENCE: Duration = Duration::from_secs(60);

/// A joined lab whose old epochs are dropped after 3 s without traffic instead of three minutes.
fn lab() -> Result<Lab> {
    let mut options = scenario_options()?;
    options.home_config += "[tunnel]\ndrain_seconds = 3\n";
    let lab = Lab::start(options)?;
    lab.join().and_then(|()| lab.set_up_home()).map_err(|error| lab.explain(error))?;
    Ok(lab)
}

/// What home and edge say about their epochs.
struct Keys {
    epoch: u64,
    step: String,
    home_key: String,
    edge_key: String,
    accepted_by_edge: Vec<u64>,
}

fn keys(lab: &Lab) -> Result<Keys> {
    let home = json(lab, Host::Home, &["postern-home", "tunnel", "status", "--json"])?;
    let edge = json(lab, Host::Edge, &["postern-edge", "status", "--json"])?;
    let text = |name: &str| Some(home.pointer("/keys")?.get(name)?.as_str()?.to_owned());
    let epochs = edge.pointer("/enrolment/epochs").and_then(Value::as_array).context("epochs")?;
    Ok(Keys {
        epoch: home.pointer("/keys/epoch").and_then(Value::as_u64).context("an epoch")?,
        step: text("step").context("a step")?,
        home_key: text("home_key").context("a key")?,
        edge_key: text("edge_key").context("a key")?,
        accepted_by_edge: epochs.iter().filter_map(|epoch| epoch.get("id")?.as_u64()).collect(),
    })
}

fn json(lab: &Lab, host: Host, command: &[&str]) -> Result<Value> {
    let output = lab.host(host).run(command)?;
    serde_json::from_str(&output.stdout).with_context(|| output.stderr.clone())
}

/// Both ends hold this epoch and no other, and home is connected.
fn rests_on(lab: &Lab, epoch: u64) -> Result<()> {
    let keys = keys(lab)?;
    let is_at_rest = keys.step == "stable" && keys.epoch == epoch && keys.accepted_by_edge == [epoch];
    ensure!(is_at_rest, "home: epoch {} {}, edge: {:?}", keys.epoch, keys.step, keys.accepted_by_edge);
    lab.is_connected()
}

fn rest_of(mut stream: impl Read) -> Result<String> {
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

#[test]
fn open_connections_do_not_notice_that_the_keys_change() -> Result<()> {
    let lab = lab()?;
    let cafe = lab.host(Host::Cafe);
    let sent = mail::message_with_attachment(mail::SAM, ANA, "slow", 6 << 20);
    lab.send_from_stranger(ANA, &sent)?;
    lab.await_ana_message("slow")?;
    let uid = lab.search_subject("slow")?.pop().context("one message")?;
    let mut idler = cafe.spawn(["python3", "-c", IDLE, "mail.home.example", ANA, ANA_PASSWORD])?;
    let mut told = BufReader::new(idler.stdout.take().context("piped")?);
    let mut line = String::new();
    told.read_line(&mut line)?;
    ensure!(line == "idling\n", "{line}{}", rest_of(idler.stderr.take().context("piped")?)?);
    let (user, url) = (format!("{ANA}:{ANA_PASSWORD}"), format!("imaps://mail.home.example/INBOX;UID={uid}"));
    let curl = ["curl", "-sS", "--user", &user, "--limit-rate", "500k", "--output", "/run/slow", &url];
    let mut download = cafe.spawn(curl)?;

    let mut seen = BTreeSet::new();
    for epoch in 2..=3 {
        let before = keys(&lab)?;
        seen.extend([before.home_key, before.edge_key]);
        let output = lab.host(Host::Home).run(["postern-home", "tunnel", "rotate"])?.success()?;
        let steps = ["generated", "offered", "proven", "committed", "drained", "retired"];
        let lines: Vec<&str> = output.stdout.lines().collect();
        assert_eq!(lines.len(), steps.len(), "{}", output.stdout);
        for (line, step) in lines.iter().zip(steps) {
            assert!(line.starts_with(&format!("✓ {step}: ")), "{}", output.stdout);
        }
        rests_on(&lab, epoch).map_err(|error| lab.explain(error))?;
        let after = keys(&lab)?;
        assert!(!seen.contains(&after.home_key) && !seen.contains(&after.edge_key), "a key was used again");
    }

    let status = download.wait()?;
    assert!(status.success(), "{}", rest_of(download.stderr.take().context("piped")?)?);
    assert_eq!(mail::body_of(&cafe.read("/run/slow")?)?, mail::body_of(sent.as_bytes())?);
    lab.send_from_stranger(ANA, &mail::plain_message(mail::SAM, ANA, "after the rotations"))?;
    line.clear();
    told.read_line(&mut line)?;
    let complaint = rest_of(idler.stderr.take().context("piped")?)?;
    assert_eq!(line.trim(), "Subject: after the rotations", "{complaint}");
    assert!(idler.wait()?.success());
    Ok(())
}

#[test]
fn a_rotation_outlives_kills_of_either_side_at_any_moment() -> Result<()> {
    let lab = lab()?;
    let mut epoch = 1;
    for (host, daemon) in [(Host::Home, "postern-home"), (Host::Edge, "postern-edge")] {
        for delay in [0, 120, 400, 2500] {
            let mut watcher = lab.host(Host::Home).spawn(["postern-home", "tunnel", "rotate"])?;
            wait_until("the rotation has begun", Duration::from_secs(10), || {
                let status = json(&lab, Host::Home, &["postern-home", "tunnel", "status", "--json"])?;
                let target = status.pointer("/keys/target").and_then(Value::as_u64);
                ensure!(target == Some(epoch + 1), "{status}");
                Ok(())
            })?;
            thread::sleep(Duration::from_millis(delay));
            lab.stop_daemon(host, daemon, Signal::Kill)?;
            // Whoever watches may go at any time.
            watcher.kill()?;
            watcher.wait()?;
            lab.start_daemon(host, daemon)?;
            epoch += 1;
            wait_until("both ends rest on the new epoch", CONVERGENCE, || rests_on(&lab, epoch))
                .map_err(|error| lab.explain(error))?;
        }
    }
    Ok(())
}

#[test]
fn a_rotation_waits_for_an_edge_that_is_away() -> Result<()> {
    let lab = lab()?;
    lab.stop_daemon(Host::Edge, "postern-edge", Signal::Kill)?;
    let mut watcher = lab.host(Host::Home).spawn(["postern-home", "tunnel", "rotate"])?;
    let mut told = BufReader::new(watcher.stdout.take().context("piped")?);
    let mut line = String::new();
    told.read_line(&mut line)?;
    assert!(line.starts_with("✓ generated: "), "{line}");
    lab.stop_daemon(Host::Home, "postern-home", Signal::Kill)?;
    watcher.kill()?;
    watcher.wait()?;
    lab.start_daemon(Host::Home, "postern-home")?;
    lab.start_daemon(Host::Edge, "postern-edge")?;
    wait_until("both ends rest on the new epoch", CONVERGENCE, || rests_on(&lab, 2))
        .map_err(|error| lab.explain(error))?;
    // The way back from any mess, also after a rotation.
    lab.join()?;
    rests_on(&lab, 1)
}
