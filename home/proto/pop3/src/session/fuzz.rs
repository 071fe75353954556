//! A host that says yes to everything, for arbitrary clients.

use std::time::Instant;

use postern_sasl::{ScramCredentials, Verdict};

use super::{Config, Output, Session, Transport};
use crate::maildrop::{Contents, Listed};
use crate::request::{Answer, Request};

/// Octets of each message.
const SIZE: u64 = 100_000;

/// Runs a session over the octets, cut in two, until it wants more.
pub(crate) fn run(octets: &[u8]) {
    let config = Config { transport: Transport::Clear, max_login_failures: 3 };
    let mut session = Session::new(config, Instant::now());
    let (first, second) = octets.split_at(octets.len() / 2);
    for piece in [first, second] {
        session.handle_input(piece, Instant::now());
        if !runs_on(&mut session) {
            return;
        }
    }
}

fn runs_on(session: &mut Session) -> bool {
    loop {
        match session.poll() {
            Output::Send(octets) => {
                assert!(octets.len() < 4 * crate::CHUNK, "{} octets at once", octets.len())
            }
            Output::Request(request) => session.handle_answer(answer(&request)),
            Output::StartTls => session.handle_tls(),
            Output::Wait { .. } => return true,
            Output::Close => return false,
        }
    }
}

fn answer(request: &Request) -> Answer {
    match request {
        Request::VerifyPassword { .. } => Answer::Verdict(Verdict::Accepted),
        Request::ScramKeys { login } => Answer::ScramKeys {
            credentials: ScramCredentials::decoy(b"secret", login, 4096),
            nonce: "nonce".to_owned(),
        },
        Request::CountFailure => Answer::FailureCounted,
        Request::Open { .. } => {
            let messages = (1..=3).map(|uid| Listed { uid, size: SIZE }).collect();
            Answer::Opened(Contents { uid_validity: 1, messages })
        }
        Request::Content { start, length, .. } => {
            assert!(*length <= crate::CHUNK as u64 && start + length <= SIZE, "{start}, {length}");
            Answer::Content(vec![b'.'; usize::try_from(*length).unwrap_or_default()])
        }
        Request::Update { .. } => Answer::Updated,
    }
}
