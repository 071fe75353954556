//! Conversations, word for word. `C:` is the client's line, `S:` the server's, `H:` what the host is asked and answers.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use postern_pop3::maildrop::{Contents, Listed};
use postern_pop3::request::{Answer, Refusal, Request};
use postern_pop3::session::Transport;
use postern_pop3::{CHUNK, Config, Output, Session};
use postern_sasl::Verdict;

const MESSAGES: [&str; 3] = [
    "Subject: one\r\n\r\n.dot\r\nend\r\n",
    "Subject: two\r\n\r\nno line end",
    "Subject: three\r\n\r\na\r\nb\r\nc\r\n",
];

/// A client, and a host with one user (`ana`, password `tin soldier`) and three messages.
struct Conversation {
    session: Session,
    now: Instant,
    received: Vec<u8>,
    /// What the host was asked to remove and to mark.
    updates: Vec<(Vec<u32>, Vec<u32>)>,
    failures: u32,
    handshakes: u32,
    open: Result<(), Refusal>,
    content: Result<(), Refusal>,
    update: Result<(), Refusal>,
    is_closed: bool,
}

impl Conversation {
    fn new(transport: Transport) -> Conversation {
        let now = Instant::now();
        let session = Session::new(Config { transport, max_login_failures: 3 }, now);
        Conversation {
            session,
            now,
            received: Vec::new(),
            updates: Vec::new(),
            failures: 0,
            handshakes: 0,
            open: Ok(()),
            content: Ok(()),
            update: Ok(()),
            is_closed: false,
        }
    }

    fn logged_in() -> Conversation {
        let mut conversation = Conversation::new(Transport::Tls);
        conversation.say("USER ana\r\nPASS tin soldier\r\n");
        assert!(conversation.heard().ends_with("+OK 3 messages, 81 octets\r\n"));
        conversation
    }

    /// Sends octets, and lets everything happen that follows.
    fn say(&mut self, text: &str) -> &mut Conversation {
        self.session.handle_input(text.as_bytes(), self.now);
        self.run();
        self
    }

    fn run(&mut self) {
        loop {
            match self.session.poll() {
                Output::Send(octets) => self.received.extend(octets),
                Output::Request(request) => {
                    let answer = self.answer(request);
                    self.session.handle_answer(answer);
                }
                Output::StartTls => {
                    self.handshakes += 1;
                    return;
                }
                Output::Wait { .. } => return,
                Output::Close => {
                    self.is_closed = true;
                    return;
                }
            }
        }
    }

    fn answer(&mut self, request: Request) -> Answer {
        let refused = |refusal| Answer::Refused(refusal);
        match request {
            Request::VerifyPassword { login, password } => {
                let is_right = login == "ana" && password.expose() == "tin soldier";
                Answer::Verdict(if is_right { Verdict::Accepted } else { Verdict::Rejected })
            }
            Request::ScramKeys { .. } => refused(Refusal::Unavailable),
            Request::CountFailure => {
                self.failures += 1;
                Answer::FailureCounted
            }
            Request::Open { .. } => self.open.map_or_else(refused, |()| {
                let listed =
                    |(index, text): (usize, &&str)| Listed { uid: index as u32 + 7, size: text.len() as u64 };
                let messages = MESSAGES.iter().enumerate().map(listed).collect();
                Answer::Opened(Contents { uid_validity: 1234, messages })
            }),
            Request::Content { uid, start, length } => self.content.map_or_else(refused, |()| {
                let text = MESSAGES[uid as usize - 7].as_bytes();
                Answer::Content(text[start as usize..(start + length) as usize].to_vec())
            }),
            Request::Update { deleted, retrieved } => self.update.map_or_else(refused, |()| {
                self.updates.push((deleted, retrieved));
                Answer::Updated
            }),
        }
    }

    /// What was received since the last time.
    fn heard(&mut self) -> String {
        self.run();
        String::from_utf8(std::mem::take(&mut self.received)).expect("text")
    }
}

/// Runs a transcript after login.
fn transcript(text: &str) -> Conversation {
    let mut conversation = Conversation::logged_in();
    play(&mut conversation, text);
    conversation
}

fn play(conversation: &mut Conversation, text: &str) {
    let mut heard = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.split_once(": ").unwrap_or((line.trim_end_matches(':'), "")) {
            ("C", said) => {
                assert_eq!(heard, "", "before {line}");
                conversation.say(&format!("{said}\r\n"));
                heard = conversation.heard();
            }
            ("S", expected) => {
                let (first, rest) =
                    heard.split_once("\r\n").unwrap_or_else(|| panic!("nothing where {line}"));
                assert_eq!(first.trim_end(), expected);
                heard = rest.to_owned();
            }
            _ => panic!("not a transcript line: {line}"),
        }
    }
    assert_eq!(heard, "");
}

#[test]
fn a_client_reads_and_deletes() {
    let conversation = transcript(
        "C: STAT
         S: +OK 3 81
         C: LIST
         S: +OK
         S: 1 27
         S: 2 27
         S: 3 27
         S: .
         C: UIDL
         S: +OK
         S: 1 1234.7
         S: 2 1234.8
         S: 3 1234.9
         S: .
         C: RETR 1
         S: +OK 27 octets
         S: Subject: one
         S:
         S: ..dot
         S: end
         S: .
         C: RETR 2
         S: +OK 27 octets
         S: Subject: two
         S:
         S: no line end
         S: .
         C: TOP 3 1
         S: +OK 27 octets
         S: Subject: three
         S:
         S: a
         S: .
         C: DELE 1
         S: +OK marked
         C: DELE 1
         S: -ERR no such message
         C: LIST 1
         S: -ERR no such message
         C: LIST 2
         S: +OK 2 27
         C: UIDL 3
         S: +OK 3 1234.9
         C: RETR 4
         S: -ERR no such message
         C: STAT
         S: +OK 2 54
         C: NOOP
         S: +OK
         C: QUIT
         S: +OK bye",
    );
    assert_eq!(
        conversation.updates,
        [(vec![7], vec![8])],
        "removed is not marked as read, TOP marks nothing"
    );
    assert!(conversation.is_closed);
}

#[test]
fn what_is_unmarked_stays_and_a_lost_connection_changes_nothing() {
    let conversation = transcript(
        "C: DELE 2
         S: +OK marked
         C: RSET
         S: +OK no message is marked
         C: STAT
         S: +OK 3 81
         C: QUIT
         S: +OK bye",
    );
    assert_eq!(conversation.updates, []);
    let mut lost = transcript("C: DELE 2\nS: +OK marked");
    lost.session.handle_end();
    lost.run();
    assert!(lost.is_closed && lost.updates.is_empty());
}

#[test]
fn an_update_that_fails_is_told() {
    let mut conversation = Conversation::logged_in();
    conversation.update = Err(Refusal::Unavailable);
    play(
        &mut conversation,
        "C: DELE 2\nS: +OK marked\nC: QUIT\nS: -ERR [SYS/TEMP] not possible now, try again later",
    );
    assert!(conversation.is_closed);
}

#[test]
fn commands_sent_ahead_are_answered_in_their_order() {
    let mut conversation = Conversation::new(Transport::Tls);
    conversation.say("USER ana\r\nPASS tin soldier\r\nSTAT\r\nLIST 1\r\nQUIT\r\n");
    let heard = conversation.heard();
    let expected = "+OK POP3 server ready\r\n+OK now the password\r\n+OK 3 messages, 81 octets\r\n+OK 3 81\r\n+OK 1 27\r\n+OK bye\r\n";
    assert_eq!(heard, expected);
}

#[test]
fn in_clear_there_is_nothing_but_stls_and_what_comes_with_it_is_dropped() {
    let mut conversation = Conversation::new(Transport::Clear);
    conversation.say("CAPA\r\n");
    let capabilities = conversation.heard();
    assert!(
        capabilities.contains("\r\nSTLS\r\n") && !capabilities.contains("USER\r\nSASL"),
        "{capabilities}"
    );
    assert!(!capabilities.contains("SASL"), "{capabilities}");
    play(
        &mut conversation,
        "C: USER ana
         S: -ERR passwords are not taken before STLS
         C: AUTH PLAIN
         S: -ERR passwords are not taken before STLS",
    );
    conversation.say("STLS\r\nUSER mallory\r\n");
    assert_eq!(conversation.heard(), "+OK begin TLS\r\n");
    assert_eq!(conversation.handshakes, 1);
    conversation.say("PASS before the handshake\r\n");
    conversation.session.handle_tls();
    assert_eq!(conversation.heard(), "", "what was said in clear is forgotten");
    conversation.say("CAPA\r\n");
    let capabilities = conversation.heard();
    assert!(capabilities.contains("\r\nUSER\r\nSASL SCRAM-SHA-256 PLAIN\r\n"), "{capabilities}");
    assert!(!capabilities.contains("STLS"), "{capabilities}");
    play(
        &mut conversation,
        "C: STLS
         S: -ERR TLS is there already
         C: PASS tin soldier
         S: -ERR USER comes first",
    );
}

#[test]
fn authentication_by_sasl() {
    let plain = |password: &str| BASE64.encode(format!("\0ana\0{password}"));
    let mut conversation = Conversation::new(Transport::Tls);
    conversation.heard();
    play(
        &mut conversation,
        &format!(
            "C: AUTH
             S: -ERR expected the name of a mechanism
             C: AUTH NTLM
             S: -ERR unknown mechanism
             C: AUTH PLAIN
             S: +
             C: *
             S: -ERR cancelled
             C: AUTH PLAIN =AAA
             S: -ERR expected base64
             C: AUTH PLAIN {}
             S: -ERR [AUTH] wrong name or password
             C: AUTH PLAIN
             S: +
             C: {}
             S: +OK 3 messages, 81 octets
             C: AUTH PLAIN
             S: -ERR you are logged in already",
            plain("wrong"),
            plain("tin soldier")
        ),
    );
    assert_eq!(conversation.failures, 1);
}

#[test]
fn three_wrong_passwords_end_the_connection() {
    let mut conversation = Conversation::new(Transport::Tls);
    for _ in 0..3 {
        assert!(!conversation.is_closed);
        conversation.say("USER mallory\r\nPASS guess\r\n");
    }
    assert!(conversation.is_closed);
    assert_eq!(conversation.failures, 3);
}

#[test]
fn a_locked_maildrop_is_told_from_a_wrong_password() {
    let mut conversation = Conversation::new(Transport::Tls);
    conversation.heard();
    conversation.open = Err(Refusal::InUse);
    play(
        &mut conversation,
        "C: USER ana
         S: +OK now the password
         C: PASS tin soldier
         S: -ERR [IN-USE] another session has this maildrop; try again in a minute
         C: STAT
         S: -ERR log in first",
    );
    assert_eq!(conversation.failures, 0);
}

#[test]
fn a_message_that_another_program_removed_is_refused_and_the_session_goes_on() {
    let mut conversation = Conversation::logged_in();
    conversation.content = Err(Refusal::Gone);
    play(&mut conversation, "C: RETR 1\nS: -ERR another program has deleted this message\nC: NOOP\nS: +OK");
}

#[test]
fn silence_ends_a_session_after_ten_minutes_and_changes_nothing() {
    let mut conversation = transcript("C: DELE 1\nS: +OK marked");
    let Output::Wait { deadline } = conversation.session.poll() else { panic!("not waiting") };
    assert_eq!(deadline - conversation.now, Duration::from_secs(600));
    conversation.session.handle_timeout(deadline - Duration::from_secs(1));
    assert!(matches!(conversation.session.poll(), Output::Wait { .. }));
    conversation.session.handle_timeout(deadline);
    assert!(matches!(conversation.session.poll(), Output::Close));
    assert_eq!(conversation.updates, []);
}

#[test]
fn whoever_speaks_another_protocol_is_sent_away() {
    let mut conversation = Conversation::new(Transport::Tls);
    conversation.say(&"GET / HTTP/1.1\r\n".repeat(19));
    assert!(!conversation.is_closed);
    conversation.say(&format!("{}\r\n", "x".repeat(100_000)));
    assert!(conversation.heard().ends_with("-ERR line too long\r\n"));
    assert!(conversation.is_closed);
}

#[test]
fn a_long_list_is_given_out_in_pieces() {
    let mut session =
        Session::new(Config { transport: Transport::Tls, max_login_failures: 3 }, Instant::now());
    session.handle_input(b"USER ana\r\nPASS tin soldier\r\nUIDL\r\n", Instant::now());
    let (mut pieces, mut lines) = (0, 0);
    loop {
        match session.poll() {
            Output::Send(octets) => {
                assert!(octets.len() < CHUNK + 1000);
                pieces += 1;
                lines += octets.iter().filter(|&&octet| octet == b'\n').count();
            }
            Output::Request(Request::VerifyPassword { .. }) => {
                session.handle_answer(Answer::Verdict(Verdict::Accepted));
            }
            Output::Request(_) => {
                let messages = (1..=50_000).map(|uid| Listed { uid, size: 1 }).collect();
                session.handle_answer(Answer::Opened(Contents { uid_validity: 1_700_000_000, messages }));
            }
            _ => break,
        }
    }
    assert_eq!(lines, 5 + 50_000);
    assert!(pieces > 10, "{pieces}");
}

proptest::proptest! {
    #[test]
    fn any_octets_are_taken(octets in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..2000)) {
        postern_pop3::fuzz_command(&octets);
        postern_pop3::fuzz_session(&octets);
    }

    /// Arbitrary octets hardly ever log in; words of the protocol do.
    #[test]
    fn any_words_are_taken(words in "(STLS\r\n)?(USER a\r\n|PASS b\r\n|RETR [0-4]\r\n|TOP 1 9\r\n|LIST\r\n|UIDL\r\n|DELE 2\r\n|RSET\r\n|AUTH PLAIN\r\n|QUIT){0,30}") {
        postern_pop3::fuzz_session(words.as_bytes());
    }
}
