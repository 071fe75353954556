//! What the world sees of a domain: the parent zone's words about it, and records that another provider has.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postern_lab::lab::ANA;
use postern_lab::names::HOME_DOMAIN;
use postern_lab::{Host, Lab, Signal, mail, wait_until};
use serde_json::Value;

/// The delegation of home.example as the registrar has it in a new lab.
const RIGHT: &str = "\
home.example. NS ns1.home.example.
home.example. NS ns2.home.example.
ns1.home.example. A 192.0.2.10
ns1.home.example. AAAA 2001:db8:ed::10
ns2.home.example. A 192.0.2.10
ns2.home.example. AAAA 2001:db8:ed::10
";

/// Runs `postern-home … --json`; gives its exit code and its answer.
fn ask(lab: &Lab, arguments: &[&str]) -> Result<(i32, Value)> {
    let words = [&["postern-home"], arguments, &["--json"]].concat();
    let output = lab.host(Host::Home).run(words)?;
    let answer = serde_json::from_str(&output.stdout).with_context(|| output.stderr.clone())?;
    Ok((output.code(), answer))
}

/// The kinds of findings of `dns delegation`, with its exit code and the state.
fn delegation(lab: &Lab) -> Result<(i32, String, Vec<String>)> {
    let (code, answer) = ask(lab, &["dns", "delegation", HOME_DOMAIN])?;
    let findings = answer["findings"].as_array().context("a list of findings")?;
    let kinds = findings.iter().map(|finding| text(&finding["kind"])).collect();
    Ok((code, text(&answer["state"]), kinds))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn restart(lab: &Lab, host: Host, daemon: &str) -> Result<()> {
    lab.stop_daemon(host, daemon, Signal::Terminate)?;
    lab.start_daemon(host, daemon)
}

/// Puts these lines, instead of what it had of home.example, into the registry's zone `example`.
fn delegate(lab: &Lab, lines: &str) -> Result<()> {
    let sign = "cd /etc/nsd
        { grep -v 'home\\.example' zone-example; cat; } > zone-example.changed
        dnssec-signzone -z -q -e +7776000 -o example. -f example.zone zone-example.changed Kexample.*.private";
    lab.host(Host::Registry).run_with_input(["sh", "-ec", sign], lines.as_bytes())?.success()?;
    restart(lab, Host::Registry, "nsd")
}

fn ds(lab: &Lab) -> Result<String> {
    Ok(lab.host(Host::Home).run(["postern-home", "dns", "ds", HOME_DOMAIN])?.success()?.stdout)
}

fn expect(lab: &Lab, what: &str, code: i32, state: &str, kinds: &[&str]) -> Result<()> {
    // The resolver keeps the parent's own name servers for two seconds.
    wait_until(what, Duration::from_secs(10), || {
        let found = delegation(lab)?;
        ensure!(
            found == (code, state.to_owned(), kinds.iter().map(|kind| (*kind).to_owned()).collect()),
            "{found:?}"
        );
        Ok(())
    })
}

#[test]
fn what_the_parent_zone_lacks_or_has_wrong_is_told() -> Result<()> {
    let lab = Lab::joined()?;
    let ds = ds(&lab)?;
    expect(&lab, "all is right", 0, "right", &[])?;
    let shown =
        lab.host(Host::Home).run(["postern-home", "dns", "delegation", HOME_DOMAIN])?.success()?.stdout;
    for part in
        ["ns1.home.example: 192.0.2.10", ds.trim(), "13 (ECDSAP256SHA256)", "2 (SHA-256)", "257 (KSK)"]
    {
        ensure!(shown.contains(part), "{part} is not in {shown}");
    }
    wait_until("status has looked by itself", Duration::from_secs(60), || {
        let (_, status) = ask(&lab, &["status"])?;
        ensure!(text(&status["dns"][0]["state"]) == "right", "{status}");
        Ok(())
    })?;

    delegate(&lab, RIGHT)?;
    expect(&lab, "DS is missing", 3, "todo", &["ds-missing"])?;
    let (code, status) = ask(&lab, &["status"])?;
    ensure!(code == 3 && status["warnings"].to_string().contains("has no DS record"), "{status}");

    let other = ds.replace(" 2 ", " 2 00").trim_end().to_owned();
    let other = other.get(..other.len() - 2).context("a DS record")?;
    delegate(&lab, &format!("{RIGHT}{other}\n"))?;
    expect(&lab, "DS is of another key", 3, "broken", &["ds-unknown"])?;

    delegate(
        &lab,
        &format!("{}{ds}", RIGHT.replace("ns2.home.example. A 192.0.2.10", "ns2.home.example. A 192.0.2.77")),
    )?;
    let kinds = ["lame", "glue-wrong", "glue-missing"];
    expect(&lab, "the glue is that of an edge that was", 3, "todo", &kinds)?;

    let lame = RIGHT.replace("NS ns2.home.example.", "NS ns.stranger.test.");
    delegate(&lab, &format!("{lame}{ds}"))?;
    let kinds = ["lame", "name-server-missing", "name-server-extra"];
    expect(&lab, "a server does not have the zone", 3, "todo", &kinds)?;

    delegate(&lab, "")?;
    expect(&lab, "nothing is delegated", 3, "broken", &["not-delegated"])?;

    // A second server of the parent, which the change does not reach.
    let second = "example. NS ns2.example.\nns2.example. A 198.18.0.53\n";
    delegate(&lab, &format!("{second}{RIGHT}"))?;
    let old = lab.host(Host::Registry).read("/etc/nsd/example.zone")?;
    let root = lab.host(Host::Root);
    root.write("/etc/nsd/example.zone", &old)?;
    root.sh("printf 'zone:\\n  name: example\\n  zonefile: /etc/nsd/example.zone\\n' >> /etc/nsd/nsd.conf")?;
    restart(&lab, Host::Root, "nsd")?;
    delegate(&lab, &format!("{second}{RIGHT}{ds}"))?;
    expect(&lab, "one of two servers has the DS", 3, "waiting", &["ds-missing"])?;

    lab.host(Host::Isp).sh("nft add table ip caching
         nft 'add chain ip caching prerouting { type nat hook prerouting priority dstnat; }'
         nft add rule ip caching prerouting iifname lan0 udp dport 53 dnat to 198.18.53.53")?;
    let (code, answer) = ask(&lab, &["dns", "delegation", HOME_DOMAIN])?;
    ensure!(code == 1 && text(&answer["state"]) == "unknown", "{answer}");
    ensure!(text(&answer["trouble"]).contains("router"), "{answer}");
    Ok(())
}

#[test]
fn what_the_servers_answer_is_compared_with_what_home_publishes() -> Result<()> {
    let lab = Lab::joined()?;
    let (code, answer) = ask(&lab, &["dns", "diff", HOME_DOMAIN])?;
    ensure!(code == 0 && text(&answer["state"]) == "right", "{answer}");
    let views = answer["views"].as_array().context("views")?;
    let asked: Vec<&Value> = views.iter().filter(|view| view["fault"].is_null()).collect();
    // The edge's IPv4 address and the resolver: this home has no IPv6.
    ensure!(asked.len() == 2, "{answer}");
    ensure!(asked.iter().all(|view| view["serial"] == answer["serial"]), "{answer}");
    ensure!(asked.iter().all(|view| view["right"].as_u64() > Some(10)), "{answer}");

    // A server that somebody once filled by hand, and that the parent still names.
    let home = lab.host(Host::Home);
    let zone = home.run(["postern-home", "dns", "export", HOME_DOMAIN])?.success()?.stdout;
    serve_at_stranger(&lab, HOME_DOMAIN, &zone)?;
    delegate(&lab, &format!("{RIGHT}home.example. NS ns.stranger.test.\n{}", ds(&lab)?))?;
    home.run(["postern-home", "dns", "record", "add", HOME_DOMAIN, "www", "A", "192.0.2.80"])?.success()?;
    wait_until("only the forgotten server differs", Duration::from_secs(20), || {
        let (code, answer) = ask(&lab, &["dns", "diff", HOME_DOMAIN])?;
        let deviations = |address: &str| {
            let views = answer["views"].as_array().into_iter().flatten();
            let view = views.filter(|view| view["address"] == address).map(|view| &view["deviations"]);
            view.flat_map(|deviations| deviations.as_array().into_iter().flatten()).collect::<Vec<_>>()
        };
        ensure!(code == 3 && text(&answer["state"]) == "todo", "{answer}");
        ensure!(deviations("192.0.2.10").is_empty(), "{answer}");
        let [missing] = deviations("198.51.100.25")[..] else { anyhow::bail!("{answer}") };
        ensure!(missing["owner"] == "www.home.example." && missing["kind"] == "missing", "{answer}");
        Ok(())
    })
}

/// Makes the stranger's name server serve a zone too.
fn serve_at_stranger(lab: &Lab, origin: &str, zone: &str) -> Result<()> {
    let stranger = lab.host(Host::Stranger);
    let path = format!("/etc/nsd/{origin}.zone");
    stranger.write(&path, zone.as_bytes())?;
    stranger.sh(&format!(
        "grep -q '{path}' /etc/nsd/nsd.conf || printf 'zone:\\n  name: {origin}\\n  zonefile: {path}\\n' >> /etc/nsd/nsd.conf"
    ))?;
    restart(lab, Host::Stranger, "nsd")
}

/// The zone of club.example as the other provider serves it.
fn publish(lab: &Lab, records: &str) -> Result<()> {
    let zone = format!(
        "$TTL 300\nclub.example. SOA ns.stranger.test. hostmaster.stranger.test. 1 3600 600 604800 1\n\
         club.example. NS ns.stranger.test.\n{records}"
    );
    serve_at_stranger(lab, "club.example", &zone)
}

/// What the edge says of club.example.
fn at_edge(lab: &Lab) -> Result<String> {
    let dig = ["dig", "+norecurse", "+time=2", "+tries=1", "@192.0.2.10", "club.example", "SOA"];
    Ok(lab.host(Host::Cafe).run(dig)?.stdout)
}

#[test]
fn a_domain_whose_dns_is_elsewhere_works_once_its_records_are_right() -> Result<()> {
    let lab = Lab::joined()?;
    let home = lab.host(Host::Home);
    home.run(["postern-home", "domain", "add", "club.example", "--dns", "external"])?.success()?;
    home.run(["postern-home", "alias", "add", "ana@club.example", ANA])?.success()?;
    let (code, answer) = ask(&lab, &["dns", "diff", "club.example"])?;
    ensure!(code == 3 && text(&answer["state"]) == "broken", "a domain that is not delegated: {answer}");
    delegate(&lab, &format!("{RIGHT}{}club.example. NS ns.stranger.test.\n", ds(&lab)?))?;
    let export = home.run(["postern-home", "dns", "export", "club.example"])?.success()?.stdout;
    ensure!(export.contains("club.example. 3600 IN MX 10 mail.home.example.\n"), "{export}");
    ensure!(![" SOA ", " NS ", " RRSIG ", " TLSA "].iter().any(|made| export.contains(made)), "{export}");

    let wrong = "club.example. MX 10 mail.home.example.\nclub.example. MX 20 mx.old.example.\n\
                 club.example. TXT \"v=spf1 ip4:192.0.2.99 -all\"\nclub.example. TXT \"site-verification=abc\"\n";
    publish(&lab, wrong)?;
    let (code, answer) = ask(&lab, &["dns", "diff", "club.example"])?;
    ensure!(code == 3 && text(&answer["state"]) == "todo" && answer["serial"].is_null(), "{answer}");
    let deviations = answer["views"][0]["deviations"].as_array().context("deviations")?;
    let kind = |owner: &str, record_type: &str| {
        let found = deviations.iter().find(|it| it["owner"] == owner && it["type"] == record_type);
        found.map(|it| text(&it["kind"])).unwrap_or_default()
    };
    let kinds =
        [kind("club.example.", "MX"), kind("club.example.", "TXT"), kind("_dmarc.club.example.", "TXT")];
    ensure!(kinds == ["extra", "different", "missing"], "{answer}");
    let (_, status) = ask(&lab, &["status"])?;
    ensure!(status["warnings"].to_string().contains("club.example MX (extra)"), "{status}");
    let refused = home.run(["postern-home", "dns", "delegation", "club.example"])?;
    ensure!(refused.code() == 1 && refused.stderr.contains("elsewhere"), "{}", refused.stderr);

    let records = home.run(["postern-home", "dns", "show", "club.example"])?.success()?.stdout;
    ensure!(
        !records.contains(" SOA ") && !records.contains(" NS ") && !records.contains("DNSKEY"),
        "{records}"
    );
    let web = home.run(["postern-home", "dns", "show", "club.example", "--form", "web"])?.success()?.stdout;
    ensure!(web.contains("v=spf1 ip4:192.0.2.10") && !web.contains('"'), "{web}");
    publish(&lab, &records)?;
    wait_until("what is published is right", Duration::from_secs(10), || {
        let (code, answer) = ask(&lab, &["dns", "diff", "club.example"])?;
        ensure!(code == 0, "{answer}");
        Ok(())
    })?;
    let (_, status) = ask(&lab, &["status"])?;
    ensure!(!status["warnings"].to_string().contains("club.example"), "{status}");
    ensure!(at_edge(&lab)?.contains("REFUSED"), "the edge has a zone of club.example");

    mail_passes(&lab).map_err(|error| lab.explain(error))?;

    home.run(["postern-home", "domain", "dns", "club.example", "here"])?.success()?;
    wait_until("the edge serves club.example", Duration::from_secs(20), || {
        let answer = at_edge(&lab)?;
        ensure!(answer.contains("ns1.club.example."), "{answer}");
        Ok(())
    })?;
    home.run(["postern-home", "domain", "dns", "club.example", "external"])?.success()?;
    wait_until("the edge serves it no longer", Duration::from_secs(20), || {
        let answer = at_edge(&lab)?;
        ensure!(answer.contains("REFUSED"), "{answer}");
        Ok(())
    })?;
    let (code, answer) = ask(&lab, &["dns", "delegation", "home.example"])?;
    ensure!(code == 0, "{answer}");
    let refused = home.run(["postern-home", "domain", "dns", "home.example", "external"])?;
    ensure!(refused.code() == 1 && refused.stderr.contains("--now"), "{}", refused.stderr);
    home.run(["postern-home", "domain", "dns", "home.example", "external", "--now"])?.success()?;
    Ok(())
}

/// Mail in and out in the name of the domain, judged by the stranger.
fn mail_passes(lab: &Lab) -> Result<()> {
    let out = mail::plain_message("ana@club.example", mail::SAM, "from the club");
    lab.submit(465, "ana@club.example", mail::SAM, &out)?.success()?;
    let arrived = lab.await_stranger_message("from the club")?;
    let verdict = lab.authenticate(&arrived)?;
    ensure!(verdict.dkim.iter().all(|signature| signature.d == "club.example"), "{verdict:?}");
    verdict.require_pass()?;
    lab.send_from_stranger(
        "ana@club.example",
        &mail::plain_message(mail::SAM, "ana@club.example", "to the club"),
    )?;
    lab.await_ana_message("to the club").map(drop)
}
