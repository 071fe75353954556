//! Records as people write them.

use super::*;
use crate::zone::tests::facts;

fn try_add(facts: &mut Facts, line: &str) -> Result<(), String> {
    let (owner, rest) = line.split_once(' ').expect("an owner");
    let (record_type, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let data: Vec<String> = rest.split('|').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let written = Written { owner, record_type, ttl: None, data: &data };
    let own = read(facts, written).map_err(|error| error.to_string())?;
    facts.own.push(own);
    Ok(())
}

fn add(facts: &mut Facts, line: &str) {
    try_add(facts, line).unwrap_or_else(|error| panic!("{line}: {error}"));
}

#[test]
fn own_records_stand_in_the_zone() {
    let mut facts = facts("home.example", "mail.home.example");
    for line in [
        "www A 192.0.2.7",
        "WWW aaaa 2001:db8::7",
        "blog CNAME www",
        "@ TXT google-site-verification=abc def",
        "@ TXT \"quoted; text\"|second \"part\"",
        "@ NS ns.secondary.example.",
        "_sip._tcp SRV 0 5 5060 www.home.example.",
        "* TXT any",
        "sub NS ns.sub.home.example.",
        "sub DS 60485 8 2 D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A",
        "ns.sub A 192.0.2.8",
        "odd TYPE65280 \\# 2 01ff",
        "four.home.example. A \\# 4 c0000209",
    ] {
        add(&mut facts, line);
    }
    let zone = build(&facts, 1).expect("servable").records().expect("servable");
    let shown: String = zone.iter().map(text::line).collect();
    for line in [
        "www.home.example. 3600 IN A 192.0.2.7",
        "blog.home.example. 3600 IN CNAME www.home.example.",
        "home.example. 3600 IN TXT \"google-site-verification=abc def\"",
        "home.example. 3600 IN TXT \"quoted; text\" \"second \\\"part\\\"\"",
        "home.example. 3600 IN NS ns.secondary.example.",
        "*.home.example. 3600 IN TXT \"any\"",
        "odd.home.example. 3600 IN TYPE65280 \\# 2 01ff",
        "four.home.example. 3600 IN A 192.0.2.9",
    ] {
        assert!(shown.contains(&format!("{line}\n")), "{line} is not in\n{shown}");
    }
}

#[test]
fn what_cannot_be_is_refused_with_its_reason() {
    let mut facts = facts("home.example", "mail.home.example");
    add(&mut facts, "www A 192.0.2.7");
    let long = format!("x TXT {}", "y".repeat(256));
    for (line, reason) in [
        ("www.other.example. A 192.0.2.7", "is not a name in the zone"),
        ("a..b A 192.0.2.7", "is not a name in the zone"),
        ("@ SOA x", "made by Postern itself"),
        ("x DNSKEY 257 3 13 AAAA", "made by Postern itself"),
        ("x NONSENSE 1", "is not a record type"),
        ("x A 192.0.2", "not those of a A record"),
        ("x A 192.0.2.1 192.0.2.2", "not"),
        ("x TLSA 3 1 1 not-hex", "not those of a TLSA record"),
        ("x TYPE65280 \\# 3 01ff", "RFC 3597"),
        ("@ MX 10 elsewhere.example.", "Postern publishes MX"),
        ("mail A 192.0.2.9", "Postern publishes A"),
        ("@ TXT v=spf1 -all", "SPF record already"),
        ("www CNAME mail", "CNAME beside other"),
        ("mail CNAME www", "CNAME beside other"),
        ("www DS 1 13 2 00", "delegation"),
        (long.as_str(), "longer than 255 octets"),
        ("x TXT a\n$INCLUDE /etc/passwd", "control character"),
    ] {
        let refused = try_add(&mut facts, line).expect_err(line);
        assert!(refused.contains(reason), "{line}: {refused}");
    }
}

#[test]
fn a_record_is_found_again_by_what_was_written() {
    let mut facts = facts("home.example", "mail.home.example");
    add(&mut facts, "www A 192.0.2.7");
    let data = ["192.0.2.7".to_owned()];
    let written = Written { owner: "WWW", record_type: "a", ttl: None, data: &data };
    let (owner, record_type, rdata) = key(&facts, written).expect("a key");
    let own = &facts.own[0];
    assert_eq!((owner, record_type, rdata), (own.owner.clone(), own.record_type, Some(own.rdata.clone())));
    let all = key(&facts, Written { data: &[], ..written }).expect("a key");
    assert_eq!(all.2, None);
}

#[test]
fn the_web_services_names_yield_to_own_records() {
    let mut facts = facts("home.example", "mail.home.example");
    facts.presence.certified = WebName::ALL.into();
    for line in [
        "autoconfig CNAME settings.provider.example.",
        "_mta-sts TXT v=STSv1; id=mine;",
        "mta-sts A 192.0.2.7",
    ] {
        add(&mut facts, line);
    }
    add(&mut facts, "mta-sts A 192.0.2.8");
    let zone = build(&facts, 1).expect("servable").records().expect("servable");
    let at = |owner: &str| -> String {
        let lines =
            zone.iter().map(text::line).filter(|line| line.starts_with(&format!("{owner}.home.example. ")));
        lines.collect()
    };
    assert_eq!(at("autoconfig"), "autoconfig.home.example. 3600 IN CNAME settings.provider.example.\n");
    assert_eq!(at("_mta-sts"), "_mta-sts.home.example. 3600 IN TXT \"v=STSv1; id=mine;\"\n");
    assert_eq!(at("mta-sts").matches(" IN ").count(), 2, "{}", at("mta-sts"));
    assert!(at("autodiscover").contains(" IN AAAA 2001:db8::1\n"));
    assert!(try_add(&mut facts, "mail A 192.0.2.7").is_err());
}
