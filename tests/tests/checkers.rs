//! What the checkers of others say of the domain that home serves.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::checkers::{Finding, python_of};
use postern_lab::names::HOME_DOMAIN;
use postern_lab::{Host, Lab, Output, wait_until};
use serde_json::Value;

/// What zonemaster says of every domain in the lab, or of every domain with one edge; and why that is right.
const EXPECTED_OF_ZONEMASTER: [(&str, &str); 4] = [
    (
        "NAMESERVER_IP_PRIVATE_NETWORK",
        "the lab's internet is made of the addresses set aside for documentation",
    ),
    ("DEL_NS_SAME_IP", "one edge has one address; who wants another name server adds a secondary"),
    ("CHILD_NS_SAME_IP", "the same, in the zone itself"),
    ("SAME_IP_ADDRESS", "the same, of both"),
];

/// What checkdmarc misses or warns of, and why that is right.
const EXPECTED_OF_CHECKDMARC: [(&str, &str); 2] = [
    ("/bimi", "Postern publishes no logo"),
    ("/dmarc", "the policy is none until its owner has read reports"),
];

#[test]
fn dnsviz_zonemaster_and_checkdmarc_find_nothing_wrong_until_the_delegation_is() -> Result<()> {
    let lab = Lab::joined()?;
    lab.show_root_to_checkers()?;
    wait_until("the MTA-STS policy is announced", Duration::from_secs(30), || {
        lab.resolve("_mta-sts.home.example", "TXT")
    })?;
    let report = Report::of(&lab)?;
    report.require_clean().map_err(|error| lab.explain(error))?;

    // The same checkers, so that silence means something: a DS record of no key that is in the zone.
    let ds = lab.host(Host::Home).run(["postern-home", "dns", "ds", HOME_DOMAIN])?.success()?.stdout;
    lab.register(&with_another_digest(&ds)?)?;
    wait_until("the resolver believes the zone no more", Duration::from_secs(20), || {
        ensure!(lab.require_validated(HOME_DOMAIN, "MX").is_err());
        Ok(())
    })?;
    let report = Report::of(&lab)?;
    ensure!(!report.dnsviz.is_empty(), "dnsviz misses nothing");
    ensure!(!unexpected(&report.zonemaster).is_empty(), "zonemaster misses nothing");
    ensure!(report.checkdmarc.get("dnssec") != Some(&Value::Bool(true)), "checkdmarc misses nothing");
    Ok(())
}

/// Where testssl.sh looks: a protocol that begins in clear, and one that does not. All ports have one configuration.
const TLS_PORTS: [&[&str]; 2] = [&["--starttls", "smtp", "mail.home.example:25"], &["mail.home.example:443"]];

/// What testssl.sh 3.0.8 complains of that is no fault of the server's.
const EXPECTED_OF_TESTSSL: [(&str, &str); 1] = [("engine_problem", "Debian's OpenSSL has no GOST")];

#[test]
fn testssl_finds_nothing_weak_at_any_port() -> Result<()> {
    let lab = Lab::joined()?;
    let story = || -> Result<()> {
        for findings in thread::scope(|scope| -> Result<Vec<Vec<Finding>>> {
            let lab = &lab;
            let runs: Vec<_> =
                TLS_PORTS.iter().map(|port| scope.spawn(move || lab.ask_testssl(port))).collect();
            runs.into_iter().map(|run| run.join().expect("a checker's thread does not panic")).collect()
        })? {
            let said = |code: &str| findings.iter().find(|finding| finding.code == code);
            for (code, expected) in [
                ("SSLv2", "OK"),
                ("SSLv3", "OK"),
                ("TLS1", "INFO"),
                ("TLS1_1", "INFO"),
                ("TLS1_2", "OK"),
                ("TLS1_3", "OK"),
            ] {
                let found = said(code).with_context(|| format!("nothing of {code}: {findings:#?}"))?;
                let offered = !found.text.contains("not offered");
                let is_new = matches!(code, "TLS1_2" | "TLS1_3");
                ensure!(found.text.starts_with(expected) && offered == is_new, "{found:?}");
            }
            let is_bad = |finding: &&Finding| {
                ["LOW", "MEDIUM", "HIGH", "CRITICAL", "WARN"]
                    .iter()
                    .any(|level| finding.text.starts_with(level))
                    && EXPECTED_OF_TESTSSL.iter().all(|(code, _)| *code != finding.code)
            };
            let bad: Vec<&Finding> = findings.iter().filter(is_bad).collect();
            ensure!(bad.is_empty(), "{bad:#?}");
        }
        Ok(())
    };
    story().map_err(|error| lab.explain(error))
}

/// A key exchange that today's recording and tomorrow's quantum computer do not break, by an OpenSSL that has it.
const KEY_EXCHANGE: &str = include_str!("../clients/key_exchange.py");

#[test]
fn openssl_agrees_with_every_port_on_the_hybrid_group() -> Result<()> {
    let lab = Lab::joined()?;
    let python = python_of("pyopenssl")?;
    let client = ["-c", KEY_EXCHANGE, "192.0.2.10", "mail.home.example"];
    let ports = ["smtp:25", "465", "smtp:587", "993", "443"];
    let said = lab.host(Host::Cafe).run([&[python.as_str()], &client[..], &ports[..]].concat())?;
    let said = said.success().map_err(|error| lab.explain(error))?.stdout;
    let expected: String = ports.iter().map(|port| format!("{port} TLSv1.3 X25519MLKEM768\n")).collect();
    assert_eq!(said, expected);
    Ok(())
}

/// A checker of zone files, and the start of a line without which it must complain.
const ZONE_FILE_CHECKERS: [(&str, &str); 5] = [
    ("ldns-verify-zone -ZZ zone", "home.example. 3600 IN MX "),
    ("dnssec-verify -q -z -o home.example zone", "home.example. 3600 IN MX "),
    ("kzonecheck -o home.example -d on zone", "home.example. 3600 IN MX "),
    (
        "named-checkzone -i full -k fail -m fail -M fail -n fail -r fail -S fail home.example zone",
        "mail.home.example. 300 IN A",
    ),
    ("nsd-checkzone home.example zone", "home.example. 3600 IN SOA "),
];

#[test]
fn checkers_of_zone_files_find_nothing_wrong_until_a_record_is_missing() -> Result<()> {
    let lab = Lab::joined()?;
    let zone = lab.host(Host::Home).run(["postern-home", "dns", "export", HOME_DOMAIN])?.success()?.stdout;
    for (checker, start) in ZONE_FILE_CHECKERS {
        check_zone_file(&lab, checker, &zone)?.success()?;
        let lines = zone.lines().filter(|line| !line.starts_with(start));
        let torn: String = lines.map(|line| format!("{line}\n")).collect();
        ensure!(torn != zone, "no line starts with {start:?}:\n{zone}");
        ensure!(check_zone_file(&lab, checker, &torn)?.code() != 0, "{checker} misses nothing");
    }
    Ok(())
}

fn check_zone_file(lab: &Lab, checker: &str, zone: &str) -> Result<Output> {
    let cafe = lab.host(Host::Cafe);
    cafe.write("/run/zone", zone.as_bytes())?;
    cafe.run(["sh", "-c", &format!("cd /run && {checker}")])
}

/// What all three say.
struct Report {
    dnsviz: Vec<Finding>,
    zonemaster: Vec<Finding>,
    checkdmarc: Value,
}

impl Report {
    /// Asks all at once: they spend their time waiting for answers.
    fn of(lab: &Lab) -> Result<Report> {
        thread::scope(|scope| {
            let dnsviz = scope.spawn(|| dnsviz_of_all_names(lab));
            let zonemaster = scope.spawn(|| lab.ask_zonemaster());
            let checkdmarc = lab.ask_checkdmarc()?;
            let ended = "a checker's thread does not panic";
            Ok(Report {
                dnsviz: dnsviz.join().expect(ended)?,
                zonemaster: zonemaster.join().expect(ended)?,
                checkdmarc,
            })
        })
    }

    fn require_clean(&self) -> Result<()> {
        ensure!(self.dnsviz.is_empty(), "dnsviz: {:#?}", self.dnsviz);
        let unexpected = unexpected(&self.zonemaster);
        ensure!(unexpected.is_empty(), "zonemaster: {unexpected:#?}");
        require_clean_checkdmarc(&self.checkdmarc)
    }
}

/// dnsviz 0.11.2 fails over a zone and the host of its MX in one run, so there is a run for each.
fn dnsviz_of_all_names(lab: &Lab) -> Result<Vec<Finding>> {
    let mut findings = lab.ask_dnsviz(&[HOME_DOMAIN], &[])?;
    let names = ["mail.home.example", "_25._tcp.mail.home.example", "_imaps._tcp.home.example"];
    findings.extend(lab.ask_dnsviz(&names, &["-R", "A,AAAA,TXT,SRV,TLSA"])?);
    Ok(findings)
}

fn unexpected(findings: &[Finding]) -> Vec<&Finding> {
    let is_expected =
        |finding: &&Finding| EXPECTED_OF_ZONEMASTER.iter().any(|(code, _)| *code == finding.code);
    findings.iter().filter(|finding| !is_expected(finding)).collect()
}

fn require_clean_checkdmarc(report: &Value) -> Result<()> {
    ensure!(report.get("dnssec") == Some(&Value::Bool(true)), "checkdmarc sees no DNSSEC: {report:#}");
    for part in ["soa", "ns", "mx", "spf", "dmarc", "smtp_tls_reporting", "mta_sts"] {
        ensure!(report.get(part).is_some(), "checkdmarc says nothing of {part}: {report:#}");
    }
    for part in ["spf", "dmarc", "smtp_tls_reporting", "mta_sts"] {
        ensure!(report[part]["valid"] == true, "checkdmarc: {:#}", report[part]);
    }
    for (name, part) in report.as_object().context("an object")? {
        let path = format!("/{name}");
        if EXPECTED_OF_CHECKDMARC.iter().any(|(expected, _)| *expected == path) {
            continue;
        }
        let warnings = part.get("warnings").and_then(Value::as_array).map_or(0, Vec::len);
        ensure!(warnings == 0 && part.get("error").is_none(), "checkdmarc: {name}: {part:#}");
    }
    Ok(())
}

/// The DS record with the last digit of its digest changed.
fn with_another_digest(ds: &str) -> Result<String> {
    let ds = ds.trim_end();
    let (rest, last) = ds.split_at_checked(ds.len() - 1).context("a digit")?;
    Ok(format!("{rest}{}\n", if last == "0" { "1" } else { "0" }))
}
