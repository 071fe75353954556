//! Rows of the certificates and of what other servers are promised.

use jiff::{SignedDuration, Timestamp};

use super::code::Code;
use super::row::{Row, Verdict};
use crate::certificate::report::{Certificate, Origin, Report};
use crate::mta_sts;

/// Certificate authorities renew well before this.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// A row for each set of names.
pub fn certificates(report: &Report, now: Timestamp) -> Vec<Row> {
    let trouble = |text: &String| Row::well(Code::Certificate, "", text.clone()).but(Verdict::Warning);
    report
        .troubles
        .iter()
        .map(trouble)
        .chain(report.certificates.iter().map(|it| certificate(it, now)))
        .collect()
}

fn certificate(certificate: &Certificate, now: Timestamp) -> Row {
    let about = certificate.names.first().cloned().unwrap_or_default();
    let day = |time: Timestamp| time.strftime("%Y-%m-%d");
    let next = certificate
        .next_at
        .map(|at| format!(", at {}", at.strftime("%Y-%m-%d %H:%M UTC")))
        .unwrap_or_default();
    let next = format!("{}{next}", certificate.next);
    let row = |found: String| Row::well(Code::Certificate, &about, found);
    let why =
        certificate.trouble.as_ref().map(|failure| format!(" The last try failed: {}.", failure.reason));
    let mend = format!("`postern-home cert list` tells more.{}", why.clone().unwrap_or_default());
    match (certificate.origin, certificate.until) {
        (Origin::None | Origin::SelfSigned, _) => {
            let verdict = match (&certificate.trouble, certificate.automatic) {
                (Some(_), _) => Verdict::Failed,
                (None, true) => Verdict::Waiting,
                (None, false) => Verdict::Warning,
            };
            row(format!("none that mail programs trust; next: {next}"))
                .but(verdict)
                .expected("one of an authority that the world trusts")
                .mend(mend)
        }
        (_, Some(until)) if until <= now => {
            row(format!("it ended on {}, so mail programs refuse it", day(until)))
                .but(Verdict::Failed)
                .expected("one that counts")
                .mend(mend)
        }
        (_, Some(until)) if until.duration_since(now) < SOON => {
            row(format!("it ends on {}; next: {next}", day(until)))
                .but(Verdict::Warning)
                .expected("renewed two weeks before the end")
                .mend(mend)
        }
        (_, until) => {
            let until = until.map(|until| format!("counts until {}", day(until)));
            row(until.unwrap_or_else(|| "counts; when it ends it does not say".to_owned()))
        }
    }
}

/// A row for the policy of each domain.
pub fn mta_sts(policies: &[mta_sts::Report]) -> Vec<Row> {
    let row = |policy: &mta_sts::Report| {
        let found = format!(
            "{}{}",
            policy.in_short(),
            policy.awaited.iter().map(|it| format!("; {it}")).collect::<String>()
        );
        let verdict = if policy.awaited.is_some() { Verdict::Waiting } else { Verdict::Well };
        Row::well(Code::MtaSts, &policy.domain, found).but(verdict)
    };
    policies.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(origin: Origin, until: Option<Timestamp>, automatic: bool) -> Verdict {
        let certificate = Certificate {
            names: vec!["mail.home.example".to_owned()],
            origin,
            issuer: None,
            from: None,
            until,
            key: None,
            tlsa: Vec::new(),
            next: "it is renewed".to_owned(),
            next_at: None,
            trouble: None,
            automatic,
        };
        super::certificate(&certificate, Timestamp::UNIX_EPOCH).verdict
    }

    #[test]
    fn a_certificate_is_judged_by_whose_it_is_and_when_it_ends() {
        let days = |days: i64| Timestamp::from_second(days * 86_400).ok();
        assert_eq!(with(Origin::Acme, days(60), true), Verdict::Well);
        assert_eq!(with(Origin::Files, None, true), Verdict::Well);
        assert_eq!(with(Origin::Acme, days(13), true), Verdict::Warning);
        assert_eq!(with(Origin::Imported, days(-1), true), Verdict::Failed);
        assert_eq!(with(Origin::SelfSigned, days(60), true), Verdict::Waiting);
        assert_eq!(with(Origin::None, None, false), Verdict::Warning, "nobody orders it");
    }
}
