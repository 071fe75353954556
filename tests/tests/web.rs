//! Home's web service, from outside through the edge: policy and settings, their names, and what a client may cost.

use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use postern_lab::lab::{ANA, scenario_options};
use postern_lab::{Host, Lab, Options, Signal, mail, wait_until};
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

/// Makes the stranger's Postfix keep to the policies of others, by a program that we did not write.
const KEEP_TO_POLICIES: &str = "cat >/run/mta-sts.yml <<EOF
host: 127.0.0.1
port: 8461
cache:
  type: internal
default_zone:
  strict_testing: false
  timeout: 4
EOF
    postconf -e smtp_tls_policy_maps=socketmap:inet:127.0.0.1:8461:postfix smtp_tls_security_level=may \
        smtp_tls_CAfile=/etc/ssl/certs/ca-certificates.crt smtp_tls_loglevel=1
    postfix reload";

/// A certificate for the right names that nobody believes, in the place of home's.
const PUT_A_WRONG_ONE: &str = "cd /etc/postern/tls
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=mail.home.example \
        -addext basicConstraints=CA:FALSE -addext subjectAltName=DNS:mail.home.example,DNS:mta-sts.home.example \
        -out cert.pem -keyout key.pem";

#[test]
fn a_postfix_that_keeps_to_policies_delivers_by_a_verified_connection_or_not_at_all() -> Result<()> {
    let options = scenario_options()?;
    let home_config = format!("{}\n[mta_sts]\nenforce_after = \"1s\"\n", options.home_config);
    let lab = Lab::start(Options { home_config, ..options })?;
    let story = || -> Result<()> {
        lab.join()?;
        lab.set_up_home()?;
        await_names(&lab)?;
        let mut looks = 0;
        wait_until("senders are told to insist", PATIENCE, || {
            // Home looks at once when something changes, and else twice a minute.
            looks += 1;
            let alias = format!("look{looks}@home.example");
            lab.host(Host::Home).run(["postern-home", "alias", "add", &alias, ANA])?.success()?;
            require_mode(&lab, "enforce")
        })?;
        let stranger = lab.host(Host::Stranger);
        stranger.sh(KEEP_TO_POLICIES)?.success()?;
        let _daemon = Ended(stranger.spawn(["mta-sts-daemon", "-c", "/run/mta-sts.yml"])?);
        let mut asked = String::new();
        wait_until("the policy is looked up", PATIENCE, || {
            asked = stranger
                .run(["postmap", "-q", "home.example", "socketmap:inet:127.0.0.1:8461:postfix"])?
                .stdout;
            ensure!(asked.contains("secure match=mail.home.example"), "it says {asked:?}");
            Ok(())
        })?;
        lab.send_from_stranger(ANA, &mail::plain_message(mail::SAM, ANA, "kept to"))?;
        wait_until("the message is delivered", PATIENCE, || {
            ensure!(lab.search_subject("kept to")?.len() == 1);
            let log = lab.log_text(Host::Stranger);
            ensure!(log.contains("Verified TLS connection established to mail.home.example"), "{log}");
            Ok(())
        })?;

        lab.host(Host::Home).sh(PUT_A_WRONG_ONE)?.success()?;
        lab.stop_daemon(Host::Home, "postern-home", Signal::Terminate)?;
        lab.start_daemon(Host::Home, "postern-home")?;
        wait_until("home is connected", PATIENCE, || lab.is_connected())?;
        lab.send_from_stranger(ANA, &mail::plain_message(mail::SAM, ANA, "kept back"))?;
        wait_until("the message is deferred", PATIENCE, || {
            let log = lab.log_text(Host::Stranger);
            ensure!(log.contains("status=deferred (Server certificate not verified)"), "{log}");
            Ok(())
        })?;
        let search = ["--insecure", "--request", "SEARCH SUBJECT \"kept back\""];
        let found = lab.curl_imap("INBOX", &search)?.success()?.stdout;
        ensure!(found.trim() == "* SEARCH", "it was delivered all the same: {found}");
        Ok(())
    };
    story().map_err(|error| lab.explain(error))
}

/// Opens as many connections as it is told and completes the handshake on each; then sends a request that never ends, an
/// octet a second. Says how many are there, and ends with its standard input.
const SLOWLORIS: &str = include_str!("../clients/slowloris.py");
const SLOW: u32 = 1000;
/// What so many connections may cost, in KiB.
const COST: u64 = 96 * 1024;

#[test]
fn a_thousand_slow_clients_cost_little_and_keep_nobody_out() -> Result<()> {
    let lab = Lab::joined()?;
    await_names(&lab)?;
    let memory = || -> Result<u64> {
        let status =
            lab.host(Host::Home).sh("grep VmRSS: /proc/$(pidof postern-home)/status")?.success()?.stdout;
        Ok(status.split_whitespace().nth(1).context("a number")?.parse()?)
    };
    let story = || -> Result<()> {
        curl(&lab, &[POLICY])?;
        let before = memory()?;
        let stranger = lab.host(Host::Stranger);
        stranger.write("/run/slowloris.py", SLOWLORIS.as_bytes())?;
        let run = format!("exec python3 /run/slowloris.py 192.0.2.10 443 {SLOW} >/run/slowloris.out 2>&1");
        let _slow = Ended(stranger.spawn(["sh", "-c", &run])?);
        let mut said = String::new();
        wait_until("the slow clients are there", Duration::from_secs(40), || {
            said = String::from_utf8_lossy(&stranger.read("/run/slowloris.out")?).into_owned();
            ensure!(said.lines().any(|line| line.starts_with("tried ")), "{said:?}");
            Ok(())
        })?;
        let begin = Instant::now();
        for _ in 0..5 {
            curl(&lab, &["--max-time", "5", POLICY])?;
        }
        let (took, cost) = (begin.elapsed(), memory()?.saturating_sub(before));
        println!("{said}: {cost} KiB; five requests of others took {took:?}");
        ensure!(cost < COST, "{said}: they cost {cost} KiB");
        ensure!(took < Duration::from_secs(10), "{said}: five requests of others took {took:?}");
        log_in(&lab)
    };
    story().map_err(|error| lab.explain(error))
}

fn log_in(lab: &Lab) -> Result<()> {
    lab.curl_imap("INBOX", &[])?.success()?;
    Ok(())
}

/// A program that ends with the value.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
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
