//! Delegations in every state.

use hickory_proto::dnssec::rdata::{DNSKEY, DS};
use hickory_proto::dnssec::{Algorithm, DigestType, PublicKeyBuf};
use hickory_proto::rr::Name;

use super::super::parent::tests::name;
use super::*;

const EDGE: [&str; 2] = ["192.0.2.10", "2001:db8:ed::10"];

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn key(octet: u8) -> DNSKEY {
    DNSKEY::with_flags(257, PublicKeyBuf::new(vec![octet; 64], Algorithm::ECDSAP256SHA256))
}

fn ds_of(key: &DNSKEY) -> DS {
    let digest = key.to_digest(&domain(), DigestType::SHA256).expect("a digest");
    let tag = key.calculate_key_tag().expect("a tag");
    DS::new(tag, Algorithm::ECDSAP256SHA256, DigestType::SHA256, digest.as_ref().to_vec())
}

fn domain() -> Name {
    name("home.example.")
}

fn hosts() -> [Name; 2] {
    ["ns1.home.example.", "ns2.home.example."].map(name)
}

fn wanted() -> Wanted {
    Wanted {
        domain: domain(),
        name_servers: hosts().into(),
        glue: hosts().map(|host| (host, EDGE.map(address).into())).into(),
        keys: vec![key(7)],
        vouched: vec![key(7)],
    }
}

/// What a parent has that has everything.
fn right() -> Held {
    let Wanted { name_servers, glue, .. } = wanted();
    Held { name_servers, glue: Some(glue), ds: vec![ds_of(&key(7))], is_signed: true, ttl: 3600 }
}

fn server(last: u8) -> Server {
    Server { host: name("ns.nic.test."), address: IpAddr::from([198, 18, 1, last]) }
}

fn judged(held: impl IntoIterator<Item = Result<Held, Fault>>, serving: &[Serving]) -> Delegation {
    let observed: Vec<Observed> =
        held.into_iter().zip(1..).map(|(outcome, last)| (server(last), outcome)).collect();
    judge(&"home.example".parse().expect("a domain"), &wanted(), "example", &observed, serving)
}

/// The findings where all servers of the parent have this.
fn findings(held: Held) -> (State, Vec<Finding>) {
    let delegation = judged([Ok(held.clone()), Ok(held)], &[]);
    let findings = delegation.findings.into_iter().map(|noted| noted.finding);
    (delegation.state, findings.collect())
}

#[test]
fn a_parent_that_has_everything_is_right() {
    let delegation = judged([Ok(right()), Err(Fault::NoRoute)], &[(server(9), Ok(7))]);
    assert_eq!((delegation.state, delegation.findings), (State::Right, Vec::new()));
    assert_eq!(delegation.trouble, None);
    assert_eq!(delegation.servers[0].serial, Some(7));
    assert_eq!(
        findings(Held { glue: None, ..right() }),
        (State::Right, Vec::new()),
        "a server of both zones"
    );
}

#[test]
fn what_is_missing_or_wrong_is_told_one_by_one() {
    let host = || "ns1.home.example".to_owned();
    assert_eq!(
        findings(Held { name_servers: BTreeSet::new(), ..right() }),
        (State::Broken, vec![Finding::NotDelegated])
    );
    let [one, _] = hosts();
    let other = name("ns.old.example.");
    assert_eq!(
        findings(Held { name_servers: [one.clone(), other].into(), ..right() }),
        (
            State::Todo,
            vec![
                Finding::NameServerMissing { host: "ns2.home.example".to_owned() },
                Finding::NameServerExtra { host: "ns.old.example".to_owned() },
            ]
        )
    );
    let mut held = right();
    let old = address("192.0.2.77");
    held.glue.as_mut().expect("glue").insert(one, [old, address(EDGE[1])].into());
    assert_eq!(
        findings(held),
        (
            State::Todo,
            vec![
                Finding::GlueWrong { host: host(), address: old },
                Finding::GlueMissing { host: host(), address: address(EDGE[0]) },
            ]
        )
    );
}

#[test]
fn a_ds_record_of_another_key_is_worse_than_none() {
    assert_eq!(findings(Held { ds: Vec::new(), ..right() }), (State::Todo, vec![Finding::DsMissing]));
    let unsigned = Held { ds: Vec::new(), is_signed: false, ..right() };
    assert_eq!(findings(unsigned), (State::Right, Vec::new()), "a parent without signatures holds no DS");
    let unknown = |beside_right| Finding::DsUnknown { ds: ds_of(&key(8)).to_string(), beside_right };
    assert_eq!(findings(Held { ds: vec![ds_of(&key(8))], ..right() }), (State::Broken, vec![unknown(false)]));
    let both = vec![ds_of(&key(7)), ds_of(&key(8))];
    assert_eq!(findings(Held { ds: both, ..right() }), (State::Todo, vec![unknown(true)]));
    let (tag, digest) = (ds_of(&key(7)).key_tag(), vec![0; 32]);
    let torn = DS::new(tag, Algorithm::ECDSAP256SHA256, DigestType::SHA256, digest);
    assert_eq!(findings(Held { ds: vec![torn], ..right() }).0, State::Broken, "the tag alone is no proof");
}

#[test]
fn while_keys_change_either_ds_record_will_do_and_the_new_one_is_asked_for() {
    let changing = Wanted { keys: vec![key(7), key(9)], vouched: vec![key(9)], ..wanted() };
    let judged = |ds: Vec<Vec<DS>>| {
        let observed: Vec<Observed> =
            ds.into_iter().zip(1..).map(|(ds, last)| (server(last), Ok(Held { ds, ..right() }))).collect();
        let domain = "home.example".parse().expect("a domain");
        let delegation = judge(&domain, &changing, "example", &observed, &[]);
        (
            delegation.state,
            delegation.vouches,
            delegation.findings.into_iter().next().map(|noted| noted.finding),
        )
    };
    let (old, new) = (|| vec![ds_of(&key(7))], || vec![ds_of(&key(9))]);
    let ds = format!("home.example. IN DS {}", ds_of(&key(9)));
    let outdated = Some(Finding::DsOutdated { ds });
    assert_eq!(judged(vec![old(), old()]), (State::Todo, Some(Vouches::Others), outdated.clone()));
    assert_eq!(judged(vec![old(), new()]), (State::Waiting, Some(Vouches::Others), outdated));
    assert_eq!(judged(vec![new(), new()]), (State::Right, Some(Vouches::Wanted), None));
    let both = || [old(), new()].concat();
    assert_eq!(judged(vec![both(), both()]), (State::Right, Some(Vouches::Wanted), None));
    assert_eq!(judged(vec![vec![], vec![]]).1, Some(Vouches::Wanted), "nobody validates");
    assert_eq!(judged(vec![vec![], old()]).1, Some(Vouches::Others));
}

#[test]
fn servers_that_disagree_are_waited_for() {
    let delegation = judged([Ok(right()), Ok(Held { ds: Vec::new(), ..right() })], &[]);
    assert_eq!(delegation.state, State::Waiting);
    let noted = &delegation.findings[0];
    assert_eq!((&noted.finding, noted.shown_by, noted.of), (&Finding::DsMissing, 1, 2));
    assert!(noted.advice.contains("1 of 2 servers of example"), "{}", noted.advice);
    assert_eq!(delegation.kept_seconds, 3600);
}

#[test]
fn a_server_that_does_not_have_the_zone_is_lame_and_one_out_of_reach_is_not() {
    let serving = [(server(9), Err(Fault::NotAuthoritative)), (server(10), Err(Fault::NoRoute))];
    let delegation = judged([Ok(right())], &serving);
    assert_eq!(delegation.state, State::Todo);
    let lame = Finding::Lame {
        host: "ns.nic.test".to_owned(),
        address: address("198.18.1.9"),
        fault: Fault::NotAuthoritative,
    };
    assert_eq!(delegation.findings.len(), 1);
    assert_eq!(delegation.findings[0].finding, lame);
}

#[test]
fn nothing_is_concluded_from_a_cache_or_from_silence() {
    let intercepted = judged([Err(Fault::Cache), Err(Fault::NoRoute)], &[]);
    assert_eq!(intercepted.state, State::Unknown);
    assert!(intercepted.trouble.expect("a reason").contains("router"));
    let silent = judged([Err(Fault::NoRoute), Err(Fault::Silent)], &[]).trouble.expect("a reason");
    assert!(silent.contains("does not answer"), "{silent}");
    assert_eq!(judged([], &[]).state, State::Unknown);
}

#[test]
fn the_registrar_gets_every_spelling() {
    let registrar = wanted().registrar();
    assert_eq!(registrar.name_servers, ["ns1.home.example", "ns2.home.example"]);
    assert_eq!(registrar.glue[1].addresses, EDGE.map(address));
    let key = &registrar.keys[0];
    let ds = ds_of(&super::tests::key(7));
    assert_eq!(key.line, format!("home.example. IN DS {ds}"));
    assert_eq!((key.key_tag, key.algorithm, key.digest_type), (ds.key_tag(), 13, 2));
    assert_eq!((key.algorithm_name.as_str(), key.digest_type_name.as_str()), ("ECDSAP256SHA256", "SHA-256"));
    assert!(key.line.to_ascii_uppercase().ends_with(&key.digest) && key.digest.len() == 64, "{key:?}");
    assert_eq!((key.flags, key.protocol), (257, 3));
    assert_eq!(key.public_key.len(), 88, "{}", key.public_key);
}

#[test]
fn a_report_survives_json() {
    let serving = [(server(9), Err(Fault::Refuses { code: "Query Refused".to_owned() }))];
    let delegation = judged([Ok(Held { ds: vec![ds_of(&key(8))], ..right() })], &serving);
    let json = serde_json::to_string(&delegation).expect("written");
    assert_eq!(serde_json::from_str::<Delegation>(&json).expect("read"), delegation);
}
