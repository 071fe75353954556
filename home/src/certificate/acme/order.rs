//! The steps of an order (RFC 8555 §7.4): place it, learn the challenges, have them looked at, hand in the request, fetch
//! the chain. Each may be taken again after a restart: what the authority says of the order tells how far it has come.

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, Identifier, NewOrder,
    OrderStatus, RetryPolicy,
};
use postern_message::address::DomainName;

use super::{AcmeError, HttpsError, problem_in_words};
use crate::zone::issuance::Challenge;

/// How long the authority may take for one step.
const PATIENCE: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(500))
    .backoff(1.5)
    .timeout(Duration::from_secs(180));

/// The status of a response that says that what was asked for is not there (RFC 9110 §15.5.5). There is no type of error for
/// orders that are not known.
const NOT_FOUND: u16 = 404;
/// The types of errors by which authorities refuse what an order is to replace, and not the order (RFC 9773 §5): the
/// certificate is replaced already, or is not this account's, or not one of theirs.
const NOT_REPLACED: [&str; 3] = [
    "urn:ietf:params:acme:error:alreadyReplaced",
    "urn:ietf:params:acme:error:unauthorized",
    "urn:ietf:params:acme:error:malformed",
];

/// An order that is under way.
pub struct Order(instant_acme::Order);

impl Order {
    /// Orders a certificate for these names, which takes the place of `replaced` (RFC 9773 §5).
    ///
    /// # Errors
    /// As the authority says.
    pub async fn place(
        account: &Account,
        names: &[String],
        replaced: Option<&CertificateIdentifier<'static>>,
    ) -> Result<Self, AcmeError> {
        let identifiers: Vec<Identifier> = names.iter().cloned().map(Identifier::Dns).collect();
        let plain = || NewOrder::new(&identifiers);
        let placed = match replaced {
            Some(replaced) => {
                let order = plain().replaces(replaced.clone());
                persistently!(account.new_order(&order))
            }
            None => Err(Error::Unsupported("")),
        };
        match placed {
            Err(error) if is_replacement_refused(&error) => {
                Ok(Self(persistently!(account.new_order(&plain()))?))
            }
            placed => Ok(Self(placed?)),
        }
    }

    /// The order that was placed before; `None` where the authority says that there is none such, or it has failed.
    ///
    /// # Errors
    /// As the authority says; the order may be there all the same.
    pub async fn find(account: &Account, url: &str) -> Result<Option<Self>, AcmeError> {
        match persistently!(account.order(url.to_owned())) {
            Ok(mut order) => Ok((order.state().status != OrderStatus::Invalid).then_some(Self(order))),
            Err(Error::Api(problem)) if problem.status == Some(NOT_FOUND) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        self.0.url()
    }

    /// The challenges that wait for an answer.
    ///
    /// # Errors
    /// As the authority says, and [`AcmeError::NoChallenge`].
    pub async fn challenges(&mut self) -> Result<Vec<Challenge>, AcmeError> {
        let mut challenges = Vec::new();
        if self.0.state().status != OrderStatus::Pending {
            return Ok(challenges);
        }
        persistently!(fetch(&mut self.0))?;
        let mut authorizations = self.0.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let name = name_of(authorization.identifier().identifier);
            let unproven = || AcmeError::NoChallenge(name.clone());
            let challenge = authorization.challenge(ChallengeType::Dns01).ok_or_else(unproven)?;
            let digest = challenge.key_authorization().dns_value();
            let name = DomainName::parse(&name).map_err(|_| unproven())?;
            challenges.push(Challenge { name, digest });
        }
        Ok(challenges)
    }

    /// Tells the authority that the answers are there, and waits until it has looked.
    ///
    /// # Errors
    /// As the authority says, and [`AcmeError::Invalid`] where it did not find the answers.
    pub async fn prove(&mut self) -> Result<(), AcmeError> {
        if self.0.state().status != OrderStatus::Pending {
            return Ok(());
        }
        persistently!(announce(&mut self.0))?;
        let polled = persistently!(self.0.poll_ready(&PATIENCE));
        if self.0.state().status == OrderStatus::Invalid {
            return Err(AcmeError::Invalid(self.complaints().await));
        }
        polled?;
        Ok(())
    }

    /// Hands in the request and fetches the chain, in PEM.
    ///
    /// # Errors
    /// As the authority says.
    pub async fn finish(&mut self, request: &[u8]) -> Result<String, AcmeError> {
        if self.0.state().status == OrderStatus::Ready {
            persistently!(self.0.finalize_csr(request))?;
        }
        Ok(persistently!(self.0.poll_certificate(&PATIENCE))?)
    }

    /// What the authority found wrong, challenge by challenge.
    async fn complaints(&mut self) -> String {
        let mut complaints = Vec::new();
        let mut authorizations = self.0.authorizations();
        while let Some(Ok(mut authorization)) = authorizations.next().await {
            let Ok(state) = authorization.refresh().await else { continue };
            let problems = state.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
            complaints.extend(problems.map(problem_in_words));
        }
        if complaints.is_empty() { "no reason given".to_owned() } else { complaints.join("; ") }
    }
}

/// Fetches what is not known of the authorizations yet.
async fn fetch(order: &mut instant_acme::Order) -> Result<(), Error> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        authorization?;
    }
    Ok(())
}

/// Says "ready" to every challenge that waits; one that was told before is refused by some authorities, which is as good.
async fn announce(order: &mut instant_acme::Order) -> Result<(), Error> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.refresh().await?.status != AuthorizationStatus::Pending {
            continue;
        }
        if let Some(mut challenge) = authorization.challenge(ChallengeType::Dns01) {
            challenge.set_ready().await?;
        }
    }
    Ok(())
}

/// Whether a plain order is to be placed instead: any other error may hide an order that was placed.
fn is_replacement_refused(error: &Error) -> bool {
    match error {
        Error::Unsupported(_) => true,
        Error::Api(problem) => problem.r#type.as_deref().is_some_and(|kind| NOT_REPLACED.contains(&kind)),
        // The library's own: the response does not repeat what is to be replaced, so the authority does not care.
        Error::Other(source) => source.downcast_ref::<HttpsError>().is_none(),
        _ => false,
    }
}

fn name_of(identifier: &Identifier) -> String {
    match identifier {
        Identifier::Dns(name) => name.clone(),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use instant_acme::Problem;

    use super::*;

    fn api(kind: &str) -> Error {
        let kind = format!("urn:ietf:params:acme:error:{kind}");
        Error::Api(Problem { r#type: Some(kind), detail: None, status: Some(409), subproblems: Vec::new() })
    }

    #[test]
    fn no_second_order_is_placed_unless_the_first_was_refused_for_what_it_replaces() {
        let source = io::Error::from(io::ErrorKind::ConnectionReset);
        let lost = HttpsError::Connect { host: "ca.test".to_owned(), source };
        for error in
            [api("rateLimited"), api("serverInternal"), Error::Timeout(None), Error::Other(Box::new(lost))]
        {
            assert!(!is_replacement_refused(&error), "{error}");
        }
        let mismatch = Error::Other("replaces field mismatch".into());
        for error in [api("alreadyReplaced"), api("malformed"), Error::Unsupported("ARI"), mismatch] {
            assert!(is_replacement_refused(&error), "{error}");
        }
    }
}
