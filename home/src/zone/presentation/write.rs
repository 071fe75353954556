//! RDATA to words.
//!
//! In: a type and its data as on the wire. Out: its words, as every name server reads them; nothing where the data do not
//! fill the type's form exactly, or the type has none: they are then written in the general form.

use std::net::{Ipv4Addr, Ipv6Addr};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::rr::RecordType;

use super::forms::{Field, form};
use super::location;
use super::name::labels_text;
use super::word::Word;

/// The data in presentation form; `None` where the type has no form, or the octets are not of it.
pub fn text(record_type: RecordType, rdata: &[u8]) -> Option<String> {
    let mut writer = Writer { rest: rdata };
    let fields = form(record_type)?.iter().map(|(_, field)| writer.field(*field));
    let words = fields.collect::<Option<Vec<_>>>()?;
    writer.rest.is_empty().then(|| words.join(" "))
}

/// Takes octets, gives words.
struct Writer<'a> {
    rest: &'a [u8],
}

impl<'a> Writer<'a> {
    fn field(&mut self, field: Field) -> Option<String> {
        match field {
            Field::Ipv4 => Some(Ipv4Addr::from(self.array::<4>()?).to_string()),
            Field::Ipv6 => Some(Ipv6Addr::from(self.array::<16>()?).to_string()),
            Field::U8 | Field::Algorithm => self.array::<1>().map(|[octet]| octet.to_string()),
            Field::U16 => self.array().map(u16::from_be_bytes).map(|number| number.to_string()),
            Field::U32 | Field::Period => {
                self.array().map(u32::from_be_bytes).map(|number| number.to_string())
            }
            Field::Name => self.name(),
            Field::Text => self.text().map(quoted),
            Field::Texts => self.texts(),
            Field::Tag => {
                let tag = String::from_utf8(self.text()?.to_vec()).ok()?;
                tag.bytes()
                    .all(|octet| octet.is_ascii_alphanumeric())
                    .then_some(tag)
                    .filter(|tag| !tag.is_empty())
            }
            Field::Value => Some(quoted(self.everything())),
            Field::Hexadecimal => self.some().map(hexadecimal),
            Field::Base64 => self.some().map(|octets| STANDARD.encode(octets)),
            Field::Location => location::text(self.everything()),
        }
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*array)
    }

    fn take(&mut self, octets: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(octets)?;
        self.rest = rest;
        Some(taken)
    }

    fn everything(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    fn some(&mut self) -> Option<&'a [u8]> {
        Some(self.everything()).filter(|octets| !octets.is_empty())
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let [length] = self.array()?;
        self.take(usize::from(length))
    }

    fn texts(&mut self) -> Option<String> {
        let mut texts = vec![quoted(self.text()?)];
        while !self.rest.is_empty() {
            texts.push(quoted(self.text()?));
        }
        Some(texts.join(" "))
    }

    /// Uncompressed; a pointer is no length of a label.
    fn name(&mut self) -> Option<String> {
        let mut labels = Vec::new();
        loop {
            match self.array()? {
                [0] => return Some(labels_text(labels.into_iter())),
                [length @ 1..=63] => {
                    labels.push(self.take(usize::from(length)).filter(|label| label.is_ascii())?)
                }
                _ => return None,
            }
        }
    }
}

fn quoted(octets: &[u8]) -> String {
    format!("\"{}\"", Word::literal(octets).text)
}

/// Two digits for each octet.
pub fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
