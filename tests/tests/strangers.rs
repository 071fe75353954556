//! Mail systems that others wrote, each both ways: Exim, OpenSMTPD, chasquid; Postfix is in every other scenario. And one that
//! makes it hard.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::lab::ANA;
use postern_lab::mail::{self, SAM};
use postern_lab::strangers::Mta;
use postern_lab::{Host, Lab, Signal, wait_until};

fn both_ways(mta: Mta) -> Result<()> {
    let lab = Lab::joined()?;
    lab.replace_postfix(mta)?;

    let message = mail::message_with_attachment(SAM, ANA, "from the stranger", 20_000);
    lab.send_from(mta, ANA, &message)?;
    let received = lab.await_ana_message("from the stranger").map_err(|error| lab.explain(error))?;
    ensure!(
        mail::body_of(&received)?.trim_end() == mail::body_of(message.as_bytes())?.trim_end(),
        "the body has changed"
    );
    let trace = mail::header_values(&received, "Received").remove(0);
    ensure!(trace.contains("TLSv1."), "it came in clear: {trace}");
    let results = mail::header_values(&received, "Authentication-Results").remove(0);
    ensure!(results.contains("dmarc=pass"), "{results}");

    let answer = mail::message_with_attachment(ANA, SAM, "from home", 20_000);
    lab.submit(465, ANA, SAM, &answer)?.success()?;
    let stored = lab.await_stranger_message("from home").map_err(|error| lab.explain(error))?;
    ensure!(
        mail::body_of(&stored)?.trim_end() == mail::body_of(answer.as_bytes())?.trim_end(),
        "the body has changed"
    );
    let traces = mail::header_values(&stored, "Received").join("\n");
    ensure!(traces.contains(mta.trace_of_home()), "{traces}");
    ensure!(traces.contains(&Host::Edge.v4().to_string()), "it came from elsewhere: {traces}");

    ensure!(lab.search_subject("from the stranger")?.len() == 1, "it is there twice");
    ensure!(lab.stranger_messages("from home")?.len() == 1, "it is there twice");
    let queue = lab.host(Host::Home).run(["postern-home", "queue", "list", "--json"])?.success()?;
    ensure!(queue.stdout.trim() == "[]", "something is left in the queue: {}", queue.stdout);
    Ok(())
}

#[test]
fn exim_both_ways() -> Result<()> {
    both_ways(Mta::Exim).context("Exim")
}

#[test]
fn opensmtpd_both_ways() -> Result<()> {
    both_ways(Mta::OpenSmtpd).context("OpenSMTPD")
}

#[test]
fn chasquid_both_ways() -> Result<()> {
    both_ways(Mta::Chasquid).context("chasquid")
}

/// A server that makes it hard.
const AWKWARD_MTA: &str = include_str!("../clients/awkward_mta.py");
/// How long a message may take to a server that does.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_server_that_cuts_anywhere_greylists_or_dawdles_loses_nothing_and_gets_nothing_twice() -> Result<()> {
    let lab = Lab::joined()?;
    lab.stop_daemon(Host::Stranger, "postfix", Signal::Terminate)?;
    let stranger = lab.host(Host::Stranger);
    stranger.write("/var/spool/awkward.py", AWKWARD_MTA.as_bytes())?;
    stranger.sh("touch /var/spool/kept")?;
    stranger.spawn(["sh", "-c", "exec python3 /var/spool/awkward.py /var/spool >/var/spool/mta.log 2>&1"])?;
    for mode in ["cut", "grey", "tarpit"] {
        stranger.write("/var/spool/mode", mode.as_bytes())?;
        lab.submit(465, ANA, SAM, &mail::plain_message(ANA, SAM, mode))?.success()?;
        wait_until(&format!("{mode}: the queue is empty"), PATIENCE, || await_empty_queue(&lab))?;
    }
    let kept = String::from_utf8(stranger.read("/var/spool/kept")?)?;
    // Cut after the final dot, no client can know whether the message was taken (RFC 1047); before it, every one can.
    assert_eq!(kept, "cut taken\ncut kept\ngrey kept\ntarpit kept\n");
    Ok(())
}

/// Whether all has gone; what has not is tried at once.
fn await_empty_queue(lab: &Lab) -> Result<()> {
    let home = lab.host(Host::Home);
    home.run(["postern-home", "queue", "flush"])?.success()?;
    let queue = home.run(["postern-home", "queue", "list", "--json"])?.success()?;
    ensure!(queue.stdout.trim() == "[]", "{}", queue.stdout);
    Ok(())
}

/// OpenDKIM's own verifier, beside dkimpy and authheaders, which every scenario of sending asks.
#[test]
fn opendkim_verifies_what_home_signs() -> Result<()> {
    let lab = Lab::joined()?;
    lab.submit(465, ANA, SAM, &mail::message_with_attachment(ANA, SAM, "for opendkim", 5_000))?.success()?;
    let stored = lab.await_stranger_message("for opendkim")?;
    let stranger = lab.host(Host::Stranger);
    stranger.run_with_input(["opendkim-testmsg"], &stored)?.success()?;
    let changed = String::from_utf8(stored)?.replacen("holiday", "Holiday", 1);
    let verdict = stranger.run_with_input(["opendkim-testmsg"], changed.as_bytes())?;
    ensure!(verdict.code() != 0, "a changed body is verified: {}", verdict.stdout);
    Ok(())
}
