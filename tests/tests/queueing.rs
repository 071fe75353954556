//! Mail that cannot be delivered at once: it waits, it comes back as a report, it outlives a power cut.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::lab::ANA;
use postern_lab::mail::{self, SAM};
use postern_lab::{Host, Lab, Signal, wait_until};

#[test]
fn mail_waits_for_a_stranger_that_is_down() -> Result<()> {
    let lab = Lab::joined()?;
    lab.stop_daemon(Host::Stranger, "postfix", Signal::Terminate)?;
    lab.submit(465, ANA, SAM, &mail::plain_message(ANA, SAM, "patience"))?.success()?;
    let id = wait_until("the message is deferred", Duration::from_secs(60), || deferred_id(&lab))?;

    // A power cut meanwhile loses nothing.
    lab.stop_daemon(Host::Home, "postern-home", Signal::Kill)?;
    lab.start_daemon(Host::Home, "postern-home")?;
    lab.start_daemon(Host::Stranger, "postfix")?;
    wait_until("home is connected again", Duration::from_secs(30), || lab.is_connected())?;
    lab.host(Host::Home).run(["postern-home", "queue", "retry", &id])?.success()?;
    let delivered = lab.await_stranger_message("patience").map_err(|error| lab.explain(error))?;
    lab.authenticate(&delivered)?.require_pass()?;
    Ok(())
}

/// `flush` tries everything but what is held, and that goes when it is released.
#[test]
fn a_held_message_goes_when_it_is_released() -> Result<()> {
    let lab = Lab::joined()?;
    let queue = |arguments: &[&str]| {
        lab.host(Host::Home).run(["postern-home", "queue"].into_iter().chain(arguments.iter().copied()))
    };
    lab.stop_daemon(Host::Stranger, "postfix", Signal::Terminate)?;
    lab.submit(465, ANA, SAM, &mail::plain_message(ANA, SAM, "held back"))?.success()?;
    let held = wait_until("the message is deferred", Duration::from_secs(60), || deferred_id(&lab))?;
    queue(&["hold", &held])?.success()?;
    lab.submit(465, ANA, SAM, &mail::plain_message(ANA, SAM, "not held"))?.success()?;
    lab.start_daemon(Host::Stranger, "postfix")?;

    queue(&["flush"])?.success()?;
    lab.await_stranger_message("not held").map_err(|error| lab.explain(error))?;
    let refused = queue(&["retry", &held])?;
    assert!(refused.code() != 0 && refused.stderr.contains("held"), "{refused:?}");
    let story = queue(&["show", &held])?.success()?.stdout;
    assert!(story.contains("held by the operator"), "{story}");
    assert!(lab.stranger_messages("held back")?.is_empty());

    queue(&["release", &held])?.success()?;
    lab.await_stranger_message("held back").map_err(|error| lab.explain(error))?;
    Ok(())
}

/// The id of the only message of the queue, once a first try has failed.
fn deferred_id(lab: &Lab) -> Result<String> {
    let output = lab.host(Host::Home).run(["postern-home", "queue", "list", "--json"])?.success()?;
    let queue: serde_json::Value = serde_json::from_str(&output.stdout)?;
    let message = queue.get(0).context("the queue is empty")?;
    ensure!(message.get("last_reply").is_some_and(|reply| !reply.is_null()), "{message}");
    let id = message.get("id").context("an id")?;
    Ok(id.as_str().map_or_else(|| id.to_string(), str::to_owned))
}

#[test]
fn an_unknown_recipient_comes_back_as_a_report() -> Result<()> {
    let lab = Lab::joined()?;
    let nobody = "no-such-user@stranger.test";
    lab.submit(587, ANA, nobody, &mail::plain_message(ANA, nobody, "to nobody"))?.success()?;
    let report = wait_until("the report is in ana's INBOX", mail::DELIVERY_LIMIT, || {
        let uids = lab
            .curl_imap("INBOX", &["--request", "UID SEARCH BODY \"no-such-user@stranger.test\""])?
            .success()?;
        let uid = uids.stdout.lines().find_map(|line| line.strip_prefix("* SEARCH ")).context("not there")?;
        lab.fetch_by_curl(uid.trim().parse()?)
    })
    .map_err(|error| lab.explain(error))?;
    let text = String::from_utf8_lossy(&report);
    let kind = mail::header_values(&report, "Content-Type").join("");
    assert!(kind.contains("multipart/report") && kind.contains("delivery-status"), "{kind}");
    for line in ["Action: failed", "Status: 5.1.1", "no-such-user@stranger.test", "Subject: to nobody"] {
        assert!(text.contains(line), "no {line:?} in {text}");
    }
    Ok(())
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() -> Result<()> {
    let lab = Lab::joined()?;
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        let subject = format!("acknowledged-{round}");
        let header = format!("Subject: {subject}");
        let swaks = [
            "swaks",
            "--server",
            "mail.home.example",
            "--from",
            "x@cafe.test",
            "--to",
            ANA,
            "--header",
            &header,
        ];
        lab.host(Host::Cafe).run(swaks)?.success()?;
        lab.stop_daemon(Host::Home, "postern-home", Signal::Kill)?;
        acknowledged.push(subject);
        lab.start_daemon(Host::Home, "postern-home")?;
        wait_until("home is connected again", Duration::from_secs(30), || lab.is_connected())?;
    }
    for subject in acknowledged {
        let copies = lab.search_subject(&subject)?;
        assert_eq!(copies.len(), 1, "{subject} is there {} times", copies.len());
        lab.fetch_by_curl(copies[0])?;
    }
    Ok(())
}
