//! Certificates without a person, by an authority that we did not write.

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
