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

/// A message that came, one that was refused, and one that was deferred before it went: `trace` tells each story, under the id
/// that the Received field names.
#[test]
fn trace_tells_what_became_of_a_message() -> Result<()> {
    let lab = Lab::joined()?;
    let tells = |of: &str, lines: &[&str]| {
        let story = lab.host(Host::Home).run(["postern-home", "trace", of])?.success()?.stdout;
        let missing = lines.iter().find(|line| !story.contains(**line));
        missing.map_or(Ok(()), |line| anyhow::bail!("no {line:?} in the story of {of}:\n{story}"))
    };

    lab.send_from_stranger(ANA, &mail::plain_message(SAM, ANA, "came"))?;
    let came = lab.await_ana_message("came").map_err(|error| lab.explain(error))?;
    let received = mail::header_values(&came, "Received").remove(0);
    let id = received.split(" id ").nth(1).and_then(|rest| rest.split([' ', ';']).next()).context("an id")?;
    tells(
        id,
        &[
            "brings mail from <sam@stranger.test>",
            "calling itself mx.stranger.test, under TLSv1.3",
            "recipient <ana@home.example> accepted",
            "spf=pass",
            "delivered to ana@home.example, mailbox INBOX",
        ],
    )?;
    tells(mail::header_values(&came, "Message-ID").first().context("a Message-ID")?, &[id])?;

    lab.host(Host::Stranger).run([
        "swaks",
        "--server",
        "mail.home.example",
        "--from",
        SAM,
        "--to",
        "who@home.example",
    ])?;
    tells("who@home.example", &["refused (recipient): 550 5.1.1 no such user here"])?;

    lab.stop_daemon(Host::Stranger, "postfix", Signal::Terminate)?;
    lab.submit(465, ANA, SAM, &mail::plain_message(ANA, SAM, "went late"))?.success()?;
    let queue_id = wait_until("the message is deferred", Duration::from_secs(60), || deferred_id(&lab))?;
    lab.start_daemon(Host::Stranger, "postfix")?;
    lab.host(Host::Home).run(["postern-home", "queue", "flush"])?.success()?;
    lab.await_stranger_message("went late").map_err(|error| lab.explain(error))?;
    let went = [
        "ana@home.example submits mail from <ana@home.example>",
        "given the Message-ID <",
        "queued as",
        "not delivered for <sam@stranger.test> yet",
        "no connection",
        "tried again at",
        "delivered for <sam@stranger.test>; mx.stranger.test",
        "said: 250 2.0.0 Ok",
    ];
    wait_until("the delivery is told", Duration::from_secs(10), || tells(&queue_id, &went))?;
    let json =
        lab.host(Host::Home).run(["postern-home", "trace", SAM, "--json", "--since", "1h"])?.success()?;
    let stories: serde_json::Value = serde_json::from_str(&json.stdout)?;
    assert_eq!(stories.as_array().map(Vec::len), Some(3), "{stories}");
    Ok(())
}

/// Postfix counts the connections on which it took mail.
#[test]
fn messages_that_waited_share_connections() -> Result<()> {
    let lab = Lab::joined()?;
    lab.stop_daemon(Host::Stranger, "postfix", Signal::Terminate)?;
    let subjects: Vec<String> = (0..12).map(|number| format!("of a stack {number}")).collect();
    for subject in &subjects {
        lab.submit(465, ANA, SAM, &mail::plain_message(ANA, SAM, subject))?.success()?;
    }
    wait_until("the first one is deferred", Duration::from_secs(60), || deferred_id(&lab))?;
    lab.start_daemon(Host::Stranger, "postfix")?;
    lab.host(Host::Home).run(["postern-home", "queue", "flush"])?.success()?;
    for subject in &subjects {
        lab.await_stranger_message(subject).map_err(|error| lab.explain(error))?;
    }
    let log = lab.log_text(Host::Stranger);
    let lines = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    let connections = lines(": connect from mail.home.example[");
    let messages = lines("client=mail.home.example[");
    assert!(messages == 12 && connections <= 6, "{messages} messages on {connections} connections:\n{log}");
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
