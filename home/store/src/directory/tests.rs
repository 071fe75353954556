//! The directory over a real database in a temporary directory.

use std::os::unix::fs::PermissionsExt;

use super::*;

const PASSWORD: &str = "correct horse battery";

struct Home {
    directory: Directory,
    state_dir: tempfile::TempDir,
}

fn address(text: &str) -> EmailAddress {
    text.parse().expect("an address")
}

fn domain(text: &str) -> DomainName {
    text.parse().expect("a domain")
}

fn mailbox(account: AccountId) -> Resolution {
    Resolution::Local(Route { accounts: vec![account], outside: Vec::new() })
}

/// A home with the domain home.example and the users ana and bo.
fn home() -> Home {
    let state_dir = tempfile::tempdir().expect("temporary directory");
    let directory = Directory::open(state_dir.path()).expect("opened");
    directory.add_domain(&domain("home.example")).expect("added");
    directory.add_user(&address("Ana@home.example"), PASSWORD).expect("added");
    directory.add_user(&address("bo@home.example"), "another password").expect("added");
    Home { directory, state_dir }
}

impl Home {
    fn account(&self, text: &str) -> AccountId {
        self.directory.snapshot().user_at(&address(text)).expect("a user").account
    }

    fn reached(&self, text: &str) -> Vec<AccountId> {
        match self.directory.resolve(&address(text)) {
            Resolution::Local(route) => route.accounts,
            Resolution::UnknownUser | Resolution::NotLocal => Vec::new(),
        }
    }
}

#[test]
fn users_are_reached_in_any_case_and_with_any_detail() {
    let home = home();
    let ana = vec![home.account("ana@home.example")];
    for text in ["ana@home.example", "ANA@Home.Example", "ana+shop@home.example", "Ana+a+b@home.example"] {
        assert_eq!(home.reached(text), ana, "{text}");
    }
    assert_eq!(home.directory.resolve(&address("eve@home.example")), Resolution::UnknownUser);
    assert_eq!(home.directory.resolve(&address("ana@sub.home.example")), Resolution::NotLocal);
}

#[test]
fn postmaster_and_abuse_reach_the_first_user_unless_an_alias_says_otherwise() {
    let home = home();
    home.directory.add_domain(&domain("other.example")).expect("added");
    let (ana, bo) = (home.account("ana@home.example"), home.account("bo@home.example"));
    assert_eq!(home.reached("Postmaster@home.example"), [ana]);
    assert_eq!(home.reached("abuse@other.example"), [ana]);
    assert_eq!(home.directory.postmaster(), mailbox(ana));
    home.directory
        .add_alias(&address("postmaster@home.example"), &[address("bo@home.example")])
        .expect("added");
    assert_eq!(home.reached("postmaster@home.example"), [bo]);
    assert_eq!(home.directory.postmaster(), mailbox(bo));
}

#[test]
fn without_users_even_postmaster_is_unknown() {
    let state_dir = tempfile::tempdir().expect("temporary directory");
    let directory = Directory::open(state_dir.path()).expect("opened");
    assert_eq!(directory.postmaster(), Resolution::UnknownUser);
    directory.add_domain(&domain("home.example")).expect("added");
    assert_eq!(directory.resolve(&address("postmaster@home.example")), Resolution::UnknownUser);
}

#[test]
fn aliases_lead_to_users() {
    let home = home();
    let (ana, bo) = (address("ana@home.example"), address("bo@home.example"));
    let family = address("Family@home.example");
    let alias = home.directory.add_alias(&family, &[bo.clone(), ana.clone()]).expect("added");
    assert_eq!(alias, Alias { address: family.clone(), targets: vec![ana.clone(), bo.clone()] });
    assert_eq!(home.reached("family+x@home.example").len(), 2);

    let refusal =
        home.directory.add_alias(&address("x@home.example"), &[ana.clone(), address("eve@home.example")]);
    assert!(matches!(refusal, Err(DirectoryError::UnknownTarget(_))));
    assert!(home.reached("x@home.example").is_empty(), "a refused alias leaves nothing behind");
    assert!(matches!(
        home.directory.add_alias(&ana, std::slice::from_ref(&bo)),
        Err(DirectoryError::IsUser(_))
    ));
    assert!(matches!(home.directory.add_user(&family, PASSWORD), Err(DirectoryError::IsAlias(_))));

    home.directory.remove_alias(&family, &[ana]).expect("removed");
    assert_eq!(home.reached("family@home.example"), [home.account("bo@home.example")]);
    home.directory.remove_user(&bo).expect("removed");
    assert!(home.reached("family@home.example").is_empty(), "an alias to nobody is gone");
    assert!(matches!(home.directory.remove_alias(&family, &[]), Err(DirectoryError::UnknownAlias(_))));
}

#[test]
fn a_user_may_send_as_own_addresses_only() {
    let home = home();
    let directory = &home.directory;
    directory.add_alias(&address("shop@home.example"), &[address("ana@home.example")]).expect("added");
    let (ana, bo) = (home.account("ana@home.example"), home.account("bo@home.example"));
    for own in ["ana@home.example", "ana+x@home.example", "shop@home.example", "postmaster@home.example"] {
        assert!(directory.may_send_as(ana, &address(own)), "{own}");
        assert!(!directory.may_send_as(bo, &address(own)), "{own}");
    }
    assert!(!directory.may_send_as(ana, &address("ana@other.example")));
}

impl Home {
    fn alias(&self, alias: &str, targets: &[&str]) -> Result<Alias, DirectoryError> {
        let targets: Vec<_> = targets.iter().map(|target| address(target)).collect();
        self.directory.add_alias(&address(alias), &targets)
    }

    fn forward(&self, user: &str, target: &str, kept: Kept) -> Result<(), DirectoryError> {
        self.directory.set_forward(&address(user), Forward { target: address(target), kept })
    }

    fn sent_on(&self, text: &str) -> Vec<String> {
        match self.directory.resolve(&address(text)) {
            Resolution::Local(route) => {
                route.outside.iter().map(|onward| format!("{} by {}", onward.to, onward.by)).collect()
            }
            Resolution::UnknownUser | Resolution::NotLocal => Vec::new(),
        }
    }

    fn may_send_as(&self, user: &str, text: &str) -> bool {
        self.directory.may_send_as(self.account(user), &address(text))
    }
}

#[test]
fn groups_and_forwards_are_followed_to_their_ends() {
    let home = home();
    home.alias("kids@home.example", &["bo@home.example", "kid@far.example"]).expect("added");
    home.alias("family@home.example", &["kids@home.example", "ana@home.example", "kid@far.example"])
        .expect("added");
    let (ana, bo) = (home.account("ana@home.example"), home.account("bo@home.example"));
    assert_eq!(home.reached("family@home.example"), [ana, bo]);
    assert_eq!(home.sent_on("family@home.example"), ["kid@far.example by family@home.example"]);
    home.forward("bo@home.example", "bo@far.example", Kept::Nothing).expect("set");
    assert_eq!(home.reached("family@home.example"), [ana]);
    assert_eq!(home.sent_on("bo+x@home.example"), ["bo@far.example by bo@home.example"]);
    home.forward("bo@home.example", "bo@far.example", Kept::Copy).expect("set");
    assert_eq!(home.reached("bo@home.example"), [bo]);
    home.directory.remove_forward(&address("bo@home.example")).expect("removed");
    assert!(home.sent_on("bo@home.example").is_empty());
    home.directory
        .remove_alias(&address("kids@home.example"), &[address("kid@far.example")])
        .expect("removed");
    assert_eq!(home.sent_on("kids@home.example"), [""; 0]);
}

#[test]
fn a_circle_is_refused_and_named() {
    let home = home();
    home.alias("a@home.example", &["bo@home.example"]).expect("added");
    home.alias("b@home.example", &["a@home.example"]).expect("added");
    let circle = home.forward("bo@home.example", "b+x@home.example", Kept::Copy).expect_err("refused");
    assert!(matches!(circle, DirectoryError::Circle(_)));
    assert_eq!(
        circle.to_string(),
        "mail would go round in a circle: a@home.example -> bo@home.example -> b@home.example -> a@home.example"
    );
    assert!(matches!(home.alias("c@home.example", &["c@home.example"]), Err(DirectoryError::Circle(_))));
    assert!(matches!(
        home.forward("ana@home.example", "ana@home.example", Kept::Copy),
        Err(DirectoryError::Circle(_))
    ));
    home.forward("ana@home.example", "x@later.example", Kept::Copy).expect("it is elsewhere");
    home.directory.add_domain(&domain("later.example")).expect("x is unknown there");
    let all = home.directory.set_catch_all(&domain("later.example"), Some(&address("ana@home.example")));
    assert!(matches!(all, Err(DirectoryError::Circle(_))));
    assert_eq!(home.reached("bo@home.example"), [home.account("bo@home.example")]);
}

#[test]
fn masks_can_be_switched_off_by_their_user_alone() {
    let home = home();
    let (ana, bo) = (address("ana@home.example"), address("bo@home.example"));
    home.directory.set_catch_all(&domain("home.example"), Some(&bo)).expect("set");
    let mask = home.directory.add_mask(&ana, None, "shop").expect("made");
    let text = mask.address.to_string();
    let change = |user: &EmailAddress, change| home.directory.change_mask(user, &mask.address, change);
    assert_eq!(home.reached(&text), [home.account("ana@home.example")]);
    assert!(home.may_send_as("ana@home.example", &text) && !home.may_send_as("bo@home.example", &text));
    assert!(matches!(change(&bo, MaskChange::Off), Err(DirectoryError::UnknownMask(_))));
    change(&ana, MaskChange::Off).expect("off");
    assert_eq!(home.directory.resolve(&mask.address), Resolution::UnknownUser, "not the catch-all's");
    assert!(!home.may_send_as("ana@home.example", &text) && !home.may_send_as("bo@home.example", &text));
    assert!(matches!(home.directory.add_user(&mask.address, PASSWORD), Err(DirectoryError::IsMask(_))));
    change(&ana, MaskChange::Label("shoes".to_owned())).expect("labelled");
    change(&ana, MaskChange::On).expect("on");
    let masks = home.directory.snapshot().masks(home.account("ana@home.example"));
    assert_eq!(masks, [Mask { label: "shoes".to_owned(), ..mask.clone() }]);
    change(&ana, MaskChange::Remove).expect("removed");
    assert_eq!(home.reached(&text), [home.account("bo@home.example")]);
}

#[test]
fn a_catch_all_gets_what_nobody_has() {
    let home = home();
    home.directory.set_catch_all(&domain("home.example"), Some(&address("bo@home.example"))).expect("set");
    let (ana, bo) = (home.account("ana@home.example"), home.account("bo@home.example"));
    assert_eq!(home.reached("anything+x@home.example"), [bo]);
    assert_eq!(home.reached("ana+x@home.example"), [ana]);
    assert_eq!(home.reached("postmaster@home.example"), [ana]);
    home.directory.set_catch_all(&domain("home.example"), None).expect("set");
    assert!(home.reached("anything@home.example").is_empty());
    home.directory.set_catch_all(&domain("home.example"), Some(&address("bo@home.example"))).expect("set");
    home.directory.remove_user(&address("bo@home.example")).expect("removed");
    assert!(home.reached("anything@home.example").is_empty());
}

#[test]
fn whom_mail_reaches_may_not_send_as_its_address() {
    let home = home();
    home.alias("group@home.example", &["ana@home.example", "bo@home.example"]).expect("added");
    home.alias("over@home.example", &["group@home.example"]).expect("added");
    home.forward("bo@home.example", "ana@home.example", Kept::Nothing).expect("set");
    home.directory.set_catch_all(&domain("home.example"), Some(&address("ana@home.example"))).expect("set");
    let ana = home.account("ana@home.example");
    assert_eq!(home.reached("bo@home.example"), [ana], "bo's mail reaches ana");
    for (text, expected) in [
        ("bo@home.example", false),
        ("bo+x@home.example", false),
        ("over@home.example", false),
        ("group@home.example", true),
        ("nobody@home.example", true),
        ("nobody@far.example", false),
    ] {
        assert_eq!(home.may_send_as("ana@home.example", text), expected, "{text}");
    }
    assert!(!home.may_send_as("bo@home.example", "nobody@home.example"));
}

#[test]
fn passwords_are_checked_changed_and_never_reveal_who_exists() {
    let home = home();
    let directory = &home.directory;
    let ana = address("ana@home.example");
    assert_eq!(
        directory.verify_password("ANA@home.example", PASSWORD).map(|user| user.address),
        Some(ana.clone())
    );
    for (login, password) in [
        ("ana@home.example", "wrong password"),
        ("bo@home.example", PASSWORD),
        ("eve@home.example", PASSWORD),
        ("ana", PASSWORD),
        ("", ""),
    ] {
        assert_eq!(directory.verify_password(login, password), None, "{login}");
    }
    directory.set_password(&ana, "an even better one").expect("changed");
    assert_eq!(directory.verify_password("ana@home.example", PASSWORD), None);
    assert!(directory.verify_password("ana@home.example", "an even better one").is_some());

    let (known, unknown) = (directory.scram("ana@home.example"), directory.scram("eve@home.example"));
    assert_eq!((known.salt.len(), known.iterations), (unknown.salt.len(), unknown.iterations));
    assert_eq!(unknown, directory.scram("EVE@home.example"));
}

#[test]
fn nonsense_is_refused_with_its_reason() {
    let home = home();
    let directory = &home.directory;
    let refusal = |text: &str| directory.add_user(&address(text), PASSWORD).expect_err("refused");
    assert!(matches!(refusal("ANA@home.example"), DirectoryError::IsUser(_)));
    assert!(matches!(refusal("ana+x@home.example"), DirectoryError::HasDetail(_)));
    assert!(matches!(refusal("ana@other.example"), DirectoryError::UnknownDomain(_)));
    assert!(matches!(directory.add_domain(&domain("home.example")), Err(DirectoryError::DomainExists(_))));
    assert!(matches!(directory.add_domain(&domain("localhost")), Err(DirectoryError::DomainTooShort(_))));
}

#[test]
fn a_domain_with_users_goes_only_when_asked_for_together_with_them() {
    let home = home();
    let name = domain("home.example");
    let refusal = home.directory.remove_domain(&name, WithUsers::Refuse);
    assert!(matches!(refusal, Err(DirectoryError::DomainInUse { users: 2, .. })));
    home.directory.remove_domain(&name, WithUsers::Remove).expect("removed");
    assert_eq!(home.directory.resolve(&address("ana@home.example")), Resolution::NotLocal);
    assert_eq!(home.directory.snapshot().users().count(), 0);
}

#[test]
fn account_numbers_are_never_given_twice() {
    let home = home();
    let bo = home.account("bo@home.example");
    home.directory.remove_user(&address("bo@home.example")).expect("removed");
    home.directory.add_user(&address("bo@home.example"), PASSWORD).expect("added");
    assert!(home.account("bo@home.example") > bo);
}

#[test]
fn everything_is_there_after_a_restart_and_private() {
    let home = home();
    home.directory.add_alias(&address("shop@home.example"), &[address("ana@home.example")]).expect("added");
    let selectors = |directory: &Directory| -> Vec<String> {
        directory.dkim_keys(&domain("home.example")).iter().map(|key| key.selector.clone()).collect()
    };
    assert_eq!(selectors(&home.directory), ["r1", "e1"]);
    let before = home.directory.dkim_keys(&domain("home.example"));
    drop(home.directory);

    let directory = Directory::open(home.state_dir.path()).expect("opened again");
    assert_eq!(directory.dkim_keys(&domain("home.example")), before);
    assert!(directory.verify_password("ana@home.example", PASSWORD).is_some());
    assert_eq!(directory.snapshot().aliases().count(), 1);
    assert_eq!(directory.snapshot().first_domain(), Some(&domain("home.example")));
    let mode = home.state_dir.path().join("server.sqlite").metadata().expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn each_change_gives_notice_and_a_refusal_gives_none() {
    let home = home();
    let mut changes = home.directory.subscribe();
    changes.mark_unchanged();
    assert!(home.directory.add_user(&address("bo@home.example"), PASSWORD).is_err());
    assert!(!changes.has_changed().expect("open"));
    home.directory.remove_user(&address("bo@home.example")).expect("removed");
    assert!(changes.has_changed().expect("open"));
}

#[test]
fn what_a_zone_leaves_behind_survives_a_restart() {
    let home = home();
    let name = domain("home.example");
    let keys = home.directory.dnssec_keys(&name).expect("made");
    assert_eq!(keys.len(), 1);
    let zone = SignedZone { facts_digest: "one".to_owned(), signed_at: 7, zone: b"records".to_vec() };
    assert_eq!(home.directory.signed_zone(&name).expect("read"), None);
    home.directory.keep_signed_zone(&name, zone.clone()).expect("kept");
    let later = SignedZone { signed_at: 8, ..zone };
    home.directory.keep_signed_zone(&name, later.clone()).expect("kept");
    assert_eq!(home.directory.next_zone_serial(&name, None, 1000).expect("a serial"), 1000);

    let again = Directory::open(home.state_dir.path()).expect("opened again");
    assert_eq!(again.dnssec_keys(&name).expect("the same"), keys);
    assert_eq!(again.signed_zone(&name).expect("read"), Some(later));
    assert_eq!(again.next_zone_serial(&name, None, 1000).expect("a serial"), 1001);
    again.remove_domain(&name, WithUsers::Remove).expect("removed");
    assert!(matches!(again.dnssec_keys(&name), Err(DirectoryError::UnknownDomain(_))));
    assert_eq!(again.signed_zone(&name).expect("read"), None);
}

#[test]
fn own_records_come_and_go_with_notice_and_with_the_domain() {
    let home = home();
    let name = domain("home.example");
    let record = |last: u8, ttl| OwnRecord {
        owner: "www.home.example.".to_owned(),
        record_type: 1,
        ttl,
        rdata: vec![192, 0, 2, last],
    };
    let mut changes = home.directory.subscribe();
    changes.mark_unchanged();
    for (last, ttl) in [(2, 60), (1, 60), (1, 300)] {
        home.directory.add_record(&name, record(last, ttl)).expect("added");
    }
    assert!(changes.has_changed().expect("open"));
    assert_eq!(home.directory.own_records(&name).expect("read"), [record(1, 300), record(2, 60)]);
    let remove = |rdata| home.directory.remove_records(&name, "www.home.example.", 1, rdata).expect("done");
    assert_eq!(remove(Some(vec![192, 0, 2, 9])), 0);
    assert_eq!(remove(Some(vec![192, 0, 2, 2])), 1);
    assert_eq!(remove(None), 1);
    home.directory.add_record(&name, record(3, 60)).expect("added");
    home.directory.remove_domain(&name, WithUsers::Remove).expect("removed");
    assert_eq!(home.directory.own_records(&name).expect("read"), []);
}

#[test]
fn the_dns_of_a_domain_may_be_elsewhere() {
    let home = home();
    let (here, elsewhere) = (domain("home.example"), domain("other.example"));
    home.directory.add_domain_with_dns(&elsewhere, DnsHosting::External).expect("added");
    let again = Directory::open(home.state_dir.path()).expect("opened");
    let hosting = |name| again.snapshot().dns_hosting(name);
    assert_eq!((hosting(&here), hosting(&elsewhere)), (DnsHosting::Here, DnsHosting::External));
    assert_eq!(again.dkim_keys(&elsewhere).len(), 2, "mail is signed all the same");
    again.set_dns_hosting(&elsewhere, DnsHosting::Here).expect("changed");
    assert_eq!(again.snapshot().dns_hosting(&elsewhere), DnsHosting::Here);
    let unknown = again.set_dns_hosting(&domain("nobody.example"), DnsHosting::Here);
    assert!(matches!(unknown, Err(DirectoryError::UnknownDomain(_))));
}

#[test]
fn a_domains_presence_on_the_web_lives_as_long_as_the_domain() {
    let home = home();
    let name = domain("home.example");
    assert_eq!(home.directory.web_presence(&name).expect("read"), None);
    for presence in [b"one".to_vec(), b"two".to_vec()] {
        home.directory.keep_web_presence(&name, presence.clone()).expect("kept");
        let again = Directory::open(home.state_dir.path()).expect("opened");
        assert_eq!(again.web_presence(&name).expect("read"), Some(presence));
    }
    home.directory.remove_domain(&name, WithUsers::Remove).expect("removed");
    home.directory.add_domain(&name).expect("added");
    assert_eq!(home.directory.web_presence(&name).expect("read"), None);
    let refused = home.directory.keep_web_presence(&domain("other.example"), Vec::new());
    assert!(matches!(refused, Err(DirectoryError::UnknownDomain(_))));
}

#[test]
fn secondaries_keep_their_domains_and_rotate_their_keys() {
    let home = home();
    let (ours, name) = (domain("home.example"), domain("ns3.elsewhere.example"));
    let address = "192.0.2.3:53".parse().expect("an address");
    let unknown = domain("not.here.example");
    let refused = home.directory.add_secondary(&name, &[address], Some(std::slice::from_ref(&unknown)));
    assert!(matches!(refused, Err(DirectoryError::UnknownDomain(_))));
    home.directory.add_secondary(&name, &[address], Some(std::slice::from_ref(&ours))).expect("added");
    let again = home.directory.add_secondary(&name, &[address], None);
    assert!(matches!(again, Err(DirectoryError::SecondaryExists(_))));
    let all = |directory: &Directory| directory.secondaries().expect("read");
    let first = all(&home.directory);
    assert!(first[0].serves(&ours) && !first[0].serves(&unknown));
    assert_eq!((first[0].addresses.as_slice(), first[0].keys.len()), (&[address][..], 1));
    home.directory.rotate_secondary_key(&name, FormerKeys::Keep).expect("rotated");
    let both = all(&home.directory)[0].keys.clone();
    assert_eq!((both.len(), &both[0]), (2, &first[0].keys[0]));
    assert_ne!(both[0].secret, both[1].secret);
    home.directory.rotate_secondary_key(&name, FormerKeys::Keep).expect("rotated");
    let full = home.directory.rotate_secondary_key(&name, FormerKeys::Keep);
    assert!(matches!(full, Err(DirectoryError::TooManyKeys(_))));
    assert_eq!(home.directory.retire_secondary_keys(&name, both[1].number).expect("retired"), 1);
    home.directory.rotate_secondary_key(&name, FormerKeys::Remove).expect("rotated");
    let again = Directory::open(home.state_dir.path()).expect("opened again");
    let kept = all(&again)[0].keys.clone();
    assert!(kept.len() == 1 && kept[0].number > both[1].number);
    again.remove_domain(&ours, WithUsers::Remove).expect("removed");
    assert_eq!(all(&again)[0].domains, Some(vec![]));
    again.remove_secondary(&name).expect("removed");
    assert_eq!(all(&again), []);
    assert!(matches!(again.remove_secondary(&name), Err(DirectoryError::UnknownSecondary(_))));
}
