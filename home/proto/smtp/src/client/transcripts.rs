//! Dialogues in plain text against the session core. `S:` the server says, `C:` the client must say next, `E:`
//! the event that must come next, `!` what the shell does. Every dialogue also runs with the server's octets
//! one at a time.

use std::time::{Duration, Instant};

use postern_message::address::EmailAddress;
use postern_sasl::Password;
use postern_sasl::client::Login;
use proptest::prelude::*;

use super::envelope::{BodyType, DsnParameters, Envelope, Recipient};
use super::{Closed, Event, RecipientResult, Session, TlsUse, timeouts};
use crate::deliver_by::DeliverBy;

const CONTENT: &[u8] = b"Subject: x\r\n\r\n.dot\r\n";

fn envelope(recipients: &[&str]) -> Envelope {
    let recipient = |text: &&str| Recipient::new(text.parse().unwrap());
    Envelope {
        reverse_path: Some("ana@home.example".parse::<EmailAddress>().unwrap()),
        recipients: recipients.iter().map(recipient).collect(),
        octets: 20,
        body: BodyType::SevenBit,
        smtp_utf8: false,
        require_tls: false,
        deliver_by: None,
        dsn: None,
    }
}

fn render(event: &Event) -> String {
    match event {
        Event::Ready => "ready".into(),
        Event::StartTls => "starttls".into(),
        Event::SendContent => "content".into(),
        Event::Finished(results) => results.iter().map(render_result).collect::<Vec<_>>().join(" "),
        Event::Closed(Closed::Quit) => "closed quit".into(),
        Event::Closed(Closed::Refused(reply)) => format!("closed {}", reply.code),
        Event::Closed(Closed::NoTls(reply)) => {
            format!(
                "closed without TLS{}",
                reply.as_ref().map(|reply| format!(" {}", reply.code)).unwrap_or_default()
            )
        }
        Event::Closed(Closed::NotAuthenticated(reply)) => {
            let code = reply.as_ref().map(|reply| format!(" {}", reply.code));
            format!("closed without login{}", code.unwrap_or_default())
        }
        Event::Closed(Closed::Broken(cause)) => format!("closed {cause}"),
    }
}

fn render_result(result: &RecipientResult) -> String {
    match result {
        RecipientResult::Accepted(reply) => format!("+{}", reply.code),
        RecipientResult::Refused(reply) => format!("-{}", reply.code),
        RecipientResult::Unsupported(unsupported) => format!("-{}", unsupported.status),
        RecipientResult::Postponed(most) => format!("={most}"),
        RecipientResult::Interrupted(cause) => format!("?{cause}"),
    }
}

struct Player {
    session: Session,
    now: Instant,
    said: Vec<u8>,
    octet_by_octet: bool,
}

impl Player {
    fn line(&mut self, line: &str) {
        let (kind, text) = line.split_once(' ').unwrap_or((line, ""));
        match kind {
            "S:" => self.server_says(format!("{text}\r\n").as_bytes()),
            "C:" => self.expect_said(text),
            "E:" => assert_eq!(self.session.next_event().map(|e| render(&e)).as_deref(), Some(text)),
            "!" => self.act(text),
            _ => panic!("{line:?} is no transcript line"),
        }
    }

    fn server_says(&mut self, octets: &[u8]) {
        let size = if self.octet_by_octet { 1 } else { octets.len() };
        octets.chunks(size).for_each(|chunk| self.session.handle_input(chunk, self.now));
    }

    fn expect_said(&mut self, text: &str) {
        self.said.extend(self.session.take_output());
        let wanted = format!("{text}\r\n").into_bytes();
        assert!(self.said.starts_with(&wanted), "{text:?}, but {:?}", String::from_utf8_lossy(&self.said));
        self.said.drain(..wanted.len());
    }

    fn act(&mut self, action: &str) {
        let (verb, rest) = action.split_once(' ').unwrap_or((action, ""));
        match verb {
            "send" => self.send(envelope(&rest.split(' ').collect::<Vec<_>>())),
            "send-requiring-tls" => self.send(Envelope { require_tls: true, ..envelope(&[rest]) }),
            "send-by" => {
                let (by, to) = rest.split_once(' ').unwrap();
                self.send(Envelope { deliver_by: DeliverBy::parse(by), ..envelope(&[to]) });
            }
            "quit" => self.session.quit(self.now),
            "tls" => self.session.handle_tls_established(self.now),
            "end" => self.session.handle_end_of_input("the server closed the connection"),
            "content" => {
                CONTENT.chunks(3).for_each(|chunk| self.session.push_content(chunk, self.now));
                self.session.finish_content(self.now);
            }
            "partial" => self.session.push_content(CONTENT, self.now),
            "finish" => self.session.finish_content(self.now),
            "wait" => {
                self.now += Duration::from_secs(rest.parse().unwrap());
                self.session.handle_timeout(self.now);
            }
            _ => panic!("{action:?} is no action"),
        }
    }

    fn send(&mut self, envelope: Envelope) {
        self.session.send(envelope, self.now);
    }

    fn finish(&mut self) {
        self.said.extend(self.session.take_output());
        assert_eq!(String::from_utf8_lossy(&self.said), "", "all that was said must be in the transcript");
        assert_eq!(self.session.next_event(), None);
    }
}

fn player(tls_use: TlsUse, octet_by_octet: bool) -> Player {
    let now = Instant::now();
    Player { session: Session::new("mail.home.example", tls_use, now), now, said: Vec::new(), octet_by_octet }
}

fn play(transcript: &str) {
    play_with(TlsUse::Opportunistic, transcript);
}

fn play_with(tls_use: TlsUse, transcript: &str) {
    for octet_by_octet in [false, true] {
        let mut player = player(tls_use, octet_by_octet);
        transcript.lines().map(str::trim).filter(|line| !line.is_empty()).for_each(|line| player.line(line));
        player.finish();
    }
}

/// Runs a dialogue with a relay that must know us: user `u`, password `p`.
fn play_with_login(tls_use: TlsUse, transcript: &str) {
    for octet_by_octet in [false, true] {
        let mut player = player(tls_use, octet_by_octet);
        let login = Login { name: "u".into(), password: Password::new("p".into()), nonce: "abc".into() };
        player.session = player.session.log_in(login);
        transcript.lines().map(str::trim).filter(|line| !line.is_empty()).for_each(|line| player.line(line));
        player.finish();
    }
}

#[test]
fn a_login_precedes_the_mail() {
    let offering = |mechanisms: &str, rest: &str| {
        let greeting = "S: 220 relay\nC: EHLO mail.home.example\nS: 250-relay\nS: 250 AUTH ";
        play_with_login(TlsUse::Implicit, &format!("{greeting}{mechanisms}\n{rest}"));
    };
    offering(
        "LOGIN PLAIN",
        "C: AUTH PLAIN AHUAcA==\nS: 235 2.7.0 good\nE: ready\n! quit\nC: QUIT\nS: 221 x\nE: closed quit",
    );
    offering(
        "LOGIN",
        "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: dQ==\nS: 334 UGFzc3dvcmQ6\nC: cA==\nS: 235 good\nE: ready",
    );
    offering("PLAIN", "C: AUTH PLAIN AHUAcA==\nS: 535 5.7.8 wrong\nE: closed without login 535");
    offering("XOAUTH2", "E: closed without login");
    offering(
        "LOGIN",
        "C: AUTH LOGIN\nS: 334 ???\nE: closed the server's challenge is not in base64 (after AUTH)",
    );
    // A server that says yes before it has shown that it knows the password too.
    offering(
        "SCRAM-SHA-256 PLAIN",
        "C: AUTH SCRAM-SHA-256 biwsbj11LHI9YWJj\nS: 235 good\n\
         E: closed the server does not prove that it knows the password (after AUTH)",
    );
}

#[test]
fn a_login_is_said_under_tls_only() {
    let to_tls = "S: 220 relay\nC: EHLO mail.home.example\nS: 250-relay\nS: 250-AUTH PLAIN\nS: 250 STARTTLS\n\
         C: STARTTLS\nS: 220 go\nE: starttls\n! tls\nC: EHLO mail.home.example\nS: 250-relay\nS: 250 AUTH PLAIN\n\
         C: AUTH PLAIN AHUAcA==\nS: 235 good\nE: ready";
    play_with_login(TlsUse::Required, to_tls);
    for tls_use in [TlsUse::Required, TlsUse::Opportunistic, TlsUse::Never] {
        let in_clear =
            "S: 220 relay\nC: EHLO mail.home.example\nS: 250-relay\nS: 250 AUTH PLAIN\nE: closed without TLS";
        play_with_login(tls_use, in_clear);
    }
}

const TO_READY: &str = "
    S: 220 mx.example
    C: EHLO mail.home.example
    S: 250-mx.example
    S: 250-SIZE 1000
    S: 250-8BITMIME
    S: 250 PIPELINING
    E: ready
";

fn play_from_ready(transcript: &str) {
    play(&format!("{TO_READY}{transcript}"));
}

const TO_READY_FOR_CHUNKS: &str = "
    S: 220 mx.example
    C: EHLO mail.home.example
    S: 250-mx.example
    S: 250-PIPELINING
    S: 250 CHUNKING
    E: ready
    ! send bo@mx.example cy@mx.example
    C: MAIL FROM:<ana@home.example>
    C: RCPT TO:<bo@mx.example>
    C: RCPT TO:<cy@mx.example>
";

#[test]
fn no_more_recipients_than_the_server_announces() {
    play(
        "S: 220 mx.example
         C: EHLO mail.home.example
         S: 250-mx.example
         S: 250 LIMITS MAILMAX=5 RCPTMAX=2 X=y
         E: ready
         ! send bo@mx.example cy@mx.example di@mx.example
         C: MAIL FROM:<ana@home.example>
         S: 250 ok
         C: RCPT TO:<bo@mx.example>
         S: 250 ok
         C: RCPT TO:<cy@mx.example>
         S: 550 no cy
         C: DATA
         S: 354 go
         E: content
         ! content
         C: Subject: x
         C:
         C: ..dot
         C: .
         S: 250 taken
         E: +250 -550 =2
         E: ready",
    );
}

#[test]
fn no_more_messages_than_the_server_announces() {
    for (limits, takes_another) in [("MAILMAX=2", true), ("MAILMAX=1", false), ("RCPTMAX=1", true)] {
        let mut player = player(TlsUse::Never, false);
        let dialogue = format!(
            "S: 220 mx.example
             C: EHLO mail.home.example
             S: 250-mx.example
             S: 250 LIMITS {limits}
             E: ready
             ! send bo@mx.example
             C: MAIL FROM:<ana@home.example>
             S: 450 not yet
             E: -450
             E: ready"
        );
        dialogue.lines().for_each(|line| player.line(line.trim()));
        assert_eq!(player.session.takes_another(), takes_another, "{limits}");
    }
}

#[test]
fn a_message_that_is_to_be_in_time_says_so_or_stays() {
    let offering = |offer: &str, rest: &str| {
        let greeting = "S: 220 mx.example\nC: EHLO mail.home.example\nS: 250-mx.example\nS: 250 ";
        play(&format!("{greeting}{offer}\nE: ready\n{rest}"));
    };
    let said = |by: &str| {
        format!(
            "! send-by {by} bo@mx.example\nC: MAIL FROM:<ana@home.example> BY={by}\nS: 550 no\nE: -550\nE: ready"
        )
    };
    offering("DELIVERBY", &said("120;R"));
    offering("DELIVERBY 120", &said("120;RT"));
    offering("DELIVERBY 240", &said("120;N"));
    offering("DELIVERBY 240", "! send-by 120;R bo@mx.example\nE: -5.4.7\nE: ready");
    offering("DSN", "! send-by 120;R bo@mx.example\nE: -5.4.7\nE: ready");
    offering(
        "DSN",
        "! send-by 120;N bo@mx.example\nC: MAIL FROM:<ana@home.example>\nS: 550 no\nE: -550\nE: ready",
    );
}

#[test]
fn a_message_that_requires_tls_goes_only_to_who_promises_it() {
    play_from_ready("! send-requiring-tls bo@mx.example\nE: -5.7.30\nE: ready");
    play(
        "S: 220 mx.example
         C: EHLO mail.home.example
         S: 250-mx.example
         S: 250 REQUIRETLS
         E: ready
         ! send-requiring-tls bo@mx.example
         C: MAIL FROM:<ana@home.example> REQUIRETLS
         S: 250 ok
         C: RCPT TO:<bo@mx.example>",
    );
}

#[test]
fn a_message_in_chunks() {
    play(&format!(
        "{TO_READY_FOR_CHUNKS}
         S: 250 ok
         S: 250 ok
         S: 550 5.1.1 no cy
         E: content
         ! partial
         C: BDAT 20
         C: Subject: x
         C:
         C: .dot
         S: 250 20 octets
         ! finish
         C: BDAT 0 LAST
         S: 250 2.0.0 queued as 1
         E: +250 -550
         E: ready"
    ));
}

#[test]
fn nothing_is_sent_in_chunks_for_nobody() {
    play(&format!(
        "{TO_READY_FOR_CHUNKS}
         S: 250 ok
         S: 550 no
         S: 450 later
         E: -550 -450
         C: RSET
         S: 250 ok
         E: ready"
    ));
}

/// The last chunk's 250 cannot make up for one that was refused.
#[test]
fn a_refused_chunk_is_a_refused_message() {
    play(&format!(
        "{TO_READY_FOR_CHUNKS}
         S: 250 ok
         S: 250 ok
         S: 250 ok
         E: content
         ! partial
         ! finish
         C: BDAT 20
         C: Subject: x
         C:
         C: .dot
         C: BDAT 0 LAST
         S: 452 4.3.1 full
         S: 250 what there is
         E: -452 -452
         E: ready"
    ));
    play(&format!(
        "{TO_READY_FOR_CHUNKS}
         S: 250 ok
         S: 250 ok
         S: 250 ok
         E: content
         ! partial
         C: BDAT 20
         C: Subject: x
         C:
         C: .dot
         S: 552 5.3.4 too big
         E: -552 -552
         E: closed 552"
    ));
}

#[test]
fn starttls_then_a_pipelined_message_then_quit() {
    play(
        "S: 220-mx.example
         S: 220 welcome
         C: EHLO mail.home.example
         S: 250-mx.example
         S: 250-PIPELINING
         S: 250 STARTTLS
         C: STARTTLS
         S: 220 go
         E: starttls
         ! tls
         C: EHLO mail.home.example
         S: 250-mx.example
         S: 250 PIPELINING
         E: ready
         ! send bo@mx.example cy@mx.example
         C: MAIL FROM:<ana@home.example>
         C: RCPT TO:<bo@mx.example>
         C: RCPT TO:<cy@mx.example>
         C: DATA
         S: 250 ok
         S: 250 ok
         S: 550 5.1.1 no cy
         S: 354 go
         E: content
         ! content
         C: Subject: x
         C:
         C: ..dot
         C: .
         S: 250 2.0.0 queued as 1
         E: +250 -550
         E: ready
         ! quit
         C: QUIT
         S: 221 bye
         E: closed quit",
    );
}

#[test]
fn without_the_tls_that_is_required_nothing_is_sent() {
    let begun = "S: 220 mx.example
         C: EHLO mail.home.example
         ";
    for (dialogue, end) in [
        ("S: 250 PIPELINING", "closed without TLS"),
        ("S: 502 what", "closed without TLS 502"),
        ("S: 250-mx.example\nS: 250 STARTTLS\nC: STARTTLS\nS: 454 4.7.0 not now", "closed without TLS 454"),
    ] {
        play_with(TlsUse::Required, &format!("{begun}{dialogue}\nE: {end}"));
    }
    play_with(
        TlsUse::Required,
        &format!(
            "{begun}S: 250-mx.example\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nE: starttls\n! tls\nC: EHLO mail.home.example\nS: 250 x\nE: ready"
        ),
    );
}

#[test]
fn an_old_server_gets_helo_and_one_command_at_a_time() {
    play(
        "S: 220 old
         C: EHLO mail.home.example
         S: 502 what
         C: HELO mail.home.example
         S: 250 old
         E: ready
         ! send bo@mx.example cy@mx.example
         C: MAIL FROM:<ana@home.example>
         S: 250 ok
         C: RCPT TO:<bo@mx.example>
         S: 450 later
         C: RCPT TO:<cy@mx.example>
         S: 250 ok
         C: DATA
         S: 354 go
         E: content
         ! content
         C: Subject: x
         C:
         C: ..dot
         C: .
         S: 250 ok
         E: -450 +250
         E: ready",
    );
}

#[test]
fn one_at_a_time_the_rest_is_not_sent_after_a_refusal() {
    play(
        "S: 220 old
         C: EHLO mail.home.example
         S: 250 old
         E: ready
         ! send bo@mx.example
         C: MAIL FROM:<ana@home.example>
         S: 250 ok
         C: RCPT TO:<bo@mx.example>
         S: 550 no
         E: -550
         C: RSET
         S: 250 ok
         E: ready
         ! send bo@mx.example
         C: MAIL FROM:<ana@home.example>
         S: 552 5.2.3 no
         E: -552
         E: ready",
    );
}

#[test]
fn data_accepted_though_all_recipients_were_refused() {
    play_from_ready(
        "! send bo@mx.example
         C: MAIL FROM:<ana@home.example> SIZE=20
         C: RCPT TO:<bo@mx.example>
         C: DATA
         S: 250 ok
         S: 550 no
         S: 354 go
         C: .
         S: 554 no valid recipients
         E: -550
         E: ready",
    );
}

#[test]
fn a_refused_mail_refuses_every_recipient() {
    play_from_ready(
        "! send bo@mx.example cy@mx.example
         C: MAIL FROM:<ana@home.example> SIZE=20
         C: RCPT TO:<bo@mx.example>
         C: RCPT TO:<cy@mx.example>
         C: DATA
         S: 451 4.7.1 greylisted
         S: 503 need MAIL
         S: 503 need MAIL
         S: 503 need RCPT
         E: -451 -451
         C: RSET
         S: 250 ok
         E: ready",
    );
}

#[test]
fn a_421_in_mid_envelope_defers_what_is_undecided() {
    play_from_ready(
        "! send bo@mx.example cy@mx.example
         C: MAIL FROM:<ana@home.example> SIZE=20
         C: RCPT TO:<bo@mx.example>
         C: RCPT TO:<cy@mx.example>
         C: DATA
         S: 250 ok
         S: 550 no
         S: 421 going down
         E: -550 -421
         E: closed 421",
    );
}

#[test]
fn a_cut_connection_interrupts_with_the_stage() {
    play_from_ready(
        "! send bo@mx.example
         C: MAIL FROM:<ana@home.example> SIZE=20
         C: RCPT TO:<bo@mx.example>
         C: DATA
         S: 250 ok
         S: 250 ok
         S: 354 go
         E: content
         ! content
         C: Subject: x
         C:
         C: ..dot
         C: .
         ! end
         E: ?the server closed the connection (after the end of the message)
         E: closed the server closed the connection (after the end of the message)",
    );
}

#[test]
fn a_refusal_in_mid_content_counts_and_ends_the_session() {
    play_from_ready(
        "! send bo@mx.example
         C: MAIL FROM:<ana@home.example> SIZE=20
         C: RCPT TO:<bo@mx.example>
         C: DATA
         S: 250 ok
         S: 250 ok
         S: 354 go
         E: content
         ! partial
         C: Subject: x
         C:
         C: ..dot
         S: 552 5.3.4 too much
         E: -552
         E: closed 552",
    );
}

#[test]
fn an_early_success_is_not_believed() {
    play_from_ready(
        "! send bo@mx.example
         C: MAIL FROM:<ana@home.example> SIZE=20
         C: RCPT TO:<bo@mx.example>
         C: DATA
         S: 250 ok
         S: 250 ok
         S: 354 go
         E: content
         S: 250 queued
         E: ?the server answered before the message was complete (while the message was being sent)
         E: closed the server answered before the message was complete (while the message was being sent)",
    );
}

#[test]
fn a_greeting_that_refuses_closes() {
    play("S: 554 no mail here\nE: closed 554");
    play("S: 220 hi\nC: EHLO mail.home.example\nS: 450 busy\nE: closed 450");
    play("! end\nE: closed the server closed the connection (before its greeting)");
}

#[test]
fn starttls_refused_goes_on_in_clear() {
    play(
        "S: 220 mx
         C: EHLO mail.home.example
         S: 250-mx
         S: 250 STARTTLS
         C: STARTTLS
         S: 454 no certificate
         E: ready",
    );
}

#[test]
fn text_injected_behind_starttls_breaks_the_session() {
    let mut player = player(TlsUse::Opportunistic, false);
    player.server_says(b"220 mx\r\n250-mx\r\n250 STARTTLS\r\n220 go\r\n250 injected\r\n");
    let event = player.session.next_event().map(|event| render(&event)).unwrap();
    assert!(event.contains("in clear"), "{event}");
}

#[test]
fn every_wait_has_its_limit() {
    play("! wait 299\n! wait 1\nE: closed the server did not answer in time (before its greeting)");
    play_from_ready(
        "! send bo@mx.example
         C: MAIL FROM:<ana@home.example> SIZE=20
         C: RCPT TO:<bo@mx.example>
         C: DATA
         ! wait 200
         S: 250 ok
         ! wait 200
         S: 250 ok
         S: 354 go
         E: content
         ! content
         C: Subject: x
         C:
         C: ..dot
         C: .
         ! wait 599
         S: 250 slow
         E: +250
         E: ready
         ! quit
         C: QUIT
         ! wait 5
         E: closed quit",
    );
    let mut player = player(TlsUse::Never, false);
    player.server_says(b"220 x\r\n");
    player.session.handle_timeout(player.now + timeouts::COMMAND);
    assert!(matches!(player.session.next_event(), Some(Event::Closed(Closed::Broken(_)))));
}

#[test]
fn what_the_server_cannot_take_is_not_sent() {
    let mut player = player(TlsUse::Opportunistic, false);
    TO_READY.lines().map(str::trim).filter(|line| !line.is_empty()).for_each(|line| player.line(line));
    player.send(Envelope { octets: 1001, ..envelope(&["bo@mx.example"]) });
    player.line("E: -5.3.4");
    player.line("E: ready");
    player.send(envelope(&["bö@mx.example"]));
    player.line("E: -5.6.7");
    player.line("E: ready");
    player.finish();
}

#[test]
fn parameters_follow_what_is_offered() {
    let mut player = player(TlsUse::Opportunistic, false);
    player.server_says(b"220 x\r\n250-x\r\n250-DSN\r\n250-8bitmime\r\n250 SMTPUTF8\r\n");
    player.line("C: EHLO mail.home.example");
    player.line("E: ready");
    let mut message = envelope(&["bo@mx.example"]);
    message.reverse_path = None;
    message.body = BodyType::EightBitMime;
    message.smtp_utf8 = true;
    message.dsn = Some(DsnParameters { ret: Some("HDRS"), envelope_id: Some("a b=1".into()) });
    message.recipients[0].notify = Some("NEVER".into());
    message.recipients[0].original_recipient = Some("rfc822;bo\r\n@x".into());
    player.send(message);
    player.line("C: MAIL FROM:<> BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=a+20b+3D1");
    player.line("S: 250 ok");
    player.line("C: RCPT TO:<bo@mx.example> NOTIFY=NEVER");
    player.finish();
}

/// Plays a server that says these lines, whatever it is told; gives what the client said and the events.
fn play_lines(lines: &[String]) -> (Vec<u8>, Vec<Event>) {
    let mut player = player(TlsUse::Opportunistic, false);
    let mut events = Vec::new();
    for line in lines {
        player.server_says(format!("{line}\r\n").as_bytes());
        while let Some(event) = player.session.next_event() {
            match event {
                Event::Ready if events.len() < 8 => {
                    player.send(envelope(&["bo@mx.example", "cy@mx.example"]))
                }
                Event::StartTls => player.session.handle_tls_established(player.now),
                Event::SendContent => player.act("content"),
                _ => {}
            }
            events.push(event);
        }
    }
    (player.session.take_output(), events)
}

proptest! {
    #[test]
    fn no_server_makes_a_recipient_accepted_without_taking_the_message(
        lines in proptest::collection::vec(prop_oneof![
            4 => (prop_oneof![Just(220u16), Just(221), Just(250), Just(354), Just(421), Just(450), Just(550)],
                prop_oneof![Just("STARTTLS"), Just("PIPELINING"), Just("SIZE 5"), Just("x")],
                prop_oneof![3 => Just(' '), 1 => Just('-')])
                .prop_map(|(code, text, separator)| format!("{code}{separator}{text}")),
            1 => "\\PC{0,20}",
        ], 0..24)
    ) {
        let (said, events) = play_lines(&lines);
        let bare = |pair: &[u8]| (pair[0] == b'\r') != (pair[1] == b'\n');
        prop_assert!(!said.windows(2).any(bare), "a bare CR or LF");
        let mut content_sent = false;
        for event in events {
            match event {
                Event::SendContent => content_sent = true,
                Event::Finished(results) => {
                    prop_assert_eq!(results.len(), 2);
                    let accepted = results.iter().any(|result| matches!(result, RecipientResult::Accepted(_)));
                    prop_assert!(!accepted || std::mem::take(&mut content_sent), "accepted without content");
                }
                Event::Ready | Event::StartTls | Event::Closed(_) => {}
            }
        }
    }
}
