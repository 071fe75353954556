//! Mail clients that we did not write, against home's IMAP, from outside through the edge.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::checkers::{node_modules_of, python_of};
use postern_lab::lab::{ANA, ANA_PASSWORD};
use postern_lab::{Host, Lab, mail, wait_until};

const CHANNEL_BINDING: &str = include_str!("../clients/channel_binding.py");
const DOVECOT_CONF: &str = include_str!("../clients/dovecot.conf");
const IMAPCLIENT_SESSION: &str = include_str!("../clients/imapclient_session.py");
const IMAPFLOW_SESSION: &str = include_str!("../clients/imapflow_session.js");
const OFFLINEIMAPRC: &str = include_str!("../clients/offlineimaprc");
const MUTTRC: &str = include_str!("../clients/muttrc");
const IMAP_SESSION: &str = include_str!("../clients/imap_session.py");
const IMAP_NOTIFY: &str = include_str!("../clients/imap_notify.py");
const IMAP_PAGES: &str = include_str!("../clients/imap_pages.py");
const IMAP_PATIENCE: &str = include_str!("../clients/imap_patience.py");
const IMAP_SHARED: &str = include_str!("../clients/imap_shared.py");
const IMAP_UTF8: &str = include_str!("../clients/imap_utf8.py");
const IMAP_VERBS: &str = include_str!("../clients/imap_verbs.py");

#[test]
fn python_imaplib_does_all_that_a_mail_user_does() -> Result<()> {
    let lab = Lab::joined()?;
    let session = ["python3", "-c", IMAP_SESSION, "mail.home.example", ANA, ANA_PASSWORD];
    let output = lab.host(Host::Cafe).run(session)?.success().map_err(|error| lab.explain(error))?;
    assert_eq!(output.stdout.trim(), "done");
    Ok(())
}

/// COMPRESS, CATENATE, REPLACE and METADATA: the octets are those that zlib and the command's words say.
#[test]
fn python_imaplib_compresses_catenates_replaces_and_annotates() -> Result<()> {
    let lab = Lab::joined()?;
    let session = ["python3", "-c", IMAP_VERBS, "mail.home.example", ANA, ANA_PASSWORD];
    let output = lab.host(Host::Cafe).run(session)?.success().map_err(|error| lab.explain(error))?;
    assert_eq!(output.stdout.trim(), "done");
    Ok(())
}

/// UTF8=ACCEPT: a mailbox and a message of a client that enables it, and what another one sees of them.
#[test]
fn python_imaplib_speaks_utf8() -> Result<()> {
    let lab = Lab::joined()?;
    let session = ["python3", "-c", IMAP_UTF8, "mail.home.example", ANA, ANA_PASSWORD];
    let output = lab.host(Host::Cafe).run(session)?.success().map_err(|error| lab.explain(error))?;
    assert_eq!(output.stdout.trim(), "done");
    Ok(())
}

/// PARTIAL, and UIDONLY beside a session that has message numbers.
#[test]
fn python_imaplib_turns_pages_and_does_without_message_numbers() -> Result<()> {
    let lab = Lab::joined()?;
    let session = ["python3", "-c", IMAP_PAGES, "mail.home.example", ANA, ANA_PASSWORD];
    let output = lab.host(Host::Cafe).run(session)?.success().map_err(|error| lab.explain(error))?;
    assert_eq!(output.stdout.trim(), "done");
    Ok(())
}

/// NOTIFY: asked once, told whenever another program of the user does something.
#[test]
fn python_imaplib_is_told_of_every_mailbox_while_no_command_runs() -> Result<()> {
    let lab = Lab::joined()?;
    let session = ["python3", "-c", IMAP_NOTIFY, "mail.home.example", ANA, ANA_PASSWORD];
    let output = lab.host(Host::Cafe).run(session)?.success().map_err(|error| lab.explain(error))?;
    assert_eq!(output.stdout.trim(), "done");
    Ok(())
}

/// INPROGRESS: the disk takes twelve seconds for one flush.
#[test]
fn python_imaplib_hears_that_a_slow_command_is_under_way() -> Result<()> {
    let lab = Lab::joined()?;
    let session = ["python3", "-c", IMAP_PATIENCE, "mail.home.example", ANA, ANA_PASSWORD];
    let mut client = lab
        .host(Host::Cafe)
        .command(session)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("python3")?;
    let mut said = BufReader::new(client.stdout.take().context("piped")?).lines();
    ensure!(said.next().context("a line")?? == "ready");
    let mut slow = lab.host(Host::Home).spawn([
        "sh",
        "-c",
        "exec strace -f -qq -o /run/slow -e trace=fsync,fdatasync -e inject=fsync,fdatasync:delay_enter=12000000:when=1 \
         -p $(pgrep -xo postern-home)",
    ])?;
    wait_until("strace is attached", Duration::from_secs(10), || {
        lab.host(Host::Home).sh("grep -q 'TracerPid:.[1-9]' /proc/$(pgrep -xo postern-home)/status")
    })?;
    client.stdin.take().context("piped")?.write_all(b"go\n")?;
    let last = said.next();
    slow.kill()?;
    slow.wait()?;
    ensure!(client.wait()?.success(), "the client failed");
    assert_eq!(last.context("a line")??, "done");
    Ok(())
}

/// ACL: Bo waits in Ana's mailbox for what she puts there, and is disconnected when she takes it back.
#[test]
fn python_imaplib_shares_a_mailbox_between_two_users() -> Result<()> {
    let lab = Lab::joined()?;
    lab.host(Host::Home)
        .sh("postern-home user add bo@home.example --password-file /run/password")?
        .success()?;
    let session = ["python3", "-c", IMAP_SHARED, "mail.home.example", ANA, "bo@home.example", ANA_PASSWORD];
    let output = lab.host(Host::Cafe).run(session)?.success().map_err(|error| lab.explain(error))?;
    assert_eq!(output.stdout.trim(), "done");
    Ok(())
}

#[test]
fn imapclient_understands_every_answer_and_is_told_of_changes() -> Result<()> {
    let lab = Lab::joined()?;
    let python = python_of("imapclient")?;
    let session = [&python, "-c", IMAPCLIENT_SESSION, "mail.home.example", ANA, ANA_PASSWORD];
    let output = lab.host(Host::Cafe).run(session)?.success().map_err(|error| lab.explain(error))?;
    assert_eq!(output.stdout.trim(), "done");
    Ok(())
}

#[test]
fn imapflow_understands_every_answer_and_is_told_of_changes() -> Result<()> {
    let lab = Lab::joined()?;
    let modules = format!("NODE_PATH={}", node_modules_of("imapflow")?);
    let node = ["env", &modules, "node", "-e", IMAPFLOW_SESSION, "--"];
    let session = [&node[..], &["mail.home.example", ANA, ANA_PASSWORD]].concat();
    let output = lab.host(Host::Cafe).run(session)?.success().map_err(|error| lab.explain(error))?;
    assert_eq!(output.stdout.trim(), "done");
    Ok(())
}

/// dsync knows messages without GUIDs by their headers, and by CONDSTORE which side changed a flag last.
#[test]
fn doveadm_synchronises_a_maildir_both_ways_and_backs_it_up() -> Result<()> {
    let lab = Lab::joined()?;
    let story = || -> Result<()> {
        start_dovecot(&lab)?;
        for subject in ["one", "two", "three"] {
            deliver(&lab, subject)?;
        }
        doveadm(&lab, "sync imapc:")?;
        ensure!(dovecot_subjects(&lab, "ALL")? == "one three two", "all came over");

        // Flags and a new message on both sides.
        doveadm(&lab, "flags add '\\Flagged' mailbox INBOX subject one")?;
        doveadm(&lab, "save -m INBOX /run/local")?;
        lab.curl_imap("INBOX", &["--request", "STORE 2 +FLAGS (\\Answered)"])?.success()?;
        doveadm(&lab, "sync imapc:")?;
        ensure!(
            search(&lab, "FLAGGED")? == "1" && search(&lab, "SUBJECT local")? == "4",
            "what was done here"
        );
        ensure!(dovecot_subjects(&lab, "ANSWERED")? == "two", "what was done there");

        // Each side deletes one.
        doveadm(&lab, "expunge mailbox INBOX subject two")?;
        lab.curl_imap("INBOX", &["--request", "STORE 3 +FLAGS (\\Deleted)"])?.success()?;
        lab.curl_imap("INBOX", &["--request", "EXPUNGE"])?.success()?;
        doveadm(&lab, "sync imapc:")?;
        ensure!(
            dovecot_subjects(&lab, "ALL")? == "local one" && search(&lab, "ALL")? == "1 2",
            "both are gone"
        );

        // Synchronised again, nothing changes on either side.
        let state = || -> Result<String> {
            let there = lab.curl_imap("", &["--request", "STATUS INBOX (MESSAGES UIDNEXT HIGHESTMODSEQ)"])?;
            let here = lab.host(Host::Cafe).sh("find /var/lib/ana/dovecot -name '*,S=*' | sort")?;
            Ok(there.success()?.stdout + &here.stdout)
        };
        let before = state()?;
        doveadm(&lab, "sync imapc:")?;
        ensure!(state()? == before, "a synchronisation without changes changed {before}");

        // A backup is what is here, flags and all; with another message gone, it follows.
        let copy = "-o mail_location=maildir:/var/lib/ana/dovecot/copy";
        doveadm(&lab, &format!("{copy} backup -R imapc:"))?;
        ensure!(dovecot_subjects_of(&lab, copy, "ALL")? == "local one");
        ensure!(dovecot_subjects_of(&lab, copy, "FLAGGED")? == "one");
        lab.curl_imap("INBOX", &["--request", "STORE 1 +FLAGS (\\Deleted)"])?.success()?;
        lab.curl_imap("INBOX", &["--request", "EXPUNGE"])?.success()?;
        doveadm(&lab, &format!("{copy} backup -R imapc:"))?;
        ensure!(dovecot_subjects_of(&lab, copy, "ALL")? == "local");
        Ok(())
    };
    story().map_err(|error| lab.explain(error))
}

/// Dovecot's daemon at the cafe, which resolves names for doveadm.
fn start_dovecot(lab: &Lab) -> Result<()> {
    let cafe = lab.host(Host::Cafe);
    cafe.write("/run/dovecot.conf", DOVECOT_CONF.as_bytes())?;
    cafe.write("/run/local", mail::plain_message(ANA, mail::SAM, "local").as_bytes())?;
    cafe.sh(
        "mkdir -p /var/lib/ana/dovecot; chmod a+rX /var/lib/ana /run/local; chown nobody /var/lib/ana/dovecot
         dovecot -c /run/dovecot.conf </dev/null >/dev/null 2>&1",
    )?;
    Ok(())
}

fn doveadm(lab: &Lab, command: &str) -> Result<String> {
    let doveadm = format!(
        "HOME=/var/lib/ana/dovecot USER=ana doveadm -o log_path=/dev/stderr -c /run/dovecot.conf {command}"
    );
    Ok(lab.host(Host::Cafe).sh(&doveadm)?.stdout)
}

fn dovecot_subjects(lab: &Lab, query: &str) -> Result<String> {
    dovecot_subjects_of(lab, "", query)
}

/// The subjects in Dovecot's own INBOX, in alphabetical order.
fn dovecot_subjects_of(lab: &Lab, options: &str, query: &str) -> Result<String> {
    let fetched = doveadm(lab, &format!("{options} fetch hdr.subject mailbox INBOX {query}"))?;
    let mut subjects: Vec<&str> =
        fetched.lines().filter_map(|line| line.strip_prefix("hdr.subject: ")).collect();
    subjects.sort_unstable();
    Ok(subjects.join(" "))
}

#[test]
fn mbsync_carries_messages_and_flags_both_ways() -> Result<()> {
    let lab = Lab::joined()?;
    lab.send_from_stranger(ANA, &mail::plain_message(mail::SAM, ANA, "to the phone"))?;
    wait_until("the message has arrived", mail::DELIVERY_LIMIT, || {
        lab.search_subject("to the phone")?.pop().context("not there")
    })?;
    assert_eq!(lab.mbsync_messages("to the phone")?.len(), 1);

    // The reader marks it as read and writes a draft.
    let cafe = lab.host(Host::Cafe);
    cafe.sh(
        "cd /var/lib/ana/mail
         for file in INBOX/new/*; do mv \"$file\" \"INBOX/cur/$(basename \"$file\" | sed 's/:2,.*//'):2,S\"; done",
    )?;
    let draft = mail::plain_message(ANA, mail::SAM, "a draft");
    let path = "/var/lib/ana/mail/Drafts/cur/1.draft.cafe:2,DS";
    cafe.write(path, draft.as_bytes())?;
    lab.mbsync()?.success().map_err(|error| lab.explain(error))?;

    let seen = lab.curl_imap("INBOX", &["--request", "SEARCH SEEN"])?.success()?.stdout;
    assert!(seen.contains("* SEARCH 1"), "{seen}");
    let drafts =
        lab.curl_imap("Drafts", &["--request", "SEARCH DRAFT SUBJECT \"a draft\""])?.success()?.stdout;
    assert!(drafts.contains("* SEARCH 1"), "{drafts}");

    // What is deleted far away goes here too.
    lab.curl_imap("INBOX", &["--request", "STORE 1 +FLAGS (\\Deleted)"])?.success()?;
    lab.curl_imap("INBOX", &["--request", "EXPUNGE"])?.success()?;
    assert!(lab.mbsync_messages("to the phone")?.is_empty());
    Ok(())
}

/// Delivers a message, and waits until it is in ana's INBOX.
fn deliver(lab: &Lab, subject: &str) -> Result<()> {
    lab.send_from_stranger(ANA, &mail::plain_message(mail::SAM, ANA, subject))?;
    wait_until("the message has arrived", mail::DELIVERY_LIMIT, || {
        lab.search_subject(subject)?.pop().context("not there")
    })?;
    Ok(())
}

/// The server's answer to a SEARCH in ana's INBOX.
fn search(lab: &Lab, criteria: &str) -> Result<String> {
    let output = lab.curl_imap("INBOX", &["--request", &format!("SEARCH {criteria}")])?.success()?.stdout;
    let line = output.lines().find_map(|line| line.strip_prefix("* SEARCH")).context("no SEARCH answer")?;
    Ok(line.trim().to_owned())
}

#[test]
fn offlineimap_and_neomutt_agree_on_one_mailbox() -> Result<()> {
    let lab = Lab::joined()?;
    let story = || -> Result<()> {
        let cafe = lab.host(Host::Cafe);
        cafe.sh("mkdir -p /var/lib/ana/offlineimap")?.success()?;
        cafe.write("/var/lib/ana/password", ANA_PASSWORD.as_bytes())?;
        cafe.write("/var/lib/ana/offlineimaprc", OFFLINEIMAPRC.as_bytes())?;
        cafe.write("/var/lib/ana/muttrc", MUTTRC.as_bytes())?;
        deliver(&lab, "keep this")?;
        deliver(&lab, "drop that")?;
        let offlineimap =
            || cafe.sh("HOME=/var/lib/ana offlineimap -c /var/lib/ana/offlineimaprc -o 2>&1")?.success();
        let here = |pattern: &str| -> Result<usize> {
            let found = cafe.sh(&format!(
                "ls /var/lib/ana/offline/INBOX/cur /var/lib/ana/offline/INBOX/new | grep -c '{pattern}'; true"
            ))?;
            found.stdout.trim().parse().context("a count")
        };
        offlineimap()?;
        ensure!(here("FMD5")? == 2, "both messages are here");

        // The reader marks one as read here; neomutt, there, flags one and deletes the other.
        cafe.sh("cd /var/lib/ana/offline/INBOX
             for file in new/*; do mv \"$file\" \"cur/$(basename \"$file\" | sed 's/:2,.*//'):2,S\"; done")?
            .success()?;
        offlineimap()?;
        ensure!(search(&lab, "SEEN")? == "1 2");
        cafe.sh("cd /var/lib/ana; TERM=xterm HOME=/var/lib/ana timeout 60 script -qec 'neomutt -F muttrc' /dev/null </dev/null >screen 2>&1")?;
        let screen = cafe.sh("cat -v /var/lib/ana/screen | tail -c 2000")?.stdout;
        ensure!(search(&lab, "ALL")? == "1" && search(&lab, "FLAGGED SUBJECT keep")? == "1", "{screen}");
        offlineimap()?;
        ensure!(here("FMD5")? == 1 && here(":2,.*F")? == 1, "what neomutt did is here");

        // Synchronised twice more, nothing changes: neither program tells the server anything new.
        let mod_seq = || lab.curl_imap("", &["--request", "STATUS INBOX (HIGHESTMODSEQ)"])?.success();
        let before = mod_seq()?.stdout;
        offlineimap()?;
        ensure!(mod_seq()?.stdout == before, "a synchronisation without changes changed {before}");
        Ok(())
    };
    story().map_err(|error| lab.explain(error))
}

#[test]
fn msmtp_submits_after_scram_sha_256() -> Result<()> {
    let lab = Lab::joined()?;
    let cafe = lab.host(Host::Cafe);
    cafe.write("/run/password", ANA_PASSWORD.as_bytes())?;
    let subject = "by scram";
    for (port, starttls) in [("587", "on"), ("465", "off")] {
        let msmtp = format!(
            "msmtp --host=mail.home.example --port={port} --tls=on --tls-starttls={starttls} --auth=scram-sha-256 \
             --tls-trust-file=/etc/ssl/certs/ca-certificates.crt --user={ANA} --passwordeval='cat /run/password' \
             --from={ANA} {}",
            mail::SAM
        );
        let message = mail::plain_message(ANA, mail::SAM, &format!("{subject} {port}"));
        cafe.run_with_input(["sh", "-c", &msmtp], message.as_bytes())?.success()?;
        let delivered =
            lab.await_stranger_message(&format!("{subject} {port}")).map_err(|error| lab.explain(error))?;
        lab.authenticate(&delivered)?.require_pass()?;
    }
    Ok(())
}

/// Of this connection and of no other, and not talked away.
#[test]
fn gnu_sasl_and_scramp_bind_their_login_to_the_connection() -> Result<()> {
    let lab = Lab::joined()?;
    let python = python_of("pyopenssl")?;
    let session = [&python, "-c", CHANNEL_BINDING, "mail.home.example", ANA, ANA_PASSWORD];
    let output = lab.host(Host::Cafe).run(session)?.success().map_err(|error| lab.explain(error))?;
    assert_eq!(output.stdout.trim(), "done");

    // GNU SASL's own client, at submission: it is told to bind, and takes tls-exporter.
    let gsasl = format!(
        "gsasl --smtp --connect=mail.home.example:587 --starttls --x509-ca-file=/etc/ssl/certs/ca-certificates.crt \
         --authentication-id={ANA} --password='{ANA_PASSWORD}' --mechanism=SCRAM-SHA-256-PLUS </dev/null 2>&1"
    );
    let said = lab.host(Host::Cafe).sh(&gsasl).map_err(|error| lab.explain(error))?.stdout;
    // "p=tls-exporter,," in base64.
    assert!(said.contains("\ncD10bHMtZXhwb3J0ZXIsL") && said.contains("235 2.7.0"), "{said}");
    Ok(())
}
