//! Records as people write them.

use std::sync::LazyLock;

use super::*;
use crate::web::WebName;
use crate::zone::build;
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
        "_sip._tcp SRV 0 5 5060 www.home.example.",
        "* TXT any",
        "ns.sub A 192.0.2.8",
        "sub NS ns.sub.home.example.",
        "sub DS 60485 8 2 D4B7D520E7BB5F0F67674A0CCEB1E3E0614B93C4F9E99B8383F6A1E4469DA50A",
        "ns.sub AAAA 2001:db8::8",
        "far NS ns.elsewhere.example.",
        "@ CAA 0|issue|ca.example; validationmethods=dns-01",
        "place LOC 52 22 23 N 4 53 32 E 1m",
        "_pop3s._tcp SRV 0 1 995 pop.home.example.",
        "_dmarc TXT v=DMARC1; p=reject",
        "@ TXT v=spf1 mx include:servers.example ~all",
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
        "home.example. 3600 IN CAA 0 issue \"ca.example; validationmethods=dns-01\"",
        "place.home.example. 3600 IN LOC 52 22 23.000 N 4 53 32.000 E 1.00m 1.00m 10000.00m 10.00m",
        "_pop3s._tcp.home.example. 3600 IN SRV 0 1 995 pop.home.example.",
        "_dmarc.home.example. 3600 IN TXT \"v=DMARC1; p=reject\"",
        "home.example. 3600 IN TXT \"v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 include:servers.example -all\"",
        "*.home.example. 3600 IN TXT \"any\"",
        "odd.home.example. 3600 IN TYPE65280 \\# 2 01ff",
        "four.home.example. 3600 IN A 192.0.2.9",
    ] {
        assert!(shown.contains(&format!("{line}\n")), "{line} is not in\n{shown}");
    }
    assert!(
        !shown.contains("p=none") && !shown.contains("_pop3s._tcp.home.example. 3600 IN SRV 0 0 0 ."),
        "{shown}"
    );
}

#[test]
fn what_cannot_be_is_refused_with_its_reason() {
    let mut facts = facts("home.example", "mail.home.example");
    add(&mut facts, "www A 192.0.2.7");
    add(&mut facts, "sub NS ns.elsewhere.example.");
    let long = format!("x TXT {}", "y".repeat(256));
    for (line, reason) in [
        ("www.other.example. A 192.0.2.7", "is not a name in the zone of home.example: write `@`"),
        ("a..b A 192.0.2.7", "is not a name in the zone"),
        ("@ SOA x", "made by Postern itself"),
        ("x DNSKEY 257 3 13 AAAA", "made by Postern itself"),
        ("x DNAME elsewhere.example.", "write a CNAME record for each name"),
        ("x NONSENSE 1", "is not a record type"),
        (
            "x A 192.0.2",
            "x.home.example. A: ADDRESS: expected an IPv4 address such as 192.0.2.7, found `192.0.2`",
        ),
        ("x A 192.0.2.1 192.0.2.2", "one word too many"),
        ("x TLSA 3 1 1 not-hex", "DATA: expected hexadecimal digits"),
        ("x TYPE65280 \\# 3 01ff", "RFC 3597"),
        (
            "@ MX 10 elsewhere.example.",
            "home.example. MX: Postern publishes `MX 10 mail.home.example.` there itself",
        ),
        ("@ NS ns.elsewhere.example.", "which servers answer for the domain is Postern's to say"),
        ("mail A 192.0.2.9", "Postern publishes `A 192.0.2.1`"),
        ("@ TXT v=spf1 inlcude:a.example -all", "`inlcude:a.example` is no mechanism of SPF"),
        ("mail TXT v=spf1 -all", "Postern publishes `TXT \"v=spf1 "),
        ("@ CNAME elsewhere.example.", "cannot stand at the domain itself"),
        ("www CNAME mail", "a CNAME cannot stand beside other"),
        ("mail CNAME www", "Postern publishes `"),
        ("_imaps._tcp SRV 0 1 993 elsewhere.example.", "Postern publishes `SRV 0 1 993 mail.home.example.`"),
        ("www DS 1 13 2 00", "add the NS records of this name first"),
        ("_tcp NS ns.elsewhere.example.", "would hand `_imap._tcp.home.example.` over"),
        ("x.sub TXT hidden", "`sub.home.example.` is delegated to other servers"),
        ("sub TXT hidden", "is delegated to other servers"),
        ("*.y NS ns.elsewhere.example.", "a wildcard cannot be delegated"),
        ("z NS ns.z", "`ns.z.home.example.` can be found by its address in this zone only"),
        (long.as_str(), "give a longer one as several, which readers join"),
        ("x TXT a\n$INCLUDE /etc/passwd", "control character"),
        ("x TXT \"open", "a quotation mark is not closed"),
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
fn a_second_policy_of_a_kind_is_refused_and_a_name_with_a_cname_takes_nothing_else() {
    let mut facts = facts("home.example", "mail.home.example");
    add(&mut facts, "_dmarc TXT v=DMARC1; p=reject");
    let refused = try_add(&mut facts, "_dmarc TXT v=DMARC1; p=none").expect_err("two policies");
    assert!(refused.contains("another record that begins with `v=DMARC1`"), "{refused}");
    add(&mut facts, "shop CNAME shops.example.");
    let refused = try_add(&mut facts, "shop TXT x").expect_err("beside a CNAME");
    assert!(refused.contains("shop.home.example. CNAME: a CNAME cannot stand beside"), "{refused}");
}

#[test]
fn a_record_where_postern_has_come_to_publish_is_left_out_and_named() {
    let mut facts = facts("home.example", "mail.home.example");
    add(&mut facts, "mx A 192.0.2.7");
    assert!(left_out(&facts).expect("read").is_empty());
    facts.hostname = "mx.home.example".parse().expect("a name");
    let zone = build(&facts, 1).expect("the zone goes on");
    let records = zone.records().expect("servable");
    let of_host: Vec<String> = records
        .iter()
        .filter(|it| it.name.to_ascii() == "mx.home.example." && it.record_type() == RecordType::A)
        .map(|it| it.data.to_string())
        .collect();
    assert_eq!(of_host, ["192.0.2.1"]);
    let left_out = left_out(&facts).expect("read");
    assert!(
        matches!(left_out.as_slice(), [(_, Clash::Managed(what))] if what == "A 192.0.2.1"),
        "{left_out:?}"
    );
    add(&mut facts, "other A 192.0.2.7");
}

#[test]
fn an_rrset_has_the_least_ttl_of_its_records() {
    let mut facts = facts("home.example", "mail.home.example");
    let data = ["x".to_owned()];
    let own =
        read(&facts, Written { owner: "@", record_type: "TXT", ttl: Some(60), data: &data }).expect("read");
    facts.own.push(own);
    let records = build(&facts, 1).expect("servable").records().expect("servable");
    let ttls = records.iter().filter(|it| it.record_type() == RecordType::TXT && it.name.num_labels() == 2);
    assert_eq!(ttls.map(|it| it.ttl).collect::<Vec<_>>(), [60, 60]);
    let too_long = Written { owner: "y", record_type: "TXT", ttl: Some(1 << 31), data: &data };
    assert!(matches!(read(&facts, too_long), Err(OwnRecordError::Ttl)));
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

/// Made once, since keys take their time.
static FACTS: LazyLock<Facts> = LazyLock::new(|| facts("home.example", "mail.home.example"));

proptest::proptest! {
    #[test]
    fn any_text_survives_as_it_is_listed(texts in proptest::collection::vec("[ -~]{0,100}", 1..4)) {
        let facts = &*FACTS;
        // What begins with a quotation mark is read as in a master file, and so is RFC 3597's form of any data.
        let is_master = |text: &String| text.trim_start().starts_with('"') || text.starts_with("\\#");
        let texts: Vec<String> = texts.into_iter().filter(|text| !is_master(text)).collect();
        proptest::prop_assume!(!texts.is_empty());
        let written = |data| Written { owner: "x", record_type: "TXT", ttl: None, data };
        let own = read(facts, written(&texts)).expect("texts");
        let expected: Vec<u8> =
            texts.iter().flat_map(|text| [&[text.len() as u8], text.as_bytes()].concat()).collect();
        proptest::prop_assert_eq!(&own.rdata, &expected);
        let listed = [text::rdata(&record(&own).expect("a record").data)];
        proptest::prop_assert_eq!(&read(facts, written(&listed)).expect("as listed"), &own);
    }
}
