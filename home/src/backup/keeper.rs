//! Makes backups and drills when their time has come, while the daemon runs.
//!
//! In: the clock, the record of what was made. Out: backups, drills, and conditions for `status` and the notices. A failure is
//! tried again after an hour. A clock that went back makes nothing due and nothing overdue.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep_until};

use super::record::{Record, Tried};
use super::{Backup, BackupError, Continuity, Progress};
use crate::notices::{Condition, Kind};

/// Between two looks at the clock.
const ROUND: Duration = Duration::from_secs(60);
/// After a failure.
const RETRY: SignedDuration = SignedDuration::from_hours(1);
/// A backup may be late by as much again, and a few hours, before that is worth a word.
const GRACE: SignedDuration = SignedDuration::from_hours(6);

/// The task.
pub struct Keeper {
    /// What is backed up, and where to.
    pub backup: Backup,
    /// How often.
    pub every: Duration,
    /// How often one is restored for a trial; `None` for never.
    pub drill_every: Option<Duration>,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Backup,
    Drill,
}

impl Keeper {
    /// Runs until the program stops.
    pub async fn run(self) {
        let keeper = Arc::new(self);
        loop {
            sleep_until(Instant::now() + ROUND).await;
            let working = keeper.clone();
            let worked = tokio::task::spawn_blocking(move || working.work()).await;
            worked.unwrap_or_else(|error| tracing::error!(%error, "a task was lost"));
        }
    }

    fn work(&self) {
        let record = match Record::of(self.backup.state_dir()) {
            Ok(record) => record,
            Err(error) => return tracing::error!(%error, "what backups were made cannot be read"),
        };
        match self.due(&record, Timestamp::now()) {
            Some(Due::Backup) => tell(
                "backup",
                self.backup.create(Continuity::Same, Progress::Hidden).map(|made| made.messages),
            ),
            Some(Due::Drill) => {
                // The daemon has the key of sealed mail already.
                let open = |target: &Path| Ok(self.backup.place.elsewhere(target));
                let drilled = self.backup.drill(Progress::Hidden, &open);
                tell("drill", drilled.map(|drilled| drilled.restored.messages()));
            }
            None => {}
        }
    }

    fn due(&self, record: &Record, now: Timestamp) -> Option<Due> {
        let is_past = |then: Timestamp, wait: SignedDuration| now.duration_since(then) >= wait;
        let may_try = |tried: &Option<Tried>| {
            tried.as_ref().is_none_or(|tried| tried.error.is_none() || is_past(tried.at, RETRY))
        };
        let made = record.made.as_ref().map(|(at, _)| *at);
        if may_try(&record.tried) && made.is_none_or(|at| is_past(at, signed(self.every))) {
            return Some(Due::Backup);
        }
        let every = signed(self.drill_every?);
        let drilled =
            record.drilled.as_ref().is_some_and(|tried| tried.error.is_none() && !is_past(tried.at, every));
        (made.is_some() && !drilled && may_try(&record.drilled)).then_some(Due::Drill)
    }
}

fn tell(what: &str, outcome: Result<u64, BackupError>) {
    match outcome {
        Ok(messages) => tracing::info!(what, messages, "done"),
        Err(error) => tracing::warn!(what, %error, "failed; it is tried again in an hour"),
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

/// What a person should look at; nothing where no backups are wanted.
pub fn conditions(state_dir: &Path, every: Duration, now: Timestamp) -> Vec<Condition> {
    let record = match Record::of(state_dir) {
        Ok(record) => record,
        Err(error) => return vec![Condition::new(Kind::Backup, "record", format!("{error}."))],
    };
    let mut found = Vec::new();
    let limit = signed(every).saturating_mul(2).saturating_add(GRACE);
    if let Some(error) = record.tried.as_ref().and_then(|tried| tried.error.as_ref()) {
        let is_old = record.made.as_ref().is_none_or(|(at, _)| now.duration_since(*at) > limit);
        let last = record.made.as_ref().map_or("There is no backup yet".to_owned(), |(at, _)| {
            format!("The last backup is of {}", at.strftime("%Y-%m-%d %H:%M UTC"))
        });
        if is_old {
            found.push(Condition::new(
                Kind::Backup,
                "create",
                format!("{last}, and the next one failed: {error}."),
            ));
        }
    }
    if let Some(error) = record.drilled.as_ref().and_then(|tried| tried.error.as_ref()) {
        let text = format!(
            "The last backup did not come back whole: {error}. `postern-home backup drill` tries again."
        );
        found.push(Condition::new(Kind::Backup, "drill", text));
    }
    found
}

#[cfg(test)]
mod tests {
    use postern_store::Place;

    use super::super::record::Made;
    use super::super::vault::{Keep, Listed};
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + 3600 * hours).expect("a time")
    }

    fn keeper() -> Keeper {
        let backup = Backup {
            place: Place::from(Path::new("/nowhere")),
            configuration: None,
            repository: "/nowhere".into(),
            keep: Keep { daily: 7, weekly: 5, monthly: 12 },
            host: "mail.home.example".to_owned(),
        };
        Keeper {
            backup,
            every: Duration::from_secs(86_400),
            drill_every: Some(Duration::from_secs(7 * 86_400)),
        }
    }

    fn made(hours: i64) -> Option<(Timestamp, Made)> {
        let snapshot =
            Listed { id: "0".to_owned(), made: at(hours), host: String::new(), octets: 0, added: 0 };
        Some((at(hours), Made { snapshot, messages: 0, forgotten: 0 }))
    }

    fn tried(hours: i64, error: Option<&str>) -> Option<Tried> {
        Some(Tried { at: at(hours), error: error.map(str::to_owned) })
    }

    #[test]
    fn backups_and_drills_come_in_their_turn() {
        let keeper = keeper();
        let mut record = Record::default();
        assert_eq!(keeper.due(&record, at(0)), Some(Due::Backup));
        (record.made, record.tried) = (made(0), tried(0, None));
        assert_eq!(keeper.due(&record, at(0)), Some(Due::Drill), "the first backup is tried at once");
        record.drilled = tried(0, None);
        assert_eq!(keeper.due(&record, at(23)), None);
        assert_eq!(keeper.due(&record, at(24)), Some(Due::Backup));
        (record.made, record.tried) = (made(168), tried(168, None));
        assert_eq!(keeper.due(&record, at(168)), Some(Due::Drill));
        assert_eq!(keeper.due(&record, at(-100)), None, "the clock went back");
    }

    #[test]
    fn a_failure_is_tried_again_after_an_hour() {
        let keeper = keeper();
        let mut record = Record { tried: tried(0, Some("no disk")), ..Record::default() };
        assert_eq!(keeper.due(&record, at(0)), None);
        assert_eq!(keeper.due(&record, at(1)), Some(Due::Backup));
        (record.made, record.tried, record.drilled) = (made(1), tried(1, None), tried(1, Some("damaged")));
        assert_eq!(keeper.due(&record, at(1)), None);
        assert_eq!(keeper.due(&record, at(2)), Some(Due::Drill));
    }
}
