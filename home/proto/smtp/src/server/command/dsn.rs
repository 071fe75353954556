//! The values of RET, ENVID, NOTIFY and ORCPT.
//!
//! In: values as the client wrote them. Out: what they mean. Refused: values outside the grammar, and longer ones
//! than it allows.
//!
//! Implements RFC 3461 §4.1 to §4.4. Deviates: the form of ORCPT that holds UTF-8 unencoded (RFC 6533 §3) is
//! refused; the encoded one is taken.

use crate::{server::refusal::Refusal, xtext};

/// Most octets of an ENVID (RFC 3461 §4.4).
const ENVELOPE_ID_OCTETS: usize = 100;
/// Most octets of an ORCPT (RFC 3461 §4.2).
const ORIGINAL_RECIPIENT_OCTETS: usize = 500;

/// How much of the message a failure report returns (RFC 3461 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// `FULL`: the message.
    Full,
    /// `HDRS`: its header section.
    Headers,
}

/// What is reported to the sender (RFC 3461 §4.1); none of the three is `NEVER`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    /// A delivery.
    pub success: bool,
    /// A failure.
    pub failure: bool,
    /// A delay.
    pub delay: bool,
}

/// `FULL` or `HDRS`.
pub(super) fn ret(value: &str) -> Result<Ret, Refusal> {
    match value.to_ascii_uppercase().as_str() {
        "FULL" => Ok(Ret::Full),
        "HDRS" => Ok(Ret::Headers),
        _ => Err(Refusal::Syntax("RET must be FULL or HDRS")),
    }
}

/// xtext of printable ASCII; gives it decoded.
pub(super) fn envelope_id(value: &str) -> Result<String, Refusal> {
    let decoded = Some(value).filter(|value| value.len() <= ENVELOPE_ID_OCTETS).and_then(xtext::decode);
    decoded.filter(|text| !text.is_empty() && text.is_ascii()).ok_or(Refusal::Syntax("bad ENVID"))
}

/// `NEVER`, or one or more of `SUCCESS`, `FAILURE` and `DELAY`.
pub(super) fn notify(value: &str) -> Result<Notify, Refusal> {
    let mut notify = Notify::default();
    if value.eq_ignore_ascii_case("NEVER") {
        return Ok(notify);
    }
    for word in value.split(',') {
        match word.to_ascii_uppercase().as_str() {
            "SUCCESS" => notify.success = true,
            "FAILURE" => notify.failure = true,
            "DELAY" => notify.delay = true,
            _ => return Err(Refusal::Syntax("NOTIFY must be NEVER or of SUCCESS, FAILURE, DELAY")),
        }
    }
    Ok(notify)
}

/// An address type and an address in xtext; gives them as they came, since they are passed on like that.
pub(super) fn original_recipient(value: &str) -> Result<String, Refusal> {
    let well_formed = value.len() <= ORIGINAL_RECIPIENT_OCTETS
        && value.split_once(';').is_some_and(|(address_type, address)| {
            is_atom(address_type) && xtext::decode(address).is_some_and(|address| !address.is_empty())
        });
    well_formed.then(|| value.to_owned()).ok_or(Refusal::Syntax("bad ORCPT"))
}

fn is_atom(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_grammar() {
        assert_eq!(ret("hdrs"), Ok(Ret::Headers));
        assert_eq!(envelope_id("QQ+2B314159").as_deref(), Ok("QQ+314159"));
        assert_eq!(notify("never"), Ok(Notify::default()));
        assert_eq!(notify("SUCCESS,delay"), Ok(Notify { success: true, failure: false, delay: true }));
        assert_eq!(original_recipient("rfc822;Bob+2B@x.example").as_deref(), Ok("rfc822;Bob+2B@x.example"));
    }

    #[test]
    fn others_are_refused() {
        let long = "a".repeat(101);
        for bad in ["", "a+", "+0D+0A", "+C3+A4", &long] {
            assert!(envelope_id(bad).is_err(), "{bad}");
        }
        for bad in ["", "NEVER,SUCCESS", "SUCCESS,", "SOMETIMES"] {
            assert!(notify(bad).is_err(), "{bad}");
        }
        let long = format!("rfc822;{}", "a".repeat(500));
        for bad in ["", "rfc822", ";a@b.example", "rfc822;", "rfc822;a+0D+0AX", "rf c;a", &long] {
            assert!(original_recipient(bad).is_err(), "{bad}");
        }
    }
}
