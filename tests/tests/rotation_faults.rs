//! No crash of either side and no full disk leaves the two ends of a key rotation apart.

use std::io::{BufRead, BufReader};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use postern_lab::faults::Fragile;
use postern_lab::keys::{CONVERGENCE, quick_rotation};
use postern_lab::lab::{ANA, scenario_options};
use postern_lab::scale::scaled;
use postern_lab::{Host, HostHandle, Lab, Signal, mail, wait_until};

fn lab() -> Result<Lab> {
    let lab = Lab::start(quick_rotation(scenario_options()?))?;
    lab.join().and_then(|()| lab.set_up_home()).map_err(|error| lab.explain(error))?;
    Ok(lab)
}

/// `make soak` tries every step. In `make test` the distance between two is no multiple of the twelve that one replacement
/// of a file has, so that all kinds are met.
#[test]
fn home_may_die_at_every_step_of_keeping_its_keys() -> Result<()> {
    let lab = lab()?;
    let home = Fragile::take_over(&lab, Host::Home, "postern-home", "/var/lib/postern-home/link.json")?;
    // Nine replacements: six rungs, and the counter of each of the three calls.
    dies_at_steps(&lab, home, scaled(17, 1), 9 * 12)
}

#[test]
fn the_edge_may_die_at_every_step_of_keeping_its_keys() -> Result<()> {
    let lab = lab()?;
    let edge = Fragile::take_over(&lab, Host::Edge, "postern-edge", "/var/lib/postern-edge/enrolment.json")?;
    // Six replacements: the counter and the rung of each of the three calls.
    dies_at_steps(&lab, edge, scaled(29, 1), 6 * 12)
}

/// Ends the daemon at every `stride`th step of a rotation, each time of another one, and lets it come back.
fn dies_at_steps(lab: &Lab, mut daemon: Fragile<'_>, stride: usize, steps: usize) -> Result<()> {
    wait_until("home is connected again", CONVERGENCE, || lab.is_connected())?;
    let mut epoch = 1;
    for step in (1..=steps).step_by(stride) {
        daemon.arm(step)?;
        let has_ended = rotate_until_its_end(lab, &mut daemon)?;
        ensure!(has_ended, "the rotation from epoch {epoch} has no step {step}");
        daemon.start()?;
        epoch = settled(lab, epoch)
            .map_err(|error| lab.explain(error))
            .with_context(|| format!("{}\n{}", daemon.last_step(), daemon.log()))?;
        eprintln!("{}; both rest on epoch {epoch}", daemon.last_step());
    }
    daemon.arm(steps + 1)?;
    ensure!(!rotate_until_its_end(lab, &mut daemon)?, "there are more than {steps} steps");
    lab.await_rest_on(epoch + 1)
}

/// Rotates; says whether the daemon has ended over it.
fn rotate_until_its_end(lab: &Lab, daemon: &mut Fragile<'_>) -> Result<bool> {
    let mut watcher = lab.host(Host::Home).spawn(["postern-home", "tunnel", "rotate"])?;
    let deadline = Instant::now() + CONVERGENCE;
    while Instant::now() < deadline {
        if daemon.end()?.is_some() {
            watcher.kill()?;
            watcher.wait()?;
            return Ok(true);
        }
        // Where it is home that has ended, the command fails a moment before the daemon's process is gone.
        if watcher.try_wait()?.is_some_and(|status| status.success()) {
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(20));
    }
    bail!("the rotation neither ends nor is ended: {:?}\n{}", lab.keys()?, daemon.log())
}

/// Waits until both ends rest on the epoch before or the one after; on the one before only if the wish was not yet stored.
fn settled(lab: &Lab, before: u64) -> Result<u64> {
    wait_until("both ends are at rest again", CONVERGENCE, || {
        let epoch = lab.keys()?.epoch;
        ensure!((before..=before + 1).contains(&epoch), "from epoch {before} to {epoch}");
        lab.rests_on(epoch).map(|()| epoch)
    })
}

#[test]
fn a_full_disk_at_the_edge_delays_a_rotation_and_loses_nothing() -> Result<()> {
    let lab = lab()?;
    let edge = lab.host(Host::Edge);
    lab.stop_daemon(Host::Edge, "postern-edge", Signal::Terminate)?;
    edge.sh("cp -a /var/lib/postern-edge /run/kept
         mount -t tmpfs -o size=256k,mode=700 tmpfs /var/lib/postern-edge
         cp -a /run/kept/. /var/lib/postern-edge/")?;
    lab.start_daemon(Host::Edge, "postern-edge")?;
    wait_until("home is connected again", CONVERGENCE, || lab.is_connected())?;

    // Full before the offer.
    fill(&edge)?;
    let mut watcher = lab.host(Host::Home).spawn(["postern-home", "tunnel", "rotate"])?;
    let mut told = BufReader::new(watcher.stdout.take().context("piped")?);
    complains_of_space(&lab, "generated")?;
    await_line(&mut told, "No space left on device")?;
    assert_mail_arrives(&lab, "while the disk is full")?;
    lab.stop_daemon(Host::Edge, "postern-edge", Signal::Kill)?;
    lab.start_daemon(Host::Edge, "postern-edge")?;
    wait_until("home is connected to the full edge", CONVERGENCE, || lab.is_connected())
        .map_err(|error| lab.explain(error))?;
    complains_of_space(&lab, "generated")?;
    make_room(&edge)?;
    lab.await_rest_on(2)?;
    finish(watcher)?;
    assert_no_complaint(&lab)?;

    // Full in the middle, before the last call.
    let mut watcher = lab.host(Host::Home).spawn(["postern-home", "tunnel", "rotate"])?;
    let mut told = BufReader::new(watcher.stdout.take().context("piped")?);
    await_line(&mut told, "✓ committed")?;
    fill(&edge)?;
    complains_of_space(&lab, "drained")?;
    let keys = lab.keys()?;
    assert_eq!((keys.epoch, keys.accepted_by_edge), (3, vec![3, 2]), "home goes on, the edge keeps both");
    assert_mail_arrives(&lab, "while the disk is full again")?;
    make_room(&edge)?;
    lab.await_rest_on(3)?;
    finish(watcher)
}

fn fill(edge: &HostHandle) -> Result<()> {
    edge.sh("! dd if=/dev/zero of=/var/lib/postern-edge/filler bs=1k 2>/dev/null").map(drop)
}

fn make_room(edge: &HostHandle) -> Result<()> {
    edge.sh("rm /var/lib/postern-edge/filler").map(drop)
}

/// Both ends say at which step and why the rotation waits.
fn complains_of_space(lab: &Lab, step: &str) -> Result<()> {
    wait_until("both ends complain of the full disk", CONVERGENCE, || {
        let keys = lab.keys()?;
        let error = keys.error.clone().unwrap_or_default();
        ensure!(keys.step == step && error.contains("No space left on device"), "{keys:?}");
        for (host, program) in [(Host::Home, "postern-home"), (Host::Edge, "postern-edge")] {
            let warnings = lab.json(host, &[program, "status"])?["warnings"].to_string();
            ensure!(warnings.contains("No space left on device"), "{program}: {warnings}");
        }
        Ok(())
    })
    .map_err(|error| lab.explain(error))
}

fn assert_no_complaint(lab: &Lab) -> Result<()> {
    wait_until("nobody complains any more", CONVERGENCE, || {
        for (host, program) in [(Host::Home, "postern-home"), (Host::Edge, "postern-edge")] {
            let warnings = lab.json(host, &[program, "status"])?["warnings"].to_string();
            ensure!(!warnings.contains("No space left"), "{program}: {warnings}");
        }
        Ok(())
    })
}

fn assert_mail_arrives(lab: &Lab, subject: &str) -> Result<()> {
    lab.send_from_stranger(ANA, &mail::plain_message(mail::SAM, ANA, subject))?;
    lab.await_ana_message(subject).map(drop)
}

fn await_line(told: &mut impl BufRead, wanted: &str) -> Result<()> {
    let mut all = String::new();
    while told.read_line(&mut all)? > 0 {
        if all.lines().last().is_some_and(|line| line.contains(wanted)) {
            return Ok(());
        }
    }
    bail!("{wanted:?} is not in {all}")
}

fn finish(mut watcher: Child) -> Result<()> {
    let status = watcher.wait()?;
    ensure!(status.success(), "`tunnel rotate` ended with {status}");
    Ok(())
}
