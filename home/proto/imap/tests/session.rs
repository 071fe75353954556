//! The session against a host that makes everything up: time, back-pressure, and input cut anywhere.

use std::sync::Arc;
use std::time::{Duration, Instant};

use postern_imap::request::{
    Access, Answer, Changes, Flagged, Found, MailboxId, Refusal, Request, Snapshot, Stored,
};
use postern_imap::types::{Arrival, BodyKind, BodyStructure, DateTime, Message, Span};
use postern_imap::{CHUNK, Config, Output, Session};
use postern_sasl::Verdict;
use proptest::prelude::*;

const HEADER: u64 = 100;
const SIZE: u64 = 100 * 1024 * 1024;
const DATE: DateTime = DateTime { seconds: 0, zone_minutes: 0 };

fn structure() -> BodyStructure {
    BodyStructure {
        kind: BodyKind::Text { lines: 1 },
        media_type: b"text".to_vec(),
        subtype: b"plain".to_vec(),
        parameters: Vec::new(),
        id: None,
        description: None,
        encoding: b"7BIT".to_vec(),
        md5: None,
        disposition: None,
        language: Vec::new(),
        location: None,
        header: Span { start: 0, end: HEADER },
        body: Span { start: HEADER, end: SIZE },
    }
}

fn message(uid: u32) -> Message {
    Message {
        uid,
        mod_seq: 1,
        flags: Vec::new(),
        arrival: Some(Arrival { internal_date: DATE, save_date: DATE, size: SIZE }),
        envelope: None,
        structure: Some(Arc::new(structure())),
        object_ids: None,
        preview: None,
        header: None,
        octets: None,
    }
}

/// One mailbox with three huge messages; everything else is refused.
fn answer(request: Request) -> Answer {
    match request {
        Request::VerifyPassword { .. } => Answer::Verdict(Verdict::Accepted),
        Request::OpenAccount { .. }
        | Request::CloseAccount
        | Request::AppendBegin { .. }
        | Request::AppendNext { .. }
        | Request::AppendAbort => Answer::Done,
        Request::AppendData(octets) => {
            assert!(octets.len() <= CHUNK);
            Answer::Done
        }
        Request::AppendCommit { .. } => Answer::Appended { uid_validity: 1, uids: vec![4] },
        Request::Open(..) => Answer::Opened(Snapshot {
            mailbox: MailboxId { account: 1, mailbox: 1 },
            object_id: "M1".to_owned(),
            uid_validity: 1,
            uid_next: 10,
            mod_seq: 1,
            uids: vec![2, 3, 9],
            recent_from: 3,
            first_unseen: Some(2),
            keywords: Vec::new(),
            access: Access::ReadWrite,
            permanent_flags: Vec::new(),
            new_keywords: false,
        }),
        Request::Messages { uids, .. } => {
            Answer::Messages { answered: uids.len(), found: uids.into_iter().map(message).collect() }
        }
        Request::Content { start, length, .. } => {
            assert!(length <= CHUNK as u64 && start + length <= SIZE);
            Answer::Content(vec![b'x'; length as usize])
        }
        Request::StoreFlags { uids, flags, .. } => Answer::Stored(Stored {
            messages: uids.into_iter().map(|uid| Flagged { uid, mod_seq: 2, flags: flags.clone() }).collect(),
            modified: Vec::new(),
        }),
        Request::Changes { .. } => Answer::Changes(Changes::default()),
        Request::Search { .. } | Request::Sort { .. } => {
            Answer::Found([2, 9].map(|uid| Found { uid, mod_seq: 1 }).to_vec())
        }
        Request::Expunge { .. } => Answer::Expunged(vec![3]),
        _ => Answer::Refused(Refusal::NonExistent),
    }
}

/// Runs until the session waits (true) or closes (false); gives what it sends to `sent`.
fn pump(session: &mut Session, mut sent: impl FnMut(Vec<u8>)) -> bool {
    loop {
        match session.poll() {
            Output::Send(octets) => sent(octets),
            Output::Request(request) => session.handle_answer(answer(request)),
            Output::Wait { .. } => return true,
            Output::Close => return false,
        }
    }
}

fn talk(pieces: &[&[u8]]) -> (Vec<u8>, bool) {
    let now = Instant::now();
    let mut session = Session::new(Config::default(), now);
    let mut output = Vec::new();
    assert!(pump(&mut session, |octets| output.extend(octets)));
    for piece in pieces {
        session.handle_input(piece, now);
        if !pump(&mut session, |octets| output.extend(octets)) {
            return (output, false);
        }
    }
    (output, true)
}

fn logged_in(now: Instant) -> Session {
    let mut session = Session::new(Config::default(), now);
    session.handle_input(b"a LOGIN ana secret\r\nb SELECT INBOX\r\n", now);
    assert!(pump(&mut session, |_| {}));
    session
}

#[test]
fn a_huge_fetch_flows_in_bounded_pieces() {
    let now = Instant::now();
    let mut session = logged_in(now);
    session.handle_input(b"c FETCH 1:3 BODY.PEEK[]\r\n", now);
    let (mut total, mut largest) = (0, 0);
    assert!(pump(&mut session, |octets| {
        total += octets.len() as u64;
        largest = largest.max(octets.len());
    }));
    assert!(total > 3 * SIZE, "{total}");
    assert!(largest <= 2 * CHUNK + 1024, "{largest}");
}

#[test]
fn a_fetch_of_many_items_flows_in_bounded_pieces() {
    let now = Instant::now();
    let mut session = logged_in(now);
    let items = ["BODYSTRUCTURE BODY[9]"; 20_000].join(" ");
    session.handle_input(format!("c FETCH 1:3 ({items})\r\n").as_bytes(), now);
    let (mut total, mut largest) = (0, 0);
    assert!(pump(&mut session, |octets| {
        total += octets.len();
        largest = largest.max(octets.len());
    }));
    assert!(total > 3 * 20_000 * 30, "{total}");
    assert!(largest <= 2 * CHUNK, "{largest}");
}

#[test]
fn what_cannot_be_marked_as_read_is_read() {
    let now = Instant::now();
    let mut session = logged_in(now);
    session.handle_input(b"c FETCH 1 BODY[]<0.9>\r\n", now);
    let mut output = Vec::new();
    loop {
        match session.poll() {
            Output::Send(octets) => output.extend(octets),
            Output::Request(Request::StoreFlags { .. }) => {
                session.handle_answer(Answer::Refused(Refusal::Unavailable));
            }
            Output::Request(request) => session.handle_answer(answer(request)),
            Output::Wait { .. } => break,
            Output::Close => panic!("closed"),
        }
    }
    let expected = "* 1 FETCH (BODY[]<0> {9}\r\nxxxxxxxxx)\r\nc OK FETCH completed\r\n";
    assert_eq!(String::from_utf8_lossy(&output), expected);
}

#[test]
fn chatter_does_not_put_off_the_login() {
    let start = Instant::now();
    let mut session = Session::new(Config::default(), start);
    session.handle_input(b"a NOOP\r\n", start + Duration::from_secs(179));
    assert!(pump(&mut session, |_| {}));
    session.handle_timeout(start + Duration::from_secs(181));
    assert!(!pump(&mut session, |_| {}));
}

#[test]
fn silence_ends_the_session() {
    let start = Instant::now();
    let mut session = Session::new(Config::default(), start);
    session.handle_timeout(start + Duration::from_secs(179));
    assert!(pump(&mut session, |_| {}));
    session.handle_timeout(start + Duration::from_secs(181));
    assert!(!pump(&mut session, |_| {}));

    // RFC 9051 §5.4: at least 30 minutes after login, in IDLE too.
    let mut session = logged_in(start);
    session.handle_input(b"c IDLE\r\n", start);
    assert!(pump(&mut session, |_| {}));
    session.handle_timeout(start + Duration::from_secs(30 * 60));
    assert!(pump(&mut session, |_| {}));
    session.handle_timeout(start + Duration::from_secs(31 * 60));
    let mut last = Vec::new();
    assert!(!pump(&mut session, |octets| last = octets));
    assert!(last.starts_with(b"* BYE"));
}

#[test]
fn a_shutdown_says_goodbye_in_the_midst_of_a_fetch() {
    let now = Instant::now();
    let mut session = logged_in(now);
    session.handle_input(b"c FETCH 1 BODY.PEEK[]\r\n", now);
    let Output::Request(request) = session.poll() else { panic!("a request") };
    session.handle_answer(answer(request));
    session.handle_shutdown();
    assert!(!pump(&mut session, |_| {}));
}

const LINES: [&str; 26] = [
    "a LOGIN ana secret\r\n",
    "b SELECT INBOX\r\n",
    "c FETCH 1:* (FLAGS UID BODY.PEEK[]<0.10>)\r\n",
    "d APPEND INBOX {5}\r\nhello\r\n",
    "e APPEND INBOX (\\Seen) {5+}\r\nhel\r\n\r\n",
    "f LOGIN {3}\r\nana {3+}\r\nx\r\n\r\n",
    "g IDLE\r\nDONE\r\n",
    "h AUTHENTICATE PLAIN\r\n*\r\n",
    "i AUTHENTICATE PLAIN AGFuYQBzZWNyZXQ=\r\n",
    "j UID SEARCH RETURN (SAVE) ALL\r\n",
    "k UID STORE $ +FLAGS (\\Deleted)\r\n",
    "l EXPUNGE\r\n",
    "m CLOSE\r\n",
    "n APPEND INBOX {99999999999}\r\n",
    "o APPEND INBOX {99999999999+}\r\n",
    "p APPEND INBOX {3+}\r\nabc {3+}\r\nabc\r\n",
    "q BAD {4}\r\nabcd\r\n",
    "}\r\n",
    "r FETCH 1 BODY[1]\n",
    "{5}\r\n",
    "s UID FETCH 2 BODY[HEADER.FIELDS (A {1}\r\nB)]\r\n",
    "u APPEND INBOX {3+}\r\nabc (\\Seen) ~{2}\r\nab\r\n",
    "v FETCH 1 (BINARY.SIZE[1] BINARY[1]<5.9>)\r\n",
    "w SORT (REVERSE DATE) UTF-8 ALL\r\n",
    "x UNAUTHENTICATE\r\n",
    "t LOGOUT\r\n",
];

fn pieces<'a>(input: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
    cuts.extend([0, input.len()]);
    cuts.sort_unstable();
    cuts.windows(2).filter_map(|pair| input.get(pair[0]..pair[1])).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_split_gives_the_same_output(
        first in 0usize..3,
        lines in prop::collection::vec(prop::sample::select(LINES.to_vec()), 0..8),
        cuts in prop::collection::vec(any::<usize>(), 0..10),
    ) {
        let input = [LINES[..first].concat(), lines.concat()].concat().into_bytes();
        let whole = talk(&[&input]);
        prop_assert_eq!(&talk(&pieces(&input, &cuts)), &whole);
        let single: Vec<&[u8]> = input.chunks(1).collect();
        prop_assert_eq!(&talk(&single), &whole);
    }

    #[test]
    fn random_octets_never_panic(input in prop::collection::vec(any::<u8>(), 0..200), login in any::<bool>()) {
        let start: &[u8] = if login { b"a LOGIN ana secret\r\nb SELECT INBOX\r\n" } else { b"" };
        let (output, _) = talk(&[start, &input]);
        prop_assert!(output.len() < 100_000);
    }
}
