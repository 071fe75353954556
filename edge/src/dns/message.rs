//! The records of a message as they stand in its octets.
//!
//! In: octets of a message. Out: [`Sections`], which gives each record with its place; names with their pointers followed.
//! Refused: what is torn, pointers that do not lead back (RFC 1035 §4.1.4), octets behind the last record.
//!
//! Only messages that are no usual query are read so: those with signatures, transfers, and answers to what we ask.

use super::name::WireName;
use super::writer::HEADER;

/// The class IN.
pub const IN: u16 = 1;

/// The longest name, octets.
const MAX_NAME: usize = 255;
/// Labels of a name of that length, each of one octet; and pointers on the way through it.
const MAX_LABELS: usize = 127;

/// One resource record, or a question where `rdata` is empty and `ttl` 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'m> {
    /// Where it begins, in octets from the start of the message.
    pub start: usize,
    /// The owner name in wire form, uncompressed.
    pub owner: Vec<u8>,
    /// The type.
    pub record_type: u16,
    /// The class.
    pub class: u16,
    /// Seconds.
    pub ttl: u32,
    /// RDATA as it stands in the message.
    pub rdata: &'m [u8],
}

/// A message taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sections<'m> {
    /// The header.
    pub header: &'m [u8; HEADER],
    /// What is asked.
    pub questions: Vec<Entry<'m>>,
    /// The answer section.
    pub answers: Vec<Entry<'m>>,
    /// The authority section.
    pub authorities: Vec<Entry<'m>>,
    /// The additional section.
    pub additionals: Vec<Entry<'m>>,
    /// Where the questions end, in octets.
    pub questions_end: usize,
}

/// Takes a message apart; `None` where it is torn.
pub fn read(message: &[u8]) -> Option<Sections<'_>> {
    let header = message.first_chunk::<HEADER>()?;
    let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let mut cursor = Cursor { message, at: HEADER };
    let questions = (0..count(4)).map(|_| cursor.question()).collect::<Option<_>>()?;
    let questions_end = cursor.at;
    let mut section = |at| (0..count(at)).map(|_| cursor.record()).collect::<Option<Vec<_>>>();
    let (answers, authorities, additionals) = (section(6)?, section(8)?, section(10)?);
    let whole = cursor.at == message.len();
    whole.then_some(Sections { header, questions, answers, authorities, additionals, questions_end })
}

/// The serial of a SOA record: the last five fields have four octets each (RFC 1035 §3.3.13).
pub fn soa_serial(rdata: &[u8]) -> Option<u32> {
    let start = rdata.len().checked_sub(20)?;
    rdata.get(start..)?.first_chunk().map(|octets| u32::from_be_bytes(*octets))
}

struct Cursor<'m> {
    message: &'m [u8],
    at: usize,
}

impl<'m> Cursor<'m> {
    fn question(&mut self) -> Option<Entry<'m>> {
        let start = self.at;
        let owner = self.name()?;
        let [a, b, c, d] = *self.take(4)?.first_chunk()?;
        let (record_type, class) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        Some(Entry { start, owner, record_type, class, ttl: 0, rdata: &[] })
    }

    fn record(&mut self) -> Option<Entry<'m>> {
        let Entry { start, owner, record_type, class, .. } = self.question()?;
        let ttl = u32::from_be_bytes(*self.take(4)?.first_chunk()?);
        let length = u16::from_be_bytes(*self.take(2)?.first_chunk()?);
        let rdata = self.take(length.into())?;
        Some(Entry { start, owner, record_type, class, ttl, rdata })
    }

    fn take(&mut self, length: usize) -> Option<&'m [u8]> {
        let octets = self.message.get(self.at..)?.get(..length)?;
        self.at += length;
        Some(octets)
    }

    fn name(&mut self) -> Option<Vec<u8>> {
        let (name, end) = name_at(self.message, self.at)?;
        self.at = end;
        Some(name)
    }
}

/// The name at an offset, uncompressed, and where what follows it begins. Each pointer must lead further back than the one
/// before, so the walk ends; and no name needs more pointers than it has labels, so it ends soon.
fn name_at(message: &[u8], start: usize) -> Option<(Vec<u8>, usize)> {
    let (mut name, mut at, mut bound, mut end) = (Vec::new(), start, start, None);
    let mut pointers = 0;
    loop {
        let length = *message.get(at)?;
        match length >> 6 {
            0b00 => {
                name.extend_from_slice(message.get(at..=at + usize::from(length))?);
                at += 1 + usize::from(length);
                if name.len() > MAX_NAME {
                    return None;
                }
                if length == 0 {
                    return Some((name, end.unwrap_or(at)));
                }
            }
            0b11 => {
                let pointer = u16::from_be_bytes(*message.get(at..)?.first_chunk()?) & 0x3fff;
                end = end.or(Some(at + 2));
                at = usize::from(pointer);
                pointers += 1;
                if at >= bound || pointers > MAX_LABELS {
                    return None;
                }
                bound = at;
            }
            _ => return None,
        }
    }
}

/// A name in lower case, as names are compared and signed (RFC 4034 §6.2).
pub fn lower(name: &[u8]) -> Box<[u8]> {
    // Lengths of labels are below 64 and so are no letters.
    name.to_ascii_lowercase().into()
}

/// A whole name in wire form from its text, with or without the final dot; `None` where it is none. No escapes: host names
/// and the names of keys need none.
pub fn from_text(text: &str) -> Option<Box<[u8]>> {
    let mut octets = Vec::new();
    for label in text.strip_suffix('.').unwrap_or(text).split('.') {
        let plain = label.bytes().all(|octet| octet.is_ascii_graphic() && octet != b'\\');
        octets.push(u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length) && plain)?);
        octets.extend_from_slice(label.as_bytes());
    }
    octets.push(0);
    WireName::read(&octets)?;
    Some(lower(&octets))
}

/// A name for people, without the final dot.
pub fn to_text(name: &[u8]) -> String {
    let mut labels = Vec::new();
    let mut rest = name;
    while let Some((length, behind)) = rest.split_first() {
        let Some((label, behind)) = behind.split_at_checked((*length).into()) else { break };
        if !label.is_empty() {
            labels.push(label.escape_ascii().to_string());
        }
        rest = behind;
    }
    labels.join(".")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(counts: [u8; 4]) -> Vec<u8> {
        counts.iter().fold(vec![0, 7, 0, 0], |head, count| [head, vec![0, *count]].concat())
    }

    #[test]
    fn pointers_are_followed_and_must_lead_back() {
        let question = b"\x04home\x07example\0\0\x06\0\x01";
        let soa = b"\xc0\x0c\0\x06\0\x01\0\0\0\x3c\0\x02ab";
        let message = [&header([1, 0, 1, 0])[..], question, soa].concat();
        let sections = read(&message).unwrap();
        assert_eq!(sections.authorities[0].owner, b"\x04home\x07example\0");
        assert_eq!((sections.authorities[0].ttl, sections.authorities[0].rdata), (60, &b"ab"[..]));
        for name in [&b"\xc0\x0c"[..], b"\xc0\x0d", b"\xff\xff", b"\x01a\xc0\x0c", b"\x40a\0", b"\x05a"] {
            let message = [&header([1, 0, 0, 0])[..], name, b"\0\x06\0\x01"].concat();
            assert_eq!(read(&message), None, "{name:?}");
        }
    }

    #[test]
    fn long_chains_of_pointers_are_refused() {
        // A name at 12, and pointers each to the one before.
        let chain = |length: u16| -> Vec<u8> {
            let pointers =
                (0..length).map(|at| if at == 0 { 12 } else { 12 + 2 + 2 * at }).map(|to| 0xc000 | to);
            let pointers: Vec<u8> = pointers.flat_map(u16::to_be_bytes).collect();
            [b"\0\0\0\0\0\0\0\0\0\0\0\0\x01a\0\0".as_slice(), &pointers].concat()
        };
        let last = |message: &[u8]| name_at(message, message.len() - 2).map(|(name, _)| name);
        assert_eq!(last(&chain(127)), Some(b"\x01a\0".to_vec()));
        assert_eq!(last(&chain(128)), None);
        assert_eq!(last(&chain(8000)), None);
    }

    #[test]
    fn names_go_to_text_and_back() {
        let name = from_text("K1.Ns3.example.").unwrap();
        assert_eq!(&*name, b"\x02k1\x03ns3\x07example\0");
        assert_eq!(to_text(&name), "k1.ns3.example");
        for wrong in ["", ".", "a..b", "a\\.b", &"a".repeat(64), &vec!["a".repeat(60); 5].join(".")] {
            assert_eq!(from_text(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(sections) = read(&octets) {
                prop_assert!(sections.questions_end <= octets.len());
            }
        }
    }
}
