//! Addresses there and back; forged, old and senseless ones.

use postern_message::address::{DomainName, EmailAddress, LocalPart};
use postern_srs::{Day, Key, Keys, LIFETIME_DAYS, Rejected, TooLong, is_rewritten, reverse, rewrite};
use proptest::prelude::*;

fn keys(octet: u8) -> Keys {
    Keys::new(Key::new([octet; 32]), None)
}

fn day(number: u64) -> Day {
    Day::of_unix_seconds(number * 86_400)
}

fn here() -> DomainName {
    DomainName::parse("home.example").expect("domain")
}

fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).expect("address")
}

#[test]
fn an_address_has_the_form_that_others_know() {
    let rewritten = rewrite(&keys(1), &address("ana@a.example"), &here(), day(20_000)).expect("short");
    let text = rewritten.to_string();
    assert!(text.starts_with("SRS0=") && text.ends_with("=a.example=ana@home.example"), "{text}");
    assert_eq!(text.split('=').nth(1).map(str::len), Some(8));
}

#[test]
fn later_forwarders_lead_back_through_the_first() {
    let first = address("SRS0+Ab3d+XY=a.example=ana@b.example");
    let second = rewrite(&keys(1), &first, &here(), day(9)).expect("short");
    assert!(second.to_string().contains("=b.example=+Ab3d+XY=a.example=ana@home.example"), "{second}");
    let third = DomainName::parse("c.example").expect("domain");
    let third = rewrite(&keys(2), &second, &third, day(9)).expect("short");
    assert_eq!(third.local_part().as_str().len(), second.local_part().as_str().len());
    for (keys, rewritten) in [(keys(1), &second), (keys(2), &third)] {
        assert_eq!(reverse(&keys, rewritten, day(9)).as_ref(), Ok(&first));
    }
    assert_eq!(reverse(&keys(1), &third, day(9)), Err(Rejected::Forged));
}

#[test]
fn an_address_counts_for_its_days_also_where_their_number_returns() {
    for made in [20_000, 1023, 1024 * 20 - 1] {
        let rewritten = rewrite(&keys(1), &address("ana@a.example"), &here(), day(made)).expect("short");
        let on = |number| reverse(&keys(1), &rewritten, day(number)).map(|_| ());
        assert_eq!(on(made + u64::from(LIFETIME_DAYS)), Ok(()));
        assert_eq!(on(made - 1), Ok(()));
        assert_eq!(on(made + u64::from(LIFETIME_DAYS) + 1), Err(Rejected::Expired));
        assert_eq!(on(made - 2), Err(Rejected::Expired));
    }
}

#[test]
fn the_key_before_counts_until_it_is_gone() {
    let rewritten = rewrite(&keys(1), &address("ana@a.example"), &here(), day(9)).expect("short");
    let rotated = Keys::new(Key::new([2; 32]), Some(Key::new([1; 32])));
    assert_eq!(reverse(&rotated, &rewritten, day(9)), Ok(address("ana@a.example")));
    assert_eq!(reverse(&keys(2), &rewritten, day(9)), Err(Rejected::Forged));
}

#[test]
fn a_long_sender_and_what_only_looks_rewritten() {
    let long = address(&format!("{}@a.example", "a".repeat(50)));
    assert_eq!(rewrite(&keys(1), &long, &here(), day(9)), Err(TooLong));
    for text in ["SRS0", "SRS0=", "SRS1=x", "SRS1=x=b.example=", "SRS1=x=b.example==", "srs0x=y", "SRS2=x=y"]
    {
        let local_part = LocalPart::from_unquoted(text).expect("local part");
        assert!(!is_rewritten(&local_part), "{text}");
    }
}

proptest! {
    #[test]
    fn there_and_back(local in "[!-~äλ]{1,12}", label in "[a-z]{1,12}", number in 0_u64..40_000, lower: bool) {
        let domain = DomainName::parse(&format!("{label}.example")).expect("domain");
        let sender = EmailAddress::new(LocalPart::from_unquoted(&local).expect("local part"), domain);
        let sender = sender.expect("address");
        prop_assume!(!is_rewritten(sender.local_part()));
        let rewritten = rewrite(&keys(1), &sender, &here(), day(number)).expect("short");
        prop_assert!(is_rewritten(rewritten.local_part()));
        let text = rewritten.to_string();
        let arrives = EmailAddress::parse(&if lower { text.to_lowercase() } else { text }).expect("address");
        prop_assert_eq!(reverse(&keys(1), &arrives, day(number)), Ok(sender));
        prop_assert_eq!(reverse(&keys(2), &arrives, day(number)), Err(Rejected::Forged));
    }

    #[test]
    fn one_changed_character_is_noticed(at: prop::sample::Index, new in "[a-z0-9=]") {
        let rewritten = rewrite(&keys(1), &address("ana.maria@a.example"), &here(), day(9)).expect("short");
        let mut text: Vec<char> = rewritten.local_part().as_str().chars().collect();
        let at = at.index(text.len() - 5) + 5;
        prop_assume!(!text[at].to_string().eq_ignore_ascii_case(&new));
        text[at] = new.chars().next().expect("one");
        let local_part = LocalPart::from_unquoted(&text.into_iter().collect::<String>()).expect("local part");
        let changed = EmailAddress::new(local_part, here()).expect("address");
        prop_assert!(reverse(&keys(1), &changed, day(9)).is_err());
    }

    #[test]
    fn any_text_is_refused_without_a_panic(word in "(?i)srs[01]", text in "\\PC{0,30}|[=+a-z0-9.-]{0,60}") {
        if let Ok(local_part) = LocalPart::from_unquoted(&format!("{word}{text}")) {
            let address = EmailAddress::new(local_part, here()).expect("address");
            prop_assert!(reverse(&keys(1), &address, day(9)).is_err());
            let _ = rewrite(&keys(1), &address, &here(), day(9));
        }
    }
}
