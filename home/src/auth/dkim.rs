//! DKIM with home's own resolver (RFC 6376).
//!
//! In: the message as it came. Out: what each signature came to, for the trace field and for DMARC. Refused: rsa-sha1
//! (RFC 8301 §3.1); signatures above [`MAX_SIGNATURES`] are not looked at.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use mail_auth::common::crypto::Algorithm;
use mail_auth::{AuthenticatedMessage, DkimOutput, DkimResult};
use postern_message::address::EmailAddress;
use postern_message::authres::MethodResult;
use postern_store::stage::INLINE_LIMIT;
use tokio::task::block_in_place;
use tokio::time::timeout;

use crate::resolver::Resolver;

/// Time for the keys of all signatures.
const PATIENCE: Duration = Duration::from_secs(20);
/// Signatures that are looked at; a message with more is up to something.
pub const MAX_SIGNATURES: usize = 10;

/// What the signatures of a message came to.
pub enum Signatures<'a> {
    /// Each was looked at.
    Judged(Vec<DkimOutput<'a>>),
    /// Their keys did not come in time, so that any of them may be good.
    OutOfTime,
}

/// Reads the message, and hashes its body: a long one where that holds up nobody. The author is the one that the caller has
/// read, so that no two readers of the From field are at work; `None` for a message that has no header.
pub fn parsed<'a>(octets: &'a [u8], author: Option<&EmailAddress>) -> Option<AuthenticatedMessage<'a>> {
    let parsed = match octets.len() <= INLINE_LIMIT {
        true => AuthenticatedMessage::parse(octets),
        false => block_in_place(|| AuthenticatedMessage::parse(octets)),
    };
    let mut message = parsed?;
    message.dkim_headers.retain(|header| header.header.a != Algorithm::RsaSha1);
    message.dkim_headers.truncate(MAX_SIGNATURES);
    message.errors.truncate(MAX_SIGNATURES);
    if let Some(author) = author {
        message.from = vec![author.to_string()];
    }
    Some(message)
}

/// Judges every signature.
pub async fn judge<'a>(resolver: &Resolver, message: Option<&'a AuthenticatedMessage<'a>>) -> Signatures<'a> {
    let Some(message) = message else { return Signatures::Judged(Vec::new()) };
    let authenticator = resolver.authenticator();
    match timeout(PATIENCE, authenticator.verify_dkim(message)).await {
        Ok(judged) => Signatures::Judged(judged),
        Err(_) => Signatures::OutOfTime,
    }
}

impl<'a> Signatures<'a> {
    /// What is known of them.
    pub fn judged(&self) -> &[DkimOutput<'a>] {
        match self {
            Self::Judged(judged) => judged,
            Self::OutOfTime => &[],
        }
    }

    /// The domains whose signatures hold.
    pub fn passed(&self) -> impl Iterator<Item = &str> {
        let passed = self.judged().iter().filter(|output| *output.result() == DkimResult::Pass);
        passed.filter_map(|output| output.signature().map(|signature| signature.d.as_str()))
    }

    /// The outcome as the trace field has it (RFC 8601 §2.7.1), one result for each.
    pub fn results(&self) -> Vec<MethodResult> {
        match self {
            Self::OutOfTime => vec![MethodResult::new("dkim", "temperror").because("no answer in time")],
            Self::Judged(judged) if judged.is_empty() => vec![MethodResult::new("dkim", "none")],
            Self::Judged(judged) => judged.iter().map(result).collect(),
        }
    }
}

fn result(output: &DkimOutput<'_>) -> MethodResult {
    let (result, reason) = match output.result() {
        DkimResult::Pass => ("pass", None),
        // mail-auth calls a signature neutral that does not verify; RFC 8601 §2.7.1 calls that a failure.
        DkimResult::Neutral(error) if output.signature().is_some() => ("fail", Some(error)),
        DkimResult::Neutral(error) => ("neutral", Some(error)),
        DkimResult::Fail(error) => ("fail", Some(error)),
        DkimResult::PermError(error) => ("permerror", Some(error)),
        DkimResult::TempError(error) => ("temperror", Some(error)),
        DkimResult::None => ("none", None),
    };
    let mut method = MethodResult::new("dkim", result);
    if let Some(error) = reason {
        method = method.because(error.to_string());
    }
    let Some(signature) = output.signature() else { return method };
    // RFC 6008 §4: enough of the signature to tell it from others.
    let prefix: String = BASE64.encode(&signature.b).chars().take(8).collect();
    method
        .with("header.d", signature.d.clone())
        .with("header.s", signature.s.clone())
        .with("header.b", prefix)
}
