//! What a server may send to the delivery client: the session must neither panic, nor emit a bare CR or LF, nor call a
//! recipient accepted without a reply in the 200s after the end of the content.
#![no_main]

use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use postern_smtp::client::envelope::{BodyType, Envelope, Recipient};
use postern_smtp::client::{Event, RecipientResult, Session, TlsUse};

fn envelope() -> Envelope {
    let recipient = |text: &str| Recipient::new(text.parse().expect("an address"));
    Envelope {
        reverse_path: None,
        recipients: vec![recipient("bo@far.example"), recipient("cy@far.example")],
        octets: 10,
        body: BodyType::SevenBit,
        smtp_utf8: false,
        dsn: None,
    }
}

fn is_clean(octets: &[u8]) -> bool {
    let pairs = octets.windows(2);
    let bare_cr = pairs.clone().any(|pair| pair[0] == b'\r' && pair[1] != b'\n');
    let bare_lf = pairs.clone().any(|pair| pair[0] != b'\r' && pair[1] == b'\n');
    !bare_cr && !bare_lf
}

fuzz_target!(|input: (Vec<u8>, Vec<u8>, u8)| {
    let (server, content, size) = input;
    let now = Instant::now();
    let mut session = Session::new("mail.home.example", TlsUse::Opportunistic, now);
    let mut said = Vec::new();
    let (mut sent, mut transactions) = (false, 0);
    for chunk in server.chunks(usize::from(size).max(1)) {
        session.handle_input(chunk, now);
        while let Some(event) = session.next_event() {
            match event {
                Event::StartTls => session.handle_tls_established(now),
                Event::Ready if transactions < 4 => {
                    transactions += 1;
                    session.send(envelope(), now);
                }
                Event::Ready => session.quit(now),
                Event::SendContent => {
                    session.push_content(&content, now);
                    session.finish_content(now);
                    sent = true;
                }
                Event::Finished(results) => {
                    assert_eq!(results.len(), 2);
                    let accepted = |result: &RecipientResult| matches!(result, RecipientResult::Accepted(reply) if reply.is_positive());
                    let any = results.iter().any(|result| matches!(result, RecipientResult::Accepted(_)));
                    assert!(!any || (sent && results.iter().any(accepted)));
                    sent = false;
                }
                Event::Closed(_) => assert!(session.is_closed()),
            }
        }
        said.extend(session.take_output());
        if session.is_closed() {
            break;
        }
    }
    assert!(is_clean(&said));
});
