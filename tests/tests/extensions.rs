//! The extensions of SMTP, with servers and clients that we did not write.

use anyhow::{Context, Result, bail};
use postern_lab::lab::{ANA, ANA_PASSWORD, scenario_options};
use postern_lab::mail::{self, SAM};
use postern_lab::{Host, Lab, wait_until};

/// Python's smtplib: sends one message with parameters of MAIL and RCPT.
const SUBMIT: &str = include_str!("../clients/submit.py");

/// Python's smtplib again: hands a message over by BDAT.
const CHUNKS: &str = include_str!("../clients/chunks.py");

fn submit(lab: &Lab, to: &str, subject: &str, mail_options: &str, rcpt_options: &str) -> Result<()> {
    let session = ["python3", "-c", SUBMIT, "mail.home.example", "465", ANA, ANA_PASSWORD, ANA, to];
    let options = [mail_options, rcpt_options];
    let message = mail::plain_message(ANA, to, subject);
    lab.host(Host::Cafe).run_with_input(session.into_iter().chain(options), message.as_bytes())?.success()?;
    Ok(())
}

/// The report in ana's INBOX that says `envelope_id`.
fn report(lab: &Lab, envelope_id: &str) -> Result<String> {
    let field = format!("Original-Envelope-Id: {envelope_id}\r\n");
    let report = wait_until("the report is in ana's INBOX", mail::DELIVERY_LIMIT, || {
        let found =
            lab.curl_imap("INBOX", &["--request", "UID SEARCH HEADER Content-Type delivery-status"])?;
        let found = found.success()?.stdout;
        let uids = found.lines().find_map(|line| line.strip_prefix("* SEARCH")).unwrap_or_default();
        for uid in uids.split_whitespace() {
            let message = String::from_utf8_lossy(&lab.fetch_by_curl(uid.parse()?)?).into_owned();
            if message.contains(&field) {
                return Ok(message);
            }
        }
        bail!("not among {uids}")
    });
    report.map_err(|error| lab.explain(error))
}

#[track_caller]
fn assert_says(report: &str, lines: &[&str]) {
    for line in lines {
        assert!(report.contains(line), "no {line:?} in {report}");
    }
}

/// Waits until the stranger's Postfix has written that home left, and that this was among the commands.
fn await_goodbye(lab: &Lab, commands: &str) -> Result<()> {
    let is_goodbye =
        |line: &str| line.contains("disconnect from mail.home.example") && line.contains(commands);
    wait_until("home has left", mail::DELIVERY_LIMIT, || {
        let log = lab.log_text(Host::Stranger);
        log.lines().any(is_goodbye).then_some(()).context(log)
    })
}

/// The stranger's Postfix offers DSN and reports by itself; when it no longer does, home reports that it cannot know
/// more; a mailbox of home's own is reported by home.
#[test]
fn a_delivery_is_reported_by_whoever_makes_it() -> Result<()> {
    let lab = Lab::joined()?;
    submit(
        &lab,
        SAM,
        "passed on",
        "RET=HDRS ENVID=passed+2Bon",
        "NOTIFY=SUCCESS ORCPT=rfc822;sam+2Bnews@far.test",
    )?;
    assert_says(
        &report(&lab, "passed+on")?,
        &[
            "Action: delivered",
            "Reporting-MTA: dns; mx.stranger.test",
            "rfc822;sam+news@far.test",
            "Final-Recipient: rfc822; sam@",
        ],
    );

    submit(&lab, ANA, "own mailbox", "ENVID=own", "NOTIFY=SUCCESS")?;
    assert_says(
        &report(&lab, "own")?,
        &["Action: delivered", "Reporting-MTA: dns; mail.home.example", "Subject: own mailbox"],
    );

    // What it offers it has said on the connection that waits for another message.
    await_goodbye(&lab, "")?;
    let silent = "postconf -e smtpd_discard_ehlo_keywords=dsn && postfix reload";
    lab.host(Host::Stranger).sh(silent)?.success()?;
    submit(&lab, SAM, "relayed", "ENVID=relayed", "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;sam+2Bnews@far.test")?;
    assert_says(
        &report(&lab, "relayed")?,
        &[
            "Action: relayed",
            "Reporting-MTA: dns; mail.home.example",
            "Original-Recipient: rfc822;sam+news@far.test",
        ],
    );
    Ok(())
}

/// NOTIFY=NEVER keeps a failure to itself. That it is over is seen in the queue, which is empty then.
#[test]
fn who_wants_no_report_gets_none() -> Result<()> {
    let lab = Lab::joined()?;
    submit(&lab, "nobody@stranger.test", "never", "", "NOTIFY=NEVER")?;
    wait_until("the queue is empty", mail::DELIVERY_LIMIT, || {
        let list = lab.host(Host::Home).run(["postern-home", "queue", "list", "--json"])?.success()?;
        (list.stdout.trim() == "[]").then_some(()).context(list.stdout)
    })?;
    assert_eq!(lab.search_subject("Not delivered")?, Vec::<u32>::new());
    Ok(())
}

/// The stranger's Postfix takes a message in chunks, signatures whole, and its log counts them. Python's smtplib hands home
/// one in chunks that are pipelined, with an empty one in between.
#[test]
fn large_messages_go_and_come_in_chunks() -> Result<()> {
    let lab = Lab::joined()?;
    let large = mail::message_with_attachment(ANA, SAM, "in chunks", 300_000);
    lab.submit(465, ANA, SAM, &large)?.success()?;
    let delivered = lab.await_stranger_message("in chunks").map_err(|error| lab.explain(error))?;
    lab.authenticate(&delivered)?.require_pass()?;
    await_goodbye(&lab, " bdat=")?;

    let coming = mail::message_with_attachment(SAM, ANA, "also in chunks", 100_000);
    let session = ["python3", "-c", CHUNKS, "mail.home.example", SAM, ANA];
    let replies = lab.host(Host::Stranger).run_with_input(session, coming.as_bytes())?.success()?.stdout;
    let codes: Vec<&str> = replies.lines().filter_map(|line| line.get(..3)).collect();
    assert_eq!(codes, ["250"; 4], "{replies}");
    let received = lab.await_ana_message("also in chunks").map_err(|error| lab.explain(error))?;
    let sent = coming.replace('\n', "\r\n");
    assert!(received.ends_with(sent.as_bytes()), "what came is not what was sent");
    Ok(())
}

/// swaks as an old program: AUTH LOGIN, under TLS.
#[test]
fn an_old_program_logs_in_by_login() -> Result<()> {
    let lab = Lab::joined()?;
    let swaks = |password| {
        let server = ["swaks", "--server", "mail.home.example", "--port", "587", "--tls", "--timeout", "60"];
        let login = ["--auth", "LOGIN", "--auth-user", ANA, "--auth-password", password];
        let envelope = ["--from", ANA, "--to", SAM, "--header", "Subject: from a printer"];
        lab.host(Host::Cafe).run([&server[..], &login, &envelope].concat())
    };
    assert!(swaks("wrong")?.stdout.contains(" 535 "), "a wrong password is refused");
    swaks(ANA_PASSWORD)?.success()?;
    lab.await_stranger_message("from a printer").map_err(|error| lab.explain(error))?;
    Ok(())
}

/// smtplib asks for a time: the message waits for it, whatever the operator does, and can be cancelled.
#[test]
fn a_message_waits_for_its_time() -> Result<()> {
    let lab = Lab::joined()?;
    let queue = |arguments: &[&str]| {
        let words = ["postern-home", "queue"].into_iter().chain(arguments.iter().copied());
        Ok::<_, anyhow::Error>(lab.host(Host::Home).run(words)?.success()?.stdout)
    };
    submit(&lab, SAM, "cancelled", "HOLDFOR=3600", "")?;
    let list: serde_json::Value = serde_json::from_str(&queue(&["list", "--json"])?)?;
    let id = list[0]["id"].to_string();
    assert_eq!(list[0]["not_before"], list[0]["next_attempt"], "{list}");
    queue(&["flush"])?;
    queue(&["retry", &id])?;

    let begun = std::time::Instant::now();
    submit(&lab, SAM, "on time", "HOLDFOR=6", "")?;
    lab.await_stranger_message("on time").map_err(|error| lab.explain(error))?;
    assert!(begun.elapsed().as_secs() >= 6, "it came after {:?}", begun.elapsed());
    assert!(lab.stranger_messages("cancelled")?.is_empty());
    assert!(queue(&["show", &id])?.contains("the sender wishes it sent at 20"));
    queue(&["drop", &id])?;
    assert_eq!(queue(&["list", "--json"])?.trim(), "[]");
    Ok(())
}

/// The stranger's Postfix knows nothing of times: what is to come back unless it is in time comes back, the rest goes and the
/// sender is told so.
#[test]
fn a_message_with_a_deadline_goes_to_who_keeps_it_or_is_told_of() -> Result<()> {
    let lab = Lab::joined()?;
    submit(&lab, SAM, "comes back", "BY=600;R ENVID=comes-back", "")?;
    submit(&lab, SAM, "goes", "BY=600;N ENVID=goes", "")?;
    lab.await_stranger_message("goes").map_err(|error| lab.explain(error))?;
    let comes_back = ["Action: failed", "Status: 5.4.7", "DELIVERBY", "Deliver-By-Date: "];
    assert_says(&report(&lab, "comes-back")?, &comes_back);
    let goes = ["Action: relayed", "sends no reports of its own", "Deliver-By-Date: "];
    assert_says(&report(&lab, "goes")?, &goes);
    assert!(lab.stranger_messages("comes back")?.is_empty());
    Ok(())
}

/// The stranger's Postfix is not verified by anybody: who requires TLS with a verified server gets the message back.
#[test]
fn who_requires_tls_has_the_message_back_where_it_cannot_be_had() -> Result<()> {
    let lab = Lab::joined()?;
    submit(&lab, SAM, "required", "REQUIRETLS ENVID=required", "")?;
    assert_says(&report(&lab, "required")?, &["Action: failed", "Status: 5.7.10", "requires TLS"]);
    assert!(lab.stranger_messages("required")?.is_empty());
    Ok(())
}

/// An account that sends too much: held, told of, released.
#[test]
fn an_account_that_sends_too_much_is_held_until_it_is_released() -> Result<()> {
    let mut options = scenario_options()?;
    options.home_config += "\n[submission]\nmessages_per_hour = 2\n";
    let lab = Lab::start(options)?;
    lab.join().and_then(|()| lab.set_up_home()).map_err(|error| lab.explain(error))?;
    for subject in ["one", "two", "three", "four"] {
        submit(&lab, SAM, subject, "", "")?;
        if subject == "two" {
            lab.await_stranger_message("two").map_err(|error| lab.explain(error))?;
        }
    }
    let user = |arguments: &[&str]| {
        let words = ["postern-home", "user"].into_iter().chain(arguments.iter().copied());
        Ok::<_, anyhow::Error>(lab.host(Host::Home).run(words)?.success()?.stdout)
    };
    let list = user(&["list"])?;
    assert!(list.contains("3 messages within an hour, where 2 are allowed"), "{list}");
    lab.await_ana_message(&format!("To look at: account, {ANA}")).map_err(|error| lab.explain(error))?;
    assert!(lab.stranger_messages("three")?.is_empty() && lab.stranger_messages("four")?.is_empty());

    let released = user(&["release", ANA])?;
    assert!(released.contains("2 message(s) are sent now"), "{released}");
    for subject in ["three", "four"] {
        lab.await_stranger_message(subject).map_err(|error| lab.explain(error))?;
    }
    Ok(())
}
