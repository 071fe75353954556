//! What is kept of one certificate's life, as it stands in the [book](super::super::book).

use serde::{Deserialize, Serialize};

use super::LEAST_AGE;
use crate::certificate::key::KeyId;

/// What is kept of the certificate of one set of names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Life {
    /// What is shown; a self-made certificate where absent.
    pub present: Option<Present>,
    /// What will be shown.
    pub next: Option<Next>,
    /// Keys that were shown a moment ago.
    pub retired: Vec<Retired>,
    /// Since when the world has seen TLSA records of these names, in seconds since 1970.
    pub tlsa_since: Option<u64>,
    /// What went wrong since the last success.
    pub trouble: Option<Trouble>,
}

/// The certificate that is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present {
    /// Its key.
    pub key: KeyId,
    /// When it counts.
    pub span: Span,
    /// When the authority wants it renewed, if it said so; in seconds since 1970.
    #[serde(default)]
    pub suggested: Option<u64>,
    /// When the operator wished it renewed, or its names were no longer all; in seconds since 1970.
    #[serde(default)]
    pub wished: Option<u64>,
    /// When the authority is to be asked for that again.
    #[serde(default)]
    pub ask_again: u64,
}

/// The key that comes next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Next {
    /// The key.
    pub key: KeyId,
    /// Since when a name server has had its TLSA record, in seconds since 1970.
    #[serde(default)]
    pub appeared: Option<u64>,
    /// Since when all of them have had it.
    pub published: Option<u64>,
    /// The order that is under way.
    pub order: Option<Order>,
    /// When its certificate counts, once it has one.
    pub certificate: Option<Span>,
}

/// An order under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its URL.
    pub url: String,
    /// Where it is.
    pub stage: Stage,
    /// When it was placed, in seconds since 1970.
    #[serde(default)]
    pub placed: u64,
}

/// Which of the authority's services an order is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Its test service, whose certificates nobody believes and whose limits are wide.
    Staging,
    /// The real one.
    Production,
}

/// When a certificate counts, in seconds since 1970 (RFC 5280 §4.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// `notBefore`.
    pub from: u64,
    /// `notAfter`.
    pub until: u64,
}

/// A key that was shown a moment ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// The key.
    pub key: KeyId,
    /// When it was last shown, in seconds since 1970.
    pub since: u64,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// How often in a row.
    pub failures: u32,
    /// When it first did, in seconds since 1970.
    pub first: u64,
    /// When it last did.
    pub last: u64,
    /// When it is tried again.
    pub again: u64,
    /// Until when the authority wants to be left alone, where it has said so.
    #[serde(default)]
    pub ordered: Option<u64>,
    /// The last reason, in words.
    pub reason: String,
}

impl Present {
    /// When it is to be renewed, in seconds since 1970.
    pub fn renewal(&self) -> u64 {
        if let Some(wished) = self.wished {
            return wished;
        }
        let life = self.span.until.saturating_sub(self.span.from);
        let last_third = self.span.until.saturating_sub(life / 3);
        // A window that has passed already when a certificate comes would be followed by order after order.
        let earliest = self.span.from + LEAST_AGE.as_secs().min(life / 10);
        self.suggested.map_or(last_third, |suggested| suggested.max(earliest).min(last_third))
    }
}
