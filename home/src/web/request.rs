//! One request: its head whole, its body as far as a page asks for it.
//!
//! In: what hyper has parsed. Out: method, host name, path, query, and the body on demand. Refused: a request without exactly
//! one valid `Host` (400, RFC 9112 §3.2), a body that is too long (413), too slow (408) or broken off (400).

use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::HOST;
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Method, StatusCode, Uri};
use postern_message::address::DomainName;
use tokio::time::timeout;

use super::response::Response;

/// How long a body may take to arrive.
const BODY_WAIT: Duration = Duration::from_secs(30);

/// One request.
pub(super) struct Request {
    pub(super) method: Method,
    /// The name that the client asked for; `None` where that was an address.
    pub(super) host: Option<DomainName>,
    /// Begins with a slash; as the client wrote it.
    pub(super) path: String,
    query: String,
    body: Incoming,
}

impl Request {
    /// Takes the head apart.
    pub(super) fn new(request: hyper::Request<Incoming>) -> Result<Self, Response> {
        let (head, body) = request.into_parts();
        let authority = authority(&head.uri, &head.headers)
            .ok_or_else(|| Response::plain(StatusCode::BAD_REQUEST, "There is no single valid Host.\n"))?;
        Ok(Self {
            method: head.method,
            host: DomainName::parse(authority.host()).ok(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            body,
        })
    }

    /// The first value of a key in the query, percent-decoded. A plus sign stays one: what is asked for are addresses.
    pub(super) fn query(&self, key: &str) -> Option<String> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(name, _)| *name == key).and_then(|(_, value)| percent_decoded(value))
    }

    /// The body, where it is at most so many octets and comes in time.
    pub(super) async fn body(self, most: usize) -> Result<Bytes, Response> {
        match timeout(BODY_WAIT, Limited::new(self.body, most).collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                Err(Response::plain(StatusCode::PAYLOAD_TOO_LARGE, "The body is too long.\n"))
            }
            Ok(Err(_)) => Err(Response::plain(StatusCode::BAD_REQUEST, "The body broke off.\n")),
            Err(_) => Err(Response::plain(StatusCode::REQUEST_TIMEOUT, "The body did not come in time.\n")),
        }
    }
}

/// The target's own authority before the `Host` (RFC 9112 §3.2.2), which must be there all the same.
fn authority(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next()?.to_str().ok()?.parse().ok();
    if hosts.next().is_some() { None } else { uri.authority().cloned().or(host) }
}

/// `None` where what follows a percent sign are no two digits, or the octets are no UTF-8 (RFC 3986 §2.1).
fn percent_decoded(text: &str) -> Option<String> {
    let (first, rest) = text.split_once('%').unwrap_or((text, ""));
    let mut octets = first.as_bytes().to_vec();
    for part in rest.split('%').filter(|_| first.len() < text.len()) {
        let (digits, plain) = part.split_at_checked(2)?;
        let value = digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(digits)?;
        octets.push(u8::from_str_radix(value, 16).ok()?);
        octets.extend(plain.as_bytes());
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percent_signs_are_decoded_or_refused() {
        assert_eq!(percent_decoded("ana%40home.example").as_deref(), Some("ana@home.example"));
        assert_eq!(percent_decoded("ana+shop").as_deref(), Some("ana+shop"));
        assert_eq!(percent_decoded("%C3%A9%41").as_deref(), Some("éA"));
        assert_eq!(percent_decoded("").as_deref(), Some(""));
        for wrong in ["%", "%4", "a%", "%zz", "%+1", "%ff", "a%é"] {
            assert_eq!(percent_decoded(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(text in "\\PC{0,30}") {
            let encoded: String = text.bytes().map(|octet| format!("%{octet:02X}")).collect();
            prop_assert_eq!(percent_decoded(&encoded), Some(text));
        }

        #[test]
        fn nothing_makes_it_panic(text in "\\PC{0,30}") {
            let _ = percent_decoded(&text);
        }
    }
}
