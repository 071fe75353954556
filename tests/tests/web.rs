//! Home's web service, from outside through the edge: policy and settings, their names, and what a client may cost.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::lab::scenario_options;
use postern_lab::{Host, Lab, Options, Signal, wait_until};
use serde_json::{Value, json};

const SETTINGS: &str = include_str!("../clients/settings.py");
const POLICY: &str = "https://mta-sts.home.example/.well-known/mta-sts.txt";
const PATIENCE: Duration = Duration::from_secs(30);

/// curl at the cafe, which verifies the certificate; its standard output.
fn curl(lab: &Lab, arguments: &[&str]) -> Result<String> {
    let curl = ["curl", "--silent", "--show-error", "--fail", "--max-time", "20"];
    Ok(lab.host(Host::Cafe).run([&curl[..], arguments].concat())?.success()?.stdout)
}

fn await_names(lab: &Lab) -> Result<()> {
    wait_until("the policy is announced", PATIENCE, || {
        lab.resolve("_mta-sts.home.example", "TXT")?;
        lab.resolve("mta-sts.home.example", "AAAA")
    })
    .map(drop)
    .map_err(|error| lab.explain(error))
}

fn settings(lab: &Lab, format: &str, document: &str) -> Result<Value> {
    let reader = ["python3", "-c", SETTINGS, format];
    let read = lab.host(Host::Cafe).run_with_input(reader, document.as_bytes())?.success()?;
    serde_json::from_str(&read.stdout).context(read.stdout)
}

#[test]
fn the_world_fetches_the_policy_and_mail_programs_their_settings() -> Result<()> {
    let lab = Lab::joined()?;
    await_names(&lab)?;
    for family in ["-4", "-6"] {
        let policy = curl(&lab, &[family, "--write-out", "%{content_type} %{http_version}", POLICY])?;
        let expected = "version: STSv1\r\nmode: testing\r\nmx: mail.home.example\r\nmax_age: 86400\r\n\
                        text/plain; charset=utf-8 1.1";
        assert_eq!(policy, expected);
    }
    let txt = lab.resolve("_mta-sts.home.example", "TXT")?;
    assert!(txt.len() == 1 && txt[0].starts_with("\"v=STSv1; id="), "{txt:?}");
    lab.require_validated("_mta-sts.home.example", "TXT")?;

    let imap = json!(["imap", "mail.home.example", "993", "SSL"]);
    let pop = json!(["pop3", "mail.home.example", "995", "SSL"]);
    let smtp = json!(["smtp", "mail.home.example", "465", "SSL"]);
    let autoconfig = curl(&lab, &["https://autoconfig.home.example/mail/config-v1.1.xml"])?;
    let starttls = json!(["smtp", "mail.home.example", "587", "STARTTLS"]);
    assert_eq!(settings(&lab, "autoconfig", &autoconfig)?, json!([imap, pop, smtp, starttls]));
    let ask = "<Autodiscover><Request><EMailAddress>ana@home.example</EMailAddress></Request></Autodiscover>";
    let url = "https://autodiscover.home.example/Autodiscover/Autodiscover.xml";
    let autodiscover = curl(&lab, &["--data", ask, "--header", "Content-Type: text/xml", url])?;
    assert_eq!(settings(&lab, "autodiscover", &autodiscover)?, json!([imap, smtp]));
    let url = "https://autoconfig.home.example/apple.mobileconfig?email=ana%40home.example";
    assert_eq!(settings(&lab, "mobileconfig", &curl(&lab, &[url])?)?, json!([imap, smtp]));

    let nothing =
        ["--output", "/dev/null", "--write-out", "%{http_code}", "https://autoconfig.home.example/"];
    let refused = lab.host(Host::Cafe).run([&["curl", "--silent"], &nothing[..]].concat())?;
    assert_eq!(refused.stdout, "404");
    let log = lab.log_text(Host::Home);
    let requests: Vec<&str> = log.lines().filter(|line| line.contains("mta-sts.txt")).collect();
    for address in [Host::Cafe.v4().to_string(), Host::Cafe.v6().context("IPv6")?.to_string()] {
        assert!(requests.iter().any(|line| line.contains(&address)), "{address} is not in {requests:#?}");
    }
    assert!(!log.contains("ana%40"), "an address is in the log");
    Ok(())
}

/// The policy of home.example as `postern-home status` has it.
fn policy(lab: &Lab) -> Result<Value> {
    let status = lab.host(Host::Home).run(["postern-home", "status", "--json"])?;
    let status: Value = serde_json::from_str(&status.stdout).context(status.stderr)?;
    status.pointer("/mta_sts/0").cloned().with_context(|| status.to_string())
}

/// Starts edge and home anew with their clocks ahead, and waits until home has looked.
fn let_time_pass(lab: &Lab, time: &str) -> Result<()> {
    lab.end_elsewhen(Host::Home)?;
    lab.start_at(Host::Edge, time, "postern-edge run --config /etc/postern/edge.toml")?;
    lab.start_at(Host::Home, time, "postern-home run --config /etc/postern/home.toml")?;
    wait_until("home has looked", PATIENCE, || {
        lab.is_connected()?;
        let policy = policy(lab)?;
        let awaited = policy.pointer("/awaited").and_then(Value::as_str).unwrap_or_default();
        let is_known = !["just started", "not heard", "does not serve", "is the newest"]
            .iter()
            .any(|it| awaited.contains(it));
        ensure!(is_known, "{policy}");
        Ok(())
    })
}

fn require_mode(lab: &Lab, mode: &str) -> Result<Value> {
    let policy = policy(lab)?;
    ensure!(policy.pointer("/mode").and_then(Value::as_str) == Some(mode), "not {mode}: {policy}");
    let served = format!("mode: {mode}\r\n");
    // The resolver's clock stands where it stood, so it believes no signature of then.
    let fetched = curl(lab, &["--resolve", "mta-sts.home.example:443:192.0.2.10", POLICY])?;
    ensure!(fetched.contains(&served), "{fetched}");
    Ok(policy)
}

fn announced(lab: &Lab) -> Result<String> {
    let dig = ["dig", "+short", "+norecurse", "@192.0.2.10", "_mta-sts.home.example", "TXT"];
    Ok(lab.host(Host::Cafe).run(dig)?.success()?.stdout)
}

#[test]
fn senders_are_told_to_insist_once_all_was_right_and_not_to_once_it_is_not() -> Result<()> {
    let options = scenario_options()?;
    let home_config = format!("{}\n[mta_sts]\nenforce_after = \"2h\"\n", options.home_config);
    let lab = Lab::start(Options { home_config, ..options })?;
    lab.join().and_then(|()| lab.set_up_home()).map_err(|error| lab.explain(error))?;
    await_names(&lab)?;
    let testing = announced(&lab)?;
    for (host, daemon) in [(Host::Home, "postern-home"), (Host::Edge, "postern-edge")] {
        lab.stop_daemon(host, daemon, Signal::Terminate)?;
    }
    // A jump of five days is an hour of being right.
    let_time_pass(&lab, "+7200m")?;
    let awaited = require_mode(&lab, "testing")?.to_string();
    ensure!(awaited.contains("enforce in 1 h 0 min") || awaited.contains("enforce in 60 min"), "{awaited}");
    let_time_pass(&lab, "+7262m")?;
    require_mode(&lab, "enforce")?;
    wait_until("the new id is announced", PATIENCE, || {
        let now = announced(&lab)?;
        ensure!(now.starts_with("\"v=STSv1; id=") && now != testing, "{now}");
        Ok(())
    })?;

    // The operator puts a certificate there that nobody believes.
    let home = lab.host(Host::Home);
    home.sh("cd /etc/postern/tls && cp cert.pem /run/good.pem && cp key.pem /run/good.key
             openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=mail.home.example \
               -addext basicConstraints=CA:FALSE -addext subjectAltName=DNS:mail.home.example,DNS:mta-sts.home.example -out cert.pem -keyout key.pem 2>/dev/null")?;
    let_time_pass(&lab, "+7263m")?;
    let broken = policy(&lab)?.to_string();
    ensure!(broken.contains("is not issued by an authority"), "{broken}");
    let_time_pass(&lab, "+7325m")?;
    home.sh("cat /run/good.pem > /etc/postern/tls/cert.pem; cat /run/good.key > /etc/postern/tls/key.pem")?;
    let_time_pass(&lab, "+7326m")?;
    require_mode(&lab, "testing")?;
    wait_until("the first id is announced again", PATIENCE, || {
        let now = announced(&lab)?;
        ensure!(now == testing, "{now}");
        Ok(())
    })
}
