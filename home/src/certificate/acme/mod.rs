//! The conversation with a certificate authority (RFC 8555), by instant-acme: accounts, and one order at a time.
//!
//! In: a key, names, and what this home has told the world of its keys. Out: a chain. Refused: what [`https`] refuses, and
//! every kind of proof but dns-01.
//!
//! [`https`] is the way there, [`account`] who we are to it, [`order`] the steps of an order.

mod https;

/// Makes a request again that was refused for its nonce only.
macro_rules! persistently {
    ($request:expr) => {{
        let mut left = super::ATTEMPTS;
        loop {
            match $request.await {
                Err(instant_acme::Error::Api(problem)) if left > 0 && super::is_bad_nonce(&problem) => {
                    left -= 1
                }
                outcome => break outcome,
            }
        }
    }};
}

pub mod account;
pub mod order;

use instant_acme::{Error, Problem};

pub use https::{Https, HttpsError};

/// The type of the error after which a request is simply made again (RFC 8555 §6.5).
const BAD_NONCE: &str = "urn:ietf:params:acme:error:badNonce";
/// The type of the error that says that the account is not known (RFC 8555 §6.7).
const NO_ACCOUNT: &str = "urn:ietf:params:acme:error:accountDoesNotExist";
/// How often it is made again, beyond instant-acme's own three times.
const ATTEMPTS: usize = 12;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// The authority cannot be reached.
    #[error(transparent)]
    Https(#[from] HttpsError),
    /// It answered with an error, or what is not understood.
    #[error("{}", in_words(.0))]
    Acme(#[from] Error),
    /// What it said of itself is not understood.
    #[error("the authority's directory is not understood: {0}")]
    Directory(serde_json::Error),
    /// It wants to know us from elsewhere.
    #[error(
        "the authority gives accounts to its customers only (external account binding), which home has no use for; name \
         another one in the section `[acme]`, or bring its certificates by `postern-home cert import`"
    )]
    ExternalAccount,
    /// It does not take a proof by DNS.
    #[error("the authority offers no dns-01 challenge for {0}")]
    NoChallenge(String),
    /// It did not accept the proof.
    #[error("the authority did not accept the proof: {0}")]
    Invalid(String),
    /// The account has no URL yet: a fault of the program.
    #[error("there is no account yet")]
    NoAccount,
    /// The request for the certificate could not be made.
    #[error("the request could not be made: {0}")]
    Request(#[from] rcgen::Error),
}

impl AcmeError {
    /// Whether the authority does not know the account, for instance since it began anew.
    pub fn is_account_unknown(&self) -> bool {
        matches!(self, Self::Acme(Error::Api(problem)) if problem.r#type.as_deref() == Some(NO_ACCOUNT))
    }
}

/// The authority's own words, without the library's frame around them.
fn in_words(error: &Error) -> String {
    match error {
        Error::Api(problem) => problem_in_words(problem),
        Error::Other(source) => source.to_string(),
        other => other.to_string(),
    }
}

fn problem_in_words(problem: &Problem) -> String {
    let detail = problem.detail.as_deref().unwrap_or("no reason given");
    let kind = problem.r#type.as_deref().unwrap_or("an unnamed error");
    let kind = kind.rsplit(':').next().unwrap_or(kind);
    let mut words = format!("the authority says: {detail} ({kind})");
    for subproblem in &problem.subproblems {
        words.push_str("; ");
        words.push_str(subproblem.detail.as_deref().unwrap_or("no reason given"));
    }
    words.chars().filter(|character| !character.is_control()).take(500).collect()
}

/// Whether a request was refused for its nonce only.
fn is_bad_nonce(problem: &Problem) -> bool {
    problem.r#type.as_deref() == Some(BAD_NONCE)
}
