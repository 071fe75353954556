//! The parameters of MAIL (SIZE, BODY, SMTPUTF8, AUTH, RET, ENVID, HOLDFOR, HOLDUNTIL, BY, REQUIRETLS) and of RCPT (NOTIFY, ORCPT).
//!
//! In: the words behind the path. Out: what they say. Refused: words that are not known, are malformed or come twice.
//! Whether an extension is offered in this session is the session's to judge.
//!
//! Implements RFC 1870 §4, RFC 6152 §2, RFC 6531 §3.4, RFC 3461 §4, RFC 4865, RFC 2852 §4, RFC 8689 §2, RFC 4954 §5 (the AUTH parameter is read and not
//! used: nobody is trusted to speak for another).

use jiff::Timestamp;

use super::dsn::{self, Notify, Ret};
use crate::deliver_by::DeliverBy;
use crate::server::{refusal::Refusal, session::BodyType};

/// What MAIL said of the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailParameters {
    /// Octets the client means to send.
    pub size: Option<u64>,
    /// How the body is encoded.
    pub body: BodyType,
    /// Addresses and header may be UTF-8.
    pub smtp_utf8: bool,
    /// How much of it a failure report returns.
    pub ret: Option<Ret>,
    /// The sender's own name for this submission, decoded.
    pub envelope_id: Option<String>,
    /// When it may be sent at the earliest.
    pub hold: Option<Hold>,
    /// Within which time it is to be delivered.
    pub deliver_by: Option<DeliverBy>,
    /// It may go under TLS to verified servers only.
    pub require_tls: bool,
}

/// When a message may be sent at the earliest (RFC 4865).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// HOLDFOR: so many seconds after it was taken.
    For(u32),
    /// HOLDUNTIL: at this time.
    Until(Timestamp),
}

/// What RCPT said of a recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RcptParameters {
    /// What is to be reported.
    pub notify: Option<Notify>,
    /// To whom the message was first addressed, as given: `rfc822;ana@home.example` in xtext.
    pub original_recipient: Option<String>,
}

impl MailParameters {
    /// Parses `KEYWORD[=value]` words divided by spaces; a keyword given twice is refused.
    ///
    /// # Errors
    /// [`Refusal::UnknownParameter`] or [`Refusal::Syntax`].
    pub fn parse(text: &str) -> Result<MailParameters, Refusal> {
        let mut parameters = MailParameters::default();
        for_each(text, |keyword, value| parameters.set(keyword, value))?;
        Ok(parameters)
    }

    /// Whether reports are asked for in a way that only a server with DSN understands.
    pub fn asks_for_dsn(&self) -> bool {
        self.ret.is_some() || self.envelope_id.is_some()
    }

    fn set(&mut self, keyword: &str, value: Option<&str>) -> Result<(), Refusal> {
        match (keyword, value) {
            ("SIZE", Some(octets)) => self.size = Some(self::octets(octets)?),
            ("BODY", Some(body)) if body.eq_ignore_ascii_case("7BIT") => self.body = BodyType::SevenBit,
            ("BODY", Some(body)) if body.eq_ignore_ascii_case("8BITMIME") => {
                self.body = BodyType::EightBitMime
            }
            ("SMTPUTF8", None) => self.smtp_utf8 = true,
            ("AUTH", Some(_)) => {}
            ("RET", Some(value)) => self.ret = Some(dsn::ret(value)?),
            ("ENVID", Some(value)) => self.envelope_id = Some(dsn::envelope_id(value)?),
            ("HOLDFOR", Some(value)) => self.set_hold(hold_for(value)?)?,
            ("HOLDUNTIL", Some(value)) => self.set_hold(hold_until(value)?)?,
            ("BY", Some(value)) => self.deliver_by = Some(DeliverBy::parse(value).ok_or(BAD_VALUE)?),
            ("REQUIRETLS", None) => self.require_tls = true,
            (
                "SIZE" | "BODY" | "SMTPUTF8" | "AUTH" | "RET" | "ENVID" | "HOLDFOR" | "HOLDUNTIL" | "BY"
                | "REQUIRETLS",
                _,
            ) => return Err(BAD_VALUE),
            _ => return Err(Refusal::UnknownParameter),
        }
        Ok(())
    }

    /// One of the two is enough.
    fn set_hold(&mut self, hold: Hold) -> Result<(), Refusal> {
        match self.hold.replace(hold) {
            None => Ok(()),
            Some(_) => Err(Refusal::Syntax("parameter given twice")),
        }
    }
}

/// Up to nine digits.
fn hold_for(digits: &str) -> Result<Hold, Refusal> {
    let well_formed = (1..=9).contains(&digits.len()) && digits.bytes().all(|octet| octet.is_ascii_digit());
    let seconds = Some(digits).filter(|_| well_formed).and_then(|digits| digits.parse().ok());
    seconds.map(Hold::For).ok_or(BAD_VALUE)
}

/// A date and time of RFC 3339 §5.6.
fn hold_until(text: &str) -> Result<Hold, Refusal> {
    let well_formed =
        text.is_ascii() && text.as_bytes().get(10).is_some_and(|letter| letter.eq_ignore_ascii_case(&b'T'));
    let time = Some(text).filter(|_| well_formed).and_then(|text| text.parse().ok());
    time.map(Hold::Until).ok_or(BAD_VALUE)
}

impl RcptParameters {
    /// Parses as [`MailParameters::parse`] does.
    ///
    /// # Errors
    /// [`Refusal::UnknownParameter`] or [`Refusal::Syntax`].
    pub fn parse(text: &str) -> Result<RcptParameters, Refusal> {
        let mut parameters = RcptParameters::default();
        for_each(text, |keyword, value| parameters.set(keyword, value))?;
        Ok(parameters)
    }

    /// As [`MailParameters::asks_for_dsn`].
    pub fn asks_for_dsn(&self) -> bool {
        self.notify.is_some() || self.original_recipient.is_some()
    }

    fn set(&mut self, keyword: &str, value: Option<&str>) -> Result<(), Refusal> {
        match (keyword, value) {
            ("NOTIFY", Some(value)) => self.notify = Some(dsn::notify(value)?),
            ("ORCPT", Some(value)) => self.original_recipient = Some(dsn::original_recipient(value)?),
            ("NOTIFY" | "ORCPT", None) => return Err(BAD_VALUE),
            _ => return Err(Refusal::UnknownParameter),
        }
        Ok(())
    }
}

const BAD_VALUE: Refusal = Refusal::Syntax("bad parameter value");

/// Gives each keyword in upper case with its value to `set`; a keyword given twice is refused.
fn for_each(
    text: &str,
    mut set: impl FnMut(&str, Option<&str>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let mut seen = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let (keyword, value) = match word.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (word, None),
        };
        let keyword = keyword.to_ascii_uppercase();
        set(&keyword, value)?;
        if seen.contains(&keyword) {
            return Err(Refusal::Syntax("parameter given twice"));
        }
        seen.push(keyword);
    }
    Ok(())
}

/// Up to 20 digits (RFC 1870 §4, RFC 3030 §2); what does not fit is simply too big.
pub(super) fn octets(digits: &str) -> Result<u64, Refusal> {
    let well_formed = (1..=20).contains(&digits.len()) && digits.bytes().all(|octet| octet.is_ascii_digit());
    if !well_formed {
        return Err(Refusal::Syntax("bad SIZE"));
    }
    Ok(digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_parameters() {
        let parameters = MailParameters::parse("size=1000 BODY=8bitmime SMTPUTF8 AUTH=<>").expect("known");
        let expected = MailParameters {
            size: Some(1000),
            body: BodyType::EightBitMime,
            smtp_utf8: true,
            ..Default::default()
        };
        assert_eq!(parameters, expected);
        assert_eq!(MailParameters::parse("SIZE=99999999999999999999").map(|p| p.size), Ok(Some(u64::MAX)));
    }

    #[test]
    fn a_message_may_be_held() {
        let hold = |text| MailParameters::parse(text).map(|parameters| parameters.hold);
        let evening: Timestamp = "2026-12-24T18:00:00Z".parse().expect("a time");
        assert_eq!(hold("HOLDFOR=86400"), Ok(Some(Hold::For(86_400))));
        assert_eq!(hold("HOLDUNTIL=2026-12-24T18:00:00Z"), Ok(Some(Hold::Until(evening))));
        assert_eq!(hold("holduntil=2026-12-24T19:00:00+01:00"), Ok(Some(Hold::Until(evening))));
    }

    #[test]
    fn others_are_refused() {
        assert_eq!(MailParameters::parse("XRET=FULL"), Err(Refusal::UnknownParameter));
        for bad in [
            "SIZE=",
            "SIZE=-1",
            "SIZE=1 SIZE=2",
            "BODY=BINARYMIME",
            "SMTPUTF8=1",
            "SIZE",
            "HOLDFOR=",
            "HOLDFOR=-1",
            "HOLDFOR=1000000000",
            "HOLDUNTIL=2026-12-24",
            "HOLDUNTIL=2026-12-24 18:00:00Z",
            "HOLDUNTIL=soon",
            "HOLDFOR=1 HOLDUNTIL=2026-12-24T18:00:00Z",
            "REQUIRETLS=1",
            "BY",
            "BY=120",
            "BY=0;R",
            "BY=5;N BY=5;N",
        ] {
            assert!(matches!(MailParameters::parse(bad), Err(Refusal::Syntax(_))), "{bad}");
        }
    }
}
