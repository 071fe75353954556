//! What holds for any input: no panic, whole replies, and the same outcome wherever the input is cut.

use postern_smtp::server::{
    Role,
    fuzz::{converse, fuzz_command, fuzz_session},
};
use proptest::prelude::*;

/// Pieces that sessions are made of, good and bad.
const PIECES: [&str; 40] = [
    "BDAT 0\r\n",
    "BDAT 3\r\na\r\n",
    "BDAT 3\r\n.\r\n",
    "BDAT 6 LAST\r\nNOOP\r\n",
    "BDAT 2\r\na\nRSET\r\n",
    "BDAT 0 LAST\r\n",
    "BDAT 1200\r\n",
    "BDAT 99999999999999999999 LAST\r\n",
    "BDAT x\r\n",
    "EHLO mx.stranger.example\r\n",
    "HELO x\r\n",
    "MAIL FROM:<bob@stranger.example>\r\n",
    "MAIL FROM:<> SIZE=2000 BODY=8BITMIME\r\n",
    "RCPT TO:<ana@home.example>\r\n",
    "RCPT TO:<nobody@home.example>\r\n",
    "RCPT TO:<postmaster>\r\n",
    "DATA\r\n",
    "Subject: x\r\n\r\n",
    "..\r\n",
    ".\r\n",
    "\r\n.\r\n",
    "\n.\n",
    "\n.\r\n",
    "\r.\r",
    "\r\n.\n",
    "\r\r\n.\r\n",
    "\n",
    "\r",
    "\r\n",
    ".",
    "RSET\r\n",
    "NOOP\r\n",
    "QUIT\r\n",
    "STARTTLS\r\n",
    "AUTH PLAIN AGFuYQBzZWNyZXQ=\r\n",
    "AUTH PLAIN\r\n",
    "AUTH LOGIN\r\n",
    "AUTH SCRAM-SHA-256 biwsbj11c2VyLHI9ck9wck5HZndFYmVSV2diTkVrcU8=\r\n",
    "AGFuYQBzZWNyZXQ=\r\n",
    "*\r\n",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_octets(input in prop::collection::vec(any::<u8>(), 0..400)) {
        fuzz_command(&input);
        fuzz_session(&input);
    }

    #[test]
    fn sessions_of_good_and_bad_pieces(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..24)) {
        fuzz_session(pieces.concat().as_bytes());
    }

    #[test]
    fn mutated_sessions(
        pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 1..24),
        place in any::<prop::sample::Index>(),
        octet in any::<u8>(),
    ) {
        let mut input = pieces.concat().into_bytes();
        let place = place.index(input.len());
        input[place] = octet;
        fuzz_session(&input);
    }
}

#[test]
fn every_split_of_every_smuggling_attempt_gives_one_message() {
    for before in ["\r\n", "\n", "\r", "\r\r\n", "\n\r", "\0\r\n"] {
        for after in ["\r\n", "\n", "\r", "\r\r\n", "\n\r"] {
            let attack = format!(
                "HELO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<ana@home.example>\r\nDATA\r\none{before}.{after}\
                 MAIL FROM:<evil@b.example>\r\nRCPT TO:<ana@home.example>\r\nDATA\r\ntwo\r\n.\r\nQUIT\r\n"
            );
            let whole = converse(Role::Mta, attack.as_bytes(), attack.len());
            let messages = whole.1.iter().filter(|event| *event == "Message").count();
            let true_end = before.ends_with("\r\n") && after == "\r\n" && before != "\r\r\n";
            // A doubled CR is a bare one: the message before it is refused, and its end is an end all the same.
            let expected = match (true_end, before, after) {
                (true, ..) => 2,
                (false, "\r\r\n", "\r\n") => 1,
                _ => 0,
            };
            assert_eq!(messages, expected, "{}", attack.escape_debug());
            for cut in 1..attack.len() {
                assert_eq!(converse(Role::Mta, attack.as_bytes(), cut), whole, "cut at {cut}");
            }
        }
    }
}

#[test]
fn a_line_without_end_is_dropped_and_answered_once() {
    let line = format!("NOOP {}\r\nNOOP\r\n", "a".repeat(100_000));
    let (sent, _) = converse(Role::Mta, line.as_bytes(), 1000);
    let replies: Vec<&str> = sent.lines().skip(1).take(2).collect();
    assert_eq!(replies, ["500 5.5.2 line too long", "250 2.0.0 ok"]);
    fuzz_session(line.as_bytes());
}
