//! Facts in, verdicts out.

use super::*;
use crate::backup::Tried;

fn at(hours: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + hours * 3600).expect("a time")
}

const ROOM: Room = Room { octets: 50 << 30, all_octets: 100 << 30, files: 0, all_files: 0, read_only: false };

fn verdicts(rows: impl IntoIterator<Item = Row>) -> Vec<Verdict> {
    rows.into_iter().map(|row| row.verdict).collect()
}

#[test]
fn an_empty_home_is_told_what_comes_first() {
    assert_eq!(verdicts(people(0, 0)), [Verdict::Failed, Verdict::Failed]);
    assert_eq!(verdicts(people(1, 2)), [Verdict::Well, Verdict::Well]);
}

#[test]
fn mail_may_wait_for_a_day() {
    let row = |waiting| queue(waiting, at(48)).verdict;
    assert_eq!(row(Ok((0, None))), Verdict::Well);
    assert_eq!(row(Ok((3, Some(at(25))))), Verdict::Well);
    assert_eq!(row(Ok((3, Some(at(23))))), Verdict::Warning);
    assert_eq!(row(Err("the file is no database".to_owned())), Verdict::Failed);
}

#[test]
fn a_disk_is_judged_by_its_room_and_by_what_it_takes() {
    let rows = |room, written| verdicts(disk(Path::new("/var"), room, written));
    let fast = Duration::from_millis(8);
    assert_eq!(rows(Ok(ROOM), Ok(fast)), [Verdict::Well, Verdict::Well]);
    assert_eq!(
        rows(Ok(Room { octets: 1 << 30, ..ROOM }), Ok(Duration::from_secs(1))),
        [Verdict::Warning, Verdict::Warning]
    );
    let full = Err("no space left on device".to_owned());
    assert_eq!(rows(Ok(Room { read_only: true, ..ROOM }), full), [Verdict::Failed, Verdict::Failed]);
    assert_eq!(rows(Err("gone".to_owned()), Ok(fast)), [Verdict::Unknown, Verdict::Well]);
}

#[test]
fn a_backup_may_be_late_once_and_must_come_back_whole() {
    let every = Some(Duration::from_secs(86_400));
    let record = |hours, drill: Option<&str>| {
        let made = serde_json::json!({
            "made": [at(hours), {"snapshot": {"id": "a", "made": at(hours), "host": "home", "octets": 9, "added": 9}, "messages": 7, "forgotten": 0}],
        });
        let mut record: Record = serde_json::from_value(made).map_err(|error| error.to_string())?;
        record.drilled = Some(Tried { at: at(hours), error: drill.map(str::to_owned) });
        Ok(record)
    };
    assert_eq!(verdicts(backup(record(0, None), every, at(47))), [Verdict::Well, Verdict::Well]);
    assert_eq!(
        verdicts(backup(record(0, Some("2 differ")), every, at(49))),
        [Verdict::Failed, Verdict::Failed]
    );
    let mut failed: Record = record(0, None).expect("a record");
    failed.tried = Some(Tried { at: at(24), error: Some("the disk is away".to_owned()) });
    assert_eq!(verdicts(backup(Ok(failed), every, at(25))), [Verdict::Warning, Verdict::Well]);
    assert_eq!(verdicts(backup(Ok(Record::default()), every, at(0))), [Verdict::Waiting, Verdict::Waiting]);
    assert_eq!(verdicts(backup(Ok(Record::default()), None, at(0))), [Verdict::Warning]);
}

#[test]
fn a_destination_that_distrusts_us_is_worse_without_a_relay() {
    let diversion = Diversion {
        destination: "large.example".to_owned(),
        provider: "Large".to_owned(),
        reply: "550 no".to_owned(),
        since: at(0),
        until: at(24),
        times: 1,
    };
    let diversions = [diversion];
    assert_eq!(verdicts(destinations(&diversions, Some("ses"))), [Verdict::Warning]);
    assert_eq!(verdicts(destinations(&diversions, None)), [Verdict::Failed]);
    assert_eq!(verdicts(destinations(&[], None)), [Verdict::Well]);
}
