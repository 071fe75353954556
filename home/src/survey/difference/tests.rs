//! Answers beside what home publishes.

use hickory_proto::op::OpCode;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, TXT};

use super::super::parent::tests::name;
use super::*;

fn record(owner: &str, data: RData) -> Record {
    Record::from_rdata(name(owner), 300, data)
}

fn txt(owner: &str, text: &str) -> Record {
    record(owner, RData::TXT(TXT::new(vec![text.to_owned()])))
}

fn mx(preference: u16, exchange: &str) -> Record {
    record("home.example.", RData::MX(MX::new(preference, name(exchange))))
}

fn a(owner: &str, last: u8) -> Record {
    record(owner, RData::A(A::new(192, 0, 2, last)))
}

/// What becomes of the first published set when a server answers so.
fn judged(standard: Standard, here: &[Record], there: &[Record]) -> Option<Kind> {
    let set = published(here).into_iter().next().expect("a set");
    let mut answer = Message::response(7, OpCode::Query);
    answer.add_answers(there.to_vec());
    compare(&set, &answer, standard).map(|deviation| deviation.kind)
}

#[test]
fn a_zone_that_is_ours_is_compared_exactly() {
    let judged = |there: &[Record]| judged(Standard::Exact, &[mx(10, "mail.home.example.")], there);
    assert_eq!(judged(&[mx(10, "MAIL.home.example.")]), None);
    assert_eq!(judged(&[]), Some(Kind::Missing));
    assert_eq!(judged(&[mx(20, "mail.home.example.")]), Some(Kind::Different));
    assert_eq!(judged(&[mx(10, "mail.home.example."), mx(20, "old.example.")]), Some(Kind::Extra));
}

#[test]
fn a_copy_counts_by_what_it_means() {
    let judged =
        |here: &Record, there: &[Record]| judged(Standard::Copied, std::slice::from_ref(here), there);
    let at_mx = mx(10, "mail.home.example.");
    assert_eq!(judged(&at_mx, &[mx(1, "mail.home.example.")]), None);
    assert_eq!(judged(&at_mx, &[mx(10, "mail.home.example."), mx(20, "old.example.")]), Some(Kind::Extra));

    let spf = |text: &str| txt("home.example.", text);
    let here = spf("v=spf1 ip4:192.0.2.1 -all");
    let verification = spf("some-site-verification=abc");
    assert_eq!(
        judged(&here, &[verification.clone(), spf("v=spf1 IP4:192.0.2.1 include:other.example ~all")]),
        None
    );
    assert_eq!(judged(&here, &[verification]), Some(Kind::Missing));
    assert_eq!(judged(&here, &[spf("v=spf1 -all ip4:192.0.2.1")]), Some(Kind::Different));
    let doubled = [here.clone(), spf("v=spf1 ip4:192.0.2.1 ip4:192.0.2.9 -all")];
    assert_eq!(judged(&here, &doubled), Some(Kind::Extra), "two SPF records are none");

    let dmarc = |text: &str| txt("_dmarc.home.example.", text);
    let here = dmarc("v=DMARC1; p=none; rua=mailto:postmaster@home.example");
    assert_eq!(judged(&here, &[dmarc("v=DMARC1;p=reject")]), None, "the policy is the owner's");
    assert_eq!(judged(&here, &[dmarc("v=DMARC1; p=nothing")]), Some(Kind::Different));

    let key = |text: &str| txt("e1._domainkey.home.example.", text);
    let here = key("v=DKIM1; k=ed25519; p=AAAA");
    let cut = RData::TXT(TXT::new(vec!["v=DKIM1;k=ed25519;".to_owned(), " p=AA AA;".to_owned()]));
    assert_eq!(judged(&here, &[record("e1._domainkey.home.example.", cut)]), None);
    assert_eq!(judged(&here, &[key("v=DKIM1; k=ed25519; p=BBBB")]), Some(Kind::Different));
}

#[test]
fn an_alias_is_followed_inside_the_answer() {
    let alias = record("mail.home.example.", RData::CNAME(CNAME(name("host.other.example."))));
    let judged = |there: &[Record]| judged(Standard::Copied, &[a("mail.home.example.", 1)], there);
    assert_eq!(judged(&[alias.clone(), a("host.other.example.", 1)]), None);
    assert_eq!(judged(&[alias.clone(), a("host.other.example.", 2)]), Some(Kind::Different));
    assert_eq!(judged(std::slice::from_ref(&alias)), Some(Kind::Different));
    let circle = record("host.other.example.", RData::CNAME(CNAME(name("mail.home.example."))));
    assert_eq!(judged(&[alias, circle]), Some(Kind::Different));
}

#[test]
fn an_address_that_leads_nowhere_is_found() {
    let sets = published(&[a("mail.home.example.", 1)]);
    let v6 = sets.iter().find(|set| set.record_type == RecordType::AAAA).expect("asked for");
    let mut answer = Message::response(7, OpCode::Query);
    assert_eq!(compare(v6, &answer, Standard::Exact), None);
    let address = "2001:db8::1".parse().expect("an address");
    answer.add_answer(record("mail.home.example.", RData::AAAA(AAAA(address))));
    let deviation = compare(v6, &answer, Standard::Copied).expect("a deviation");
    assert_eq!((deviation.kind, deviation.needed), (Kind::Extra, true));
    assert_eq!(deviation.there, ["2001:db8::1"]);
}

fn view(host: Option<&str>, deviations: Vec<Deviation>, fault: Option<Fault>) -> View {
    let address = "192.0.2.1".parse().expect("an address");
    View { host: host.map(str::to_owned), address, serial: None, right: 0, deviations, fault }
}

fn deviation(kind: Kind, needed: bool) -> Deviation {
    let (owner, record_type) = ("home.example.".to_owned(), "MX".to_owned());
    Deviation { kind, owner, record_type, here: Vec::new(), there: Vec::new(), ttl: Some(60), needed }
}

#[test]
fn a_resolver_that_still_keeps_the_old_is_waited_for() {
    let domain = "home.example".parse().expect("a domain");
    let state = |views| Difference::new(&domain, Some(7), None, views).state;
    let old = || view(None, vec![deviation(Kind::Different, true)], None);
    let server = |deviations| view(Some("ns1.home.example"), deviations, None);
    assert_eq!(state(vec![server(vec![]), view(None, vec![], None)]), State::Right);
    assert_eq!(state(vec![server(vec![]), old()]), State::Waiting);
    assert_eq!(state(vec![server(vec![deviation(Kind::Missing, true)]), old()]), State::Todo);
    assert_eq!(
        state(vec![view(Some("ns1"), vec![], Some(Fault::Silent)), view(None, vec![], None)]),
        State::Todo
    );
    assert_eq!(state(vec![view(Some("ns1"), vec![], Some(Fault::Silent))]), State::Unknown);
    let elsewhere = view(Some("ns1"), vec![], Some(Fault::NoRoute));
    assert_eq!(state(vec![elsewhere, server(vec![]), view(None, vec![], None)]), State::Right);
}

#[test]
fn a_domain_that_nobody_finds_is_no_unknown_one() {
    let domain = "home.example".parse().expect("a domain");
    let told = |trouble| Difference::new(&domain, None, Some(trouble), vec![view(None, vec![], None)]);
    let lost = told(Trouble::NotDelegated("Nobody finds it.".to_owned()));
    assert_eq!((lost.state, lost.wrong().as_deref()), (State::Broken, Some("Nobody finds it")));
    let unasked = told(Trouble::Unasked("Nobody answers.".to_owned()));
    assert_eq!((unasked.state, unasked.wrong()), (State::Unknown, None));
}

#[test]
fn a_person_hears_of_what_mail_needs() {
    let domain = "home.example".parse().expect("a domain");
    let wrong = |kind, needed| {
        let views = vec![view(Some("ns1"), vec![deviation(kind, needed)], None)];
        Difference::new(&domain, None, None, views).wrong().is_some()
    };
    assert!(wrong(Kind::Missing, true) && wrong(Kind::Different, false) && wrong(Kind::Extra, false));
    assert!(!wrong(Kind::Missing, false));
}
