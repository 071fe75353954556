//! Entries for fuzzing: any octets, no panic, and the promises that hold for any input.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use postern_sasl::ScramCredentials;

use super::{
    AuthVerdict, Event, FutureRelease, Limits, Output, Refusal, Role, Session, SessionConfig, Timeouts,
    Transport, command::Command,
};

/// Parses one line.
pub fn fuzz_command(line: &[u8]) {
    let _ = Command::parse(line);
}

/// Runs a session over the octets, once whole and once octet by octet.
///
/// # Panics
/// When the two differ, or when the client is sent anything but whole lines with a reply code.
pub fn fuzz_session(input: &[u8]) {
    for role in [Role::Mta, Role::Msa] {
        let whole = converse(role, input, input.len());
        assert_eq!(whole, converse(role, input, 1), "the cut of the input made a difference");
        assert_replies(&whole.0);
    }
}

/// What a client was sent and what the host was told, messages joined, for input cut in pieces of `cut` octets.
/// The host accepts everything but the user `nobody`.
pub fn converse(role: Role, input: &[u8], cut: usize) -> (String, Vec<String>) {
    let now = Instant::now();
    let transport = match role {
        Role::Mta => Transport::Clear,
        Role::Msa => Transport::Tls,
    };
    let mut session = Session::new(Arc::new(config(role)), transport);
    let mut told = Told::default();
    told.drain(&mut session, now);
    for piece in input.chunks(cut.max(1)) {
        session.handle_input(piece, now);
        told.drain(&mut session, now);
    }
    session.handle_timeout(now + Duration::from_secs(86_400));
    told.drain(&mut session, now);
    (told.sent, told.events)
}

fn config(role: Role) -> SessionConfig {
    SessionConfig {
        hostname: "mail.home.example".to_owned(),
        role,
        starttls: true,
        future_release: Some(FutureRelease { interval: 86_400, until: Timestamp::UNIX_EPOCH }),
        limits: Limits { message_octets: 1000, recipients: 3, errors: 50, ..Limits::default() },
        timeouts: Timeouts::default(),
    }
}

#[derive(Default)]
struct Told {
    sent: String,
    events: Vec<String>,
}

impl Told {
    fn drain(&mut self, session: &mut Session, now: Instant) {
        loop {
            match session.poll_output(now) {
                Output::Send(octets) => self.sent.push_str(&String::from_utf8_lossy(&octets)),
                Output::Event(event) => self.answer(session, event),
                // The handshake never comes: what follows in clear must have no effect.
                Output::StartTls => {}
                Output::Wait { .. } | Output::Close => return,
            }
        }
    }

    fn answer(&mut self, session: &mut Session, event: Event) {
        self.note(&event);
        match event {
            Event::Mail { .. } => session.mail_verdict(Ok(())),
            Event::Recipient { forward_path, .. } if forward_path.to_string().starts_with("nobody") => {
                session.recipient_verdict(Err(Refusal::UnknownUser));
            }
            Event::Recipient { .. } => session.recipient_verdict(Ok(())),
            Event::Data => session.data_verdict(Ok(())),
            Event::Message => session.message_verdict(Ok("stored".to_owned())),
            Event::Password { login, .. } if login == "nobody" => {
                session.password_verdict(AuthVerdict::Rejected)
            }
            Event::Password { .. } => session.password_verdict(AuthVerdict::Accepted),
            Event::ScramKeys { login } => {
                session.scram_verdict(Some((ScramCredentials::decoy(b"secret", &login, 4096), "nonce")));
            }
            Event::Chunk(_)
            | Event::Abort
            | Event::Authenticated { .. }
            | Event::AuthenticationFailed { .. } => {}
        }
    }

    /// Chunks are joined: where they are cut is no promise. A message that was refused while it came leaves an
    /// unspecified part of itself.
    fn note(&mut self, event: &Event) {
        match event {
            Event::Chunk(chunk) => match self.events.last_mut().filter(|last| last.starts_with("chunk ")) {
                Some(last) => last.push_str(&chunk.escape_ascii().to_string()),
                None => self.events.push(format!("chunk {}", chunk.escape_ascii())),
            },
            Event::Abort => {
                self.events.pop_if(|last| last.starts_with("chunk "));
                self.events.push("abort".to_owned());
            }
            other => self.events.push(format!("{other:?}")),
        }
    }
}

fn assert_replies(sent: &str) {
    let body = sent.strip_suffix("\r\n").expect("the greeting is a whole line");
    for line in body.split("\r\n") {
        let code: String = line.chars().take(3).collect();
        assert!(code.parse::<u16>().is_ok_and(|code| (200..600).contains(&code)), "no reply code: {line:?}");
        assert!(matches!(line.as_bytes().get(3), Some(b' ' | b'-')), "no separator: {line:?}");
        assert!(!line.chars().any(char::is_control), "control character: {line:?}");
    }
}
