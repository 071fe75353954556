//! The keys that sign mail are changed by themselves, over months, and no signature ever fails at a stranger's.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::lab::ANA;
use postern_lab::mail::{self, SAM};
use postern_lab::names::HOME_DOMAIN;
use postern_lab::{Host, Lab, Signal, wait_until};

/// Home and the edge go on with clocks that are so far ahead.
fn let_time_pass(lab: &Lab, time: &str) -> Result<()> {
    lab.start_at(Host::Edge, time, "postern-edge run --config /etc/postern/edge.toml")?;
    lab.start_at(Host::Home, time, "postern-home run --config /etc/postern/home.toml")?;
    wait_until("home is connected", Duration::from_secs(30), || lab.is_connected())
        .map_err(|error| lab.explain(error))
}

/// Validators of today would refuse signatures of the months to come, so nobody validates here.
fn without_validation(lab: &Lab) -> Result<()> {
    lab.host(Host::Home).sh("sed -i 's/^trust_anchor.*/validate = false/' /etc/postern/home.toml")?;
    lab.host(Host::Resolver).sh("sed -i '/trust-anchor/d' /etc/unbound/unbound.conf")?;
    lab.stop_daemon(Host::Resolver, "unbound", Signal::Terminate)?;
    lab.start_daemon(Host::Resolver, "unbound")?;
    for (host, daemon) in [(Host::Home, "postern-home"), (Host::Edge, "postern-edge")] {
        lab.stop_daemon(host, daemon, Signal::Terminate)?;
    }
    Ok(())
}

/// Each key as `selector stage`, in alphabetical order.
fn keys(lab: &Lab) -> Result<Vec<String>> {
    let show = ["postern-home", "dns", "dkim", "show", HOME_DOMAIN, "--json"];
    let shown = lab.host(Host::Home).run(show)?.success()?.stdout;
    let shown: serde_json::Value = serde_json::from_str(&shown)?;
    let keys = shown["keys"].as_array().context("keys")?;
    let text = |key: &serde_json::Value| {
        let seen = if key["since"].is_null() { " unseen" } else { "" };
        Some(format!("{} {}{seen}", key["selector"].as_str()?, key["stage"].as_str()?))
    };
    let mut keys: Vec<String> = keys.iter().filter_map(text).collect();
    keys.sort();
    Ok(keys)
}

fn await_keys(lab: &Lab, wanted: &[&str]) -> Result<()> {
    wait_until(&format!("the keys are {wanted:?}"), Duration::from_secs(40), || {
        let keys = keys(lab)?;
        ensure!(keys == wanted, "{keys:?}");
        Ok(())
    })
    .map_err(|error| lab.explain(error))
}

/// Sends a message, which the stranger believes, and whose signatures are by these keys.
fn send(lab: &Lab, time: &str, subject: &str, selectors: [&str; 2]) -> Result<Vec<u8>> {
    lab.submit(465, ANA, SAM, &mail::plain_message(ANA, SAM, subject))?.success()?;
    let message = lab.await_stranger_message(subject).map_err(|error| lab.explain(error))?;
    let verdict = lab.authenticate_at(time, &message)?;
    verdict.require_pass()?;
    let mut by: Vec<&str> = verdict.dkim.iter().map(|signature| signature.s.as_str()).collect();
    by.sort_unstable();
    ensure!(by == selectors, "{subject} is signed by {by:?}");
    Ok(message)
}

#[test]
fn mail_keys_are_changed_by_themselves_and_every_signature_holds() -> Result<()> {
    let lab = Lab::joined()?;
    let first = send(&lab, "+0", "in spring", ["e1", "r1"])?;
    await_keys(&lab, &["e1 signing", "r1 signing"])?;
    without_validation(&lab)?;

    let_time_pass(&lab, "+180d")?;
    await_keys(&lab, &["e1 signing", "e2 announced", "r1 signing", "r2 announced"])?;
    send(&lab, "+180d", "in summer", ["e1", "r1"])?;

    let_time_pass(&lab, "+4323h")?;
    let changed = ["e1 retiring", "e2 signing", "r1 retiring", "r2 signing"];
    await_keys(&lab, &changed)?;
    let again = lab.host(Host::Home).run(["postern-home", "dns", "dkim", "rotate", HOME_DOMAIN])?;
    again.success()?;
    let twice = lab.host(Host::Home).run(["postern-home", "dns", "dkim", "rotate", HOME_DOMAIN])?;
    ensure!(twice.code() == 1 && twice.stderr.contains("being changed already"), "{}", twice.stderr);
    await_keys(
        &lab,
        &["e1 retiring", "e2 signing", "e3 announced", "r1 retiring", "r2 signing", "r3 announced"],
    )?;
    let second = send(&lab, "+4323h", "an hour later", ["e2", "r2"])?;
    lab.authenticate_at("+4323h", &first)?.require_pass()?;

    let_time_pass(&lab, "+195d")?;
    await_keys(&lab, &["e2 retiring", "e3 signing", "r2 retiring", "r3 signing"])?;
    send(&lab, "+195d", "in autumn", ["e3", "r3"])?;
    lab.authenticate_at("+195d", &second)?.require_pass()?;
    ensure!(lab.resolve("r1._domainkey.home.example", "TXT").is_err(), "the first key is still published");
    let dead = lab.authenticate_at("+195d", &first)?;
    ensure!(dead.dkim.iter().all(|signature| signature.result != "pass"), "{dead:?}");
    Ok(())
}
