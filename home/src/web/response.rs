//! One answer, with the header fields that every answer of home's has.
//!
//! In: a status, a media type, a body. Out: what hyper sends. Nothing here is a page to be shown in a frame, to run scripts or
//! to be kept by a cache: pages that want one of these will say so themselves.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};

/// RFC 6797: a browser that has been here by TLS comes by nothing else for a year.
const ALWAYS: [(HeaderName, HeaderValue); 5] = [
    (header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
    ),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// One answer.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    media_type: HeaderValue,
    further: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
}

impl Response {
    /// 200 of a media type.
    pub(super) fn ok(media_type: &'static str, body: String) -> Self {
        let media_type = HeaderValue::from_static(media_type);
        Self { status: StatusCode::OK, media_type, further: Vec::new(), body: body.into() }
    }

    /// 200 with plain text.
    pub(super) fn text(body: String) -> Self {
        Self::ok("text/plain; charset=utf-8", body)
    }

    /// A status with a sentence.
    pub(super) fn plain(status: StatusCode, sentence: &str) -> Self {
        Self { status, ..Self::text(sentence.to_owned()) }
    }

    /// 404.
    pub(super) fn not_found() -> Self {
        Self::plain(StatusCode::NOT_FOUND, "There is nothing here.\n")
    }

    /// 405 where only these methods are known (RFC 9110 §15.5.6).
    pub(super) fn method_not_allowed(allowed: &[Method]) -> Self {
        let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
        let refusal = Self::plain(StatusCode::METHOD_NOT_ALLOWED, "This is not done here.\n");
        match HeaderValue::try_from(names.join(", ")) {
            Ok(value) => refusal.with(header::ALLOW, value),
            Err(_) => refusal,
        }
    }

    /// The same with a further header field.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.further.push((name, value));
        self
    }

    pub(super) fn into_hyper(self) -> hyper::Response<Full<Bytes>> {
        let mut response = hyper::Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, self.media_type);
        response.headers_mut().extend(ALWAYS.into_iter().chain(self.further));
        response
    }
}
