//! The two questions that a secondary is sent, and what its answers say.
//!
//! In: a zone's apex, a key; octets that came back. Out: NOTIFY (RFC 1996 §3) signed with the key, and a plain question for
//! the SOA, as the world asks it; whether they were answered. Refused: answers to other questions, NOTIFY answers that
//! are not signed with the key, SOA answers without authority.

use hickory_proto::op::ResponseCode;

use super::super::message::{self, IN, Sections, to_text};
use super::super::tsig::{Conversation, Key, Read, TsigError, read};

/// RFC 1996 §3.1, in the header's third octet, beside AA.
const NOTIFY: u8 = 4 << 3;
const QUERY: u8 = 0;
const AA: u8 = 0x04;

/// The type SOA.
const SOA: u16 = 6;

/// A question that was sent.
#[derive(Debug)]
pub struct Sent {
    /// Its octets.
    pub octets: Vec<u8>,
    apex: Box<[u8]>,
    conversation: Option<Conversation>,
}

/// Why a question was not answered as it should be; the texts go on after the secondary's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Not an answer to this at all: to be waited on.
    #[error("it sends what answers nothing")]
    Other,
    /// It does not know the key, or has another secret for it.
    #[error("it refuses the key `{0}`: {1}")]
    Key(String, &'static str),
    /// Another RCODE than NOERROR.
    #[error("it answers {0}")]
    Rcode(&'static str),
    /// The answer to a signed message must be signed.
    #[error("its answer is not signed with `{0}`")]
    Unsigned(String),
    /// It does not serve the zone.
    #[error("it does not serve the zone")]
    NotServed,
}

impl Sent {
    /// Tells that a zone has changed.
    pub fn notify(id: [u8; 2], apex: &[u8], key: &Key, now: u64) -> Self {
        let mut octets = question(id, NOTIFY | AA, apex);
        let conversation = Some(Conversation::begin(key, &mut octets, now));
        Self { octets, apex: apex.into(), conversation }
    }

    /// Asks for the SOA.
    pub fn soa(id: [u8; 2], apex: &[u8]) -> Self {
        Self { octets: question(id, QUERY, apex), apex: apex.into(), conversation: None }
    }

    /// Whether it was told.
    ///
    /// # Errors
    /// See [`Unanswered`].
    pub fn told(&self, octets: &[u8], now: u64) -> Result<(), Unanswered> {
        let answer = self.answer(octets)?;
        let Some(conversation) = &self.conversation else { return Ok(()) };
        let key = to_text(conversation.key_name());
        let signed = if let Read::Signed(signed) = read(octets) { Some(signed) } else { None };
        match (rcode(&answer), signed) {
            (0, Some(signed)) if conversation.is_answered_by(&signed, now) => Ok(()),
            (0, _) => Err(Unanswered::Unsigned(key)),
            (_, Some(signed)) if signed.error() != 0 => Err(Unanswered::Key(key, error_text(signed.error()))),
            (other, _) => Err(Unanswered::Rcode(rcode_text(other))),
        }
    }

    /// The serial that it serves.
    ///
    /// # Errors
    /// See [`Unanswered`].
    pub fn serial(&self, octets: &[u8]) -> Result<u32, Unanswered> {
        let answer = self.answer(octets)?;
        if rcode(&answer) != 0 {
            return Err(Unanswered::Rcode(rcode_text(rcode(&answer))));
        }
        let is_soa = |record: &&message::Entry<'_>| {
            record.record_type == SOA && record.owner.eq_ignore_ascii_case(&self.apex)
        };
        let soa = answer.answers.iter().find(is_soa).filter(|_| answer.header[2] & AA != 0);
        soa.and_then(|soa| message::soa_serial(soa.rdata)).ok_or(Unanswered::NotServed)
    }

    /// The answer, if it is one to this question.
    fn answer<'m>(&self, octets: &'m [u8]) -> Result<Sections<'m>, Unanswered> {
        let answer = message::read(octets).ok_or(Unanswered::Other)?;
        let (asked, header) = (&self.octets, answer.header);
        let is_ours =
            header[..2] == asked[..2] && header[2] & 0x80 != 0 && header[2] & 0x78 == asked[2] & 0x78;
        // RFC 1996 §3.3: the question may be missing where something is wrong.
        let is_same = answer.questions.iter().all(|question| question.owner.eq_ignore_ascii_case(&self.apex));
        if is_ours && is_same { Ok(answer) } else { Err(Unanswered::Other) }
    }
}

fn question(id: [u8; 2], flags: u8, apex: &[u8]) -> Vec<u8> {
    let mut octets = vec![id[0], id[1], flags, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    octets.extend_from_slice(apex);
    octets.extend_from_slice(&[SOA.to_be_bytes(), IN.to_be_bytes()].concat());
    octets
}

fn rcode(answer: &Sections<'_>) -> u8 {
    answer.header[3] & 0x0f
}

fn rcode_text(rcode: u8) -> &'static str {
    ResponseCode::from(0, rcode).to_str()
}

fn error_text(error: u16) -> &'static str {
    const BAD_SIG: u16 = TsigError::BadSig as u16;
    const BAD_KEY: u16 = TsigError::BadKey as u16;
    const BAD_TIME: u16 = TsigError::BadTime as u16;
    match error {
        BAD_SIG => "it has another secret for it (BADSIG)",
        BAD_KEY => "it does not know it (BADKEY)",
        BAD_TIME => "the clocks differ too much (BADTIME)",
        _ => "another error of TSIG",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APEX: &[u8] = b"\x04home\x07example\0";
    const NOW: u64 = 1_700_000_000;

    fn key() -> Key {
        Key::new(b"\x02k1\x03ns3\x07example\0", &[7; 32])
    }

    /// The answer of a server that has the key.
    fn answered(sent: &Sent, key: &Key, rcode: u8) -> Vec<u8> {
        let Read::Signed(signed) = read(&sent.octets) else { panic!("not signed") };
        let mut answer = signed.message.clone();
        (answer[2], answer[3]) = (answer[2] | 0x80, rcode);
        match signed.verify(Some(key), NOW) {
            Ok(mut conversation) => conversation.sign(&mut answer, NOW),
            Err(_) => {
                answer[3] = 9;
                signed.append_unsigned(TsigError::BadSig, &mut answer);
            }
        }
        answer
    }

    #[test]
    fn a_notification_is_signed_and_so_is_its_answer() {
        let sent = Sent::notify([1, 2], APEX, &key(), NOW);
        assert_eq!(sent.octets[2..12], [0x24, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
        assert_eq!(sent.told(&answered(&sent, &key(), 0), NOW), Ok(()));
        let refused = sent.told(&answered(&sent, &key(), 5), NOW);
        assert_eq!(refused.unwrap_err().to_string(), "it answers Query Refused");
        let other = Key::new(b"\x02k1\x03ns3\x07example\0", &[8; 32]);
        let told = sent.told(&answered(&sent, &other, 0), NOW).unwrap_err().to_string();
        assert_eq!(told, "it refuses the key `k1.ns3.example`: it has another secret for it (BADSIG)");
        let mut plain = question([1, 2], NOTIFY | AA | 0x80, APEX);
        assert!(matches!(sent.told(&plain, NOW), Err(Unanswered::Unsigned(_))));
        plain[1] = 3;
        assert_eq!(sent.told(&plain, NOW), Err(Unanswered::Other));
        assert_eq!(sent.told(&sent.octets, NOW), Err(Unanswered::Other), "a question is no answer");
    }

    #[test]
    fn only_an_authority_says_which_serial_it_serves() {
        let sent = Sent::soa([1, 2], APEX);
        let mut answer = question([1, 2], 0x80 | AA, APEX);
        assert_eq!(sent.serial(&answer), Err(Unanswered::NotServed));
        answer.extend_from_slice(b"\xc0\x0c\0\x06\0\x01\0\0\0\x3c\0\x16\0\0\0\0\0\x07");
        answer.extend_from_slice(&[0; 16]);
        answer[7] = 1;
        assert_eq!(sent.serial(&answer), Ok(7));
        answer[2] = 0x80;
        assert_eq!(sent.serial(&answer), Err(Unanswered::NotServed));
        answer[3] = 2;
        assert_eq!(sent.serial(&answer).unwrap_err().to_string(), "it answers Server Failure");
    }
}
