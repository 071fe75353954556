//! Zones of other servers, taken over.

use super::*;
use crate::zone::build;
use crate::zone::tests::facts;

/// As BIND's `named-compilezone` writes it, with what Cloudflare and a signer add.
const ZONE: &str = r#"$ORIGIN home.example.
$TTL 3600
@                       IN SOA  ns1.old.example. admin.old.example. 2024010101 3600 600 1209600 300
@                       IN NS   ns1.old.example.
@                       IN MX   10 mail.old.example.
@                       IN TXT  "v=spf1 mx ip4:198.51.100.7 include:servers.news.example ~all"
@                       IN TXT  "google-site-verification=abc"
@                       IN A    198.51.100.80
@                       IN CAA  0 issue "ca.example"
@                       IN DNSKEY 257 3 13 AAAA
@                       IN TYPE65534 \# 5 0d00010000
mail                    IN A    198.51.100.25
_dmarc                  IN TXT  "v=DMARC1; p=reject; rua=mailto:d@reports.example"
_imaps._tcp             IN SRV  0 1 993 mail.old.example.
_pop3s._tcp             IN SRV  0 1 995 pop.old.example.
news._domainkey         IN CNAME news.keys.example.
www.home.example.    1  IN A    198.51.100.80 ; cf_tags=cf-proxied:true
*.apps                  IN CNAME www
sub                     IN NS   ns.sub
ns.sub                  IN A    198.51.100.53
here                    IN LOC  52 22 23 N 4 53 32 E 1m
"#;

fn fates(plan: &Plan) -> Vec<(usize, &Fate)> {
    plan.read.iter().map(|read| (read.line, &read.fate)).collect()
}

#[test]
fn what_postern_does_not_make_is_kept() {
    let mut facts = facts("home.example", "mail.home.example");
    let plan = plan(&facts, ZONE).expect("planned");
    assert_eq!(plan.refused, []);
    let replaced = |text: &str| Fate::Replaced(text.to_owned());
    let others: Vec<_> = fates(&plan).into_iter().filter(|(_, fate)| **fate != Fate::Kept).collect();
    assert_eq!(
        others,
        [
            (3, &Fate::Made),
            (4, &Fate::Made),
            (5, &replaced("MX 10 mail.home.example.")),
            (10, &Fate::Made),
            (11, &Fate::Made),
            (12, &replaced("A 192.0.2.1")),
            (14, &replaced("SRV 0 1 993 mail.home.example.")),
        ]
    );
    facts.own = plan.added;
    let zone = build(&facts, 1).expect("built").records().expect("servable");
    let shown: String = zone.iter().map(crate::zone::text::line).collect();
    for line in [
        "home.example. 3600 IN TXT \"v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 ip4:198.51.100.7 include:servers.news.example -all\"",
        "home.example. 3600 IN TXT \"google-site-verification=abc\"",
        "home.example. 3600 IN A 198.51.100.80",
        "home.example. 3600 IN CAA 0 issue \"ca.example\"",
        "_dmarc.home.example. 3600 IN TXT \"v=DMARC1; p=reject; rua=mailto:d@reports.example\"",
        "_pop3s._tcp.home.example. 3600 IN SRV 0 1 995 pop.old.example.",
        "news._domainkey.home.example. 3600 IN CNAME news.keys.example.",
        "www.home.example. 300 IN A 198.51.100.80",
        "*.apps.home.example. 3600 IN CNAME www.home.example.",
        "sub.home.example. 3600 IN NS ns.sub.home.example.",
        "ns.sub.home.example. 3600 IN A 198.51.100.53",
    ] {
        assert!(shown.contains(&format!("{line}\n")), "{line} is not in\n{shown}");
    }
    let again = super::plan(&facts, ZONE).expect("planned");
    assert!(fates(&again).iter().all(|(_, fate)| **fate != Fate::Kept), "{:?}", again.read);
    assert_eq!(again.refused, []);
}

#[test]
fn every_line_that_cannot_be_taken_is_named() {
    let facts = facts("home.example", "mail.home.example");
    let file = "@ CNAME www.shop.example.
a A 192.0.2
www.other.example. A 192.0.2.1
b TXT x
b CNAME c
d DNAME e
$INCLUDE more
f NS ns.f
g TYPE300 words
";
    let plan = plan(&facts, file).expect("planned");
    let lines: Vec<_> = plan.refused.iter().map(|refused| refused.line).collect();
    assert_eq!(lines, [1, 2, 3, 5, 6, 7, 9].map(Some), "{:?}", plan.refused);
    let delegation = super::plan(&facts, "f NS ns.f\n").expect("planned");
    assert!(delegation.refused[0].reason.contains("add an A or AAAA record"), "{:?}", delegation.refused);
}

#[test]
fn an_export_of_the_zone_is_taken_back_whole() {
    let mut facts = facts("home.example", "mail.home.example");
    facts.own = plan(&facts, ZONE).expect("planned").added;
    let zone = build(&facts, 1).expect("built");
    let export = crate::zone::text::master_file(&zone).expect("written");
    let plan = plan(&facts, &export).expect("planned");
    assert_eq!(plan.refused, []);
    let again = own::with(&facts, &plan.added);
    assert_eq!(build(&again, 1).expect("built").digest(), zone.digest());
}

#[test]
fn a_policy_of_the_former_provider_is_not_kept() {
    let facts = facts("home.example", "mail.home.example");
    let file = "_mta-sts TXT \"v=STSv1; id=1;\"\nMTA-STS CNAME policies.old.example.\nautoconfig A 198.51.100.80\n\
                autodiscover CNAME outlook.old.example.\nwww A 198.51.100.80\n";
    let plan = plan(&facts, file).expect("planned");
    assert_eq!(plan.refused, []);
    let kept: Vec<_> = fates(&plan).into_iter().filter(|(_, fate)| **fate == Fate::Kept).collect();
    assert_eq!(kept, [(5, &Fate::Kept)]);
    assert_eq!(plan.added.len(), 1);
    assert_eq!(plan.read.len(), 5);
}

/// One zone as NSD 4.6 and Knot 3.2 have written it, and in the form of Cloudflare's export: owners without a final dot,
/// TTLs of 1, remarks behind records.
const EXPORTS: [(&str, &str); 3] = [
    ("NSD", include_str!("exports/nsd.zone")),
    ("Knot", include_str!("exports/knot.zone")),
    ("Cloudflare", include_str!("exports/cloudflare.zone")),
];

#[test]
fn one_zone_is_the_same_from_whatever_server_it_comes() {
    let facts = facts("home.example", "mail.home.example");
    let [nsd, knot, cloudflare] = EXPORTS.map(|(server, file)| {
        let plan = plan(&facts, file).expect("planned");
        assert_eq!(plan.refused, [], "{server}");
        let mut added: Vec<_> =
            plan.added.into_iter().map(|own| (own.owner, own.record_type, own.rdata, own.ttl)).collect();
        added.sort();
        added
    });
    assert_eq!(nsd.len(), 12);
    assert_eq!(nsd, knot);
    // The provider has neither LOC nor types without a name.
    let is_shared = |record: &&(String, u16, Vec<u8>, u32)| ![29, 65280].contains(&record.1);
    let without_ttl =
        |(owner, record_type, rdata, _): (String, u16, Vec<u8>, u32)| (owner, record_type, rdata);
    let shared: Vec<_> = nsd.iter().filter(is_shared).cloned().map(without_ttl).collect();
    assert!(cloudflare.iter().all(|(.., ttl)| *ttl == 300), "{cloudflare:?}");
    assert_eq!(cloudflare.into_iter().map(without_ttl).collect::<Vec<_>>(), shared);
}
