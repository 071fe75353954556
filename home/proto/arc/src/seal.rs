//! Sealing: the set of fields that this server adds to a message that it passes on (RFC 8617 §5.1).
//!
//! In: the message as it came, what was found of it, and a signer. Out: the three fields, to be put before the message. Refused
//! ([`None`]): a message whose chain is broken, since nobody could believe the seal of one (§5.1.3), or has no room for
//! another set.
//!
//! Deviates: a chain that fails is not sealed as failed (§5.1.2 asks for a seal with `cv=fail`): every later server finds by
//! itself that it fails.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail_auth::common::crypto::HashAlgorithm;
use mail_auth::dkim::Canonicalization;
use postern_message::header;

use crate::Status;
use crate::fields::MOST_SETS;
use crate::set::sets;
use crate::signature::{signed_fields, write, write_unsigned};

/// Signed in an `ARC-Message-Signature`, as often as they occur. Nothing that a server on the way changes or removes; and the
/// DKIM signatures, which are what the message's own domain says (§4.1.2).
const SIGNED: [&str; 13] = [
    "From",
    "Reply-To",
    "Subject",
    "Date",
    "To",
    "Cc",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "DKIM-Signature",
];
/// Letters of a signature on one line.
const LINE: usize = 72;

/// Who seals, and what it found.
#[derive(Debug, Clone, Copy)]
pub struct Sealing<'a> {
    /// The sealing domain.
    pub domain: &'a str,
    /// Which of its keys.
    pub selector: &'a str,
    /// The value of an `Authentication-Results` field, with the line end: the name of this server and what it found.
    pub results: &'a str,
    /// Whether the chain held when the message came.
    pub status: &'a Status,
    /// Seconds since 1970.
    pub now: u64,
}

/// The fields of the next set, signed by `sign` with rsa-sha256.
///
/// # Errors
/// What `sign` fails with.
pub fn seal<E>(
    message: &[u8],
    sealing: &Sealing<'_>,
    sign: impl Fn(&[u8]) -> Result<Vec<u8>, E>,
) -> Result<Option<Vec<u8>>, E> {
    let Some((instance, validation, before)) = place(message, sealing.status) else { return Ok(None) };
    let Sealing { domain, selector, now, .. } = sealing;
    let results = format!("ARC-Authentication-Results: i={instance}; {}\r\n", sealing.results.trim());
    let tags = format!("i={instance}; a=rsa-sha256; d={domain}; s={selector}; t={now}");

    let names = signed_names(message);
    let start = format!(
        "ARC-Message-Signature: {tags}; c=relaxed/relaxed;\r\n\th={};\r\n\tbh={};\r\n\tb=",
        names.join(":\r\n\t "),
        body_hash(message)
    );
    let mut signed = signed_fields(message, &names, Canonicalization::Relaxed);
    add_unsigned(&mut signed, &start);
    let signature = complete(start, &sign(&signed)?);

    let start = format!("ARC-Seal: {tags}; cv={validation};\r\n\tb=");
    let mut sealed = before;
    add(&mut sealed, &results);
    add(&mut sealed, &signature);
    add_unsigned(&mut sealed, &start);
    let seal = complete(start, &sign(&sealed)?);
    Ok(Some([seal, signature, results].concat().into_bytes()))
}

/// The number of the next set, what it says of those before, and what of them it seals.
fn place(message: &[u8], status: &Status) -> Option<(usize, &'static str, Vec<u8>)> {
    let before = sets(message).ok()?;
    let validation = match status {
        Status::Fail(_) => return None,
        Status::None => "none",
        Status::Pass => "pass",
    };
    let mut sealed = Vec::new();
    for set in &before {
        for field in [set.results.field, set.signature.field, set.seal.field] {
            write(&mut sealed, Canonicalization::Relaxed, field);
        }
    }
    (before.len() < MOST_SETS).then_some((before.len() + 1, validation, sealed))
}

fn signed_names(message: &[u8]) -> Vec<&'static str> {
    let occurrences = |name: &str| header::fields(message).filter(|field| field.is(name)).count();
    SIGNED.iter().flat_map(|name| std::iter::repeat_n(*name, occurrences(name))).collect()
}

fn body_hash(message: &[u8]) -> String {
    let body = message.get(header::body_offset(message)..).unwrap_or_default();
    STANDARD.encode(HashAlgorithm::Sha256.hash(Canonicalization::Relaxed.canonical_body(body, 0)).as_ref())
}

fn add(signed: &mut Vec<u8>, field: &str) {
    for field in header::fields(field.as_bytes()) {
        write(signed, Canonicalization::Relaxed, field);
    }
}

fn add_unsigned(signed: &mut Vec<u8>, start: &str) {
    let field = format!("{start}\r\n");
    for field in header::fields(field.as_bytes()) {
        write_unsigned(signed, Canonicalization::Relaxed, field);
    }
}

/// The field with its signature, folded.
fn complete(start: String, signature: &[u8]) -> String {
    let encoded = STANDARD.encode(signature);
    let lines: Vec<&str> =
        encoded.as_bytes().chunks(LINE).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("{start}{}\r\n", lines.join("\r\n\t "))
}
