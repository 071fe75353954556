//! Master files as other programs write them.

use proptest::prelude::*;

use super::*;

fn origin() -> Name {
    Name::from_ascii("home.example.").expect("a name")
}

/// Each entry as `LINE OWNER TTL TYPE WORD|WORD`, each mistake as `LINE: REASON`.
fn shown(text: &str) -> Vec<String> {
    let show = |outcome: Result<Entry, (usize, Mistake)>| match outcome {
        Ok(entry) => {
            let words: Vec<&str> = entry.data.iter().map(|word| word.text.as_str()).collect();
            let ttl = entry.ttl.map_or("-".to_owned(), |ttl| ttl.to_string());
            let owner = presentation::name_text(&entry.owner);
            format!("{} {owner} {ttl} {} {}", entry.line, entry.record_type, words.join("|"))
        }
        Err((line, mistake)) => format!("{line}: {mistake}"),
    };
    read(text, &origin()).into_iter().map(show).collect()
}

#[test]
fn a_file_as_bind_writes_it() {
    let text = "$ORIGIN .\r
$TTL 1h ; default\r
home.example IN SOA ns1.home.example. admin.home.example. (\r
\t\t\t\t2024 ; serial; (not) \"this\"
\t\t\t\t1d 2h\r
\t\t\t\t4w 300 )
\t\t\tNS\tns1.home.example.

$ORIGIN home.example.
www\t\t60 IN A 192.0.2.7
\t\tIN 120 AAAA 2001:db8::7
txt TXT ( \"one; two\"
   \"thr\\\"ee\" ) four
";
    assert_eq!(
        shown(text),
        [
            "3 home.example. 3600 SOA ns1.home.example.|admin.home.example.|2024|1d|2h|4w|300",
            "7 home.example. 3600 NS ns1.home.example.",
            "10 www.home.example. 60 A 192.0.2.7",
            "11 www.home.example. 120 AAAA 2001:db8::7",
            "12 txt.home.example. 3600 TXT one; two|thr\\\"ee|four",
        ]
    );
}

#[test]
fn without_a_default_the_last_ttl_goes_on() {
    assert_eq!(
        shown("@ A 192.0.2.1\na 300 A 192.0.2.1\nb CLASS1 A 192.0.2.1\n"),
        [
            "1 home.example. - A 192.0.2.1",
            "2 a.home.example. 300 A 192.0.2.1",
            "3 b.home.example. 300 A 192.0.2.1"
        ]
    );
}

#[test]
fn mistakes_are_named_by_line_and_the_rest_is_read() {
    let text = "  A 192.0.2.1
$INCLUDE /etc/passwd
$GENERATE 1-9 h$ A 192.0.2.$
$NONSENSE
$TTL soon
a CH TXT x
b AWS ALIAS c
d
\"e\" A 192.0.2.1
f..g A 192.0.2.1
h TXT \"open
i A 192.0.2.1 )
j A 192.0.2.2
k TXT ( a
";
    let shown = shown(text);
    let expected = [
        "1: a record that begins with a blank",
        "2: $INCLUDE names another file",
        "3: $GENERATE is BIND's own",
        "4: `$NONSENSE` is no directive",
        "5: $TTL: expected seconds",
        "6: class CH",
        "7: `AWS` is not a record type",
        "8: the type of the record is missing",
        "9: `e` is no domain name",
        "10: `f..g` is no domain name",
        "11: a quotation mark is not closed",
        "12: a parenthesis is closed that was not opened",
        "13 j.home.example. - A 192.0.2.2",
        "15: a parenthesis is not closed",
    ];
    assert_eq!(shown.len(), expected.len(), "{shown:#?}");
    for (shown, expected) in shown.iter().zip(expected) {
        assert!(shown.starts_with(expected), "{shown} is not {expected}");
    }
}

#[test]
fn arguments_of_a_command_have_no_comments() {
    let words = words_of_arguments("0 issue ca.example;accounturi=x").expect("words");
    assert_eq!(words.last().map(|word| word.text.as_str()), Some("ca.example;accounturi=x"));
    assert_eq!(words_of_arguments("a\n$INCLUDE b"), Err(Flaw::Control));
}

proptest! {
    #[test]
    fn any_text_is_read_to_its_end(text in "\\PC*|[ \\t\\r\\n();\"$\\\\a-c0-9@.]{0,200}") {
        let lines = text.split('\n').count();
        for outcome in read(&text, &origin()) {
            let line = outcome.map_or_else(|(line, _)| line, |entry| entry.line);
            prop_assert!((1..=lines).contains(&line));
        }
    }

    #[test]
    fn a_literal_word_is_read_as_its_octets(octets: Vec<u8>) {
        let text = format!("\"{}\"", Word::literal(&octets).text);
        let words = words(&text).expect("one line");
        prop_assert_eq!(words.len(), 1);
        prop_assert_eq!(words[0].octets(), Ok(octets));
    }
}
