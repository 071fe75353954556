//! Certificates without a person, by an authority that we did not write.

use std::process::Child;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::lab::{ANA, ANA_PASSWORD};
use postern_lab::scale::scaled;
use postern_lab::{Host, Lab, Signal, mail, wait_until};
use serde_json::Value;

const ROOT: &str = "/run/pebble-root.pem";

/// Logs in to IMAP as a client that trusts Pebble's root alone.
fn log_in(lab: &Lab) -> Result<()> {
    let user = format!("{ANA}:{ANA_PASSWORD}");
    let url = "imaps://mail.home.example/INBOX";
    let curl =
        ["curl", "--silent", "--show-error", "--max-time", "20", "--cacert", ROOT, "--user", &user, url];
    lab.host(Host::Cafe).run(curl)?.success()?;
    Ok(())
}

/// The SHA-256 digest of the key that a server shows, by OpenSSL.
fn shown_key(lab: &Lab, port: u16, name: &str) -> Result<String> {
    let starttls = if matches!(port, 25 | 587) { "-starttls smtp" } else { "" };
    let script = format!(
        "openssl s_client -connect mail.home.example:{port} {starttls} -servername {name} </dev/null 2>/dev/null |
         openssl x509 -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256 -r"
    );
    let digest = lab.host(Host::Cafe).sh(&script)?.success()?.stdout;
    Ok(digest.split_whitespace().next().context("a digest")?.to_owned())
}

/// The digests in the TLSA records of a port, as the validating resolver has them.
fn tlsa(lab: &Lab, port: u16) -> Result<Vec<String>> {
    let owner = format!("_{port}._tcp.mail.home.example");
    lab.require_validated(&owner, "TLSA")?;
    let digest = |line: &String| {
        let data: String = line.strip_prefix("3 1 1 ")?.split_whitespace().collect();
        Some(data.to_lowercase())
    };
    Ok(lab.resolve(&owner, "TLSA")?.iter().filter_map(digest).collect())
}

fn text<'a>(certificate: &'a Value, field: &str) -> &'a str {
    certificate.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn a_certificate_comes_after_the_join_with_no_person() -> Result<()> {
    let lab = Lab::certified()?;
    let story = || -> Result<()> {
        let certificate = lab.await_certificate("mail.home.example")?;
        lab.fetch_pebble_root(Host::Cafe, ROOT)?;
        log_in(&lab)?;
        for port in [25, 465, 587, 993, 995] {
            let key = shown_key(&lab, port, "mail.home.example")?;
            ensure!(key == text(&certificate, "key"), "port {port} shows {key}, not {certificate:#}");
            ensure!(tlsa(&lab, port)?.contains(&key), "port {port}: no TLSA record for {key}");
        }
        ensure!(tlsa(&lab, 25)?.len() == 3, "present, next and retired: {:?}", tlsa(&lab, 25)?);
        lab.await_certificate("mta-sts.home.example")?;
        let other = shown_key(&lab, 993, "autoconfig.home.example")?;
        ensure!(other != text(&certificate, "key"), "the name asked for is not looked at");
        wait_until("no challenge is left", Duration::from_secs(20), || {
            let left = lab.resolve("_acme-challenge.mail.home.example", "TXT");
            ensure!(left.is_err(), "{left:?}");
            Ok(())
        })?;
        let status = lab.host(Host::Home).run(["postern-home", "status"])?.stdout;
        ensure!(!status.contains("self-signed") && !status.contains("No certificate for"), "{status}");
        Ok(())
    };
    story().map_err(|error| lab.explain(error))
}

const DAY: u64 = 86_400;
const HOUR: u64 = 3600;

/// The lab's clocks, moved together: home's, the edge's and the resolver's. Pebble's own stands; what it issues counts
/// from the lab's beginning, and for as long as it is told.
struct Calendar<'a> {
    lab: &'a Lab,
    started: u64,
}

impl<'a> Calendar<'a> {
    fn take_over(lab: &'a Lab) -> Result<Self> {
        for (host, daemon) in
            [(Host::Home, "postern-home"), (Host::Edge, "postern-edge"), (Host::Resolver, "unbound")]
        {
            lab.stop_daemon(host, daemon, Signal::Terminate)?;
        }
        Ok(Self { lab, started: lab.host(Host::Home).sh("date +%s")?.stdout.trim().parse()? })
    }

    /// Starts all with clocks that are so many seconds ahead, and waits until home is connected.
    fn go_to(&self, seconds: u64) -> Result<()> {
        let time = format!("+{seconds}");
        self.lab.end_elsewhen(Host::Home)?;
        let daemon = |name: &str| format!("postern-{name} run --config /etc/postern/{name}.toml");
        self.lab.start_at(Host::Edge, &time, &daemon("edge"))?;
        self.lab.start_at(Host::Resolver, &time, "unbound -d -p")?;
        self.lab.start_at(Host::Home, &time, &daemon("home"))?;
        wait_until("home is connected", Duration::from_secs(60), || self.lab.is_connected())
    }

    /// The same; a client of IMAP is there before anything else happens.
    fn go_to_with_client(&self, seconds: u64) -> Result<Steady> {
        self.lab.end_elsewhen(Host::Home)?;
        let client = Steady::begin(self.lab)?;
        self.go_to(seconds)?;
        Ok(client)
    }

    /// What must hold at every moment: the shown key is announced, and the certificate has not ended.
    fn require_good(&self, seconds: u64) -> Result<Value> {
        let certificate = self.lab.certificate_of("mail.home.example")?;
        let shown = shown_key(self.lab, 25, "mail.home.example")?;
        let dig = ["dig", "+short", "@192.0.2.10", "_25._tcp.mail.home.example", "TLSA"];
        let served = self.lab.host(Host::Cafe).run(dig)?.success()?.stdout.replace(' ', "").to_lowercase();
        ensure!(served.contains(&shown), "{shown} is shown, and announced are {served}");
        let until = text(&certificate, "until").to_owned();
        let date = format!("date -u -d @{} +%Y-%m-%dT%H:%M:%SZ", self.started + seconds);
        let now = self.lab.host(Host::Home).sh(&date)?.stdout.trim().to_owned();
        ensure!(now < until, "it is {now}, and the certificate counts until {until}");
        Ok(certificate)
    }

    /// Adds what the programs have said since their clocks were moved.
    fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let log = |host| self.lab.host(host).sh("tail -n 40 /run/elsewhen.log");
        let logs = [Host::Home, Host::Edge, Host::Resolver]
            .map(|host| format!("--- {host}\n{}", log(host).map(|log| log.stdout).unwrap_or_default()));
        error.context(logs.join("\n"))
    }
}

/// Postfix's own look at the TLSA records and the key (RFC 7672), as it would deliver.
fn require_dane(lab: &Lab) -> Result<()> {
    let finger = ["posttls-finger", "-c", "-l", "dane-only", "home.example"];
    let said = lab.host(Host::Stranger).run(finger)?.stdout;
    ensure!(said.contains("Verified TLS connection established"), "{said}");
    Ok(())
}

const STEADY_IMAP: &str = include_str!("../clients/steady_imap.py");
/// Ends the client.
const END: &str = "/run/steady.end";

/// A client of IMAP that stays.
struct Steady(Child);

impl Steady {
    fn begin(lab: &Lab) -> Result<Self> {
        let cafe = lab.host(Host::Cafe);
        cafe.write("/run/steady.py", STEADY_IMAP.as_bytes())?;
        let run = format!(
            "rm -f {END}; exec python3 /run/steady.py 192.0.2.10 {ANA} '{ANA_PASSWORD}' {END} >/run/steady.out 2>&1"
        );
        Ok(Self(cafe.spawn(["sh", "-c", &run])?))
    }

    /// Ends it, and gives the key that it was shown at its beginning, where its connection has held.
    fn end(mut self, lab: &Lab) -> Result<String> {
        let cafe = lab.host(Host::Cafe);
        cafe.write(END, b"")?;
        let said = |status| {
            format!(
                "{status}: {}",
                String::from_utf8_lossy(&cafe.read("/run/steady.out").unwrap_or_default())
            )
        };
        let status = self.0.wait()?;
        ensure!(status.success(), "the connection was dropped: {}", said(status));
        let key = "openssl x509 -noout -pubkey -in /run/steady.out | openssl pkey -pubin -outform DER | openssl dgst -sha256 -r";
        let digest = cafe.sh(key)?.success()?.stdout;
        Ok(digest.split_whitespace().next().context("a digest")?.to_owned())
    }
}

impl Drop for Steady {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn restart_pebble(lab: &Lab, life: u64) -> Result<()> {
    lab.stop_daemon(Host::Authority, "pebble", Signal::Terminate)?;
    lab.set_pebble_life(life)?;
    lab.start_pebble()
}

/// Certificates for 45 days: the renewals of ninety days fall into one another as more of the lab's past is part of their
/// lives, since Pebble's clock stands.
#[test]
fn through_ninety_days_every_key_is_announced_before_it_is_shown() -> Result<()> {
    let lab = Lab::certified_for(45 * DAY)?;
    let first = lab.await_certificate("mail.home.example").map_err(|error| lab.explain(error))?;
    let calendar = Calendar::take_over(&lab)?;
    let story = || -> Result<()> {
        let mut before = text(&first, "key").to_owned();
        // Two thirds of the life less a day: nothing is to be done yet.
        calendar.go_to(29 * DAY)?;
        let early = calendar.require_good(29 * DAY)?;
        ensure!(text(&early, "key") == before && early.get("trouble") == Some(&Value::Null), "{early:#}");
        let renewals = scaled(&[31, 52][..], &[31, 52, 65, 74, 80, 84, 87, 90][..]);
        for day in renewals.iter().map(|day| day * DAY) {
            restart_pebble(&lab, day + 45 * DAY)?;
            let client = calendar.go_to_with_client(day)?;
            let renewed = wait_until("a new certificate is shown", Duration::from_secs(60), || {
                let certificate = calendar.require_good(day)?;
                ensure!(text(&certificate, "key") != before, "the key is the old one: {certificate:#}");
                Ok(certificate)
            })?;
            wait_until("the old key is still announced", Duration::from_secs(20), || {
                let keys = tlsa(&lab, 25)?;
                ensure!(keys.len() == 3 && keys.contains(&before), "{before} is not in {keys:?}");
                require_dane(&lab)
            })?;
            let shown = client.end(&lab)?;
            ensure!(shown == before, "the client was shown {shown}, and not the key of before: {before}");
            calendar.go_to(day + 3 * HOUR)?;
            wait_until("the old key is announced no more", Duration::from_secs(20), || {
                calendar.require_good(day + 3 * HOUR)?;
                let keys = tlsa(&lab, 25)?;
                ensure!(keys.len() == 2 && !keys.contains(&before), "{before} is in {keys:?}");
                require_dane(&lab)
            })?;
            before = text(&renewed, "key").to_owned();
        }
        Ok(())
    };
    story().map_err(|error| lab.explain(calendar.explain(error)))
}

#[test]
fn thirty_days_without_the_authority_cost_no_mail() -> Result<()> {
    let lab = Lab::certified()?;
    let first = lab.await_certificate("mail.home.example").map_err(|error| lab.explain(error))?;
    lab.await_certificate("mta-sts.home.example").map_err(|error| lab.explain(error))?;
    lab.fetch_pebble_root(Host::Cafe, ROOT)?;
    let calendar = Calendar::take_over(&lab)?;
    let story = || -> Result<()> {
        lab.stop_daemon(Host::Authority, "pebble", Signal::Terminate)?;
        let days = scaled(&[61, 89][..], &[61, 62, 65, 70, 75, 80, 85, 89][..]);
        for day in days.iter().copied() {
            calendar.go_to(day * DAY)?;
            let subject = format!("day {day}");
            lab.send_from_stranger(ANA, &mail::plain_message(mail::SAM, ANA, &subject))?;
            wait_until("home has tried in vain", Duration::from_secs(40), || {
                let certificate = calendar.require_good(day * DAY)?;
                let reason = certificate.pointer("/trouble/reason").and_then(Value::as_str);
                ensure!(
                    reason.unwrap_or_default().contains("acme.test cannot be reached"),
                    "{certificate:#}"
                );
                Ok(())
            })?;
            log_in(&lab)?;
            require_dane(&lab)?;
            wait_until("the message is there", Duration::from_secs(40), || {
                let search = format!("SEARCH SUBJECT \"{subject}\"");
                let found =
                    lab.curl_imap("INBOX", &["--cacert", ROOT, "--request", &search])?.success()?.stdout;
                ensure!(found.trim() != "* SEARCH", "no message {subject}");
                Ok(())
            })?;
        }
        let status = lab.host(Host::Home).run(["postern-home", "status"])?;
        let warning = "No certificate for mail.home.example could be had since";
        ensure!(status.stdout.contains(warning) && status.code() == 3, "{}{}", status.stdout, status.stderr);
        let list = lab.host(Host::Home).run(["postern-home", "cert", "list"])?;
        ensure!(
            list.stdout.contains("failed") && list.stdout.contains("acme.test cannot be reached"),
            "{}",
            list.stdout
        );
        let day = 89 * DAY + 12 * HOUR;
        lab.set_pebble_life(day + 90 * DAY)?;
        lab.start_pebble()?;
        calendar.go_to(day)?;
        wait_until("a new certificate is shown", Duration::from_secs(60), || {
            let certificate = calendar.require_good(day)?;
            ensure!(text(&certificate, "key") != text(&first, "key"), "the old key: {certificate:#}");
            ensure!(certificate.get("trouble") == Some(&Value::Null), "{certificate:#}");
            Ok(())
        })?;
        require_dane(&lab)
    };
    story().map_err(|error| lab.explain(calendar.explain(error)))
}

/// Runs `postern-home cert`; the words that follow.
fn cert(lab: &Lab, arguments: &[&str]) -> Result<postern_lab::Output> {
    lab.host(Host::Home).run([&["postern-home", "cert"], arguments].concat())
}

#[test]
fn wildcards_renewals_and_imports_are_the_operators_to_wish() -> Result<()> {
    let lab = Lab::certified_with("wildcard = true")?;
    let story = || -> Result<()> {
        let mail = lab.await_certificate("mail.home.example")?;
        ensure!(
            mail.get("names").and_then(Value::as_array).is_some_and(|names| names.len() == 2),
            "{mail:#}"
        );
        lab.fetch_pebble_root(Host::Cafe, ROOT)?;
        let verify = "openssl s_client -connect mail.home.example:993 -servername imap.home.example \
                      -verify_hostname imap.home.example -verify_return_error </dev/null -CAfile";
        lab.host(Host::Cafe).sh(&format!("{verify} {ROOT}"))?.success()?;
        lab.await_certificate("mta-sts.home.example")?;
        let list = cert(&lab, &["list"])?;
        ensure!(list.code() == 0 && list.stdout.contains("agreed to by ordering"), "{}", list.stdout);

        let refused = cert(&lab, &["renew", "mail.elsewhere.test"])?;
        ensure!(
            refused.code() == 1 && refused.stderr.contains("no certificate of this home"),
            "{}",
            refused.stderr
        );
        cert(&lab, &["renew", "mail.home.example"])?.success()?;
        wait_until("the next certificate waits until its key is known", Duration::from_secs(60), || {
            let waiting = lab.certificate_of("mail.home.example")?;
            ensure!(text(&waiting, "next") == "the new certificate is taken up", "{waiting:#}");
            ensure!(text(&waiting, "key") == text(&mail, "key"), "{waiting:#}");
            Ok(())
        })?;

        // The lab's own authority has certified all names below home.example.
        let (chain, key) = ("/etc/postern/tls/cert.pem", "/etc/postern/tls/key.pem");
        lab.host(Host::Home).sh("openssl genpkey -algorithm ED25519 -out /run/other.key")?.success()?;
        ensure!(
            cert(&lab, &["import", chain, "/run/other.key"])?.code() != 0,
            "a key that does not fit is taken"
        );
        cert(&lab, &["import", chain, key])?.success()?;
        let digest = format!("openssl pkey -in {key} -pubout -outform DER | openssl dgst -sha256 -r");
        let digest = lab.host(Host::Home).sh(&digest)?.success()?.stdout;
        let imported = digest.split_whitespace().next().context("a digest")?.to_owned();
        wait_until("names without TLSA records show it at once", Duration::from_secs(20), || {
            let web = lab.certificate_of("mta-sts.home.example")?;
            ensure!(text(&web, "origin") == "imported", "{web:#}");
            let shown = shown_key(&lab, 993, "autoconfig.home.example")?;
            ensure!(shown == imported, "{shown} is shown, and imported was {imported}");
            let mail = shown_key(&lab, 993, "mail.home.example")?;
            ensure!(mail != imported, "it is shown before its TLSA record is known");
            ensure!(tlsa(&lab, 25)?.contains(&imported), "it is not announced");
            Ok(())
        })
    };
    story().map_err(|error| lab.explain(error))
}

/// Forgets everything of certificates, as a home that has never had one.
const FORGET: &str = "import sqlite3
database = sqlite3.connect('/var/lib/postern-home/server.sqlite')
database.execute(\"DELETE FROM setting WHERE name = 'certificates'\")
database.commit()";

#[test]
fn home_may_be_killed_at_every_durable_step_of_an_order() -> Result<()> {
    let lab = Lab::certified()?;
    let story = || -> Result<()> {
        lab.await_certificate("mta-sts.home.example")?;
        let home = lab.host(Host::Home);
        for step in scaled(vec![7], (1..=30).collect::<Vec<u32>>()) {
            lab.stop_daemon(Host::Home, "postern-home", Signal::Terminate)?;
            home.run(["python3", "-c", FORGET])?.success()?;
            let run = format!(
                "timeout 30 strace -f -qq -o /dev/null -e trace=fdatasync -e inject=fdatasync:signal=KILL:when={step} \
                 postern-home run --config /etc/postern/home.toml >>/run/killed.log 2>&1"
            );
            home.sh(&format!("{run} || true"))?;
            lab.start_daemon(Host::Home, "postern-home")?;
            lab.await_certificate("mail.home.example").with_context(|| format!("killed at step {step}"))?;
            lab.await_certificate("mta-sts.home.example")
                .with_context(|| format!("killed at step {step}"))?;
            wait_until("no challenge is left", Duration::from_secs(20), || {
                let zone = home.run(["postern-home", "dns", "export", "home.example"])?.success()?.stdout;
                ensure!(!zone.contains("_acme-challenge"), "{zone}");
                Ok(())
            })?;
        }
        Ok(())
    };
    story().map_err(|error| lab.explain(error))
}

#[test]
fn a_postfix_that_checks_tlsa_records_reports_a_verified_connection() -> Result<()> {
    let lab = Lab::certified()?;
    let story = || -> Result<()> {
        let stranger = lab.host(Host::Stranger);
        stranger.sh(
            "postconf -e smtp_dns_support_level=dnssec smtp_tls_security_level=dane-only && postfix reload",
        )?;
        lab.await_certificate("mail.home.example")?;
        lab.send_from_stranger(ANA, &mail::plain_message(mail::SAM, ANA, "with a checked key"))?;
        wait_until("the message was delivered", Duration::from_secs(40), || {
            let log = lab.log_text(Host::Stranger);
            ensure!(log.contains("Verified TLS connection established to mail.home.example"), "{log}");
            ensure!(log.contains("status=sent"), "{log}");
            Ok(())
        })
    };
    story().map_err(|error| lab.explain(error))
}
