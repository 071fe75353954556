//! Aliases, masks and catch-alls, with a server that we did not write on the other side.

use anyhow::{Context, Result, ensure};
use postern_lab::lab::ANA;
use postern_lab::mail::{self, SAM};
use postern_lab::names::HOME_DOMAIN;
use postern_lab::{Host, Lab};

/// swaks's exit status when every RCPT is refused.
const RCPT_REFUSED: i32 = 24;

/// Prints dkimpy's verdict on the chain of the message on standard input.
const ARC_VERIFY: &str =
    "import sys, dkim; print(dkim.arc_verify(sys.stdin.buffer.read())[0].decode(), end='')";

fn home(lab: &Lab, arguments: &[&str]) -> Result<String> {
    let command = [&["postern-home"], arguments].concat();
    Ok(lab.host(Host::Home).run(command)?.success()?.stdout)
}

/// What the stranger hears for this recipient.
fn refusal(lab: &Lab, to: &str) -> Result<String> {
    let swaks = ["swaks", "--server", "mail.home.example", "--from", SAM, "--to", to, "--quit-after", "RCPT"];
    let output = lab.host(Host::Stranger).run(swaks)?;
    ensure!(output.code() == RCPT_REFUSED, "{to} is taken: {}", output.stdout);
    Ok(output.stdout)
}

/// Ana's signed message comes to Sam, who sends it to the club, which leads to Sam: the second copy came from home under home's
/// name, and Ana's signatures still hold. What Sam's server then reports to the sender of that copy reaches Sam.
#[test]
fn what_is_sent_on_passes_spf_dkim_and_arc_and_reports_come_back() -> Result<()> {
    let lab = Lab::joined()?;
    home(&lab, &["alias", "add", "club@home.example", SAM])?;
    let message = mail::plain_message(ANA, SAM, "to the club");
    lab.submit(465, ANA, SAM, &message)?.success()?;
    let first = String::from_utf8(lab.await_stranger_message("to the club")?)?;
    let signed = first.find("DKIM-Signature:").context("it is not signed")?;
    let again = first.get(signed..).context("cut")?.to_owned();
    lab.send_from_stranger("club@home.example", &again)?;
    let second = postern_lab::wait_until("the club's copy is there", mail::DELIVERY_LIMIT, || {
        let copies = lab.stranger_messages("to the club")?;
        copies
            .into_iter()
            .find(|copy| String::from_utf8_lossy(copy).contains("ARC-Seal:"))
            .context("not there")
    });
    let second = second.map_err(|error| lab.explain(error))?;
    let verdict = lab.authenticate(&second)?;
    verdict.require_pass()?;
    let arc = lab.host(Host::Stranger).run_with_input(["python3", "-c", ARC_VERIFY], &second)?.success()?;
    ensure!(arc.stdout == "pass", "ARC: {}", arc.stdout);
    let sender = mail::header_values(&second, "Return-Path").remove(0);
    let sender = sender.trim_matches(['<', '>']);
    ensure!(sender.starts_with("SRS0=") && sender.ends_with("=stranger.test=sam@home.example"), "{sender}");

    let report = mail::plain_message("mailer-daemon@stranger.test", sender, "club is full");
    let sendmail = ["sendmail", "-i", "-f", "", sender];
    lab.host(Host::Stranger).run_with_input(sendmail, report.as_bytes())?.success()?;
    let back = lab.await_stranger_message("club is full").map_err(|error| lab.explain(error))?;
    ensure!(mail::header_values(&back, "Return-Path") == ["<>"], "a report stays one");
    ensure!(refusal(&lab, sender)?.contains("550 5.1.1 only reports"), "mail goes through it");
    Ok(())
}

#[test]
fn masks_and_catch_alls_come_and_go_and_circles_are_refused() -> Result<()> {
    let lab = Lab::joined()?;
    let mask = home(&lab, &["mask", "create", ANA, "--label", "shop"])?.trim().to_owned();
    lab.send_from_stranger(&mask, &mail::plain_message(SAM, &mask, "to the mask"))?;
    lab.await_ana_message("to the mask")?;
    lab.submit(465, &mask, SAM, &mail::plain_message(&mask, SAM, "as the mask"))?.success()?;
    lab.await_stranger_message("as the mask")?;
    home(&lab, &["domain", "catch-all", HOME_DOMAIN, ANA])?;
    home(&lab, &["mask", "off", ANA, &mask])?;
    ensure!(refusal(&lab, &mask)?.contains("550 5.1.1"), "a mask that is off");
    ensure!(
        lab.submit(465, &mask, SAM, &mail::plain_message(&mask, SAM, "x"))?.code() != 0,
        "as a mask that is off"
    );
    lab.send_from_stranger("anything@home.example", &mail::plain_message(SAM, "x@y.test", "caught"))?;
    lab.await_ana_message("caught")?;
    home(&lab, &["domain", "catch-all", HOME_DOMAIN, "off"])?;
    refusal(&lab, "anything@home.example")?;

    home(&lab, &["alias", "add", "a@home.example", ANA])?;
    let circle = lab.host(Host::Home).run(["postern-home", "forward", "set", ANA, "a@home.example"])?;
    ensure!(circle.code() == 1, "{}", circle.stdout);
    let round = "a@home.example -> ana@home.example -> a@home.example";
    ensure!(circle.stderr.contains(round), "{}", circle.stderr);
    ensure!(home(&lab, &["forward", "show"])?.lines().count() == 1, "it is not kept");
    Ok(())
}
