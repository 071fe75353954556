//! Whether the author of a report is who it seems.
//!
//! In: the results of the checks that its message went through, and the domain in From. Out: how far to believe it. A TLS
//! report counts only under a signature of its author's domain (RFC 8460 §3); of an aggregate report it is enough that its
//! message passes DMARC.

use postern_message::address::DomainName;
use postern_message::authres::MethodResult;
use postern_report::Report;
use postern_store::reports::Standing;

/// Judges a report by the message that it came in.
pub(super) fn standing(report: &Report, author: &DomainName, results: &[MethodResult]) -> Standing {
    let signed = results.iter().any(|result| is_signature_of(result, author));
    let verified = match report {
        Report::Tls(_) => signed,
        Report::Aggregate(_) => signed || results.iter().any(|result| is(result, "dmarc", "pass")),
    };
    if verified { Standing::Verified } else { Standing::Unverified }
}

/// A good signature of the author's domain, one above it or one below it: nobody signs for a public suffix.
fn is_signature_of(result: &MethodResult, author: &DomainName) -> bool {
    let domain = result.properties.iter().find(|(property, _)| *property == "header.d");
    let signer = domain.and_then(|(_, domain)| DomainName::parse(domain).ok());
    is(result, "dkim", "pass")
        && signer.is_some_and(|signer| author.is_within(&signer) || signer.is_within(author))
}

fn is(result: &MethodResult, method: &str, outcome: &str) -> bool {
    result.method == method && result.result == outcome
}

#[cfg(test)]
mod tests {
    use postern_report::{dmarc, tls};

    use super::*;

    #[test]
    fn a_report_is_believed_as_far_as_its_message_is_authenticated() {
        let aggregate = Report::Aggregate(
            dmarc::read(include_bytes!("../../proto/report/samples/rfc7489.xml")).expect("a report"),
        );
        let tls = Report::Tls(
            tls::read(include_bytes!("../../proto/report/samples/rfc8460.json")).expect("a report"),
        );
        let author: DomainName = "far.example".parse().expect("a name");
        let signed = |result, domain: &str| MethodResult::new("dkim", result).with("header.d", domain);
        let cases = [
            (vec![signed("pass", "far.example")], Standing::Verified, Standing::Verified),
            (vec![signed("pass", "mail.far.example")], Standing::Verified, Standing::Verified),
            (vec![MethodResult::new("dmarc", "pass")], Standing::Verified, Standing::Unverified),
            (vec![signed("fail", "far.example")], Standing::Unverified, Standing::Unverified),
            (vec![signed("pass", "other.example")], Standing::Unverified, Standing::Unverified),
            (vec![MethodResult::new("spf", "pass")], Standing::Unverified, Standing::Unverified),
            (vec![], Standing::Unverified, Standing::Unverified),
        ];
        for (results, of_aggregate, of_tls) in cases {
            assert_eq!(standing(&aggregate, &author, &results), of_aggregate, "{results:?}");
            assert_eq!(standing(&tls, &author, &results), of_tls, "{results:?}");
        }
    }
}
