//! The key that signs a zone (RFC 4034 §2, RFC 6605): one CSK, which signs the keys and everything else. Two of them while
//! one takes the place of the other ([`roll`](super::roll)).
//!
//! In: a private key from the directory. Out: signatures, the DNSKEY record, and the DS record that the parent zone shall
//! have, also as CDS and CDNSKEY for parents that look (RFC 7344 §3, RFC 8078). Refused: octets that are no P-256 key.

use hickory_proto::ProtoError;
use hickory_proto::dnssec::crypto::EcdsaSigningKey;
use hickory_proto::dnssec::rdata::{CDNSKEY, CDS, DNSKEY, DNSSECRData, DS};
use hickory_proto::dnssec::{Algorithm, DigestType, DnsSecError, PublicKey, SigningKey, TBS};
use hickory_proto::rr::{Name, RData};
use postern_store::directory::DnssecKey;
use rustls::pki_types::PrivatePkcs8KeyDer;

/// RFC 8624 §3.1 and §3.3: both are what every validator must know.
const ALGORITHM: Algorithm = Algorithm::ECDSAP256SHA256;
const DIGEST: DigestType = DigestType::SHA256;
/// Zone Key and Secure Entry Point (RFC 4034 §2.1.1).
const CSK_FLAGS: u16 = 257;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not a P-256 key in PKCS #8, or the signature failed.
    #[error("the zone's key cannot be used: {0}")]
    Crypto(#[from] DnsSecError),
    /// The public half cannot be encoded.
    #[error("the zone's key cannot be used: {0}")]
    Encoding(#[from] ProtoError),
}

/// A key pair, ready to sign.
pub struct ZoneKey {
    private: EcdsaSigningKey,
    dnskey: DNSKEY,
    /// Names the key in a signature (RFC 4034 Appendix B).
    pub tag: u16,
    /// Whether the parent shall vouch for it.
    pub at_parent: AtParent,
}

/// What the parent zone shall have of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtParent {
    /// Its DS record.
    Wanted,
    /// Nothing, or nothing any more.
    Unwanted,
}

impl ZoneKey {
    /// Takes a key of the directory.
    ///
    /// # Errors
    /// [`KeyError`] where it is none.
    pub fn new(key: &DnssecKey) -> Result<Self, KeyError> {
        let private = EcdsaSigningKey::from_pkcs8(&PrivatePkcs8KeyDer::from(key.as_slice()), ALGORITHM)?;
        let dnskey = DNSKEY::with_flags(CSK_FLAGS, private.to_public_key()?);
        let tag = dnskey.calculate_key_tag()?;
        Ok(Self { private, dnskey, tag, at_parent: AtParent::Wanted })
    }

    /// The algorithm of its signatures.
    pub fn algorithm(&self) -> Algorithm {
        ALGORITHM
    }

    /// Signs.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn sign(&self, data: &TBS) -> Result<Vec<u8>, KeyError> {
        Ok(self.private.sign(data)?)
    }

    /// The public half as the zone has it.
    pub fn dnskey(&self) -> RData {
        RData::DNSSEC(DNSSECRData::DNSKEY(self.dnskey.clone()))
    }

    /// What the parent zone shall have.
    ///
    /// # Errors
    /// When the digest cannot be made.
    pub fn ds(&self, origin: &Name) -> Result<DS, KeyError> {
        let digest = self.dnskey.to_digest(origin, DIGEST)?;
        Ok(DS::new(self.tag, ALGORITHM, DIGEST, digest.as_ref().to_vec()))
    }

    /// The same, said to the parent in the zone itself: CDS and CDNSKEY (RFC 7344 §5).
    ///
    /// # Errors
    /// When the digest cannot be made.
    pub fn for_parent(&self, origin: &Name) -> Result<[RData; 2], KeyError> {
        let ds = self.ds(origin)?;
        let cds = CDS::new(ds.key_tag(), Some(ALGORITHM), DIGEST, ds.digest().to_vec());
        let public = self.dnskey.public_key().public_bytes().to_vec();
        let cdnskey = CDNSKEY::with_flags(CSK_FLAGS, Some(ALGORITHM), public);
        Ok([RData::DNSSEC(DNSSECRData::CDS(cds)), RData::DNSSEC(DNSSECRData::CDNSKEY(cdnskey))])
    }
}
