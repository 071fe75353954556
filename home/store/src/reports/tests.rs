//! Reports on a real directory.

use postern_report::{dmarc, tls};

use super::*;

const AGGREGATE: &[u8] = include_bytes!("../../../proto/report/samples/rfc7489.xml");
const TLS: &[u8] = include_bytes!("../../../proto/report/samples/rfc8460.json");

fn received(report: Report, day: i64) -> Received {
    Received {
        domain: "home.example".parse().unwrap(),
        sender: "far.example".parse().unwrap(),
        standing: Standing::Verified,
        received: Timestamp::from_second(day * 86_400).unwrap(),
        report,
    }
}

fn aggregate(day: i64) -> Received {
    let mut report = dmarc::read(AGGREGATE).unwrap();
    report.report_id = day.to_string();
    received(Report::Aggregate(report), day)
}

fn since(day: i64) -> Query {
    Query { domain: None, since: Timestamp::from_second(day * 86_400).unwrap() }
}

fn opened() -> (tempfile::TempDir, Reports) {
    let directory = tempfile::tempdir().unwrap();
    let reports = Reports::open(directory.path()).unwrap();
    (directory, reports)
}

#[test]
fn reports_are_added_up_and_each_counts_once() {
    let (_directory, reports) = opened();
    for day in [1, 2] {
        assert_eq!(reports.keep(aggregate(day)).unwrap(), Kept::New);
        assert_eq!(reports.keep(aggregate(day)).unwrap(), Kept::Again);
    }
    let sources = reports.sources(&since(0)).unwrap();
    let [forwarded, own] = sources.as_slice() else { panic!("{sources:?}") };
    assert_eq!((own.address.to_string().as_str(), own.messages), ("203.0.113.10", 24));
    assert_eq!((own.signers.as_str(), own.envelope_from.as_str()), ("home.example", "home.example"));
    assert_eq!((forwarded.messages, forwarded.reason.as_str()), (2, "forwarded: looks forwarded"));
    assert_eq!(forwarded.reporter, "far.example");
    assert_eq!(reports.sources(&since(2)).unwrap()[1].messages, 12);
    let elsewhere = Query { domain: Some("other.example".parse().unwrap()), ..since(0) };
    assert_eq!(reports.sources(&elsewhere).unwrap(), []);
}

#[test]
fn a_report_that_nobody_vouches_for_is_counted_as_such_only() {
    let (_directory, reports) = opened();
    reports.keep(Received { standing: Standing::Unverified, ..aggregate(1) }).unwrap();
    assert_eq!(reports.sources(&since(0)).unwrap(), []);
    assert_eq!(reports.counts(Kind::Aggregate, &since(0)).unwrap(), Counts { verified: 0, unverified: 1 });
    assert_eq!(reports.counts(Kind::Tls, &since(0)).unwrap(), Counts::default());
}

#[test]
fn tls_reports_are_kept_of_the_domain_they_are_kept_for() {
    let (_directory, reports) = opened();
    let mut report = tls::read(TLS).unwrap();
    report.policies[1].policy.policy_domain = "other.example".parse().unwrap();
    reports.keep(received(Report::Tls(report), 1)).unwrap();
    let (policies, failures) = reports.tls(&since(0)).unwrap();
    let [sts] = policies.as_slice() else { panic!("{policies:?}") };
    assert_eq!((sts.policy_type.as_str(), sts.successes, sts.failures), ("sts", 5326, 303));
    let sessions: Vec<_> =
        failures.iter().map(|failure| (failure.result_type.as_str(), failure.sessions)).collect();
    assert_eq!(sessions, [("certificate-expired", 100), ("starttls-not-supported", 203)]);
}

#[test]
fn what_is_kept_is_bounded_in_age_and_in_size() {
    let (_directory, reports) = opened();
    for day in 1..=3 {
        reports.keep(aggregate(day)).unwrap();
    }
    assert_eq!(reports.forget(Timestamp::from_second(2 * 86_400).unwrap()).unwrap(), 1);
    assert_eq!(reports.counts(Kind::Aggregate, &since(0)).unwrap().verified, 2);
    // Two rows each: the one that nobody vouches for goes before the older ones.
    reports.keep_within(Received { standing: Standing::Unverified, ..aggregate(9) }, 6).unwrap();
    reports.keep_within(aggregate(4), 6).unwrap();
    assert_eq!(reports.counts(Kind::Aggregate, &since(0)).unwrap(), Counts { verified: 3, unverified: 0 });
    reports.keep_within(aggregate(5), 2).unwrap();
    assert_eq!(reports.sources(&since(0)).unwrap()[1].messages, 12);
    let rows: u64 = reports
        .database
        .read(|connection| {
            Ok::<_, crate::Error>(connection.query_row("SELECT count(*) FROM source", [], |row| row.get(0))?)
        })
        .unwrap();
    assert_eq!(rows, 2);
}

#[test]
fn a_count_that_nobody_could_have_counted_does_not_break_the_sum() {
    let (_directory, reports) = opened();
    for day in 1..=3 {
        let mut report = aggregate(day);
        let Report::Aggregate(aggregate) = &mut report.report else { panic!("an aggregate report") };
        aggregate.records[0].count = u64::MAX;
        reports.keep(report).unwrap();
    }
    assert_eq!(reports.sources(&since(0)).unwrap()[1].messages, 3 * MAX_COUNT);
}

#[test]
fn what_is_seen_is_counted_by_day_and_domain_until_it_is_settled() {
    let (_directory, reports) = opened();
    let Report::Aggregate(sample) = aggregate(0).report else { panic!("an aggregate report") };
    let [own, other] = sample.records.try_into().unwrap();
    let far: DomainName = "far.example".parse().unwrap();
    let at = |day: i64| Timestamp::from_second(day * Day::SECONDS + 60).unwrap();
    for (day, record) in [(5, &own), (5, &own), (5, &other), (6, &own)] {
        reports.observe(far.clone(), at(day), Observation::Message(record.clone()));
    }
    reports.observe_within(far.clone(), at(5), Observation::Message(own.clone()), 3);
    let last = dmarc::Record { header_from: "x.far.example".into(), ..own };
    reports.observe_within(far.clone(), at(5), Observation::Message(last), 3);
    let (fifth, sixth) = (Day::of(at(5)), Day::of(at(6)));
    // Writes are done in their order, so this one waits for all of them.
    reports.settle(Kind::Tls, fifth, vec![far.clone()]).unwrap();

    assert_eq!(reports.observed_before(Kind::Aggregate, sixth).unwrap(), [(fifth, far.clone())]);
    let mut counts: Vec<u64> =
        reports.messages(fifth, &far).unwrap().iter().map(|record| record.count).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 3], "known ones count on, new ones have no room");
    reports.settle(Kind::Aggregate, fifth, vec![far.clone()]).unwrap();
    assert_eq!(reports.messages(fifth, &far).unwrap(), []);
    assert_eq!(reports.messages(sixth, &far).unwrap().len(), 1);
    assert_eq!((fifth.begin(), fifth.end()), (5 * 86_400, 6 * 86_400 - 1));
}
