//! What a sender says of TLS on the way, by REQUIRETLS or by the header field `TLS-Required` (RFC 8689 §4.1).

use postern_message::header;
use postern_smtp::server::Envelope;
use postern_store::queue::TlsWish;

/// The parameter counts before the field.
pub fn tls_wish(envelope: &Envelope, message: &[u8]) -> TlsWish {
    let field = || header::find(message, "TLS-Required").is_some_and(|field| is_no(&field.text()));
    match envelope.require_tls {
        true => TlsWish::Required,
        false if field() => TlsWish::NotRequired,
        false => TlsWish::Unsaid,
    }
}

fn is_no(value: &str) -> bool {
    value.trim().eq_ignore_ascii_case("no")
}
