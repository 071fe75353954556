//! The policies of other domains: fetched, kept, renewed (RFC 8461 §3.3, §5.1).
//!
//! In: a domain. Out: its policy of the moment. Kept durably, as an attacker who can suppress a policy must come before the
//! first mail to the domain. Refused: a document from a server without a certificate for `mta-sts.DOMAIN`, and one that
//! is elsewhere (a redirection).
//!
//! | the DNS says | kept | then |
//! |---|---|---|
//! | an id | the policy of that id, fetched within a day | it counts |
//! | an id | another, an older one, or none | fetched; where that fails, what is kept counts as long as it may |
//! | nothing, or no answer | one | it counts as long as it may |

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::Uri;
use postern_store::directory::Directory;
use serde::{Deserialize, Serialize};

use super::policy::{Policy, id};
use crate::certificate::acme::Https;
use crate::link::seconds_now;
use crate::resolver::{Answer, Resolver};

/// A policy that was fetched longer ago is fetched anew, so that it does not end when somebody suppresses it.
const REFRESH: u64 = 86_400;
/// After a failure a policy is not fetched again for so long.
const FETCH_AGAIN: Duration = Duration::from_secs(300);
/// Failures that are remembered.
const MOST_FAILURES: usize = 4096;

/// A policy that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    id: String,
    policy: Policy,
    /// In seconds since 1970.
    fetched: u64,
}

impl Kept {
    /// Until when it counts, in seconds since 1970.
    fn ends(&self) -> u64 {
        self.fetched.saturating_add(self.policy.max_age)
    }
}

/// Knows the policies.
pub struct Policies {
    resolver: Resolver,
    directory: Directory,
    https: Option<Https>,
    failures: Mutex<HashMap<String, Instant>>,
}

impl Policies {
    /// `https` fetches them; without it those that are kept count.
    pub fn new(resolver: Resolver, directory: Directory, https: Option<Https>) -> Self {
        Self { resolver, directory, https, failures: Mutex::default() }
    }

    /// The policy of a domain (A-labels, lower case) that counts now.
    pub async fn of(&self, domain: &str) -> Option<Policy> {
        let now = seconds_now();
        let kept = self.kept(domain, now);
        let Some(id) = self.published(domain).await else { return kept.map(|kept| kept.policy) };
        let is_fresh = |kept: &&Kept| kept.id == id && now.abs_diff(kept.fetched) < REFRESH;
        if let Some(kept) = kept.as_ref().filter(is_fresh) {
            return Some(kept.policy.clone());
        }
        if self.has_failed(domain) {
            return kept.map(|kept| kept.policy);
        }
        match self.fetch(domain).await {
            Ok(policy) => {
                self.keep(domain, &Kept { id, policy: policy.clone(), fetched: now });
                Some(policy)
            }
            Err(reason) => {
                tracing::warn!(
                    domain,
                    reason,
                    is_kept = kept.is_some(),
                    "an MTA-STS policy cannot be fetched"
                );
                self.note_failure(domain);
                kept.map(|kept| kept.policy)
            }
        }
    }

    async fn published(&self, domain: &str) -> Option<String> {
        match self.resolver.txt(&format!("_mta-sts.{domain}")).await {
            Ok(Answer::Records(texts)) => {
                let texts: Vec<_> =
                    texts.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
                id(&texts)
            }
            _ => None,
        }
    }

    async fn fetch(&self, domain: &str) -> Result<Policy, String> {
        let https = self.https.as_ref().ok_or("this machine has no root certificates")?;
        let uri = format!("https://mta-sts.{domain}/.well-known/mta-sts.txt").parse::<Uri>();
        let document = https.get(&uri.map_err(|error| error.to_string())?).await;
        let document = document.map_err(|error| error.to_string())?;
        Policy::parse(&String::from_utf8_lossy(&document))
    }

    /// What is kept and still counts.
    fn kept(&self, domain: &str, now: u64) -> Option<Kept> {
        let octets = match self.directory.policy_of(domain) {
            Ok(octets) => octets?,
            Err(error) => {
                tracing::error!(domain, %error, "a policy that was kept cannot be read");
                return None;
            }
        };
        let kept: Kept = serde_json::from_slice(&octets).ok()?;
        (now < kept.ends()).then_some(kept)
    }

    fn keep(&self, domain: &str, kept: &Kept) {
        let written = serde_json::to_vec(kept).map_err(|error| error.to_string()).and_then(|octets| {
            let kept = self.directory.keep_policy(domain, octets, kept.ends());
            kept.map_err(|error| error.to_string())
        });
        if let Err(error) = written {
            tracing::error!(domain, error, "a policy cannot be kept");
        }
    }

    fn has_failed(&self, domain: &str) -> bool {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(domain).is_some_and(|at| at.elapsed() < FETCH_AGAIN)
    }

    fn note_failure(&self, domain: &str) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|_, at| at.elapsed() < FETCH_AGAIN);
        if failures.len() < MOST_FAILURES {
            failures.insert(domain.to_owned(), Instant::now());
        }
    }
}
