//! The Internet checksum (RFC 1071): the one's complement sum of 16-bit words.

/// A one's complement sum, not yet complemented.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum(u16);

impl Sum {
    /// The sum of octets; an odd last one counts as if a zero followed.
    ///
    /// Words are added in the machine's own order, which gives the same sum (RFC 1071 §2): eight octets at a time as two
    /// numbers, which a processor with vectors does for many octets at once.
    pub fn of(octets: &[u8]) -> Sum {
        let (words, rest) = octets.as_chunks();
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        let mut total = words.iter().map(halves).sum::<u64>() + halves(&last);
        total = (total & 0xffff_ffff) + (total >> 32);
        total = (total & 0xffff_ffff) + (total >> 32);
        Sum(u16::from_be(fold(total as u32)))
    }

    /// The sum with a number added.
    pub fn plus(self, number: u16) -> Sum {
        Sum(fold(u32::from(self.0) + u32::from(number)))
    }

    /// The sum of both covers; the first must have an even length.
    pub fn and(self, other: Sum) -> Sum {
        self.plus(other.0)
    }

    /// The sum itself, as an unfinished checksum holds it.
    pub fn unfinished(self) -> u16 {
        self.0
    }

    /// What is written into the checksum field.
    pub fn complement(self) -> u16 {
        !self.0
    }

    /// Whether a cover that includes its checksum is undamaged.
    pub fn verifies(self) -> bool {
        self.0 == 0xffff
    }
}

fn halves(octets: &[u8; 8]) -> u64 {
    let word = u64::from_ne_bytes(*octets);
    (word & 0xffff_ffff) + (word >> 32)
}

fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, word by word, for comparison.
    pub fn by_definition(octets: &[u8]) -> u16 {
        octets.chunks(2).fold(0, |sum: u16, pair| {
            let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
            let (sum, carry) = sum.overflowing_add(word);
            sum + u16::from(carry)
        })
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(octets in prop::collection::vec(any::<u8>(), 0..3000), at in any::<prop::sample::Index>()) {
            prop_assert_eq!(Sum::of(&octets).unfinished(), by_definition(&octets));
            let (one, other) = octets.split_at(at.index(octets.len() + 1) & !1);
            prop_assert_eq!(Sum::of(one).and(Sum::of(other)), Sum::of(&octets));
        }
    }

    #[test]
    fn the_example_of_the_rfc() {
        // RFC 1071 §3.
        let sum = Sum::of(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.unfinished(), 0xddf2);
        assert!(Sum::of(&[0xff; 65535]).plus(0x00ff).verifies());
    }
}
