use std::time::{Duration, Instant};

use super::*;
use crate::request::Access;
use crate::types::Flag;

#[test]
fn a_command_under_way_is_named_unless_its_name_would_end_the_code() {
    let mut core = Core::new(Config::default());
    core.tag = "a1".to_owned();
    core.tell_in_progress();
    core.tag = "a]1".to_owned();
    core.tell_in_progress();
    let told =
        "* OK [INPROGRESS (\"a1\" NIL NIL)] Still at it\r\n* OK [INPROGRESS (NIL NIL NIL)] Still at it\r\n";
    assert_eq!(String::from_utf8_lossy(&core.output), told);
}

/// Each message costs the same, however many there are: compared with each other, these would take a minute.
#[test]
fn what_the_client_knows_already_is_passed_over() {
    const MESSAGES: u32 = 100_000;
    let flagged = |uid| Flagged { uid, mod_seq: 2, flags: vec![Flag::Seen] };
    let mut core = Core::new(Config::default());
    let snapshot = Snapshot {
        mailbox: MailboxId { account: 1, mailbox: 1 },
        object_id: "M1".to_owned(),
        uid_validity: 1,
        uid_next: MESSAGES + 1,
        mod_seq: 1,
        uids: (1..=MESSAGES).collect(),
        recent_from: u32::MAX,
        first_unseen: None,
        keywords: Vec::new(),
        access: Access::ReadWrite,
        permanent_flags: Vec::new(),
        new_keywords: false,
    };
    core.select(&snapshot);
    let all: Vec<Flagged> = (1..=MESSAGES).map(flagged).collect();
    // The last one changed once more, by another hand.
    let changed = all.iter().cloned().map(|message| match message.uid {
        MESSAGES => Flagged { mod_seq: 3, ..message },
        _ => message,
    });
    let changes = Changes { mod_seq: 3, changed: changed.collect(), expunged: Vec::new() };
    core.selected.as_mut().unwrap().know(&all);
    let begun = Instant::now();
    core.apply_changes(changes, Expunges::Held);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(core.output, format!("* {MESSAGES} FETCH (FLAGS (\\Seen))\r\n").into_bytes());
}
