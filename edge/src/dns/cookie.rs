//! DNS cookies: an asker that shows ours again has received an answer at its address, so the address is not forged.
//!
//! In: the COOKIE option of a query and the asker's address. Out: whether it proves the address, and the option for the
//! answer. Refused: data of a wrong length (FORMERR, RFC 7873 §5.2.2). A cookie that is old, or not ours, is as none.
//!
//! RFC 7873 §5.2; the server cookie's form and its times are RFC 9018 §4. The secret lives as long as the process: an
//! asker with a cookie from before a restart gets a new one with its next answer.

use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip::SipHasher24;

/// Octets of a client cookie.
const CLIENT: usize = 8;

/// Octets of a server cookie of ours.
const SERVER: usize = 16;

/// Octets of the answer's option data.
pub const LENGTH: usize = CLIENT + SERVER;

/// Version 1 and three reserved octets (RFC 9018 §4.1, §4.2).
const VERSION: [u8; 4] = [1, 0, 0, 0];

/// RFC 9018 §4.3: seconds into the past and into the future in which a cookie counts.
const MAX_AGE: u32 = 3600;
const MAX_LEAD: u32 = 300;

/// RFC 9018 §4.3: seconds after which a cookie is replaced.
const RENEW_AGE: u32 = 1800;

/// The secret from which server cookies are made.
pub struct Cookies {
    secret: [u8; 16],
}

/// What the COOKIE option of a query comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// The option's data for the answer.
    pub answer: [u8; LENGTH],
    /// Whether the asker has shown a cookie that we gave to its address.
    pub is_proven: bool,
}

impl Cookies {
    /// Cookies made with a secret of 128 random bits.
    pub fn new(secret: [u8; 16]) -> Self {
        Self { secret }
    }

    /// Judges an option's data at `now`, seconds since 1970 modulo 2^32; `None` where its length is impossible.
    pub fn judge(&self, data: &[u8], asker: IpAddr, now: u32) -> Option<Judged> {
        let (client, server) = data.split_first_chunk::<CLIENT>()?;
        if !matches!(server.len(), 0 | 8..=32) {
            return None;
        }
        let age = self.age(client, server, asker, now);
        let server = match (age, server.first_chunk::<SERVER>()) {
            (Some(age), Some(shown)) if age <= RENEW_AGE => *shown,
            _ => self.make(client, asker, now),
        };
        let mut answer = [0; LENGTH];
        answer[..CLIENT].copy_from_slice(client);
        answer[CLIENT..].copy_from_slice(&server);
        Some(Judged { answer, is_proven: age.is_some() })
    }

    /// The age in seconds of a server cookie of ours that still counts.
    fn age(&self, client: &[u8; CLIENT], shown: &[u8], asker: IpAddr, now: u32) -> Option<u32> {
        let shown: &[u8; SERVER] = shown.try_into().ok()?;
        let time = u32::from_be_bytes(*shown[4..].first_chunk()?);
        // RFC 1982 arithmetic, so that 2106 is a year like others.
        let age = now.wrapping_sub(time);
        let counts = age <= MAX_AGE || time.wrapping_sub(now) <= MAX_LEAD;
        let made = self.make(client, asker, time);
        let differs = made.iter().zip(shown).fold(0, |sum, (a, b)| sum | (a ^ b));
        (counts && differs == 0).then_some(if age <= MAX_AGE { age } else { 0 })
    }

    fn make(&self, client: &[u8; CLIENT], asker: IpAddr, time: u32) -> [u8; SERVER] {
        let mut cookie = [0; SERVER];
        cookie[..4].copy_from_slice(&VERSION);
        cookie[4..8].copy_from_slice(&time.to_be_bytes());
        let mut hasher = SipHasher24::new_with_key(&self.secret);
        hasher.write(client);
        hasher.write(&cookie[..8]);
        match asker {
            IpAddr::V4(v4) => hasher.write(&v4.octets()),
            IpAddr::V6(v6) => hasher.write(&v6.octets()),
        }
        cookie[8..].copy_from_slice(&hasher.finish().to_le_bytes());
        cookie
    }
}

impl std::fmt::Debug for Cookies {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Cookies")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u32 = 1_559_731_985;

    fn octets(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    fn cookies() -> Cookies {
        Cookies::new(octets("e5e973e5a6b2a43f48e7dc849e37bfcf").try_into().unwrap())
    }

    fn address() -> IpAddr {
        "198.51.100.100".parse().unwrap()
    }

    /// RFC 9018 appendix A.1.
    #[test]
    fn the_published_vector() {
        let judged = cookies().judge(&octets("2464c4abcf10c957"), address(), NOW).unwrap();
        assert_eq!(judged.answer[..], octets("2464c4abcf10c957010000005cf79f111f8130c3eee29480"));
        assert!(!judged.is_proven);
    }

    #[test]
    fn a_cookie_counts_for_an_hour_at_its_own_address() {
        let given = cookies().judge(&[7; 8], address(), NOW).unwrap().answer;
        let later = |age: i64| cookies().judge(&given, address(), (i64::from(NOW) + age) as u32).unwrap();
        for (age, is_proven, is_kept) in [
            (0, true, true),
            (1800, true, true),
            (1801, true, false),
            (3600, true, false),
            (3601, false, false),
            (-300, true, true),
            (-301, false, false),
        ] {
            let judged = later(age);
            assert_eq!((judged.is_proven, judged.answer == given), (is_proven, is_kept), "{age}");
        }
        let elsewhere = cookies().judge(&given, "198.51.100.101".parse().unwrap(), NOW).unwrap();
        assert!(!elsewhere.is_proven);
        assert!(!Cookies::new([0; 16]).judge(&given, address(), NOW).unwrap().is_proven);
    }

    proptest! {
        #[test]
        fn only_our_own_octets_prove_anything(data in proptest::collection::vec(any::<u8>(), 0..50)) {
            let judged = cookies().judge(&data, address(), NOW);
            prop_assert_eq!(judged.is_some(), data.len() == 8 || (16..=40).contains(&data.len()));
            prop_assert!(!judged.is_some_and(|judged| judged.is_proven));
        }

        #[test]
        fn one_changed_bit_is_enough(bit in 0_usize..LENGTH * 8) {
            let mut given = cookies().judge(&[7; 8], address(), NOW).unwrap().answer;
            given[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!cookies().judge(&given, address(), NOW).unwrap().is_proven);
        }
    }
}
