//! The client's name: a PTR name that has the client's address among its own (RFC 8601 §2.7.3, "iprev").
//!
//! In: the client's address. Out: the confirmed name, that there is none, or that the DNS did not say in time; and the result
//! for the trace field. Refused: nothing; more than three names are not looked at.

use std::net::IpAddr;
use std::time::Duration;

use postern_message::authres::MethodResult;
use tokio::time::timeout;

use crate::resolver::{Answer, ResolveError, Resolver};

/// Time for all look-ups together.
const PATIENCE: Duration = Duration::from_secs(10);
/// PTR names that are confirmed.
const MAX_NAMES: usize = 3;

/// What the DNS says of a client's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReverseName {
    /// This name leads back to the address.
    Confirmed(String),
    /// There is no name, or none that leads back.
    Missing,
    /// It did not say.
    Unknown,
}

impl ReverseName {
    /// The name, where it leads back.
    pub fn confirmed(&self) -> Option<&str> {
        match self {
            Self::Confirmed(name) => Some(name),
            Self::Missing | Self::Unknown => None,
        }
    }

    /// The outcome as the trace field has it.
    pub fn result(&self, address: IpAddr) -> MethodResult {
        let word = match self {
            Self::Confirmed(_) => "pass",
            Self::Missing => "fail",
            Self::Unknown => "temperror",
        };
        MethodResult::new("iprev", word).with("policy.iprev", address.to_string())
    }
}

/// Looks the client up.
pub async fn judge(resolver: &Resolver, address: IpAddr) -> ReverseName {
    match timeout(PATIENCE, find(resolver, address)).await {
        Ok(Ok(Some(name))) => ReverseName::Confirmed(name),
        Ok(Ok(None) | Err(ResolveError::InvalidName { .. })) => ReverseName::Missing,
        Ok(Err(ResolveError::Temporary { .. })) | Err(_) => ReverseName::Unknown,
    }
}

async fn find(resolver: &Resolver, address: IpAddr) -> Result<Option<String>, ResolveError> {
    let Answer::Records(names) = resolver.ptr(address).await? else { return Ok(None) };
    for name in names.into_iter().take(MAX_NAMES) {
        if has_address(resolver, &name, address).await? {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

async fn has_address(resolver: &Resolver, name: &str, address: IpAddr) -> Result<bool, ResolveError> {
    Ok(match address {
        IpAddr::V4(v4) => matches!(resolver.ipv4(name).await?, Answer::Records(found) if found.contains(&v4)),
        IpAddr::V6(v6) => matches!(resolver.ipv6(name).await?, Answer::Records(found) if found.contains(&v6)),
    })
}
