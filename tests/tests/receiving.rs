//! What strangers send is checked, each check seen by a client that we did not write.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::lab::{self, ANA};
use postern_lab::mail::{self, SAM};
use postern_lab::{Host, Lab, wait_until};

/// What the world's DNS says beside the usual, in the zone `example`; `*.bl` and `*.wl` are DNS lists.
const DOMAINS: &str = "nomail.example. MX 0 .\n\
    doubtful.example. MX 10 mx.stranger.test.\ndoubtful.example. TXT \"v=spf1 ~all\"\n\
    _dmarc.shop.example. TXT \"v=DMARC1; p=quarantine\"\n\
    _dmarc.strict.example. TXT \"v=DMARC1; p=reject\"\n";
/// How long a change of the DNS, or of a queue, may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Python: sees what a client gets that talks before the greeting, and then one that waits.
const EARLY: &str = "import socket, sys
for early in (b'EHLO cafe.test\\r\\n', b''):
    client = socket.create_connection(('mail.home.example', 25), timeout=20)
    client.sendall(early)
    print(client.recv(200).decode().strip())";

fn lab_with(inbound: &str) -> Result<Lab> {
    let mut options = lab::scenario_options()?;
    options.home_config += &format!("\n[inbound]\n{inbound}\n");
    let lab = Lab::start(options)?;
    lab.join()?;
    lab.set_up_home()?;
    Ok(lab)
}

/// Adds records to the zone above home's, beside the delegation as it stands.
fn add_records(lab: &Lab, records: &str) -> Result<()> {
    let ds = lab.host(Host::Home).run(["postern-home", "dns", "ds", "home.example"])?.success()?.stdout;
    lab.register(&(ds + records))
}

/// What the cafe's swaks hears.
fn swaks(lab: &Lab, more: &[&str]) -> Result<String> {
    let swaks = ["swaks", "-4", "--server", "mail.home.example", "--timeout", "30"];
    let from = if more.contains(&"--from") { &[][..] } else { &["--from", "x@cafe.test"] };
    let to = if more.contains(&"--to") { &[][..] } else { &["--to", ANA] };
    Ok(lab.host(Host::Cafe).run([&swaks[..], from, to, more].concat())?.stdout)
}

#[test]
fn a_stranger_is_judged_before_the_message_comes() -> Result<()> {
    let lab = lab_with("dnsbl = [\"bl.example\"]\ndnswl = [\"wl.example\"]")?;
    add_records(&lab, DOMAINS)?;
    let early = lab.host(Host::Cafe).run(["python3", "-c", EARLY])?.success()?.stdout;
    let (talked, waited) = early.split_once('\n').context("two lines")?;
    assert!(talked.starts_with("554 5.5.1 ") && waited.starts_with("220 "), "{early}");

    let client = Host::Cafe.v6().context("an address")?.to_string();
    wait_until("the journal tells of it", PATIENCE, || {
        let story = lab.host(Host::Home).run(["postern-home", "trace", &client])?.success()?.stdout;
        ensure!(story.contains("554 5.5.1 "), "{story}");
        Ok(())
    })?;

    for (what, client, reply) in [
        ("our name", &["--ehlo", "mail.home.example"][..], " 550 5.7.1 you are not"),
        ("our address", &["--ehlo", "[192.0.2.10]"], " 550 5.7.1 you are not"),
        ("no domain", &["--from", "x@no-such.example"], " 550 5.1.8 "),
        ("null MX", &["--from", "x@nomail.example"], " 550 5.7.27 "),
        (
            "several recipients of a report",
            &["--from", "<>", "--to", "ana@home.example,postmaster@home.example"],
            " 452 4.5.3 ",
        ),
        ("all well", &[], " 250 2.0.0 "),
    ] {
        let heard = swaks(&lab, client)?;
        assert!(heard.contains(reply), "{what}: {heard}");
    }

    let [a, b, c, d] = Host::Cafe.v4().octets();
    let listed =
        format!("{d}.{c}.{b}.{a}.bl.example. A 127.0.0.2\n{d}.{c}.{b}.{a}.bl.example. TXT \"a bad cafe\"\n");
    add_records(&lab, &format!("{DOMAINS}{listed}"))?;
    let heard = wait_until("the list has the cafe", PATIENCE, || {
        let heard = swaks(&lab, &[])?;
        ensure!(heard.contains(" 550 "), "{heard}");
        Ok(heard)
    })?;
    assert!(heard.contains("550 5.7.1 your address is listed at bl.example: a bad cafe"), "{heard}");
    let postmaster = swaks(&lab, &["--to", "postmaster@home.example"])?;
    assert!(postmaster.contains(" 250 2.0.0 "), "the postmaster can be asked why: {postmaster}");
    add_records(&lab, &format!("{DOMAINS}{listed}{d}.{c}.{b}.{a}.wl.example. A 127.0.0.2\n"))?;
    wait_until("the other list spares the cafe", PATIENCE, || {
        let heard = swaks(&lab, &[])?;
        ensure!(heard.contains(" 250 2.0.0 "), "{heard}");
        Ok(())
    })
    .map_err(|error| lab.explain(error))
}

/// A message by one domain, brought by another.
fn by(lab: &Lab, author: &str, subject: &str) -> Result<String> {
    let forged = "Authentication-Results: mail.home.example; dmarc=pass";
    let subject = format!("Subject: {subject}");
    swaks(lab, &["--h-From", author, "--header", &subject, "--add-header", forged])
}

#[test]
fn what_the_author_wants_is_done_unless_a_trusted_list_vouches() -> Result<()> {
    let lab = lab_with("trusted_sealers = [\"lists.example\"]")?;
    let cafe = lab.host(Host::Cafe);
    let key = "openssl genrsa -traditional 2048 > /run/list.key && openssl rsa -in /run/list.key -pubout -outform der | base64 -w0";
    let public = cafe.sh(key)?.success()?.stdout;
    let (first, rest) = public.trim().split_at(200);
    let record = format!("s._domainkey.lists.example. TXT \"v=DKIM1; p={first}\" \"{rest}\"\n");
    add_records(&lab, &format!("{DOMAINS}{record}"))?;
    wait_until("the list's key is known", PATIENCE, || {
        lab.resolve("s._domainkey.lists.example", "TXT").map(drop)
    })?;

    let heard = by(&lab, "sale@shop.example", "cheap")?;
    assert!(heard.contains(" 250 2.0.0 "), "{heard}");
    assert!(lab.search_subject("cheap")?.is_empty(), "it is in the inbox");
    let junk = lab.curl_imap("Junk", &["--request", "SEARCH SUBJECT cheap"])?.success()?.stdout;
    assert_eq!(junk.trim(), "* SEARCH 1");
    let message = lab.curl_imap("Junk;MAILINDEX=1", &[])?.success()?.stdout;
    let results = mail::header_values(message.as_bytes(), "Authentication-Results");
    let [results] = results.as_slice() else { anyhow::bail!("the forged field is there: {results:?}") };
    for found in ["spf=none", "dmarc=fail", "policy.dmarc=quarantine", "iprev=pass"] {
        assert!(results.contains(found), "no {found} in {results}");
    }

    // Nor does it leave by an alias: where it has a mailbox it stays there, and else it is refused.
    for (alias, targets) in [("club@home.example", vec![SAM]), ("both@home.example", vec![ANA, SAM])] {
        let command = [vec!["postern-home", "alias", "add", alias], targets].concat();
        lab.host(Host::Home).run(command)?.success()?;
    }
    let to = |alias| {
        let subject = format!("Subject: cheap for {alias}");
        let words = ["--to", alias, "--h-From", "sale@shop.example", "--header", &subject];
        swaks(&lab, &words)
    };
    let heard = to("club@home.example")?;
    assert!(heard.contains(" 550 5.7.1 rejected by the DMARC policy of shop.example"), "{heard}");
    let heard = to("both@home.example")?;
    assert!(heard.contains(" 250 2.0.0 "), "{heard}");
    let junk = lab.curl_imap("Junk", &["--request", "SEARCH SUBJECT both"])?.success()?.stdout;
    assert_eq!(junk.trim(), "* SEARCH 2");
    let queued = lab.host(Host::Home).run(["postern-home", "queue", "list", "--json"])?.success()?.stdout;
    assert_eq!(queued.trim(), "[]", "it is sent on");

    let heard = by(&lab, "boss@strict.example", "urgent")?;
    assert!(heard.contains(" 550 5.7.1 rejected by the DMARC policy of strict.example"), "{heard}");
    cafe.write("/run/arc_sealed.py", include_bytes!("../clients/arc_sealed.py"))?;
    let sealed = [
        "python3",
        "/run/arc_sealed.py",
        "mail.home.example",
        ANA,
        "to the list",
        "boss@strict.example",
        "/run/list.key",
    ];
    let reply = cafe.run(sealed)?.success()?.stdout;
    assert!(reply.starts_with("250 "), "{reply}");
    let message = lab.await_ana_message("to the list")?;
    let results = mail::header_values(&message, "Authentication-Results").remove(0);
    assert!(results.contains("arc=pass") && results.contains("passed on by lists.example"), "{results}");
    Ok(())
}

/// The stranger's Postfix writes as a domain that does not know it: it is asked to come again, does, and is let in.
#[test]
fn a_doubtful_stranger_is_let_in_when_it_comes_again() -> Result<()> {
    let lab = lab_with("greylist = \"3s\"")?;
    add_records(&lab, DOMAINS)?;
    let (stranger, doubtful) = (lab.host(Host::Stranger), "x@doubtful.example");
    let message = mail::plain_message(doubtful, ANA, "doubtful");
    stranger.run_with_input(["sendmail", "-i", "-f", doubtful, ANA], message.as_bytes())?.success()?;
    wait_until("Postfix is asked to come again", PATIENCE, || {
        let queue = stranger.run(["postqueue", "-p"])?.stdout;
        ensure!(queue.contains("451 4.7.1 greylisted"), "{queue}");
        Ok(())
    })
    .map_err(|error| lab.explain(error))?;
    assert!(lab.search_subject("doubtful")?.is_empty());
    wait_until("Postfix comes again and is let in", PATIENCE, || {
        stranger.run(["postqueue", "-f"])?.success()?;
        lab.search_subject("doubtful")?.pop().context("not there")
    })
    .map_err(|error| lab.explain(error))?;
    let story = lab.host(Host::Home).run(["postern-home", "trace", doubtful])?.success()?.stdout;
    for told in
        ["refused for now (greylist): 451 4.7.1", "its address is none of the sender's", "came again after"]
    {
        assert!(story.contains(told), "no {told:?} in {story}");
    }
    Ok(())
}

/// A machine whose address has no name waits, unless its mail proves whose it is: a code for a login comes at once.
#[test]
fn who_proves_to_be_the_author_does_not_wait() -> Result<()> {
    let lab = lab_with("")?;
    let client = lab.host(Host::Authority);
    let honest = format!(
        "honest.example. MX 10 mx.stranger.test.\nhonest.example. TXT \"v=spf1 ip4:{} -all\"\n",
        Host::Authority.v4()
    );
    add_records(&lab, &honest)?;
    let swaks = |from| -> Result<String> {
        let swaks = ["swaks", "-4", "--server", "mail.home.example", "--to", ANA, "--from", from];
        Ok(client.run(swaks.into_iter().chain(["--header", "Subject: your code is 123"]))?.stdout)
    };
    let heard = swaks("x@cafe.test")?;
    assert!(heard.contains(" 451 4.7.1 greylisted: please come again in 300 seconds"), "{heard}");
    let heard = swaks("x@honest.example")?;
    assert!(heard.contains(" 250 2.0.0 "), "{heard}");
    lab.await_ana_message("your code").map_err(|error| lab.explain(error))?;
    let heard = swaks("x@cafe.test")?;
    assert!(heard.contains(" 250 2.0.0 "), "its mail was taken before: {heard}");
    Ok(())
}

#[test]
fn a_network_that_sends_too_much_is_asked_to_come_later_and_others_are_not() -> Result<()> {
    let lab = lab_with("messages_per_hour = 3\ngreylist = \"off\"")?;
    for number in 1..=3 {
        let heard = swaks(&lab, &[])?;
        assert!(heard.contains(" 250 2.0.0 "), "message {number}: {heard}");
    }
    let heard = swaks(&lab, &[])?;
    assert!(heard.contains(" 451 4.7.1 too many messages"), "{heard}");
    let story =
        lab.host(Host::Home).run(["postern-home", "trace", &Host::Cafe.v4().to_string()])?.success()?;
    assert!(story.stdout.contains("within an hour"), "{}", story.stdout);
    lab.send_from_stranger(ANA, &mail::plain_message(mail::SAM, ANA, "from elsewhere"))?;
    lab.await_ana_message("from elsewhere").map_err(|error| lab.explain(error))?;
    Ok(())
}
