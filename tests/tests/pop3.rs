//! Programs that fetch mail, which we did not write, against home's POP3, from outside through the edge.

use anyhow::{Context, Result, ensure};
use postern_lab::lab::{ANA, ANA_PASSWORD, scenario_options};
use postern_lab::{Host, Lab, mail, wait_until};

const POP3_SESSION: &str = include_str!("../clients/pop3_session.py");
const CA: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A home with both ports, and this mail in Ana's INBOX.
fn lab_with(subjects: &[&str]) -> Result<Lab> {
    let mut options = scenario_options()?;
    options.home_config += "\n[listen]\npop3 = [\"[::]:110\"]\n";
    let lab = Lab::start(options)?;
    lab.join()?;
    lab.set_up_home()?;
    for subject in subjects {
        deliver(&lab, subject, "Hello.\n")?;
    }
    Ok(lab)
}

fn deliver(lab: &Lab, subject: &str, body: &str) -> Result<()> {
    let message = mail::plain_message(mail::SAM, ANA, subject).replace("Hello.\n", body);
    lab.send_from_stranger(ANA, &message)?;
    wait_until("the message has arrived", mail::DELIVERY_LIMIT, || {
        lab.search_subject(subject)?.pop().context("not there").map(|_| ())
    })
}

fn inbox(lab: &Lab, search: &str) -> Result<usize> {
    let found = lab.curl_imap("INBOX", &["--request", &format!("SEARCH {search}")])?.success()?.stdout;
    Ok(found.split_whitespace().filter(|word| word.parse::<u32>().is_ok()).count())
}

#[test]
fn fetchmail_and_getmail_take_each_message_once_and_can_leave_it() -> Result<()> {
    let lab = lab_with(&["first by pop", "second by pop"])?;
    let story = || -> Result<()> {
        fetchmail_keeps_and_then_takes(&lab)?;
        getmail_takes(&lab)
    };
    story().map_err(|error| lab.explain(error))
}

/// Kept mail is not fetched again; without `keep` it is removed once it is safe here.
fn fetchmail_keeps_and_then_takes(lab: &Lab) -> Result<()> {
    let cafe = lab.host(Host::Cafe);
    let fetch = |how: &str, protocol: &str| -> Result<Vec<String>> {
        let settings = format!(
            "set idfile /run/fetchids\npoll mail.home.example protocol POP3 uidl user \"{ANA}\" password \"{ANA_PASSWORD}\" \
             {protocol} sslcertfile {CA} {how} mda \"cat >> /run/fetched\"\n"
        );
        cafe.write("/run/fetchmailrc", settings.as_bytes())?;
        cafe.sh("chmod 600 /run/fetchmailrc; : > /run/fetched")?.success()?;
        // 1 is "there was no mail".
        let fetchmail =
            "HOME=/run fetchmail --fetchmailrc /run/fetchmailrc --nosyslog --nodetach 2>&1 || test $? = 1";
        cafe.sh(fetchmail)?.success()?;
        let fetched = String::from_utf8(cafe.read("/run/fetched")?)?;
        Ok(fetched.lines().filter_map(|line| Some(line.strip_prefix("Subject: ")?.to_owned())).collect())
    };
    let (tls, stls) = ("ssl", "sslproto TLS1.2+");
    ensure!(fetch("keep", tls)? == ["first by pop", "second by pop"]);
    ensure!(fetch("keep", stls)?.is_empty(), "fetched again");
    deliver(lab, "third by pop", "Hello.\n")?;
    ensure!(fetch("keep", stls)? == ["third by pop"], "by STLS");
    ensure!(inbox(lab, "ALL")? == 3);
    deliver(lab, "fourth by pop", "Hello.\n")?;
    ensure!(fetch("nokeep", tls)? == ["fourth by pop"]);
    ensure!(inbox(lab, "ALL")? == 3);
    Ok(())
}

fn getmail_takes(lab: &Lab) -> Result<()> {
    let cafe = lab.host(Host::Cafe);
    let settings = format!(
        "[retriever]\ntype = SimplePOP3SSLRetriever\nserver = mail.home.example\nusername = {ANA}\npassword = {ANA_PASSWORD}\n\
         ca_certs = {CA}\n[destination]\ntype = Maildir\npath = /run/getmail/mail/\nuser = nobody\n[options]\ndelete = true\nread_all = true\n"
    );
    cafe.sh("mkdir -p /run/getmail/mail/cur /run/getmail/mail/new /run/getmail/mail/tmp")?.success()?;
    cafe.write("/run/getmail/getmailrc", settings.as_bytes())?;
    cafe.sh("chown -R nobody /run/getmail/mail; HOME=/run getmail --getmaildir=/run/getmail 2>&1")?
        .success()?;
    let fetched = cafe.sh("grep -h ^Subject: /run/getmail/mail/new/* | sort")?.success()?.stdout;
    ensure!(fetched == "Subject: first by pop\nSubject: second by pop\nSubject: third by pop\n", "{fetched}");
    ensure!(inbox(lab, "ALL")? == 0);
    Ok(())
}

#[test]
fn python_poplib_and_curl_see_the_maildrop_as_the_standard_says() -> Result<()> {
    let lab = lab_with(&["one"])?;
    let story = || -> Result<()> {
        deliver(&lab, "dots", ".\n..\n. a line\nthe end\n")?;
        deliver(&lab, "three", "Hello.\n")?;
        let cafe = lab.host(Host::Cafe);
        let user = format!("{ANA}:{ANA_PASSWORD}");
        let list =
            ["curl", "-sS", "--login-options", "AUTH=PLAIN", "--user", &user, "pop3s://mail.home.example/"];
        ensure!(cafe.run(list)?.success()?.stdout.lines().count() == 3, "by SASL PLAIN");
        cafe.write("/run/password", ANA_PASSWORD.as_bytes())?;
        let count = cafe.sh(&format!(
            "mpop --host=mail.home.example --port=995 --tls=on --tls-starttls=off --tls-trust-file={CA} --auth=scram-sha-256 \
             --user={ANA} --passwordeval='cat /run/password' --delivery=mbox,/run/none --status-only"
        ))?;
        ensure!(count.success()?.stdout.contains("3 messages"), "by SCRAM-SHA-256");
        let session = ["python3", "-c", POP3_SESSION, "mail.home.example", ANA, ANA_PASSWORD];
        let output = cafe.run(session)?.success()?;
        ensure!(output.stdout.trim() == "done", "{output:?}");
        ensure!(
            inbox(&lab, "SEEN")? == 1 && inbox(&lab, "ALL")? == 2,
            "read is what was fetched to a good end"
        );
        Ok(())
    };
    story().map_err(|error| lab.explain(error))
}
