//! Plays the conversations in `tests/transcripts` against the session core.
//!
//! | line | meaning |
//! |---|---|
//! | `# text` | comment |
//! | `mta`, `msa`, `msa tls` | which service the transcript is of; first line |
//! | `C: text` | the client sends the text and CRLF |
//! | `R: text` | the client sends the text alone, with `\r`, `\n`, `\0` and `\xNN` as escapes |
//! | `C*N: text` | as `C:`, N times |
//! | `S: text` | the next line the server has sent |
//! | `S*N: text` | as `S:`, N times |
//! | `H: text` | the host has received this message (with escapes) since the last such line |
//! | `T: n` | n seconds pass |
//! | `TLS` | the handshake is done; fails unless the server asked for it |
//! | `CLOSED` | the server has closed |
//!
//! The host of the transcripts serves `home.example`, where everybody exists but `nobody`; `full` has a full
//! mailbox; a message that says `LOOP` is refused; ana's password is `secret`.

use std::{
    collections::VecDeque,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use postern_sasl::ScramCredentials;
use postern_smtp::server::{
    AuthVerdict, Event, ForwardPath, FutureRelease, Limits, Output, Refusal, ReversePath, Role, Session,
    SessionConfig, Timeouts, Transport,
};

#[test]
fn all_transcripts() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let mut played = 0;
    for entry in fs::read_dir(directory).expect("directory of transcripts") {
        let path = entry.expect("entry").path();
        let text = fs::read_to_string(&path).expect("transcript");
        play(&path.file_name().unwrap_or_default().to_string_lossy(), &text);
        played += 1;
    }
    assert!(played >= 15, "only {played} transcripts found");
}

fn play(name: &str, text: &str) {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let (_, service) = lines.next().expect("first line names the service");
    let mut stage = Stage::new(service);
    for (index, line) in lines {
        let place = format!("{name}:{}: {line}", index + 1);
        let (keyword, rest) = line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""));
        let (keyword, times) = keyword.split_once('*').unwrap_or((keyword, "1"));
        for _ in 0..times.parse::<usize>().expect("a count") {
            stage.act(keyword, rest, &place);
        }
    }
    assert!(stage.sent.is_empty(), "{name}: not in the transcript: {:?}", stage.sent);
}

struct Stage {
    session: Session,
    now: Instant,
    sent: VecDeque<String>,
    message: Vec<u8>,
    received: Option<Vec<u8>>,
    tls_wanted: bool,
    closed: bool,
}

impl Stage {
    fn new(service: &str) -> Stage {
        let (role, transport) = match service {
            "mta" => (Role::Mta, Transport::Clear),
            "msa" => (Role::Msa, Transport::Clear),
            "msa tls" => (Role::Msa, Transport::Tls),
            other => panic!("unknown service {other}"),
        };
        let limits =
            Limits { message_octets: 1000, recipients: 3, errors: 5, idle_commands: 6, ..Limits::default() };
        let timeouts = Timeouts { message: Duration::from_secs(1000), ..Timeouts::default() };
        let hostname = "mail.home.example".to_owned();
        let until = "2026-12-24T18:00:00Z".parse().expect("a time");
        let future_release = (role == Role::Msa).then_some(FutureRelease { interval: 3600, until });
        let config = SessionConfig { hostname, role, starttls: true, future_release, limits, timeouts };
        let mut stage = Stage {
            session: Session::new(Arc::new(config), transport),
            now: Instant::now(),
            sent: VecDeque::new(),
            message: Vec::new(),
            received: None,
            tls_wanted: false,
            closed: false,
        };
        stage.drain();
        stage
    }

    fn act(&mut self, keyword: &str, rest: &str, place: &str) {
        match keyword {
            "C" => self.input(format!("{rest}\r\n").as_bytes()),
            "R" => self.input(&unescape(rest)),
            "S" => assert_eq!(self.sent.pop_front().as_deref(), Some(rest), "{place}"),
            "H" => {
                let received = self.received.take().expect(place);
                assert_eq!(
                    received.escape_ascii().to_string(),
                    unescape(rest).escape_ascii().to_string(),
                    "{place}"
                );
            }
            "T" => self.wait(rest.parse().expect("seconds")),
            "TLS" => {
                assert!(std::mem::take(&mut self.tls_wanted), "{place}: nobody asked for TLS");
                self.session.handle_tls(self.now);
                self.drain();
            }
            "CLOSED" => assert!(self.closed, "{place}"),
            other => panic!("{place}: unknown keyword {other}"),
        }
    }

    fn input(&mut self, octets: &[u8]) {
        self.session.handle_input(octets, self.now);
        self.drain();
    }

    fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.session.handle_timeout(self.now);
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            match self.session.poll_output(self.now) {
                Output::Send(octets) => {
                    let text = String::from_utf8(octets).expect("replies are UTF-8");
                    let text = text.strip_suffix("\r\n").expect("replies are whole lines");
                    self.sent.extend(text.split("\r\n").map(str::to_owned));
                }
                Output::Event(event) => self.host(event),
                Output::StartTls => self.tls_wanted = true,
                Output::Close => return self.closed = true,
                Output::Wait { .. } => return,
            }
        }
    }

    fn host(&mut self, event: Event) {
        match event {
            Event::Mail { reverse_path, .. } => self.session.mail_verdict(sender(&reverse_path)),
            Event::Recipient { forward_path, .. } => self.session.recipient_verdict(recipient(&forward_path)),
            Event::Data => self.session.data_verdict(Ok(())),
            Event::Chunk(chunk) => self.message.extend_from_slice(&chunk),
            Event::Message => {
                let message = std::mem::take(&mut self.message);
                let looped = message.windows(4).any(|octets| octets == b"LOOP");
                self.received = (!looped).then_some(message);
                self.session.message_verdict(if looped {
                    Err(Refusal::Loop)
                } else {
                    Ok("stored as 1".into())
                });
            }
            Event::Abort => self.message.clear(),
            Event::Password { login, password } => self.session.password_verdict(match login.as_str() {
                "broken" => AuthVerdict::Unavailable,
                "ana" if password.expose() == "secret" => AuthVerdict::Accepted,
                _ => AuthVerdict::Rejected,
            }),
            Event::ScramKeys { login } => {
                let keys = match login.as_str() {
                    "user" => ScramCredentials::derive("pencil", &salt_of_rfc_7677(), 4096),
                    _ => ScramCredentials::decoy(b"secret", &login, 4096),
                };
                self.session.scram_verdict(Some((keys, "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")));
            }
            Event::Authenticated { login } => assert_eq!(self.session.user(), Some(login.as_str())),
            Event::AuthenticationFailed { .. } => {}
        }
    }
}

fn sender(path: &ReversePath) -> Result<(), Refusal> {
    if path.to_string().starts_with("other") { Err(Refusal::SenderNotAllowed) } else { Ok(()) }
}

fn recipient(path: &ForwardPath) -> Result<(), Refusal> {
    let ForwardPath::Address(address) = path else {
        return if *path == ForwardPath::Postmaster { Ok(()) } else { Err(Refusal::RelayDenied) };
    };
    match (address.local_part().as_str(), address.domain().as_str()) {
        ("nobody", "home.example") => Err(Refusal::UnknownUser),
        ("full", "home.example") => Err(Refusal::MailboxFull),
        (_, "home.example") => Ok(()),
        _ => Err(Refusal::RelayDenied),
    }
}

fn salt_of_rfc_7677() -> Vec<u8> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("salt")
}

fn unescape(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        match octet {
            b'\\' => match rest.next() {
                Some(b'r') => octets.push(b'\r'),
                Some(b'n') => octets.push(b'\n'),
                Some(b'0') => octets.push(0),
                Some(b'x') => {
                    let digits = [rest.next().expect("hex"), rest.next().expect("hex")];
                    let digits = std::str::from_utf8(&digits).expect("hex");
                    octets.push(u8::from_str_radix(digits, 16).expect("hex"));
                }
                other => panic!("unknown escape {other:?}"),
            },
            other => octets.push(other),
        }
    }
    octets
}
