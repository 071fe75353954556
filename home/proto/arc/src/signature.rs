//! What is signed, and whether the signature holds (§5.1.1, RFC 6376 §3.7 and §5.4.2).

use mail_auth::common::crypto::HashAlgorithm;
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::common::verify::DomainKey;
use mail_auth::dkim::Canonicalization;
use postern_message::header::{self, HeaderField};

use crate::fields::{MessageSignature, Signature};
use crate::set::{Found, Set};

/// Whether the body is the one that was signed.
pub fn has_signed_body(message: &[u8], signature: &MessageSignature) -> bool {
    let body = message.get(header::body_offset(message)..).unwrap_or_default();
    let hash = HashAlgorithm::Sha256.hash(signature.body.canonical_body(body, 0));
    hash.as_ref() == signature.body_hash
}

/// The octets that a message signature signs: the fields it names, each from the last one up, and itself.
pub fn signed_by_message_signature(message: &[u8], found: &Found<'_, MessageSignature>) -> Vec<u8> {
    let mut signed = signed_fields(message, &found.read.signed, found.read.header);
    write_unsigned(&mut signed, found.read.header, found.field);
    signed
}

/// The fields of these names, each from the last one up.
pub fn signed_fields(
    message: &[u8],
    names: &[impl AsRef<str>],
    canonicalization: Canonicalization,
) -> Vec<u8> {
    let mut left: Vec<HeaderField<'_>> = header::fields(message).collect();
    let mut signed = Vec::new();
    for name in names {
        if let Some(place) = left.iter().rposition(|field| field.is(name.as_ref())) {
            write(&mut signed, canonicalization, left.remove(place));
        }
    }
    signed
}

/// The octets that the last of these sets seals: all fields of the sets, in their order (§5.1.1).
pub fn sealed(sets: &[Set<'_>]) -> Vec<u8> {
    let mut sealed = Vec::new();
    let Some((last, before)) = sets.split_last() else { return sealed };
    for set in before {
        [set.results.field, set.signature.field, set.seal.field]
            .into_iter()
            .for_each(|field| write(&mut sealed, Canonicalization::Relaxed, field));
    }
    write(&mut sealed, Canonicalization::Relaxed, last.results.field);
    write(&mut sealed, Canonicalization::Relaxed, last.signature.field);
    write_unsigned(&mut sealed, Canonicalization::Relaxed, last.seal.field);
    sealed
}

/// Whether one of the key records verifies the signature.
pub fn verifies(records: &[Vec<u8>], signature: &Signature, signed: &[u8]) -> Result<bool, NoKey> {
    let mut keys = records.iter().filter_map(|record| DomainKey::parse(record).ok()).peekable();
    keys.peek().ok_or(NoKey)?;
    Ok(keys.any(|key| key.p.verify_bytes(signed, &signature.signature, signature.algorithm).is_ok()))
}

/// No record is a key.
pub struct NoKey;

/// Adds a field in canonical form.
pub fn write(signed: &mut Vec<u8>, canonicalization: Canonicalization, field: HeaderField<'_>) {
    let value =
        field.raw.iter().position(|octet| *octet == b':').and_then(|colon| field.raw.get(colon + 1..));
    canonicalization.canonicalize_headers([(field.name, value.unwrap_or_default())].into_iter(), signed);
}

/// The signing field itself: its own signature left out, and no line end (RFC 6376 §3.7).
pub fn write_unsigned(signed: &mut Vec<u8>, canonicalization: Canonicalization, field: HeaderField<'_>) {
    let value = without_signature(field.value);
    canonicalization.canonicalize_headers([(field.name, value.as_slice())].into_iter(), signed);
    if signed.ends_with(b"\r\n") {
        signed.truncate(signed.len() - 2);
    }
}

/// The value with nothing between the `=` of the tag `b` and the end of that tag.
fn without_signature(value: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(value.len());
    for (place, spec) in value.split(|octet| *octet == b';').enumerate() {
        if place > 0 {
            kept.push(b';');
        }
        let equals = spec.iter().position(|octet| *octet == b'=');
        let is_signature = |equals: &usize| spec.get(..*equals).is_some_and(|name| name.trim_ascii() == b"b");
        let end = equals.filter(is_signature).map_or(spec.len(), |equals| equals + 1);
        kept.extend_from_slice(spec.get(..end).unwrap_or_default());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_alone_is_left_out() {
        assert_eq!(without_signature(b" i=1; b = ab\r\n c=; bh=de"), b" i=1; b =; bh=de");
        assert_eq!(without_signature(b"b=ab"), b"b=");
    }
}
