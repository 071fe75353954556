//! The edge's name server, asked by `dig` from the world.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::names::HOME_DOMAIN;
use postern_lab::{Host, Lab, wait_until};

#[test]
fn the_edge_answers_for_its_zone_and_for_nothing_else() -> Result<()> {
    let lab = Lab::joined()?;
    let ask = |question: &[&str]| -> Result<String> {
        let dig = [&["dig", "+norecurse", "+time=3", "+tries=1", "@192.0.2.10"], question].concat();
        Ok(lab.host(Host::Cafe).run(dig)?.stdout)
    };
    for transport in ["+notcp", "+tcp"] {
        let answer = ask(&["home.example", "SOA", transport])?;
        assert!(answer.contains("status: NOERROR") && answer.contains("flags: qr aa;"), "{answer}");
    }
    let over_v6 =
        lab.host(Host::Cafe).run(["dig", "+norecurse", "@2001:db8:ed::10", "home.example", "MX"])?.stdout;
    assert!(over_v6.contains("10 mail.home.example."), "{over_v6}");

    let missing = ask(&["nobody.home.example", "A"])?;
    assert!(missing.contains("status: NXDOMAIN") && missing.contains("SOA"), "{missing}");
    let empty = ask(&["mail.home.example", "SRV"])?;
    assert!(
        empty.contains("status: NOERROR") && empty.contains("ANSWER: 0") && empty.contains("SOA"),
        "{empty}"
    );
    let mixed_case = ask(&["HoMe.ExAmPlE", "MX"])?;
    assert!(mixed_case.contains("ANSWER: 1"), "{mixed_case}");

    for question in [["stranger.test", "A"], [".", "NS"], ["example", "SOA"]] {
        let refused = ask(&[&question[..], &["+recurse"]].concat())?;
        assert!(refused.contains("status: REFUSED"), "{question:?}: {refused}");
        assert!(!refused.contains(" ra"), "recursion is offered: {refused}");
    }
    let transfer = ask(&["home.example", "AXFR"])?;
    assert!(transfer.contains("Transfer failed") && !transfer.contains("IN\tMX"), "{transfer}");
    Ok(())
}

#[test]
fn the_zone_has_every_record_that_mail_needs() -> Result<()> {
    let lab = Lab::joined()?;
    let one = |name: &str, kind: &str| lab.resolve(name, kind).map(|lines| lines.join("\n"));
    assert_eq!(one("home.example", "MX")?, "10 mail.home.example.");
    assert_eq!(one("mail.home.example", "A")?, "192.0.2.10");
    assert_eq!(one("mail.home.example", "AAAA")?, "2001:db8:ed::10");
    let mut servers = lab.resolve("home.example", "NS")?;
    servers.sort();
    assert_eq!(servers, ["ns1.home.example.", "ns2.home.example."]);
    assert_eq!(one("ns1.home.example", "A")?, "192.0.2.10");
    assert!(one("home.example", "TXT")?.contains("v=spf1 "));
    assert!(one("_dmarc.home.example", "TXT")?.contains("v=DMARC1"));
    Ok(())
}

/// A zone as an administrator of BIND keeps it.
const OLD_ZONE: &str = r#"$TTL 1h
@ IN SOA ns1.old.test. admin.old.test. ( 2024010101 ; serial
      1h 10m 2w 5m )
  NS ns1.old.test.
  MX 10 mail.old.test.
  TXT "v=spf1 mx include:servers.news.test ~all"
  TXT ( "a text in" " two; parts" )
  A 198.51.100.80
  CAA 0 issue "ca.test"
mail A 198.51.100.25
$GENERATE 1-3 host$ A 198.51.100.$
$ORIGIN sub
@ NS ns
ns A 198.51.100.53
@ DS 60485 13 2 d4b7d520e7bb5f0f67674a0cceb1e3e0614b93c4f9e99b8383f6a1e4469da50a
$ORIGIN home.example.
www CNAME @
*.apps 300 TXT "wild"
_sip._tcp SRV 0 5 5060 www
_443._tcp.www TLSA 3 1 1 d4b7d520e7bb5f0f67674a0cceb1e3e0614b93c4f9e99b8383f6a1e4469da50a
_pop3._tcp SRV 0 1 110 pop.old.test.
_dmarc TXT "v=DMARC1; p=reject"
here LOC 52 22 23 N 4 53 32 E 1m
phone NAPTR 100 50 "s" "http+I2R" "" _http._tcp
key SSHFP 4 2 d4b7d520e7bb5f0f67674a0cceb1e3e0614b93c4f9e99b8383f6a1e4469da50a
uri URI 10 1 "https://www.home.example/"
svc HTTPS 1 . alpn="h2,h3" port=8443
odd TYPE65280 \# 2 01ff
"#;

/// A zone file in the words of BIND, a record a line, without its TTLs.
fn compiled(lab: &Lab, zone: &str) -> Result<BTreeSet<String>> {
    let host = lab.host(Host::Home);
    host.write("/run/compiled.in", zone.as_bytes())?;
    let compile =
        ["named-compilezone", "-i", "none", "-k", "ignore", "-s", "full", "-o", "/run/compiled.out"];
    host.run([&compile[..], &[HOME_DOMAIN, "/run/compiled.in"]].concat())?.success()?;
    let text = String::from_utf8(host.read("/run/compiled.out")?)?;
    let without_ttl = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != 1)
            .map(|(_, word)| *word)
            .collect::<Vec<_>>()
            .join(" ")
    };
    Ok(text.lines().map(without_ttl).collect())
}

#[test]
fn a_zone_that_was_served_elsewhere_is_taken_over_whole() -> Result<()> {
    let lab = Lab::joined()?;
    let home = lab.host(Host::Home);
    let import = |zone: &str, more: &[&str]| {
        home.write("/run/old.zone", zone.as_bytes())?;
        home.run([&["postern-home", "dns", "import", HOME_DOMAIN, "/run/old.zone"], more].concat())
    };
    let raw = import(OLD_ZONE, &[])?;
    ensure!(raw.code() == 1 && raw.stdout.contains("line 11: $GENERATE"), "{raw:?}");
    let old = compiled(&lab, OLD_ZONE)?;
    let file = String::from_utf8(home.read("/run/compiled.out")?)?;
    let wrong = import(&format!("{file}\nwww.home.example. 60 IN A 198.51.100.1\n"), &["--json"])?;
    ensure!(wrong.code() == 1 && wrong.stdout.contains("a CNAME cannot stand beside"), "{wrong:?}");
    let dry = import(&file, &["--dry-run"])?.success()?.stdout;
    ensure!(
        dry.contains("replaced by MX 10 mail.home.example.")
            && dry.contains("which ends with -all whatever this one says")
            && dry.contains("nothing was changed"),
        "{dry}"
    );
    let list = ["postern-home", "dns", "record", "list", HOME_DOMAIN, "--json"];
    ensure!(home.run(list)?.success()?.stdout.trim() == "[]", "a refused or dry import has left records");
    let told: serde_json::Value = serde_json::from_str(&import(&file, &["--json"])?.success()?.stdout)?;
    let records = told["records"].as_array().context("records")?;
    let not_kept: Vec<&str> =
        records.iter().filter(|it| it["fate"] != "kept").filter_map(|it| it["type"].as_str()).collect();
    ensure!(not_kept == ["SOA", "NS", "MX", "A"], "{told:#}");
    wait_until("the world finds what was imported", Duration::from_secs(20), || {
        ensure!(lab.resolve("host3.home.example", "A")? == ["198.51.100.3"]);
        ensure!(lab.resolve("x.apps.home.example", "TXT")? == ["\"wild\""]);
        let texts = lab.resolve("home.example", "TXT")?.join("\n");
        ensure!(texts.contains(" include:servers.news.test -all"), "{texts}");
        lab.require_validated("x.apps.home.example", "TXT")
    })?;
    let export = home.run(["postern-home", "dns", "export", HOME_DOMAIN])?.success()?.stdout;
    let new = compiled(&lab, &export)?;
    let lost: Vec<&String> = old.difference(&new).collect();
    let replaced =
        ["home.example. IN SOA", "home.example. IN NS", "home.example. IN MX", "mail.home.example. IN A"];
    let is_replaced = |line: &str| replaced.iter().any(|it| line.starts_with(it)) || line.contains("v=spf1");
    ensure!(lost.len() == 5 && lost.iter().all(|line| is_replaced(line)), "{lost:#?}");
    Ok(())
}
