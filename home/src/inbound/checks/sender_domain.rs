//! Whether the sender's domain exists and takes mail, so that a reply or a report could go there.
//!
//! In: the reverse path. Out: a verdict. Refused: a domain that has neither MX nor address records (RFC 5321 §5.1), and one
//! that says that it takes no mail (RFC 7505 §4.2). That the DNS does not answer refuses nobody. Our own domains and the null
//! reverse path are not asked about.

use std::time::Duration;

use postern_message::address::DomainName;
use postern_smtp::server::Refusal;
use tokio::time::timeout;

use super::verdict::Verdict;
use crate::config::Severity;
use crate::resolver::{Answer, Mx, ResolveError, Resolver};

const CHECK: &str = "sender_domain";
/// Time for all look-ups together.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the DNS says of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It takes mail.
    TakesMail,
    /// It says that it does not.
    NullMx,
    /// Nothing is there.
    Missing,
    /// The DNS does not say.
    Unknown,
}

/// Asks about a domain.
pub async fn ask(resolver: &Resolver, domain: &DomainName) -> Standing {
    let asked = timeout(PATIENCE, standing(resolver, domain.as_str())).await;
    asked.unwrap_or(Ok(Standing::Unknown)).unwrap_or(Standing::Unknown)
}

async fn standing(resolver: &Resolver, domain: &str) -> Result<Standing, ResolveError> {
    match resolver.mx(domain).await? {
        Answer::Records(exchanges) => Ok(of_exchanges(&exchanges)),
        Answer::NoSuchName => Ok(Standing::Missing),
        Answer::NoData => match tokio::try_join!(resolver.ipv4(domain), resolver.ipv6(domain))? {
            (Answer::Records(_), _) | (_, Answer::Records(_)) => Ok(Standing::TakesMail),
            _ => Ok(Standing::Missing),
        },
    }
}

fn of_exchanges(exchanges: &[Mx]) -> Standing {
    let is_null = exchanges.iter().all(|mx| mx.exchange.is_empty());
    if is_null { Standing::NullMx } else { Standing::TakesMail }
}

/// Judges what was found.
pub fn judge(severity: Severity, domain: &DomainName, standing: Standing) -> Verdict {
    let refuse = |refusal, reason| Verdict::refuse(CHECK, severity, refusal, reason);
    match standing {
        Standing::TakesMail => Verdict::pass(CHECK, ""),
        Standing::Unknown => {
            Verdict::pass(CHECK, format!("the DNS does not say whether {domain} takes mail"))
        }
        Standing::NullMx => refuse(Refusal::SenderTakesNoMail, format!("{domain} takes no mail")),
        Standing::Missing => refuse(Refusal::SenderDomainMissing, format!("{domain} does not exist")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_exchange_is_a_null_mx() {
        let mx = |exchange: &str| Mx { preference: 0, exchange: exchange.to_owned() };
        assert_eq!(of_exchanges(&[mx("")]), Standing::NullMx);
        assert_eq!(of_exchanges(&[mx("mx.stranger.example")]), Standing::TakesMail);
        assert_eq!(of_exchanges(&[mx(""), mx("mx.stranger.example")]), Standing::TakesMail);
    }

    #[test]
    fn an_answer_that_is_missing_refuses_nobody() {
        let domain = DomainName::parse("stranger.example").expect("a name");
        let refusal = |standing| judge(Severity::Refuse, &domain, standing).refusal().cloned();
        assert_eq!(refusal(Standing::Missing), Some(Refusal::SenderDomainMissing));
        assert_eq!(refusal(Standing::NullMx), Some(Refusal::SenderTakesNoMail));
        assert_eq!((refusal(Standing::Unknown), refusal(Standing::TakesMail)), (None, None));
        assert_eq!(judge(Severity::Note, &domain, Standing::Missing).refusal(), None);
    }
}
