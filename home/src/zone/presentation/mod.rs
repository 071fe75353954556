//! Records in presentation form (RFC 1035 §5.1): what people and other name servers write and read.
//!
//! In: words as they stand in a master file, or RDATA in wire form. Out: the other one of the two. Refused, with the field,
//! what was expected there and what was found: words that are not the data of their type.
//!
//! One table of [`forms`] says what the data of each type are made of; [`read`] and [`write`] both follow it, so what is
//! written is read back as the same octets. A type that has no form here, and data that do not fit theirs, are written as
//! RFC 3597 §5 has it, which every name server reads. The parameters of SVCB and HTTPS (RFC 9460) are hickory's to read.
//!
//! RFC 1035 §3.3 and §3.4, RFC 1183 (AFSDB, RP), RFC 1876 (LOC), RFC 2230 (KX), RFC 2782 (SRV), RFC 3403 §4.1 (NAPTR), RFC
//! 3596 (AAAA), RFC 4034 §2.2 and §5.3 (DNSKEY, DS), RFC 4255 (SSHFP), RFC 4398 (CERT), RFC 4701 (DHCID), RFC 6672
//! (DNAME), RFC 6698 §2.2 (TLSA), RFC 7553 (URI), RFC 7929 (OPENPGPKEY), RFC 8659 §4.1.1 (CAA), RFC 8976 §2.3 (ZONEMD).

mod word;

mod forms;
mod location;
mod name;

mod read;
mod write;

pub use forms::{type_of, type_text};
pub use name::{absolute, name_text};
pub use read::{Malformed, rdata, seconds};
pub use word::{BadEscape, Word};
pub use write::{hexadecimal, text};

#[cfg(test)]
mod tests;
