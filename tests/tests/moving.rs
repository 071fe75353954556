//! Mail that is moved in from servers that we did not write: Dovecot at the stranger, and one that speaks as Gmail does.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::lab::{ANA, ANA_PASSWORD};
use postern_lab::{Host, Lab, Output, Signal, wait_until};
use serde_json::Value;

const FILL: &str = include_str!("../clients/old_provider.py");
const LISTING: &str = include_str!("../clients/imap_listing.py");
const GMAIL: &str = include_str!("../clients/gmail.py");

/// Messages at the old provider.
const MESSAGES: u64 = 2_400;
const OLD_LOGIN: &str = "ana@far.example";
const OLD_PASSWORD: &str = "an \"app\" \\password";
/// The name in the stranger's certificate.
const OLD_HOST: &str = "mx.sts.test";

const DOVECOT: &str = r#"
protocols = imap
base_dir = /run/old-provider
log_path = /run/old-provider.log
ssl = required
ssl_cert = </etc/postfix/tls/issued.pem
ssl_key = </etc/postfix/tls/issued.key
auth_mechanisms = plain scram-sha-256
mail_location = maildir:/var/lib/old/mail
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 0
mail_max_userip_connections = 20
passdb {
  driver = passwd-file
  args = scheme=PLAIN /run/old-users
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=/var/lib/old
}
namespace inbox {
  inbox = yes
  separator = .
  mailbox "Sent Messages" {
    auto = subscribe
    special_use = \Sent
  }
  mailbox Bin {
    auto = subscribe
    special_use = \Trash
  }
  mailbox Views {
    auto = create
    special_use = \All
  }
}
"#;

/// Dovecot with Ana's old mail, at the stranger.
fn start_old_provider(lab: &Lab) -> Result<()> {
    let stranger = lab.host(Host::Stranger);
    stranger.write("/run/old.conf", DOVECOT.as_bytes())?;
    stranger.write("/run/old-users", format!("{OLD_LOGIN}:{OLD_PASSWORD}\n").as_bytes())?;
    stranger.sh("mkdir -p /var/lib/old && chmod 644 /run/old-users")?;
    let fill = ["python3", "-c", FILL, "/var/lib/old/mail", &MESSAGES.to_string()];
    let filled = stranger.run(fill)?.success()?.stdout;
    ensure!(filled.trim() == MESSAGES.to_string(), "{filled}");
    stranger
        .sh("chown -R nobody:nogroup /var/lib/old && dovecot -c /run/old.conf </dev/null >/dev/null 2>&1")?;
    lab.host(Host::Home).write("/run/old-password", format!("{OLD_PASSWORD}\n").as_bytes())?;
    wait_until("Dovecot listens", Duration::from_secs(10), || {
        lab.host(Host::Home).run(["bash", "-c", &format!("exec 3<>/dev/tcp/{OLD_HOST}/993")])?.success()
    })?;
    Ok(())
}

fn order<'a>(more: &[&'a str]) -> Vec<&'a str> {
    const ORDER: [&str; 9] = [
        "postern-home",
        "import",
        "imap",
        ANA,
        OLD_HOST,
        "--login",
        OLD_LOGIN,
        "--secret-file",
        "/run/old-password",
    ];
    [&ORDER[..], more].concat()
}

fn import(lab: &Lab, more: &[&str]) -> Result<Output> {
    lab.host(Host::Home).run(order(more))
}

/// What an account holds, in the words of Python's imaplib.
fn listing(lab: &Lab, host: &str, login: &str, password: &str) -> Result<Value> {
    let listing = ["python3", "-c", LISTING, host, login, password];
    let output = lab.host(Host::Cafe).run(listing)?.success().map_err(|error| lab.explain(error))?;
    Ok(serde_json::from_str(&output.stdout)?)
}

fn here(lab: &Lab) -> Result<Value> {
    listing(lab, "mail.home.example", ANA, ANA_PASSWORD)
}

fn count(listing: &Value) -> usize {
    let mailboxes = listing.as_object().into_iter().flatten();
    mailboxes.filter_map(|(_, messages)| messages.as_array()).map(Vec::len).sum()
}

fn extent(lab: &Lab) -> Result<Value> {
    let output = lab.host(Host::Home).run(["postern-home", "import", "status", "--json"])?.success()?;
    let listed: Value = serde_json::from_str(&output.stdout)?;
    Ok(listed[0]["extent"].clone())
}

#[test]
fn a_killed_import_goes_on_and_everything_is_there_once() -> Result<()> {
    let lab = Lab::joined()?;
    start_old_provider(&lab)?;
    let home = lab.host(Host::Home);

    let counted = import(&lab, &["--dry-run"])?.success()?.stdout;
    ensure!(counted.starts_with(&format!("{MESSAGES} message(s) of ")), "{counted}");
    ensure!(count(&here(&lab)?) == 0, "a dry run changed something");

    // A server that is not who it says, and a wrong password, are refused with their reason.
    let stranger =
        ["postern-home", "import", "imap", ANA, "mx.stranger.test", "--secret-file", "/run/old-password"];
    let refused = home.run(stranger)?;
    ensure!(refused.code() == 1 && refused.stderr.contains("certificate"), "{refused:?}");
    let guess = ["postern-home", "import", "imap", ANA, OLD_HOST, "--login", OLD_LOGIN];
    let refused = home.run_with_input(guess, b"a guess\n")?;
    ensure!(refused.code() == 1 && refused.stderr.contains("AUTHENTICATIONFAILED"), "{refused:?}");

    // One slow connection, and the daemon killed while a part is there.
    let device = "$(ip -o route get 203.0.113.10 | sed 's/.*dev \\([^ ]*\\).*/\\1/')";
    let slow = format!("tc qdisc add dev {device} root tbf rate 8mbit burst 64kb latency 400ms");
    lab.host(Host::Stranger).sh(&slow)?;
    let mut running: Child =
        home.command(order(&["--connections", "1"])).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    wait_until("a part is there", Duration::from_secs(60), || {
        let messages = extent(&lab)?["messages"].as_u64().context("a number")?;
        ensure!(messages > 300, "{messages}");
        Ok(())
    })?;
    lab.stop_daemon(Host::Home, "postern-home", Signal::Kill)?;
    ensure!(!running.wait()?.success(), "the command says that the daemon is gone");
    lab.start_daemon(Host::Home, "postern-home")?;
    wait_until("home is back", Duration::from_secs(30), || lab.is_connected())?;
    let part = count(&here(&lab)?) as u64;
    ensure!((300..MESSAGES).contains(&part), "killed in the middle: {part}");

    lab.host(Host::Stranger).sh(&format!("tc qdisc del dev {device} root"))?;

    // The same order by STARTTLS goes on, and fetches no more than what was left and the batch that was cut.
    let rest = import(&lab, &["--starttls", "--json"])?.success()?;
    let rest: Value = serde_json::from_str(&rest.stdout)?;
    let sum = |key: &str| -> u64 {
        rest["mailboxes"].as_array().into_iter().flatten().filter_map(|one| one[key].as_u64()).sum()
    };
    ensure!(sum("messages") == MESSAGES - part, "{part} were there: {rest}");
    ensure!(sum("present") <= 64, "more than a batch was fetched again: {rest}");
    let there = listing(&lab, OLD_HOST, OLD_LOGIN, OLD_PASSWORD)?;
    ensure!(count(&there) as u64 == MESSAGES);
    let found = here(&lab)?;
    ensure!(found == there, "{} messages differ from {}", count(&found), count(&there));

    // Once more: nothing. Then what is new there, and what was deleted here stays deleted.
    let again = import(&lab, &[])?.success()?.stdout;
    ensure!(again.starts_with("0 message(s)"), "{again}");
    lab.curl_imap("INBOX", &["--request", "STORE 1:5 +FLAGS.SILENT (\\Deleted)"])?.success()?;
    lab.curl_imap("INBOX", &["--request", "EXPUNGE"])?.success()?;
    let kept = count(&here(&lab)?);
    lab.host(Host::Stranger).sh(
        "printf 'Subject: late\\r\\n\\r\\nx\\r\\n' | doveadm -c /run/old.conf save -u ana@far.example -m INBOX",
    )?;
    let new = import(&lab, &[])?.success()?.stdout;
    ensure!(new.starts_with("1 message(s)"), "{new}");
    ensure!(count(&here(&lab)?) == kept + 1);
    home.sh("postern-home store verify")?;
    Ok(())
}

#[test]
fn gmails_labels_become_mailboxes_and_each_message_is_fetched_once() -> Result<()> {
    let lab = Lab::joined()?;
    let (stranger, home) = (lab.host(Host::Stranger), lab.host(Host::Home));
    let (certificate, key) = ("/etc/postfix/tls/issued.pem", "/etc/postfix/tls/issued.key");
    let mut server =
        stranger.spawn(["python3", "-c", GMAIL, certificate, key, "1993", "ana@gmail.test", "ya29.token"])?;
    let mut said = BufReader::new(server.stdout.take().context("piped")?).lines();
    ensure!(said.next().context("a line")?? == "ready");
    let server_name = format!("{OLD_HOST}:1993");
    let order = [
        "postern-home",
        "import",
        "imap",
        ANA,
        &server_name,
        "--login",
        "ana@gmail.test",
        "--auth",
        "xoauth2",
    ];

    let refused = home.run_with_input(order, b"old.token\n")?;
    ensure!(refused.code() == 1 && refused.stderr.contains("Invalid credentials"), "{refused:?}");
    let done = home.run_with_input(order, b"ya29.token\n")?.success().map_err(|error| lab.explain(error))?;
    ensure!(done.stdout.starts_with("312 message(s)"), "{}", done.stdout);
    let found = here(&lab)?;
    let messages = |mailbox: &str| found[mailbox].as_array().map_or(0, Vec::len);
    let expected = [
        ("INBOX", 100),
        ("Work", 100),
        ("Archive", 50),
        ("Sent", 50),
        ("Gr&APwA3w-e/2026", 50),
        ("Junk", 6),
        ("Trash", 6),
    ];
    for (mailbox, number) in expected {
        ensure!(
            messages(mailbox) == number,
            "{mailbox}: {} of {number}; {:?}",
            messages(mailbox),
            found.as_object().map(|all| all.keys().collect::<Vec<_>>())
        );
    }
    ensure!(count(&found) == 412, "50 labels that are mailboxes too, and 50 more: {}", count(&found));
    let flagged = |mailbox: &str, flag: &str| {
        let all = found[mailbox].as_array().into_iter().flatten();
        all.filter(|message| message[2].as_array().is_some_and(|flags| flags.contains(&flag.into()))).count()
    };
    ensure!(
        flagged("INBOX", "\\flagged") == 50
            && flagged("Sent", "$important") == 50
            && flagged("Archive", "\\flagged") == 0
    );
    ensure!(flagged("Junk", "\\seen") == 3, "{}", found["Junk"]);
    let again = home.run_with_input(order, b"ya29.token\n")?.success()?;
    ensure!(again.stdout.starts_with("0 message(s)"), "{}", again.stdout);
    server.kill()?;
    server.wait()?;
    Ok(())
}
