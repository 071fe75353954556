use std::sync::Arc;

use super::super::{AccountId, Append, Expunge, Flags, MailboxId, SortNumbers, ThreadLinks, Uid, UidSet};
use super::*;
use crate::seal::tests::state_dir;
use crate::{Store, Timestamp};

const COUNT: u32 = 700;

fn account(store: &Store) -> (Account, MailboxId) {
    let account = store.account(AccountId(1)).unwrap();
    let inbox = account.mailbox_named("INBOX").unwrap().id;
    (account, inbox)
}

fn append_all(store: &Store) {
    let (account, inbox) = account(store);
    let append = |number: u32| {
        let mut staging = store.stage();
        let reply = if number.is_multiple_of(3) { "Re: " } else { "" };
        let text = format!(
            "Date: Sun, 22 Nov 2026 12:{:02}:00 +0000\r\nSubject: {reply}talk {}\r\nMessage-ID: <{number}@a>\r\n\
             References: <{}@a> <x@a>\r\n\r\n{}\r\n",
            number % 60,
            number % 7,
            number / 2,
            "x".repeat(number as usize % 50)
        );
        staging.write(text.as_bytes()).unwrap();
        let internal_date = Timestamp::from_second(i64::from(number * 7919 % 1000)).unwrap();
        Append { message: Arc::new(staging.finish().unwrap()), flags: Flags::default(), internal_date }
    };
    account.append(inbox, (1..=COUNT).map(append).collect()).unwrap();
}

type Links = Vec<(ThreadLinks, Vec<u64>)>;

/// Read by rows, and by what is kept of them after a SELECT.
fn seen(account: &Account, inbox: MailboxId) -> (Vec<SortNumbers>, Links) {
    let by_rows = read(account, inbox);
    account.snapshot(inbox).unwrap();
    assert_eq!(read(account, inbox), by_rows);
    by_rows
}

fn read(account: &Account, inbox: MailboxId) -> (Vec<SortNumbers>, Links) {
    let (all, mut links) = (UidSet::all(), Vec::new());
    account.thread_links(inbox, &all, |found, references| links.push((found, references.collect()))).unwrap();
    (account.sort_numbers(inbox, &all).unwrap(), links)
}

fn chunks(account: &Account) -> Vec<i64> {
    let chunks = |connection: &Connection| {
        let mut statement = connection.prepare("SELECT chunk FROM email_columns ORDER BY chunk")?;
        Ok::<_, Error>(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
    };
    account.0.database.read(chunks).unwrap()
}

/// Forgets what is packed: the account as an older program left it.
fn unpack(account: &Account) {
    let forget =
        |connection: &Connection| Ok::<_, Error>(connection.execute_batch("DELETE FROM email_columns")?);
    account.0.database.write(forget).unwrap();
}

fn expunge(account: &Account, inbox: MailboxId, uids: impl Iterator<Item = u32>) {
    let uids = uids.filter_map(Uid::new).collect();
    account.expunge(inbox, Expunge::Exactly(uids)).unwrap();
}

#[test]
fn packed_and_not_the_columns_are_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(state_dir(directory.path())).unwrap();
    append_all(&store);
    let (account, inbox) = account(&store);
    unpack(&account);
    let plain = seen(&account, inbox);
    assert_eq!((plain.0.len(), plain.1.len()), (700, 700));
    assert_eq!(plain.1[5].1.len(), 2);
    assert_eq!(plain.1[5].1[0], plain.1[2].0.message_id.unwrap().get());
    account.pack_columns().unwrap();
    assert_eq!(chunks(&account), [0, 1], "the last one is not full");
    assert_eq!(seen(&account, inbox), plain);
    account.pack_columns().unwrap();
    expunge(&account, inbox, (1..=COUNT).filter(|uid| uid % 5 == 0));
    let left = seen(&account, inbox);
    unpack(&account);
    assert_eq!(seen(&account, inbox), left);
}

#[test]
fn a_damaged_chunk_is_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(state_dir(directory.path())).unwrap();
    append_all(&store);
    let (account, inbox) = account(&store);
    account.pack_columns().unwrap();
    let plain = seen(&account, inbox);
    for damage in ["substr(columns, 1, 1000)", "CAST(columns || x'00ff' AS BLOB)", "x'ffffff'"] {
        let sql = format!("UPDATE email_columns SET columns = {damage}");
        account.0.database.write(move |connection| Ok::<_, Error>(connection.execute_batch(&sql)?)).unwrap();
        assert_eq!(seen(&account, inbox), plain, "{damage}");
    }
}

#[test]
fn a_chunk_goes_when_its_emails_have_gone() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(state_dir(directory.path())).unwrap();
    append_all(&store);
    let (account, inbox) = account(&store);
    account.pack_columns().unwrap();
    expunge(&account, inbox, 1..=300);
    append_all(&store);
    account.pack_columns().unwrap();
    assert_eq!(chunks(&account), [1, 2, 3, 4]);
    let (numbers, _) = seen(&account, inbox);
    assert_eq!(numbers.len(), 1100);
}
