//! Messages with a TSIG record: whether they are believed, and how they are answered.
//!
//! In: octets of a message that may be signed. Out: [`Opened`]: the message without its signature and the [`Conversation`] in
//! which the answer is signed, or the refusal. Only secondaries sign, so each key belongs to one ([`secondaries`](super::secondaries)).
//!
//! RFC 8945 §5.2, §5.3.2.

use hickory_proto::op::ResponseCode;

use super::message;
use super::respond::{Asker, Context, Transport};
use super::tsig::{Conversation, Fault, Read, Signed, TsigError, read};
use super::writer::HEADER;

/// What a message comes to.
#[derive(Debug)]
pub enum Opened {
    /// It is not signed.
    Unsigned,
    /// It is not believed; the answer.
    Refused(Refusal),
    /// It is from a secondary.
    Proven(Box<Proven>),
}

/// The answer to a message that is not believed.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its octets.
    pub octets: Vec<u8>,
    /// Where its TSIG record begins; its length where it has none.
    pub records: usize,
}

/// A message that is believed.
#[derive(Debug)]
pub struct Proven {
    /// It without its signature.
    pub message: Vec<u8>,
    /// Signs what answers it.
    pub conversation: Conversation,
    /// The name of the secondary.
    pub secondary: String,
}

/// Looks at the signature of a message.
pub fn open(octets: &[u8], asker: Asker, context: &Context<'_>) -> Opened {
    let signed = match read(octets) {
        Read::Unsigned => return Opened::Unsigned,
        Read::Malformed => return Opened::Refused(without_records(octets, ResponseCode::FormErr)),
        Read::Signed(signed) => signed,
    };
    let found = context.secondaries.key(signed.key_name());
    let verified = signed.verify(found.as_ref().map(|found| &found.key), context.now);
    match (verified, found) {
        (Ok(conversation), Some(found)) => {
            let secondary = found.secondary;
            context.secondaries.has_asked(&secondary, asker.address, conversation.key_name(), context.now);
            Opened::Proven(Box::new(Proven { message: signed.message, conversation, secondary }))
        }
        (Ok(_), None) => Opened::Refused(without_records(octets, ResponseCode::NotAuth)),
        (Err(fault), found) => {
            let claimed = found.map(|found| found.secondary);
            if let Some(secondary) = known_asker(asker, claimed.as_deref(), context) {
                context.secondaries.was_refused(&secondary, sentence(&signed, &fault));
            }
            Opened::Refused(refusal(signed, fault, context.now))
        }
    }
}

/// The secondary that a message is from which is not believed. Names of keys are no secret, and addresses of datagrams are
/// easily forged: only a connection from one of its own addresses says something of a secondary.
pub fn known_asker(asker: Asker, claimed: Option<&str>, context: &Context<'_>) -> Option<String> {
    match asker.transport {
        Transport::Udp => None,
        Transport::Tcp => context.secondaries.at(asker.address, claimed),
    }
}

/// What the operator should know.
fn sentence(signed: &Signed, fault: &Fault) -> String {
    let key = message::to_text(signed.key_name());
    match fault {
        Fault::Malformed => format!("it asks with a signature of `{key}` that is shorter than half"),
        Fault::Unproven(TsigError::BadKey) => {
            format!("it asks with the key `{key}`, which is none of its keys (hmac-sha256) here")
        }
        Fault::Unproven(_) => format!("it has another secret for the key `{key}`"),
        Fault::Proven(TsigError::BadTime, _) => {
            "its clock differs from the edge's by more than five minutes".to_owned()
        }
        Fault::Proven(..) => format!("it shortens the signatures of `{key}`, which is not taken here"),
    }
}

fn refusal(signed: Signed, fault: Fault, now: u64) -> Refusal {
    match fault {
        Fault::Malformed => without_records(&signed.message, ResponseCode::FormErr),
        Fault::Unproven(error) => {
            let mut refusal = without_records(&signed.message, ResponseCode::NotAuth);
            signed.append_unsigned(error, &mut refusal.octets);
            refusal
        }
        Fault::Proven(error, mut conversation) => {
            let mut refusal = without_records(&signed.message, ResponseCode::NotAuth);
            conversation.sign_refusal(error, &mut refusal.octets, now);
            refusal
        }
    }
}

/// The header and the question of a message as an answer without records.
pub fn without_records(octets: &[u8], rcode: ResponseCode) -> Refusal {
    let end = message::read(octets).map_or(HEADER, |sections| sections.questions_end);
    let mut answer = octets.get(..end).unwrap_or_default().to_vec();
    if let Some(header) = answer.first_chunk_mut::<HEADER>() {
        header[2] = 0x80 | header[2] & 0x79;
        header[3] = rcode.low();
        let questions = if end > HEADER { [header[4], header[5]] } else { [0, 0] };
        header[4..6].copy_from_slice(&questions);
        header[6..].fill(0);
    }
    Refusal { records: answer.len(), octets: answer }
}
