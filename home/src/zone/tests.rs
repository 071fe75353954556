//! Zones as the world will see them.

use hickory_proto::rr::RecordType;
use postern_store::directory::Directory;

use super::*;
use crate::web::WebName;

/// The facts of one domain of a real directory, behind one edge.
pub(super) fn facts(domain: &str, hostname: &str) -> Facts {
    let state_dir = tempfile::tempdir().expect("temporary directory");
    let directory = Directory::open(state_dir.path()).expect("opened");
    let domain: DomainName = domain.parse().expect("a domain");
    directory.add_domain(&domain).expect("added");
    let addresses = ["192.0.2.1", "2001:db8::1"].map(|text| text.parse().expect("an address")).to_vec();
    Facts {
        dkim_keys: directory.dkim_keys(&domain),
        domain,
        hostname: hostname.parse().expect("a name"),
        offered: [ServiceKind::Imaps, ServiceKind::Submissions].into(),
        own: Vec::new(),
        unreadable: Vec::new(),
        presence: Presence::default(),
        secondaries: Vec::new(),
        relays: Vec::new(),
        mail_addresses: addresses.clone(),
        addresses,
        issuance: Issuance::default(),
    }
}

/// The data of the records of one name and type, in presentation form.
fn data(zone: &Zone, owner: &str, record_type: RecordType) -> Vec<String> {
    let records = zone.records().expect("a valid zone");
    let wanted = records.iter().filter(|record| record.name.to_ascii() == owner);
    wanted
        .filter(|record| record.record_type() == record_type)
        .map(|record| record.data.to_string())
        .collect()
}

/// The text of the one TXT record of a name, its character-strings joined.
fn text(zone: &Zone, owner: &str) -> String {
    let records = zone.records().expect("a valid zone");
    let mut texts = records.iter().filter(|record| record.name.to_ascii() == owner).filter_map(|record| {
        let RData::TXT(txt) = &record.data else { return None };
        assert!(txt.txt_data.iter().all(|string| string.len() <= 255));
        String::from_utf8(txt.txt_data.concat()).ok()
    });
    let text = texts.next().expect("a TXT record");
    assert_eq!(texts.next(), None, "one TXT record at {owner}");
    text
}

#[test]
fn a_zone_has_all_that_mail_needs() {
    let zone = build(&facts("home.example", "mail.home.example"), 7).expect("built");
    assert_eq!((zone.origin.as_str(), zone.serial), ("home.example.", 7));
    assert_eq!(
        data(&zone, "home.example.", RecordType::SOA),
        ["ns1.home.example. postmaster.home.example. 7 3600 600 1209600 300"]
    );
    assert_eq!(data(&zone, "home.example.", RecordType::NS), ["ns1.home.example.", "ns2.home.example."]);
    for host in ["ns1.home.example.", "ns2.home.example.", "mail.home.example."] {
        assert_eq!(data(&zone, host, RecordType::A), ["192.0.2.1"], "{host}");
        assert_eq!(data(&zone, host, RecordType::AAAA), ["2001:db8::1"], "{host}");
    }
    assert_eq!(data(&zone, "home.example.", RecordType::MX), ["10 mail.home.example."]);
    assert_eq!(data(&zone, "_imaps._tcp.home.example.", RecordType::SRV), ["0 1 993 mail.home.example."]);
    assert_eq!(data(&zone, "_submission._tcp.home.example.", RecordType::SRV), ["0 0 0 ."]);
    assert_eq!(data(&zone, "_pop3s._tcp.home.example.", RecordType::SRV), ["0 0 0 ."]);
    for (host, spf) in [
        ("ns1.home.example.", "v=spf1 -all"),
        ("ns2.home.example.", "v=spf1 -all"),
        ("mail.home.example.", "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all"),
    ] {
        assert_eq!(data(&zone, host, RecordType::MX), ["0 ."], "{host}");
        assert_eq!(text(&zone, host), spf);
    }
    assert_eq!(text(&zone, "_smtp._tls.home.example."), "v=TLSRPTv1; rua=mailto:postmaster@home.example");
    assert_eq!(text(&zone, "home.example."), "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all");
    assert_eq!(text(&zone, "_dmarc.home.example."), "v=DMARC1; p=none; rua=mailto:postmaster@home.example");
}

#[test]
fn the_published_keys_are_those_that_sign() {
    let facts = facts("home.example", "mail.home.example");
    let zone = build(&facts, 1).expect("built");
    for key in &facts.dkim_keys {
        let record = text(&zone, &format!("{}._domainkey.home.example.", key.selector));
        let (tags, public_key) = record.split_once("p=").expect("a key");
        assert_eq!(tags, format!("v=DKIM1; k={}; ", key.algorithm.key_type()));
        let octets = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, public_key);
        assert_eq!(octets.as_deref(), Ok(key.public_key.as_slice()));
    }
}

#[test]
fn a_second_domain_points_to_the_one_mail_host() {
    let zone = build(&facts("other.example", "mail.home.example"), 1).expect("built");
    assert_eq!(data(&zone, "other.example.", RecordType::MX), ["10 mail.home.example."]);
    assert_eq!(data(&zone, "mail.other.example.", RecordType::A), ["192.0.2.1"]);
    assert_eq!(data(&zone, "mail.home.example.", RecordType::A), [""; 0]);
}

#[test]
fn a_host_name_of_its_own_inside_the_zone_gets_addresses() {
    let zone = build(&facts("home.example", "mx.home.example"), 1).expect("built");
    assert_eq!(data(&zone, "mx.home.example.", RecordType::A), ["192.0.2.1"]);
    assert_eq!(data(&zone, "home.example.", RecordType::MX), ["10 mx.home.example."]);
}

#[test]
fn only_the_serial_tells_two_builds_apart() {
    let facts = facts("home.example", "mail.home.example");
    let (one, same, next) = (build(&facts, 1), build(&facts, 1), build(&facts, 2));
    assert_eq!(one, same);
    assert_ne!(one, next);
}

#[test]
fn mail_is_found_at_homes_own_address_and_names_at_the_edge() {
    let mut facts = facts("home.example", "mail.home.example");
    facts.mail_addresses =
        ["192.0.2.1", "2001:db8:ed::25"].map(|text| text.parse().expect("an address")).to_vec();
    let zone = build(&facts, 1).expect("built");
    assert_eq!(data(&zone, "mail.home.example.", RecordType::AAAA), ["2001:db8:ed::25"]);
    assert_eq!(data(&zone, "ns1.home.example.", RecordType::AAAA), ["2001:db8::1"]);
    assert_eq!(text(&zone, "home.example."), "v=spf1 ip4:192.0.2.1 ip6:2001:db8:ed::25 -all");
}

/// Facts of `home.example` with everything that certificates can ask for.
#[test]
fn relays_that_carry_the_mail_are_included_in_spf() {
    let relays = vec!["spf.relay.example".parse().expect("a name")];
    let zone = build(&Facts { relays, ..facts("home.example", "mail.home.example") }, 1).expect("built");
    let spf = text(&zone, "home.example.");
    assert!(spf.ends_with(" include:spf.relay.example -all"), "{spf}");
}

fn with_issuance() -> Facts {
    let name = |text: &str| text.parse().expect("a name");
    let issuance = Issuance {
        host: Some((name("mail.home.example"), vec![[1; 32], [2; 32]])),
        issuers: vec![issuance::Issuer {
            authority: "authority.example".to_owned(),
            account: "https://authority.example/account/7".to_owned(),
        }],
        challenges: vec![
            issuance::Challenge { name: name("mail.home.example"), digest: "one".to_owned() },
            issuance::Challenge { name: name("mta-sts.other.example"), digest: "two".to_owned() },
        ],
    };
    let facts = facts("home.example", "mail.home.example");
    let (home, other) = (facts.domain.clone(), name("other.example"));
    Facts { issuance: issuance.of(&home, &[&home, &other]), ..facts }
}

#[test]
fn keys_issuers_and_challenges_are_in_the_zone_that_they_belong_to() {
    let zone = build(&with_issuance(), 1).expect("built");
    for port in [25, 465, 587, 993, 995, 443] {
        let records = data(&zone, &format!("_{port}._tcp.mail.home.example."), RecordType::TLSA);
        assert_eq!(records, ["01", "02"].map(|octet| format!("3 1 1 {}", octet.repeat(32))), "{port}");
    }
    let caa = "0 issue \"authority.example; accounturi=https://authority.example/account/7; validationmethods=dns-01\"";
    assert_eq!(data(&zone, "home.example.", RecordType::CAA), [caa]);
    assert_eq!(text(&zone, "_acme-challenge.mail.home.example."), "one");
    let names: Vec<String> =
        zone.records().expect("records").iter().map(|record| record.name.to_ascii()).collect();
    assert!(!names.iter().any(|name| name.contains("other")), "{names:?}");
}

#[test]
fn the_web_services_names_are_published_with_their_certificates_alone() {
    let mut facts = facts("home.example", "mail.home.example");
    let addresses = |facts: &Facts, host: &str| data(&build(facts, 1).expect("built"), host, RecordType::A);
    let hosts = ["mta-sts.home.example.", "autoconfig.home.example.", "autodiscover.home.example."];
    for host in hosts {
        assert_eq!(addresses(&facts, host), [""; 0], "{host}");
    }
    facts.presence.certified = WebName::ALL.into();
    for host in hosts {
        assert_eq!(addresses(&facts, host), ["192.0.2.1"], "{host}");
    }
    let zone = build(&facts, 1).expect("built");
    let id = facts.presence.policy(&facts.hostname).expect("a policy").id();
    assert_eq!(text(&zone, "_mta-sts.home.example."), format!("v=STSv1; id={id};"));
    assert_eq!(data(&zone, "mta-sts.home.example.", RecordType::MX), ["0 ."]);
}

/// The zone's CAA records at a name, with these of the operator's.
fn caa_with(own: &[(&str, &str)], owner: &str) -> Vec<String> {
    let mut facts = with_issuance();
    for (owner, text) in own {
        let data: Vec<String> = text.split(' ').map(str::to_owned).collect();
        let written = own::Written { owner, record_type: "CAA", ttl: None, data: &data };
        facts.own.push(own::read(&facts, written).expect("an own record"));
    }
    data(&build(&facts, 1).expect("built"), owner, RecordType::CAA)
}

#[test]
fn an_own_caa_record_takes_nothing_from_homes_account() {
    let issue = "0 issue \"authority.example; accounturi=https://authority.example/account/7; validationmethods=dns-01\"";
    let wild = issue.replace("issue ", "issuewild ");
    let nearer = caa_with(&[("mail", "0 issue other.example")], "mail.home.example.");
    assert_eq!(nearer, [issue, "0 issue \"other.example\""], "the nearest records count");
    let elsewhere = caa_with(&[("www", "0 issue other.example")], "www.home.example.");
    assert_eq!(elsewhere, ["0 issue \"other.example\""], "there is no host of home's");
    let with_wild = caa_with(&[("@", "0 issuewild other.example")], "home.example.");
    assert_eq!(with_wild, [issue, wild.as_str(), "0 issuewild \"other.example\""]);
}

#[test]
fn a_critical_caa_record_of_an_unknown_kind_is_refused() {
    let facts = with_issuance();
    let read = |tag: &str| {
        let data = ["128", tag, "x"].map(str::to_owned);
        own::read(&facts, own::Written { owner: "@", record_type: "CAA", ttl: None, data: &data })
    };
    assert!(read("iodef").is_ok());
    let refused = read("newthing").expect_err("critical").to_string();
    assert!(refused.contains("unknown tag `newthing`"), "{refused}");
}

#[test]
fn an_account_that_no_record_can_name_is_left_out_and_the_zone_goes_on() {
    for (authority, account) in [
        ("no name!", "https://authority.example/7"),
        ("authority.example", "https://authority.example/7; validationmethods=http-01"),
        ("authority.example", "https://authority.example/\u{e9}"),
        ("authority.example", ""),
        ("", "https://authority.example/7"),
    ] {
        let mut facts = with_issuance();
        let malformed = issuance::Issuer { authority: authority.to_owned(), account: account.to_owned() };
        assert!(malformed.check().is_err(), "{authority} {account}");
        facts.issuance.issuers.push(malformed);
        let zone = build(&facts, 1).expect("the zone goes on");
        assert_eq!(data(&zone, "home.example.", RecordType::CAA).len(), 1, "{authority} {account}");
    }
}
