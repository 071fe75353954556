//! The three header fields (§4.1), read from their values.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use mail_auth::common::crypto::Algorithm;
use mail_auth::dkim::Canonicalization;

use crate::tags::{Tags, is_space};

/// Most sets of a message (§5.2).
pub const MOST_SETS: usize = 50;

/// What `ARC-Message-Signature` and `ARC-Seal` have in common.
#[derive(Debug)]
pub struct Signature {
    pub instance: usize,
    pub algorithm: Algorithm,
    pub signature: Vec<u8>,
    pub domain: String,
    pub selector: String,
}

/// `ARC-Message-Signature` (§4.1.2).
#[derive(Debug)]
pub struct MessageSignature {
    pub signature: Signature,
    pub body_hash: Vec<u8>,
    pub header: Canonicalization,
    pub body: Canonicalization,
    /// The names of the signed fields.
    pub signed: Vec<String>,
    /// Seconds since 1970.
    pub expires: Option<u64>,
}

/// `ARC-Seal` (§4.1.3).
#[derive(Debug)]
pub struct Seal {
    pub signature: Signature,
    pub validation: Validation,
}

/// What a sealer found of the chain before it (`cv`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validation {
    None,
    Pass,
    Fail,
}

/// `ARC-Authentication-Results` (§4.1.1).
#[derive(Debug)]
pub struct Results {
    pub instance: usize,
    pub payload: String,
}

impl Signature {
    fn read(tags: &Tags<'_>) -> Option<Self> {
        if let Some(time) = tags.get("t") {
            number(time)?;
        }
        Some(Self {
            instance: instance(tags.get("i")?)?,
            algorithm: algorithm(tags.get("a")?)?,
            signature: base64(tags.required("b")?)?,
            domain: domain(tags.get("d")?)?,
            selector: tags.required("s")?.to_owned(),
        })
    }

    /// Where the key is (RFC 6376 §3.6.2.1).
    pub fn key_name(&self) -> String {
        format!("{}._domainkey.{}", self.selector, self.domain)
    }
}

impl MessageSignature {
    pub fn parse(value: &str) -> Option<Self> {
        let tags = Tags::parse(value)?;
        let (header, body) = canonicalization(tags.get("c"))?;
        let names = tags.get("h")?.split(':').map(|name| name.trim_matches(is_space).to_ascii_lowercase());
        let signed: Vec<String> = names.filter(|name| !name.is_empty()).collect();
        if signed.iter().any(|name| name == "arc-seal") {
            return None;
        }
        Some(Self {
            signature: Signature::read(&tags)?,
            body_hash: base64(tags.required("bh")?)?,
            header,
            body,
            signed,
            expires: tags.get("x").map_or(Some(None), |time| number(time).map(Some))?,
        })
    }
}

impl Seal {
    pub fn parse(value: &str) -> Option<Self> {
        let tags = Tags::parse(value)?;
        if tags.get("h").is_some() {
            return None;
        }
        let validation = match tags.get("cv")? {
            "none" => Validation::None,
            "pass" => Validation::Pass,
            "fail" => Validation::Fail,
            _ => return None,
        };
        Some(Self { signature: Signature::read(&tags)?, validation })
    }
}

impl Results {
    pub fn parse(value: &str) -> Option<Self> {
        let rest = after_comments(value)?.strip_prefix('i')?.trim_start_matches(is_space);
        let rest = rest.strip_prefix('=')?.trim_start_matches(is_space);
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, rest) = rest.split_at_checked(digits)?;
        let payload = after_comments(rest)?.strip_prefix(';')?;
        Some(Self { instance: instance(number)?, payload: payload.trim_matches(is_space).to_owned() })
    }
}

/// What follows white space and comments (RFC 5322 §3.2.2).
fn after_comments(text: &str) -> Option<&str> {
    let mut depth = 0_usize;
    let mut characters = text.char_indices();
    while let Some((place, c)) = characters.next() {
        match c {
            '\\' if depth > 0 => drop(characters.next()),
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            c if depth > 0 || is_space(c) => {}
            _ => return text.get(place..),
        }
    }
    (depth == 0).then_some("")
}

fn instance(text: &str) -> Option<usize> {
    number(text).and_then(|number| usize::try_from(number).ok()).filter(|number| *number > 0)
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|octet| octet.is_ascii_digit()).then(|| text.parse().ok())?
}

/// SHA-1 is not for new standards (RFC 8301 §3.1).
fn algorithm(text: &str) -> Option<Algorithm> {
    match text {
        "rsa-sha256" => Some(Algorithm::RsaSha256),
        "ed25519-sha256" => Some(Algorithm::Ed25519Sha256),
        _ => None,
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let digits: String = text.chars().filter(|c| !is_space(*c)).collect();
    BASE64.decode(digits).ok()
}

fn domain(text: &str) -> Option<String> {
    let is_label =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || "-_".contains(c));
    (text.contains('.') && text.split('.').all(is_label)).then(|| text.to_lowercase())
}

/// Header and body; what is not said is simple (RFC 6376 §3.5).
fn canonicalization(text: Option<&str>) -> Option<(Canonicalization, Canonicalization)> {
    let one = |text: &str| match text {
        "relaxed" => Some(Canonicalization::Relaxed),
        "simple" => Some(Canonicalization::Simple),
        _ => None,
    };
    match text.map(|text| text.split_once('/').unwrap_or((text, "simple"))) {
        None => Some((Canonicalization::Simple, Canonicalization::Simple)),
        Some((header, body)) => Some((one(header)?, one(body)?)),
    }
}
