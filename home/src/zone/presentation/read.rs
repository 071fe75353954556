//! Words to RDATA.
//!
//! In: the words of one record's data, its type, the origin of relative names. Out: the data, decoded. Refused: what is not of
//! the type's form, with the field, what was expected there and what was found; data of a type without a form here but in
//! the general one (RFC 3597 §5).

use std::net::{Ipv4Addr, Ipv6Addr};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::rr::rdata::NULL;
use hickory_proto::rr::{Name, RData, RecordType};
use postern_shared::zone::{encode, type_to_text};

use super::forms::{Field, Form, form, type_text};
use super::location;
use super::name::absolute;
use super::word::Word;

/// Octets in one character-string (RFC 1035 §3.3).
const CHARACTER_STRING_OCTETS: usize = 255;
/// How much of a word an error shows, in characters.
const SHOWN: usize = 60;

/// Why words are not the data of a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A field that is not what it must be.
    #[error("{field}: expected {expected}, found {found}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// Words after the last field.
    #[error("`{found}` is one word too many: the data are {form}")]
    Left {
        /// The first of them.
        found: String,
        /// What there should be.
        form: String,
    },
    /// RFC 3597's form is not kept.
    #[error("expected `\\# LENGTH HEXADECIMAL` (RFC 3597), as in `\\# 2 01ff`")]
    Generic,
    /// The parameters of SVCB or HTTPS.
    #[error("the parameters are not understood: {0}")]
    Parameters(String),
    /// No form but RFC 3597's.
    #[error("data of type {0} are written as `\\# LENGTH HEXADECIMAL` (RFC 3597), as in `\\# 2 01ff`")]
    NoForm(String),
    /// The octets mean nothing in this type.
    #[error("these octets are not the data of such a record")]
    Octets,
}

/// Reads the data of a record of this type; names that do not end in a dot are below `origin`.
///
/// # Errors
/// [`Malformed`].
pub fn rdata(record_type: RecordType, words: &[Word], origin: &Name) -> Result<RData, Malformed> {
    let wire = match (words, form(record_type)) {
        ([mark, rest @ ..], _) if *mark == Word::bare("\\#") => generic(rest)?,
        (_, Some(form)) => Reader { words, origin, wire: Vec::new() }.read(form)?,
        (_, None) if matches!(record_type, RecordType::SVCB | RecordType::HTTPS) => {
            service(record_type, words, origin)?
        }
        (_, None) => return Err(Malformed::NoForm(type_text(record_type))),
    };
    decode(record_type, wire).ok_or(Malformed::Octets)
}

fn decode(record_type: RecordType, rdata: Vec<u8>) -> Option<RData> {
    if rdata.is_empty() {
        return form(record_type).is_none().then(|| RData::Unknown { code: record_type, rdata: NULL::new() });
    }
    let record_type = type_to_text(record_type);
    let record = postern_shared::zone::Record { name: ".".to_owned(), record_type, ttl: 0, rdata };
    record.to_dns().ok().map(|record| record.data)
}

/// RFC 3597 §5.
fn generic(words: &[Word]) -> Result<Vec<u8>, Malformed> {
    let [length, digits @ ..] = words else { return Err(Malformed::Generic) };
    let octets = hexadecimal(digits).ok_or(Malformed::Generic)?;
    let is_right = number::<u16>(&length.text).is_some_and(|length| usize::from(length) == octets.len());
    if is_right { Ok(octets) } else { Err(Malformed::Generic) }
}

/// RFC 9460 §2.1: priority and target as anywhere, the parameters as hickory reads them.
fn service(record_type: RecordType, words: &[Word], origin: &Name) -> Result<Vec<u8>, Malformed> {
    const HEAD: Form = &[("PRIORITY", Field::U16), ("TARGET", Field::Name)];
    let (head, parameters) = words.split_at(words.len().min(HEAD.len()));
    let mut wire = Reader { words: head, origin, wire: Vec::new() }.read(HEAD)?;
    let text =
        parameters.iter().fold("0 .".to_owned(), |text, word| text + " " + &word.text.replace('"', ""));
    let parsed =
        RData::try_from_str(record_type, &text).map_err(|error| Malformed::Parameters(error.to_string()))?;
    // Before the parameters stand two octets of priority and the root's one.
    wire.extend(encode(&parsed).ok_or(Malformed::Octets)?.into_iter().skip(3));
    Ok(wire)
}

/// Takes words, gives octets.
struct Reader<'a> {
    words: &'a [Word],
    origin: &'a Name,
    wire: Vec<u8>,
}

impl Reader<'_> {
    fn read(mut self, form: Form) -> Result<Vec<u8>, Malformed> {
        for (name, field) in form {
            let found = self.words.first().map_or("nothing".to_owned(), |word| shown(&word.text));
            self.field(*field).ok_or(Malformed::Field { field: name, expected: field.expected(), found })?;
        }
        match self.words.first() {
            None => Ok(self.wire),
            Some(word) => {
                Err(Malformed::Left { found: word.text.chars().take(SHOWN).collect(), form: names(form) })
            }
        }
    }

    fn field(&mut self, field: Field) -> Option<()> {
        match field {
            Field::Texts | Field::Hexadecimal | Field::Base64 | Field::Location => {
                let words = std::mem::take(&mut self.words);
                self.remaining(field, words)
            }
            _ => {
                let (word, rest) = self.words.split_first()?;
                self.words = rest;
                self.one(field, word)
            }
        }
    }

    fn remaining(&mut self, field: Field, words: &[Word]) -> Option<()> {
        match field {
            Field::Texts => (!words.is_empty()).then(|| words.iter().try_for_each(|word| self.text(word)))?,
            Field::Base64 => {
                let text: String = words.iter().map(|word| word.text.as_str()).collect();
                self.put(&STANDARD.decode(text).ok().filter(|octets| !octets.is_empty())?)
            }
            Field::Location => self.put(&location::read(words)?),
            _ => self.put(&hexadecimal(words).filter(|octets| !octets.is_empty())?),
        }
    }

    fn one(&mut self, field: Field, word: &Word) -> Option<()> {
        let text = word.text.as_str();
        match field {
            Field::Ipv4 => self.put(&text.parse::<Ipv4Addr>().ok()?.octets()),
            Field::Ipv6 => self.put(&text.parse::<Ipv6Addr>().ok()?.octets()),
            Field::U8 => self.put(&number::<u8>(text)?.to_be_bytes()),
            Field::U16 => self.put(&number::<u16>(text)?.to_be_bytes()),
            Field::U32 => self.put(&number::<u32>(text)?.to_be_bytes()),
            Field::Period => self.put(&seconds(text)?.to_be_bytes()),
            Field::Algorithm => self.put(&[number::<u8>(text).or_else(|| algorithm(text))?]),
            Field::Name => self.name(word),
            Field::Text => self.text(word),
            Field::Tag => {
                let is_tag = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_alphanumeric());
                is_tag.then(|| self.text(word))?
            }
            Field::Value => {
                let octets = word.octets().ok()?;
                self.put(&octets)
            }
            Field::Texts | Field::Hexadecimal | Field::Base64 | Field::Location => None,
        }
    }

    fn name(&mut self, word: &Word) -> Option<()> {
        let name = absolute(word, self.origin)?;
        for label in name.iter() {
            self.wire.push(u8::try_from(label.len()).ok()?);
            self.wire.extend_from_slice(label);
        }
        self.put(&[0])
    }

    fn text(&mut self, word: &Word) -> Option<()> {
        let octets = word.octets().ok().filter(|octets| octets.len() <= CHARACTER_STRING_OCTETS)?;
        self.wire.push(u8::try_from(octets.len()).ok()?);
        self.put(&octets)
    }

    fn put(&mut self, octets: &[u8]) -> Option<()> {
        self.wire.extend_from_slice(octets);
        Some(())
    }
}

/// Seconds, also with units as other name servers write them: `1h30m`.
pub fn seconds(text: &str) -> Option<u32> {
    if let Some(seconds) = number(text) {
        return Some(seconds);
    }
    let (mut total, mut digits) = (0u32, String::new());
    for letter in text.chars() {
        if letter.is_ascii_digit() {
            digits.push(letter);
            continue;
        }
        let unit = match letter.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number::<u32>(&digits)?.checked_mul(unit)?)?;
        digits.clear();
    }
    (digits.is_empty() && !text.is_empty()).then_some(total)
}

/// A decimal number of digits only.
pub(super) fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    let is_number = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

fn hexadecimal(words: &[Word]) -> Option<Vec<u8>> {
    let digits: String = words.iter().map(|word| word.text.as_str()).collect();
    let is_whole = digits.len().is_multiple_of(2) && digits.bytes().all(|octet| octet.is_ascii_hexdigit());
    let octet = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    is_whole.then(|| digits.as_bytes().chunks(2).map(octet).collect())?
}

/// The mnemonics that are still written (RFC 4034 Appendix A.1, RFC 5702, RFC 6605, RFC 8080).
fn algorithm(text: &str) -> Option<u8> {
    Some(match text.to_ascii_uppercase().as_str() {
        "RSASHA1" => 5,
        "RSASHA256" => 8,
        "RSASHA512" => 10,
        "ECDSAP256SHA256" => 13,
        "ECDSAP384SHA384" => 14,
        "ED25519" => 15,
        "ED448" => 16,
        _ => return None,
    })
}

fn names(form: Form) -> String {
    let names: Vec<&str> = form.iter().map(|(name, _)| *name).collect();
    format!("`{}`", names.join(" "))
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => format!("`{text}`"),
        Some((end, _)) => {
            format!("`{}…` ({} characters)", text.get(..end).unwrap_or(text), text.chars().count())
        }
    }
}
