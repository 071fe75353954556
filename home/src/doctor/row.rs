//! Rows, and the report that they make.

use std::fmt::{self, Display, Formatter};

use jiff::Timestamp;
use postern_shared::cli::{Exit, write_row};
use serde::{Deserialize, Serialize};

use super::code::Code;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// What is looked at.
    pub code: Code,
    /// Of what: a domain, an address, a port, a place on the disk; empty where there is but one.
    pub about: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What should be, where that is something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
    /// The row that this one follows from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<Code>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Well,
    /// On its way; nothing is to be done.
    Waiting,
    /// It follows from another row that is not well, and goes with it.
    Follows,
    /// It could not be looked at.
    Unknown,
    /// Mail works, and something should be done.
    Warning,
    /// Mail suffers.
    Failed,
}

impl Row {
    /// One that is well.
    pub fn well(code: Code, about: impl Display, found: impl Into<String>) -> Self {
        let about = about.to_string();
        Self {
            code,
            about,
            verdict: Verdict::Well,
            found: found.into(),
            expected: None,
            mend: None,
            because: None,
        }
    }

    /// The same with another verdict.
    pub fn but(self, verdict: Verdict) -> Self {
        Self { verdict, ..self }
    }

    /// The same with what should be.
    pub fn expected(self, expected: impl Into<String>) -> Self {
        Self { expected: Some(expected.into()), ..self }
    }

    /// The same with what to do.
    pub fn mend(self, mend: impl Into<String>) -> Self {
        Self { mend: Some(mend.into()), ..self }
    }

    fn is_cause(&self) -> bool {
        self.verdict == Verdict::Failed
    }
}

/// What was found at one time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When.
    pub looked: Timestamp,
    /// The rows, causes before what follows from them.
    pub rows: Vec<Row>,
}

impl Report {
    /// Orders the rows, and marks those that only follow from others.
    pub fn new(looked: Timestamp, mut rows: Vec<Row>) -> Self {
        rows.sort_by_key(|row| row.code);
        for place in 0..rows.len() {
            let row = &rows[place];
            if matches!(row.verdict, Verdict::Well | Verdict::Waiting) {
                continue;
            }
            let explains = |other: &&Row| {
                let concerns =
                    other.about.is_empty() || row.about.is_empty() || shares_domain(&other.about, &row.about);
                other.is_cause() && row.code.causes().contains(&other.code) && concerns
            };
            let cause = rows[..place].iter().find(explains).map(|cause| cause.code);
            if let Some(cause) = cause {
                rows[place].verdict = Verdict::Follows;
                rows[place].because = Some(cause);
            }
        }
        Self { looked, rows }
    }

    /// The worst that was found.
    pub fn worst(&self) -> Verdict {
        self.rows.iter().map(|row| row.verdict).max().unwrap_or(Verdict::Well)
    }

    /// How the command ends: with 1 where something failed, with 3 where not everything is well.
    pub fn exit(&self) -> Exit {
        match self.worst() {
            Verdict::Well => Exit::Done,
            Verdict::Failed => Exit::Failed,
            Verdict::Waiting | Verdict::Follows | Verdict::Unknown | Verdict::Warning => Exit::Warnings,
        }
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.rows.iter().filter(|row| row.verdict == verdict).count()
    }
}

/// Whether two subjects are of one domain: the same, or a name below the other. What stands behind a name, as in "home.example at
/// 192.0.2.1", says where it was seen.
fn shares_domain(one: &str, other: &str) -> bool {
    let name = |about: &str| about.split(' ').next().unwrap_or_default().to_owned();
    let below = |name: &str, domain: &str| {
        name == domain || name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
    };
    let (one, other) = (name(one), name(other));
    below(&one, &other) || below(&other, &one)
}

/// The columns of the mark and the code.
const INDENT: usize = 18;

impl Display for Report {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        self.rows.iter().try_for_each(|row| write!(formatter, "{row}"))?;
        let named = [
            (Verdict::Failed, "failed"),
            (Verdict::Warning, "to look at"),
            (Verdict::Unknown, "not known"),
            (Verdict::Waiting, "waiting"),
            (Verdict::Follows, "following from others"),
        ];
        let others = named.into_iter().map(|(verdict, name)| (self.count(verdict), name));
        let others = others.filter(|(count, _)| *count > 0).map(|(count, name)| format!(", {count} {name}"));
        let others: String = others.collect();
        writeln!(formatter, "\n{} of {} well{others}.", self.count(Verdict::Well), self.rows.len())?;
        match self.worst() {
            Verdict::Well | Verdict::Waiting => Ok(()),
            _ => writeln!(formatter, "docs/doctor.md has a section for each word in the second column."),
        }
    }
}

impl Display for Row {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let label = format!("{} {:<14}", self.verdict.mark(), self.code);
        let about = if self.about.is_empty() { String::new() } else { format!("{}: ", self.about) };
        match self.because {
            Some(cause) => write_row(
                formatter,
                INDENT,
                &label,
                format_args!("{about}{} (because of: {cause})", self.found),
            ),
            None => write_row(formatter, INDENT, &label, format_args!("{about}{}", self.found)),
        }?;
        if matches!(self.verdict, Verdict::Well | Verdict::Follows) {
            return Ok(());
        }
        let mut line = |name: &str, text: &Option<String>| match text {
            Some(text) => write_row(formatter, INDENT, "", format_args!("{name}: {text}")),
            None => Ok(()),
        };
        line("should be", &self.expected)?;
        line("to do", &self.mend)
    }
}

impl Verdict {
    /// One column wide, for terminals.
    pub fn mark(self) -> char {
        match self {
            Verdict::Well => '✓',
            Verdict::Waiting => '…',
            Verdict::Follows => '–',
            Verdict::Unknown => '?',
            Verdict::Warning => '!',
            Verdict::Failed => '✗',
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rows: Vec<Row>) -> Report {
        Report::new(Timestamp::UNIX_EPOCH, rows)
    }

    #[test]
    fn what_follows_from_a_failure_is_not_blamed_itself() {
        let rows = vec![
            Row::well(Code::Records, "home.example at 192.0.2.10", "2 are missing").but(Verdict::Failed),
            Row::well(Code::Records, "other.example", "1 is missing").but(Verdict::Failed),
            Row::well(Code::Delegation, "home.example", "there is none").but(Verdict::Failed),
        ];
        let report = report(rows);
        let seen: Vec<_> = report.rows.iter().map(|row| (row.code, row.verdict, row.because)).collect();
        let expected = [
            (Code::Delegation, Verdict::Failed, None),
            (Code::Records, Verdict::Follows, Some(Code::Delegation)),
            (Code::Records, Verdict::Failed, None),
        ];
        assert_eq!(seen, expected, "another domain's delegation explains nothing");
    }

    #[test]
    fn a_warning_explains_nothing_and_what_is_well_stays_so() {
        let rows = vec![
            Row::well(Code::Tunnel, "", "slow").but(Verdict::Warning),
            Row::well(Code::Zone, "home.example", "old").but(Verdict::Failed),
        ];
        assert_eq!(report(rows).rows[1].because, None);
        let rows = vec![
            Row::well(Code::Tunnel, "", "silent").but(Verdict::Failed),
            Row::well(Code::Zone, "home.example", "served"),
        ];
        assert_eq!(report(rows).rows[1].verdict, Verdict::Well);
    }

    #[test]
    fn the_exit_code_is_honest() {
        let with = |verdict| report(vec![Row::well(Code::Clock, "", "").but(verdict)]).exit();
        assert_eq!(with(Verdict::Well), Exit::Done);
        assert_eq!(with(Verdict::Failed), Exit::Failed);
        for verdict in [Verdict::Waiting, Verdict::Unknown, Verdict::Warning] {
            assert_eq!(with(verdict), Exit::Warnings, "{verdict:?}");
        }
    }

    #[test]
    fn people_read_what_is_and_what_should_be() {
        let rows = vec![
            Row::well(Code::DiskRoom, "/var/lib", "only 1 MiB left")
                .but(Verdict::Warning)
                .expected("a twentieth of it")
                .mend("Make room."),
            Row::well(Code::Queue, "", "empty"),
        ];
        let text = report(rows).to_string();
        let expected = "\
✓ queue           empty
! disk-room       /var/lib: only 1 MiB left
                  should be: a twentieth of it
                  to do: Make room.

1 of 2 well, 1 to look at.
docs/doctor.md has a section for each word in the second column.
";
        assert_eq!(text, expected);
    }
}
