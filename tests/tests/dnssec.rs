//! Home's signed zones, believed by validators that we did not write, and kept through what can go wrong.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::names::HOME_DOMAIN;
use postern_lab::{Host, Lab, Signal, wait_until};

#[test]
fn validators_believe_every_answer() -> Result<()> {
    let lab = Lab::joined()?;
    let questions = [
        ("home.example", "SOA"),
        ("home.example", "MX"),
        ("home.example", "DNSKEY"),
        ("home.example", "CDS"),
        ("_imaps._tcp.home.example", "SRV"),
        ("r1._domainkey.home.example", "TXT"),
        ("mail.home.example", "AAAA"),
        ("mail.home.example", "MX"),
        ("_tcp.home.example", "TXT"),
        ("nobody.home.example", "A"),
        ("a.b.nobody.home.example", "A"),
    ];
    for (name, record_type) in questions {
        require_believed(&lab, name, record_type)?;
    }
    Ok(())
}

/// Both unbound and delv believe an answer. Delv grants no leeway to a signer whose clock is ahead.
fn require_believed(lab: &Lab, name: &str, record_type: &str) -> Result<()> {
    lab.require_validated(name, record_type)?;
    lab.host(Host::Cafe).write("/run/anchors", delv_anchors(lab)?.as_bytes())?;
    let server = format!("@{}", Host::Resolver.v4());
    let delv = ["delv", &server, "-a", "/run/anchors", "+root=.", "+rtrace", name, record_type];
    let told = lab.host(Host::Cafe).run(delv)?;
    let told = told.stdout + &told.stderr;
    ensure!(told.contains("fully validated"), "delv about {name} {record_type}: {told}");
    ensure!(!told.contains("unsigned answer"), "delv about {name} {record_type}: {told}");
    Ok(())
}

/// The lab's trust anchor as delv reads it; unbound has it as a DS record.
fn delv_anchors(lab: &Lab) -> Result<String> {
    let conf = String::from_utf8(lab.host(Host::Resolver).read("/etc/unbound/unbound.conf")?)?;
    let ds = conf.split("trust-anchor: \"").nth(1).and_then(|rest| rest.split('"').next());
    let mut fields = ds.context("a trust anchor")?.split_whitespace().skip(3);
    let mut next = || fields.next().context("a field of the DS record");
    let (tag, algorithm, digest_type) = (next()?, next()?, next()?);
    let digest: String = fields.collect();
    Ok(format!("trust-anchors {{ . initial-ds {tag} {algorithm} {digest_type} \"{digest}\"; }};\n"))
}

/// Runs the resolver, and an edge that starts from its disk alone, with clocks that are ahead.
fn let_days_pass(lab: &Lab, days: u32) -> Result<()> {
    let time = format!("+{days}d");
    lab.start_at(Host::Edge, &time, "postern-edge run --config /etc/postern/edge.toml")?;
    lab.start_at(Host::Resolver, &time, "unbound -d -p")
}

#[test]
fn a_zone_validates_while_home_is_away_for_fourteen_days_and_not_for_ever() -> Result<()> {
    let lab = Lab::joined()?;
    for (host, daemon) in
        [(Host::Home, "postern-home"), (Host::Edge, "postern-edge"), (Host::Resolver, "unbound")]
    {
        lab.stop_daemon(host, daemon, Signal::Terminate)?;
    }
    let patience = Duration::from_secs(15);
    let_days_pass(&lab, 14)?;
    wait_until("home.example validates after 14 days", patience, || {
        lab.require_validated("home.example", "MX")?;
        lab.require_validated("mail.home.example", "A")?;
        lab.require_validated("nobody.home.example", "A")
    })?;
    let_days_pass(&lab, 31)?;
    wait_until("the lab's own zones validate after 31 days", patience, || {
        lab.require_validated("test", "SOA")
    })?;
    let dig = ["dig", "+time=5", "+tries=1", "home.example", "MX"];
    let late = lab.host(Host::Cafe).run(dig)?.stdout;
    ensure!(late.contains("SERVFAIL"), "signatures do not end: {late}");
    Ok(())
}

/// The warnings of `postern-home status`.
fn warnings(lab: &Lab) -> Result<String> {
    let status = lab.host(Host::Home).run(["postern-home", "status", "--json"])?;
    let status: serde_json::Value = serde_json::from_str(&status.stdout).context(status.stderr)?;
    Ok(status.get("warnings").map(ToString::to_string).unwrap_or_default())
}

fn served_serial(lab: &Lab) -> Result<String> {
    let dig = ["dig", "+short", "+norecurse", "@192.0.2.10", "home.example", "SOA"];
    let soa = lab.host(Host::Cafe).run(dig)?.success()?.stdout;
    Ok(soa.split_whitespace().nth(2).context("a SOA record")?.to_owned())
}

#[test]
fn a_home_that_boots_in_1970_signs_nothing_until_its_clock_is_right() -> Result<()> {
    let lab = Lab::joined()?;
    let serial = served_serial(&lab)?;
    lab.stop_daemon(Host::Home, "postern-home", Signal::Terminate)?;
    lab.start_at(Host::Home, "@1970-01-01 00:05:00", "postern-home run --config /etc/postern/home.toml")?;
    wait_until("home says that its clock is wrong", Duration::from_secs(20), || {
        let warnings = warnings(&lab)?;
        ensure!(warnings.contains("Zones are not signed anew") && warnings.contains("1970"), "{warnings}");
        Ok(())
    })?;
    ensure!(served_serial(&lab)? == serial, "the edge has another zone");
    lab.require_validated("home.example", "MX")?;
    lab.end_elsewhen(Host::Home)?;
    lab.start_daemon(Host::Home, "postern-home")?;
    wait_until("home is content with its zones", Duration::from_secs(20), || {
        let warnings = warnings(&lab)?;
        ensure!(!warnings.contains("signed"), "{warnings}");
        Ok(())
    })
}

#[test]
fn a_home_that_lost_its_keys_does_not_take_the_domain_down() -> Result<()> {
    let lab = Lab::joined()?;
    let serial = served_serial(&lab)?;
    lab.stop_daemon(Host::Home, "postern-home", Signal::Terminate)?;
    let forget = "import sqlite3
database = sqlite3.connect('/var/lib/postern-home/server.sqlite')
database.execute('DELETE FROM dnssec_key')
database.execute('DELETE FROM signed_zone')
database.commit()";
    lab.host(Host::Home).run(["python3", "-c", forget])?.success()?;
    lab.start_daemon(Host::Home, "postern-home")?;
    wait_until("home says that the edge refuses its zone", Duration::from_secs(20), || {
        let warnings = warnings(&lab)?;
        ensure!(warnings.contains("keys do not follow"), "{warnings}");
        Ok(())
    })?;
    ensure!(served_serial(&lab)? == serial, "the edge has another zone");
    lab.require_validated("home.example", "MX")
}

#[test]
fn own_records_are_published_signed_and_bad_ones_are_refused() -> Result<()> {
    let lab = Lab::joined()?;
    let record = |arguments: &[&str]| {
        lab.host(Host::Home).run([&["postern-home", "dns", "record"], arguments].concat())
    };
    record(&["add", HOME_DOMAIN, "www", "A", "192.0.2.77"])?.success()?;
    record(&["add", HOME_DOMAIN, "@", "TXT", "some-site-verification=a b"])?.success()?;
    let listed = record(&["list", HOME_DOMAIN])?.success()?.stdout;
    ensure!(listed.contains("192.0.2.77") && listed.contains("\"some-site-verification=a b\""), "{listed}");
    wait_until("the world sees the records", Duration::from_secs(20), || {
        ensure!(lab.resolve("www.home.example", "A")? == ["192.0.2.77"]);
        let texts = lab.resolve("home.example", "TXT")?;
        ensure!(texts.iter().any(|text| text == "\"some-site-verification=a b\""), "{texts:?}");
        ensure!(texts.iter().any(|text| text.starts_with("\"v=spf1 ")), "{texts:?}");
        lab.require_validated("www.home.example", "A")
    })?;
    let long = "y".repeat(256);
    for (arguments, reason) in [
        (["www", "CNAME", "mail"], "www.home.example. CNAME: a CNAME cannot stand beside other records"),
        (["@", "CNAME", "elsewhere.test."], "a CNAME cannot stand at the domain itself"),
        (["@", "MX", "10 elsewhere.test."], "Postern publishes `MX 10 mail.home.example.` there itself"),
        (["www.elsewhere.test.", "A", "192.0.2.1"], "not a name in the zone"),
        (
            ["x", "TLSA", "3 1 1 nonsense"],
            "DATA: expected hexadecimal digits, two for each octet, found `nonsense`",
        ),
        (["x", "OPENPGPKEY", "AA=A"], "KEY: expected base64"),
        (["x", "TXT", &long], "found `yyyyyyyyyy"),
        (["_tcp", "NS", "ns.elsewhere.test."], "Postern's records there would be gone"),
        (["sub", "NS", "ns.sub"], "add an A or AAAA record of it first"),
    ] {
        let refused = record(&[&["add", HOME_DOMAIN], &arguments[..]].concat())?;
        ensure!(refused.code() == 1 && refused.stderr.contains(reason), "{arguments:?}: {refused:?}");
    }
    record(&["remove", HOME_DOMAIN, "www", "A"])?.success()?;
    wait_until("the record is gone, provably", Duration::from_secs(20), || {
        ensure!(lab.resolve("www.home.example", "A").is_err());
        lab.require_validated("www.home.example", "A")
    })?;
    for host in ["ns1.home.example", "mail.home.example"] {
        ensure!(lab.resolve(host, "MX")? == ["0 ."], "{host} takes mail");
    }
    ensure!(lab.resolve("_pop3._tcp.home.example", "SRV")? == ["0 0 0 ."]);
    ensure!(lab.resolve("_smtp._tls.home.example", "TXT")?.join("").contains("v=TLSRPTv1"));
    Ok(())
}

/// What `postern-home dns …` prints, on one line, with its exit code.
fn dns(lab: &Lab, arguments: &[&str]) -> Result<(i32, String)> {
    let output = lab.host(Host::Home).run([&["postern-home", "dns"], arguments, &[HOME_DOMAIN]].concat())?;
    let (code, printed) = (output.code(), output.stdout + &output.stderr);
    Ok((code, printed.split_whitespace().collect::<Vec<_>>().join(" ")))
}

fn served_keys(lab: &Lab, record_type: &str) -> Result<Vec<String>> {
    let dig = ["dig", "+short", "+norecurse", "@192.0.2.10", "home.example", record_type];
    let answer = lab.host(Host::Cafe).run(dig)?.success()?.stdout;
    Ok(answer.lines().map(str::to_owned).collect())
}

/// The edge serves so many keys, its CDS is the DS record that home asks for, and unbound believes the zone.
fn require_keys(lab: &Lab, count: usize) -> Result<()> {
    let keys = served_keys(lab, "DNSKEY")?;
    ensure!(keys.len() == count, "{keys:?}");
    let (cds, ds) = (served_keys(lab, "CDS")?.join("\n"), dns(lab, &["ds"])?.1);
    let plain = |text: &str| text.to_lowercase().replace([' ', '\n'], "");
    ensure!(plain(&ds).ends_with(&plain(&cds)) && !cds.is_empty(), "CDS {cds}, home says {ds}");
    for (name, record_type) in [
        (HOME_DOMAIN, "MX"),
        (HOME_DOMAIN, "DNSKEY"),
        ("mail.home.example", "A"),
        ("nobody.home.example", "A"),
    ] {
        lab.require_validated(name, record_type)?;
    }
    Ok(())
}

/// Home and the edge go on with clocks that are ahead, as if so much time had passed.
fn let_both_wait(lab: &Lab, time: &str) -> Result<()> {
    lab.start_at(Host::Edge, time, "postern-edge run --config /etc/postern/edge.toml")?;
    lab.start_at(Host::Home, time, "postern-home run --config /etc/postern/home.toml")
}

#[test]
fn the_key_is_changed_without_a_moment_in_which_the_zone_is_not_believed() -> Result<()> {
    let lab = Lab::joined()?;
    let patience = Duration::from_secs(30);
    let old = dns(&lab, &["ds"])?.1;
    ensure!(dns(&lab, &["key", "roll"])?.0 == 0, "the change does not begin");
    ensure!(dns(&lab, &["key", "roll"])?.0 == 1, "a second change begins");
    lab.stop_daemon(Host::Home, "postern-home", Signal::Kill)?;
    lab.start_daemon(Host::Home, "postern-home")?;
    wait_until("both keys are served", patience, || require_keys(&lab, 2))?;
    require_believed(&lab, "nobody.home.example", "A")?;
    ensure!(dns(&lab, &["ds"])?.1 == old, "the registrar is sent before the world knows the key");
    wait_until("all servers have both keys", patience, || {
        let shown = dns(&lab, &["key", "show"])?.1;
        ensure!(shown.contains("all name servers have had them since"), "{shown}");
        Ok(())
    })?;

    for (host, daemon) in [(Host::Home, "postern-home"), (Host::Edge, "postern-edge")] {
        lab.stop_daemon(host, daemon, Signal::Kill)?;
    }
    let_both_wait(&lab, "+62m")?;
    wait_until("the DS record is to be exchanged", patience, || {
        let (code, told) = dns(&lab, &["delegation"])?;
        ensure!(code == 3 && told.contains("has no DS record of the new key yet"), "{told}");
        require_keys(&lab, 2)
    })?;
    let new = dns(&lab, &["ds"])?.1;
    ensure!(new != old, "{new}");
    lab.register(&format!("{new}\n"))?;
    wait_until("the new DS record is there", patience, || {
        let (code, told) = dns(&lab, &["delegation"])?;
        ensure!(code == 0, "{told}");
        let shown = dns(&lab, &["key", "show"])?.1;
        ensure!(shown.contains("has had the new DS record since"), "{shown}");
        require_keys(&lab, 2)
    })?;

    let_both_wait(&lab, "+130m")?;
    wait_until("the old key is gone", patience, || {
        dns(&lab, &["delegation"])?;
        require_keys(&lab, 1)
    })?;
    let shown = dns(&lab, &["key", "show"])?.1;
    ensure!(shown.contains("none is under way") && dns(&lab, &["ds"])?.1 == new, "{shown}");
    ensure!(dns(&lab, &["delegation"])?.0 == 0, "the delegation is not as it shall be");
    Ok(())
}
