//! Random numbers for the order of equals, the spread of retries, and unique names.

use aws_lc_rs::rand;

/// A number in 0..1.
pub fn number() -> f64 {
    f64::from(u32::from_be_bytes(octets())) / (f64::from(u32::MAX) + 1.0)
}

/// 32 hexadecimal digits that no one has seen before.
pub fn unique() -> String {
    octets::<16>().iter().map(|octet| format!("{octet:02x}")).collect()
}

fn octets<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    rand::fill(&mut octets).expect("the operating system's random numbers do not fail after start");
    octets
}
