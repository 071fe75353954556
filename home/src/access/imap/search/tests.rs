//! With the index and without it a search finds the same.

use std::sync::Arc;

use postern_store::Store;
use postern_store::account::{AccountId, Append, Expunge, Flags, Uid};
use proptest::prelude::*;

use super::*;

/// A header field, or the text of a part.
fn text() -> impl Strategy<Value = String> {
    "([ab]{1,3}|[ab]{18,45}|[ab0]{6,24}|Résumé|日本語の|ガラ|[0-9]x|ﬁ|ΟΔΟΣ)([ .@-]([ab]{1,3}|日本|Re|RE\\u{301}))?{0,3}"
}

fn base64(text: &str) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text)
}

/// Messages of several shapes: plain, HTML, with parts and enclosed messages, in several encodings.
fn message() -> impl Strategy<Value = String> {
    let plain = text().prop_map(|text| format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"));
    let html = text().prop_map(|text| {
        format!(
            "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
            base64(&format!("<p class=\"ab\">{text}</p>"))
        )
    });
    let report = text().prop_map(|text| {
        format!(
            "Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; {text}\r\n\r\nStatus: 5.1.1\r\n"
        )
    });
    let leaf = prop_oneof![3 => plain, 3 => html, 1 => report];
    let enclosed = (text(), leaf.clone()).prop_map(|(subject, part)| {
        format!("Content-Type: message/rfc822\r\n\r\nSubject: {subject}\r\n{part}")
    });
    let parts = prop::collection::vec(prop_oneof![leaf.clone(), enclosed], 1..4).prop_map(|parts| {
        let parts: String = parts.iter().map(|part| format!("--=\r\n{part}\r\n")).collect();
        format!("Content-Type: multipart/mixed; boundary=\"=\"\r\n\r\n{parts}--=--\r\n")
    });
    let body = prop_oneof![leaf, parts];
    (text(), text(), text(), body).prop_map(|(subject, from, other, body)| {
        format!(
            "From: {from}\r\nSubject: =?utf-8?B?{}?=\r\nX-Other: {other}\r\nMIME-Version: 1.0\r\n{body}",
            base64(&subject)
        )
    })
}

fn needle() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab]{1,4}",
        "[ab0]{1,7}",
        "[ab]{15,30}",
        "[ab]{1,2}[ .@][ab]{1,2}",
        "[日本語の]{1,5}",
        "resume|RÉSUMÉ|fi|οδος|カ|sub|from: ?|[.@]|Re"
    ]
}

fn key() -> impl Strategy<Value = SearchKey> {
    let name = prop::sample::select(vec!["Subject", "From", "To", "X-Other", "X-Missing"]);
    let leaf = prop_oneof![
        needle().prop_map(SearchKey::Text),
        needle().prop_map(SearchKey::Body),
        (name, needle()).prop_map(|(name, text)| SearchKey::Header { name: name.to_owned(), text }),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..3).prop_map(SearchKey::And),
            inner.clone().prop_map(|key| SearchKey::Not(Box::new(key))),
            (inner.clone(), inner).prop_map(|(one, other)| SearchKey::Or(Box::new(one), Box::new(other))),
        ]
    })
}

/// An account whose INBOX holds these messages.
fn account_with(store: &Store, messages: &[&str]) -> (Account, MailboxId) {
    let account = store.account(AccountId(1)).expect("an account");
    let inbox = account.mailbox_named("INBOX").expect("INBOX").id;
    messages.iter().for_each(|text| append(store, &account, inbox, text));
    (account, inbox)
}

fn append(store: &Store, account: &Account, inbox: MailboxId, text: &str) {
    let mut staging = store.stage();
    staging.write(text.as_bytes()).expect("staged");
    let message = Arc::new(staging.finish().expect("a message"));
    let append = Append { message, flags: Flags::default(), internal_date: Timestamp::UNIX_EPOCH };
    account.append(inbox, vec![append]).expect("stored");
}

/// The store's own thread indexes what comes; an index that is damaged is made anew, and no search notices.
#[test]
fn the_index_fills_by_itself_and_damage_to_it_changes_no_result() {
    use std::io::{Seek, SeekFrom, Write};
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open(directory.path()).expect("a store");
    let (account, inbox) =
        account_with(&store, &["Subject: one\r\n\r\nfindable\r\n", "Subject: two\r\n\r\nother\r\n"]);
    let is_indexed = |account: &Account| {
        account.find_text(Field::Text, "findable").is_some_and(|hits| hits.emails().count() == 1)
    };
    let wait_until_indexed = |account: &Account| {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !is_indexed(account) {
            assert!(std::time::Instant::now() < deadline, "not indexed");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    wait_until_indexed(&account);
    drop((account, store));

    let path = directory.path().join("accounts/1/search-1.sqlite");
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).expect("the index");
    let length = file.metadata().expect("metadata").len();
    file.seek(SeekFrom::Start(4096)).expect("sought");
    file.write_all(&vec![0xa5; usize::try_from(length).expect("a size") - 4096]).expect("damaged");
    let store = Store::open(directory.path()).expect("a store");
    let account = store.account(AccountId(1)).expect("an account");
    for _ in 0..2 {
        let found = find(&account, inbox, &SearchKey::Text("FindAble".to_owned())).expect("found");
        assert_eq!(found.len(), 1);
    }
    append(&store, &account, inbox, "Subject: three\r\n\r\nmore\r\n");
    wait_until_indexed(&account);
}

/// Of a message with very many words the index has some; the others are found by reading.
#[test]
fn a_message_with_very_many_words_is_found_by_each_of_them() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open(directory.path()).expect("a store");
    let word =
        |number: u32| number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'g')).collect();
    let words = (0..40_000).map(word).collect::<Vec<String>>().join(" ");
    let long = format!("Subject: long\r\n\r\n{words} zebra\r\n");
    let (account, inbox) = account_with(&store, &[&long, "Subject: short\r\n\r\nzebra\r\n"]);
    account.index_all().expect("indexed");
    for (word, expected) in [("hhhhh", 1), ("jpppp", 1), ("zebra", 2), ("absent", 0)] {
        let found = find(&account, inbox, &SearchKey::Body(word.to_owned())).expect("found");
        assert_eq!(found.len(), expected, "{word}");
    }
    let hits = account.find_text(Field::Body, "absent").expect("an index");
    assert_eq!(hits.emails().count(), 1, "the long one is read");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_index_changes_no_result(
        messages in prop::collection::vec(message(), 1..12),
        indexed in 0usize..12,
        expunged in 0usize..12,
        keys in prop::collection::vec(key(), 12),
    ) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = Store::open(directory.path()).expect("a store");
        let (account, inbox) = account_with(&store, &[]);
        for (number, text) in messages.iter().enumerate() {
            if number == indexed {
                account.index_all().expect("indexed");
            }
            append(&store, &account, inbox, text);
        }
        let gone: Vec<Uid> = u32::try_from(expunged).ok().and_then(Uid::new).into_iter().collect();
        account.expunge(inbox, Expunge::Exactly(gone.into_iter().collect())).expect("expunged");
        for key in &keys {
            let key = prepared(key);
            let by_reading = look(&account, inbox, &key, &Answers::default()).expect("read");
            let by_index = look(&account, inbox, &key, &Answers::ask(&account, &key)).expect("asked");
            prop_assert_eq!(&by_index, &by_reading, "{:?}", key);
        }
        account.index_all().expect("indexed");
        for key in &keys {
            let key = prepared(key);
            let by_reading = look(&account, inbox, &key, &Answers::default()).expect("read");
            prop_assert_eq!(&find(&account, inbox, &key).expect("found"), &by_reading, "{:?}", key);
        }
    }
}
