//! Domain names as octets: read from a message, put in canonical order.
//!
//! In: octets of a message or of a zone. Out: [`WireName`], a whole uncompressed name, and its [`Key`], by which names
//! compare as RFC 4034 §6.1 orders them. Refused: compression pointers (nothing stands before a question's name that one
//! could point to), labels over 63 and names over 255 octets (RFC 1035 §2.3.4), unknown label types (RFC 6891 §5).

/// The longest name, in octets.
const MAX_NAME: usize = 255;

/// The most labels that such a name can have, the root not counted.
const MAX_LABELS: usize = 127;

/// A whole name in wire form, its final zero octet included, in the case in which it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WireName<'a>(&'a [u8]);

/// A name from the root down, in lower case, each label ended by a zero octet.
///
/// Comparing the octets gives the canonical order of names, and the key of a name begins with the keys of all names
/// above it. 0 and 1 inside a label are written as 1 1 and 1 2, so that nothing else is mistaken for a label's end.
#[derive(Debug, Clone)]
pub struct Key {
    octets: [u8; 2 * MAX_NAME],
    length: usize,
}

impl<'a> WireName<'a> {
    /// The name that `octets` begin with.
    pub fn read(octets: &'a [u8]) -> Option<Self> {
        let mut end = 0;
        loop {
            let length = usize::from(*octets.get(end)?);
            end += 1 + length;
            if length > 63 || end > MAX_NAME {
                return None;
            }
            if length == 0 {
                return octets.get(..end).map(Self);
            }
        }
    }

    /// The octets, final zero included.
    pub fn octets(self) -> &'a [u8] {
        self.0
    }

    /// The name itself and every name above it but the root, from the longest to the shortest, as octets.
    pub fn suffixes(self) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let suffix = rest;
            let length = usize::from(*suffix.first()?);
            rest = suffix.get(1 + length..)?;
            (length > 0).then_some(suffix)
        })
    }

    /// The name in canonical form.
    pub fn key(self) -> Key {
        let mut labels: [&[u8]; MAX_LABELS] = [&[]; MAX_LABELS];
        let mut count = 0;
        for suffix in self.suffixes() {
            let Some((&length, rest)) = suffix.split_first() else { break };
            let (Some(place), Some(label)) = (labels.get_mut(count), rest.get(..usize::from(length))) else {
                break;
            };
            *place = label;
            count += 1;
        }
        let mut key = Key { octets: [0; 2 * MAX_NAME], length: 0 };
        labels[..count].iter().rev().for_each(|label| key.add(label));
        key
    }
}

impl Key {
    /// The octets that compare.
    pub fn octets(&self) -> &[u8] {
        &self.octets[..self.length]
    }

    fn add(&mut self, label: &[u8]) {
        for octet in label {
            match octet.to_ascii_lowercase() {
                low @ 0..=1 => {
                    self.push(1);
                    self.push(low + 1);
                }
                other => self.push(other),
            }
        }
        self.push(0);
    }

    /// No label grows to more than twice its length with its length octet, so the room is always there.
    fn push(&mut self, octet: u8) {
        if let Some(place) = self.octets.get_mut(self.length) {
            *place = octet;
            self.length += 1;
        }
    }
}

/// The key of the name directly above the one with this key; the root's for the root.
pub fn parent(key: &[u8]) -> &[u8] {
    let inner = key.split_last().map_or(key, |(_, inner)| inner);
    let end = inner.iter().rposition(|octet| *octet == 0).map_or(0, |end| end + 1);
    &key[..end]
}

/// The key of `*` under the name with this key.
pub fn wildcard_under(key: &[u8]) -> Vec<u8> {
    [key, b"*\0"].concat()
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::{LowerName, Name};
    use hickory_proto::serialize::binary::BinEncodable;
    use proptest::prelude::*;

    use super::*;

    fn wire(name: &Name) -> Vec<u8> {
        name.to_bytes().unwrap()
    }

    fn key(octets: &[u8]) -> Vec<u8> {
        WireName::read(octets).unwrap().key().octets().to_vec()
    }

    #[test]
    fn what_is_no_whole_name_is_refused() {
        let long = [&[63; 64][..], &[63; 64], &[63; 64], &[63; 64], &[0]].concat();
        for octets in [&b""[..], b"\x03www", b"\x03www\x04home", b"\xc0\x0c", b"\x40a\0", &long] {
            assert_eq!(WireName::read(octets), None, "{octets:?}");
        }
        let longest = [&[63; 64][..], &[63; 64], &[63; 64], &[61; 62], &[0]].concat();
        assert_eq!(WireName::read(&longest).unwrap().octets().len(), 255);
    }

    #[test]
    fn parents_go_up_to_the_root() {
        let mut name = key(b"\x01a\x02\0b\x01\x01\0");
        let mut lengths = vec![name.len()];
        while !name.is_empty() {
            name = parent(&name).to_vec();
            lengths.push(name.len());
        }
        assert_eq!(lengths, [9, 7, 3, 0]);
    }

    /// The example of RFC 4034 §6.1.
    #[test]
    fn the_order_is_the_canonical_one() {
        let names: [&[u8]; 9] = [
            b"\x07example\0",
            b"\x01a\x07example\0",
            b"\x08yljkjljk\x01a\x07example\0",
            b"\x01Z\x01a\x07example\0",
            b"\x04zABC\x01a\x07EXAMPLE\0",
            b"\x01z\x07example\0",
            b"\x01\x01\x01z\x07example\0",
            b"\x01*\x01z\x07example\0",
            b"\x01\xc8\x01z\x07example\0",
        ];
        let keys: Vec<_> = names.iter().map(|name| key(name)).collect();
        assert!(keys.is_sorted() && !keys.windows(2).any(|pair| pair[0] == pair[1]));
    }

    fn any_name() -> impl Strategy<Value = Name> {
        proptest::collection::vec(
            proptest::collection::vec(prop_oneof![0_u8..3, 40_u8..48, 64_u8..100, any::<u8>()], 1..5),
            0..5,
        )
        .prop_map(|labels| Name::from_labels(labels.iter().map(Vec::as_slice)).unwrap())
    }

    proptest! {
        #[test]
        fn keys_order_and_nest_as_names_do(a in any_name(), b in any_name()) {
            let (key_a, key_b) = (key(&wire(&a)), key(&wire(&b)));
            let (lower_a, lower_b) = (LowerName::from(&a), LowerName::from(&b));
            prop_assert_eq!(key_a.cmp(&key_b), lower_a.cmp(&lower_b));
            prop_assert_eq!(key_b.starts_with(&key_a), lower_a.zone_of(&lower_b));
            prop_assert_eq!(parent(&key_a), &key(&wire(&a.base_name()))[..]);
        }

        #[test]
        fn any_octets_are_a_name_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some(name) = WireName::read(&octets) {
                prop_assert!(octets.starts_with(name.octets()));
                prop_assert_eq!(name.suffixes().count(), name.key().octets().iter().filter(|octet| **octet == 0).count());
            }
        }
    }
}
