//! ChaCha20-Poly1305 (RFC 8439) as everything sealed uses it: in place, with what must not be exchanged as associated data.
//!
//! Not AES-GCM: a Raspberry Pi 4 and older ones have no AES instructions, and constant-time AES without them takes several
//! times as long.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf;

use super::Unauthentic;
use crate::{Error, Result};

/// Octets of a tag.
pub(crate) const TAG: usize = 16;
/// Octets that a unit with a random nonce needs at its end: the tag, then the nonce.
pub(crate) const OVERHEAD: usize = TAG + NONCE_LEN;

/// A key with its algorithm.
#[derive(Debug)]
pub(crate) struct Cipher(LessSafeKey);

impl Cipher {
    pub(crate) fn of(key: UnboundKey) -> Cipher {
        Cipher(LessSafeKey::new(key))
    }

    /// Derives the key (RFC 5869).
    pub(crate) fn derived(from: &hkdf::Prk, info: &[&[u8]]) -> Result<Cipher> {
        let key =
            from.expand(info, &CHACHA20_POLY1305).map_err(|_| Error::Fault("a key's label".to_owned()))?;
        Ok(Cipher::of(UnboundKey::from(key)))
    }

    /// Seals a unit whose last [`OVERHEAD`] octets are for the tag and for a nonce, which is drawn at random. Of one key, 2^32
    /// units may be sealed so: two of them have the same nonce with a probability of 2^-33 then.
    pub(crate) fn seal(&self, associated: &[u8], unit: &mut [u8]) -> Result<(), Unauthentic> {
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).map_err(|_| Unauthentic)?;
        let (unit, place) = unit.split_last_chunk_mut::<NONCE_LEN>().ok_or(Unauthentic)?;
        *place = nonce;
        self.seal_numbered(nonce, associated, unit)
    }

    /// Opens what [`Cipher::seal`] made. The last [`OVERHEAD`] octets are zero afterwards; after an error, all may be anything.
    pub(crate) fn open(&self, associated: &[u8], unit: &mut [u8]) -> Result<(), Unauthentic> {
        let (unit, place) = unit.split_last_chunk_mut::<NONCE_LEN>().ok_or(Unauthentic)?;
        let nonce = std::mem::take(place);
        self.open_numbered(nonce, associated, unit)
    }

    /// Seals a unit whose last [`TAG`] octets are for the tag. The caller never gives a nonce twice.
    pub(crate) fn seal_numbered(
        &self,
        nonce: [u8; NONCE_LEN],
        associated: &[u8],
        unit: &mut [u8],
    ) -> Result<(), Unauthentic> {
        let (plain, place) = unit.split_last_chunk_mut::<TAG>().ok_or(Unauthentic)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(associated), plain);
        let tag = tag.map_err(|_| Unauthentic)?;
        *place = tag.as_ref().try_into().map_err(|_| Unauthentic)?;
        Ok(())
    }

    /// Opens what [`Cipher::seal_numbered`] made. The last [`TAG`] octets are zero afterwards.
    pub(crate) fn open_numbered(
        &self,
        nonce: [u8; NONCE_LEN],
        associated: &[u8],
        unit: &mut [u8],
    ) -> Result<(), Unauthentic> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0.open_in_place(nonce, Aad::from(associated), unit).map_err(|_| Unauthentic)?;
        let (_, tag) = unit.split_last_chunk_mut::<TAG>().ok_or(Unauthentic)?;
        *tag = [0; TAG];
        Ok(())
    }
}
