//! Certificates without a person, by an authority that we did not write.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::lab::{ANA, ANA_PASSWORD};
use postern_lab::{Host, Lab, wait_until};
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
        for port in [25, 465, 587, 993] {
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
        ensure!(!status.contains("self-signed") && !status.contains("ertificate for"), "{status}");
        Ok(())
    };
    story().map_err(|error| lab.explain(error))
}
