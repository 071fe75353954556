//! Transaction signatures with a shared secret (TSIG), of one message and of a stream of them.
//!
//! In: octets of messages, keys, the time. Out: a [`Conversation`] with whoever holds the key, which signs each message that
//! follows; or a [`Fault`] with what the answer's own TSIG record must say. Refused: records that are not the last or not the only
//! ones of their kind (FORMERR), keys that are not known and algorithms other than hmac-sha256 (BADKEY), MACs that do not fit (BADSIG),
//! times too far off (BADTIME), shortened MACs (BADTRUNC, or FORMERR below half).
//!
//! RFC 8945 §4 (the record, and what the MAC covers), §5 (who answers what). hmac-sha256 is the algorithm that every
//! implementation must have and the one that is recommended (§6).
//!
//! Deviates: the newest time of a key is not kept (§5.2.3, SHOULD): what a replay gets is signed for who sent the original.
//!
//! ours and not hickory-proto's, whose signer takes a decoded message and encodes it again, and is made for clients.

use ring::hmac;

use super::message::{self, Entry, lower};
use super::writer::HEADER;

/// The type and the class of the record (RFC 8945 §4.2).
const TSIG: u16 = 250;
const ANY: u16 = 255;

/// The name of the algorithm (RFC 8945 §6).
pub const HMAC_SHA256: &[u8] = b"\x0bhmac-sha256\0";

/// Octets of its MAC, and the fewest that a shortened one can have (RFC 8945 §5.2.2.1).
const MAC: usize = 32;
const SHORTEST_MAC: usize = 16;

/// Seconds that two clocks may differ (RFC 8945 §10).
const FUDGE: u16 = 300;

/// Octets that a record takes in an answer, beside the name of its key.
const FIXED: usize = 10 + HMAC_SHA256.len() + 16 + MAC + 6;

/// The extended RCODEs of TSIG (RFC 8945 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum TsigError {
    /// The MAC does not fit.
    BadSig = 16,
    /// The key or the algorithm is not known.
    BadKey = 17,
    /// The clocks differ too much.
    BadTime = 18,
    /// The MAC is shorter than is taken here.
    BadTrunc = 22,
}

/// A key that two servers share.
#[derive(Clone)]
pub struct Key {
    /// In wire form, lower case.
    pub name: Box<[u8]>,
    /// The HMAC under its secret.
    pub hmac: hmac::Key,
}

/// A message that ended in a TSIG record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The message without it, with the identifier under which it was signed.
    pub message: Vec<u8>,
    record: Record,
}

/// What a message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// It has no TSIG record, or is no message.
    Unsigned,
    /// It has one that cannot be.
    Malformed,
    /// It ends in one.
    Signed(Signed),
}

/// The fields of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    key: Box<[u8]>,
    algorithm: Box<[u8]>,
    time: u64,
    fudge: u16,
    mac: Vec<u8>,
    id: [u8; 2],
    error: u16,
    other: Vec<u8>,
}

/// Why a message is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The record cannot be: FORMERR, without a record in the answer.
    Malformed,
    /// NOTAUTH with a record that is not signed, as nobody knows with what.
    Unproven(TsigError),
    /// NOTAUTH with a record that is signed: the key was right.
    Proven(TsigError, Box<Conversation>),
}

/// An exchange of messages under one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conversation {
    key: Key,
    /// The MAC of the message before.
    prior: Vec<u8>,
    /// Whether the next message of ours answers `prior`, and is not a later one of a stream.
    is_first: bool,
    id: [u8; 2],
    /// The time and fudge of a request that came too early or too late.
    theirs: (u64, u16),
}

/// Takes the TSIG record off a message.
pub fn read(octets: &[u8]) -> Read {
    let Some(sections) = message::read(octets) else { return Read::Unsigned };
    let is_tsig = |entry: &Entry<'_>| entry.record_type == TSIG;
    let elsewhere = sections.answers.iter().chain(&sections.authorities).any(is_tsig);
    let count = sections.additionals.iter().filter(|entry| is_tsig(entry)).count();
    match (sections.additionals.last().filter(|last| is_tsig(last)), elsewhere, count) {
        (None, false, 0) => Read::Unsigned,
        (Some(last), false, 1) => match Record::read(last) {
            Some(record) => Read::Signed(Signed { message: without(octets, last.start, record.id), record }),
            None => Read::Malformed,
        },
        _ => Read::Malformed,
    }
}

/// The message up to `end`, one additional record less, under `id`.
fn without(octets: &[u8], end: usize, id: [u8; 2]) -> Vec<u8> {
    let mut message = octets.get(..end).unwrap_or(octets).to_vec();
    message.splice(..2, id);
    add_to_count(&mut message, -1);
    message
}

/// Changes ARCOUNT.
fn add_to_count(message: &mut [u8], change: i16) {
    if let Some([.., a, b]) = message.first_chunk_mut::<HEADER>() {
        let count = u16::from_be_bytes([*a, *b]).wrapping_add_signed(change);
        [*a, *b] = count.to_be_bytes();
    }
}

impl Key {
    /// A key of this name, in wire form, with this secret.
    pub fn new(name: &[u8], secret: &[u8]) -> Self {
        Self { name: lower(name), hmac: hmac::Key::new(hmac::HMAC_SHA256, secret) }
    }

    /// Octets that its record takes in a message.
    pub fn record_length(&self) -> usize {
        self.name.len() + FIXED
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Key {}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Key({})", message::to_text(&self.name))
    }
}

impl Signed {
    /// The name of the key that it claims.
    pub fn key_name(&self) -> &[u8] {
        &self.record.key
    }

    /// The RCODE of TSIG that the other side has put into it.
    pub fn error(&self) -> u16 {
        self.record.error
    }

    /// Checks a request under `key`, which is that of the name it claims, at `now`, in seconds since 1970.
    ///
    /// # Errors
    /// See [`Fault`].
    pub fn verify(&self, key: Option<&Key>, now: u64) -> Result<Conversation, Fault> {
        // RFC 8945 §5.2: the key, the MAC, the time, and then whether the MAC is whole.
        let key = key.filter(|_| *self.record.algorithm == *HMAC_SHA256);
        let Some(key) = key else { return Err(Fault::Unproven(TsigError::BadKey)) };
        let mac = &self.record.mac;
        if !(SHORTEST_MAC..=MAC).contains(&mac.len()) {
            return Err(Fault::Malformed);
        }
        if !self.has_mac(key, None) {
            return Err(Fault::Unproven(TsigError::BadSig));
        }
        let theirs = (self.record.time, self.record.fudge);
        let conversation =
            Conversation { key: key.clone(), prior: mac.clone(), is_first: true, id: self.record.id, theirs };
        if now.abs_diff(self.record.time) > self.record.fudge.min(FUDGE).into() {
            return Err(Fault::Proven(TsigError::BadTime, Box::new(conversation)));
        }
        if mac.len() < MAC {
            return Err(Fault::Proven(TsigError::BadTrunc, Box::new(conversation)));
        }
        Ok(conversation)
    }

    /// Whether the MAC, as far as it goes, is the one under `key` after a request with the MAC `prior`.
    fn has_mac(&self, key: &Key, prior: Option<&[u8]>) -> bool {
        let made = mac(key, prior, &self.message, &self.record.variables());
        let Some(made) = made.as_ref().get(..self.record.mac.len()) else { return false };
        made.iter().zip(&self.record.mac).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
    }

    /// Appends the record of an answer that nobody could verify (RFC 8945 §5.3.2).
    pub fn append_unsigned(&self, error: TsigError, answer: &mut Vec<u8>) {
        let record =
            Record { mac: Vec::new(), error: error as u16, other: Vec::new(), ..self.record.clone() };
        record.append(answer);
    }
}

impl Conversation {
    /// Begins one with a request of ours, and signs that.
    pub fn begin(key: &Key, request: &mut Vec<u8>, now: u64) -> Self {
        let id = request.first_chunk().copied().unwrap_or_default();
        let record = Record::ours(key, id, now);
        let mac = mac(key, None, request, &record.variables());
        Record { mac: mac.as_ref().to_vec(), ..record }.append(request);
        let prior = mac.as_ref().to_vec();
        Self { key: key.clone(), prior, is_first: true, id, theirs: (now, FUDGE) }
    }

    /// Whether `answer` answers the request of ours with which this began.
    pub fn is_answered_by(&self, answer: &Signed, now: u64) -> bool {
        let record = &answer.record;
        record.key == self.key.name
            && *record.algorithm == *HMAC_SHA256
            && record.mac.len() == MAC
            && now.abs_diff(record.time) <= record.fudge.min(FUDGE).into()
            && answer.has_mac(&self.key, Some(&self.prior))
    }

    /// The name of the key.
    pub fn key_name(&self) -> &[u8] {
        &self.key.name
    }

    /// Octets that the record of the next message takes.
    pub fn record_length(&self) -> usize {
        self.key.record_length()
    }

    /// Signs the next message of ours.
    pub fn sign(&mut self, answer: &mut Vec<u8>, now: u64) {
        let record = Record::ours(&self.key, self.id, now);
        self.sign_with(record, answer);
    }

    /// Signs the answer to a request that is refused for its time or its short MAC (RFC 8945 §5.2.3, §5.2.4).
    pub fn sign_refusal(&mut self, error: TsigError, answer: &mut Vec<u8>, now: u64) {
        let record = Record { error: error as u16, ..Record::ours(&self.key, self.id, now) };
        let record = match error {
            // The asker's own time, or it could not believe this either.
            TsigError::BadTime => Record {
                time: self.theirs.0,
                fudge: self.theirs.1,
                other: now.to_be_bytes()[2..].to_vec(),
                ..record
            },
            TsigError::BadSig | TsigError::BadKey | TsigError::BadTrunc => record,
        };
        self.sign_with(record, answer);
    }

    fn sign_with(&mut self, record: Record, answer: &mut Vec<u8>) {
        let variables = if self.is_first { record.variables() } else { record.timers().to_vec() };
        let mac = mac(&self.key, Some(&self.prior), answer, &variables);
        self.prior = mac.as_ref().to_vec();
        self.is_first = false;
        Record { mac: self.prior.clone(), ..record }.append(answer);
    }
}

/// RFC 8945 §4.3: the MAC before with its length, the message, the variables or the timers.
fn mac(key: &Key, prior: Option<&[u8]>, message: &[u8], variables: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(&key.hmac);
    if let Some(prior) = prior {
        context.update(&(prior.len() as u16).to_be_bytes());
        context.update(prior);
    }
    context.update(message);
    context.update(variables);
    context.sign()
}

impl Record {
    fn ours(key: &Key, id: [u8; 2], now: u64) -> Self {
        Self {
            key: key.name.clone(),
            algorithm: HMAC_SHA256.into(),
            time: now,
            fudge: FUDGE,
            mac: Vec::new(),
            id,
            error: 0,
            other: Vec::new(),
        }
    }

    fn read(entry: &Entry<'_>) -> Option<Self> {
        if entry.class != ANY || entry.ttl != 0 {
            return None;
        }
        let algorithm = super::name::WireName::read(entry.rdata)?.octets();
        let ([t0, t1, t2, t3, t4, t5, f0, f1, m0, m1], rest) =
            entry.rdata.get(algorithm.len()..)?.split_first_chunk()?;
        let (mac, rest) = rest.split_at_checked(u16::from_be_bytes([*m0, *m1]).into())?;
        let ([i0, i1, e0, e1, o0, o1], other) = rest.split_first_chunk()?;
        (other.len() == usize::from(u16::from_be_bytes([*o0, *o1]))).then_some(Self {
            key: lower(&entry.owner),
            algorithm: lower(algorithm),
            time: u64::from_be_bytes([0, 0, *t0, *t1, *t2, *t3, *t4, *t5]),
            fudge: u16::from_be_bytes([*f0, *f1]),
            mac: mac.to_vec(),
            id: [*i0, *i1],
            error: u16::from_be_bytes([*e0, *e1]),
            other: other.to_vec(),
        })
    }

    /// Time Signed, of 48 bits, and Fudge (RFC 8945 §4.3.3.1).
    fn timers(&self) -> [u8; 8] {
        let [_, _, t0, t1, t2, t3, t4, t5] = self.time.to_be_bytes();
        let [f0, f1] = self.fudge.to_be_bytes();
        [t0, t1, t2, t3, t4, t5, f0, f1]
    }

    /// RFC 8945 §4.3.3.
    fn variables(&self) -> Vec<u8> {
        let mut octets = self.key.to_vec();
        octets.extend_from_slice(&[0, 255, 0, 0, 0, 0]);
        octets.extend_from_slice(&self.algorithm);
        octets.extend_from_slice(&self.timers());
        octets.extend_from_slice(&self.error.to_be_bytes());
        octets.extend_from_slice(&(self.other.len() as u16).to_be_bytes());
        octets.extend_from_slice(&self.other);
        octets
    }

    /// Appends the record to a message and counts it.
    fn append(&self, message: &mut Vec<u8>) {
        message.extend_from_slice(&self.key);
        message.extend_from_slice(&[0, 250, 0, 255, 0, 0, 0, 0]);
        let length = self.algorithm.len() + 16 + self.mac.len() + self.other.len();
        message.extend_from_slice(&(length as u16).to_be_bytes());
        message.extend_from_slice(&self.algorithm);
        message.extend_from_slice(&self.timers());
        message.extend_from_slice(&(self.mac.len() as u16).to_be_bytes());
        message.extend_from_slice(&self.mac);
        message.extend_from_slice(&self.id);
        message.extend_from_slice(&self.error.to_be_bytes());
        message.extend_from_slice(&(self.other.len() as u16).to_be_bytes());
        message.extend_from_slice(&self.other);
        add_to_count(message, 1);
    }
}

#[cfg(test)]
mod tests;
