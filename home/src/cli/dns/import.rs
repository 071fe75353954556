//! `postern-home dns import`: a zone that was served elsewhere, taken over.
//!
//! In: a master file. Out: what becomes of each of its records. Refused: a file that is too long or no UTF-8, by its line; and
//! line by line what home refuses: then nothing is changed, and the exit code is 1.

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::path::Path;

use postern_message::address::DomainName;
use postern_shared::cli::{Exit, Failure};
use postern_shared::http::Method;

use super::form::joining_spf;
use super::{Client, Table};
use crate::admin::wire::dns::{Import, Imported, ImportedFate, ImportedRecord, RefusedLine};

/// The longest file, in octets: escaped as JSON it still fits into a request.
const MAX_OCTETS: usize = 3 << 20;

/// What an import comes to where every line can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It is done.
    Done,
    /// It is only shown.
    Shown,
}

pub(super) fn import(
    client: &Client,
    domain: &DomainName,
    file: &Path,
    effect: Effect,
) -> Result<Exit, Failure> {
    let import = Import { file: read(file)?, dry_run: effect == Effect::Shown };
    let imported: Imported = client.call(Method::POST, &format!("/v1/dns/{domain}/import"), &import)?;
    client.print(&imported, Told { domain, imported: &imported, effect })?;
    Ok(if imported.refused.is_empty() { Exit::Done } else { Exit::Failed })
}

fn read(file: &Path) -> Result<String, Failure> {
    let place = file.display();
    let octets =
        fs::read(file).map_err(|error| Failure::failed(format!("{place} cannot be read: {error}.")))?;
    if octets.len() > MAX_OCTETS {
        return Err(Failure::failed(format!("{place} has more than {MAX_OCTETS} octets.")));
    }
    String::from_utf8(octets).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|octet| **octet == b'\n').count() + 1;
        let reason =
            "what is no ASCII is read as UTF-8 and this is none; write it as \\DDD, its decimal number";
        Failure::failed(format!("{place}, line {line}: {reason}."))
    })
}

/// What became of the file, for people.
struct Told<'a> {
    domain: &'a DomainName,
    imported: &'a Imported,
    effect: Effect,
}

impl Display for Told<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Imported { records, refused, .. } = self.imported;
        for RefusedLine { line, reason } in refused {
            match line {
                Some(line) => writeln!(formatter, "line {line}: {reason}.")?,
                None => writeln!(formatter, "{reason}.")?,
            }
        }
        if !refused.is_empty() {
            return writeln!(
                formatter,
                "Nothing was taken over: mend these lines and import the file again."
            );
        }
        let mut table = Table::new(["LINE", "NAME", "TYPE", "DATA", "BECOMES"]);
        for record in records {
            let ImportedRecord { line, owner, record_type, data, .. } = record.clone();
            table.row([line.to_string(), owner, record_type, data, becomes(self.domain, record)]);
        }
        write!(formatter, "{table}")?;
        let kept = records.iter().filter(|it| it.fate == ImportedFate::Kept).count();
        match self.effect {
            Effect::Shown => {
                writeln!(formatter, "{kept} records would be kept as your own; nothing was changed.")
            }
            Effect::Done => writeln!(formatter, "{kept} records were kept as your own."),
        }
    }
}

fn becomes(domain: &DomainName, record: &ImportedRecord) -> String {
    let ImportedRecord { owner, record_type, data, .. } = record;
    match (record.fate, &record.replaced_by) {
        (ImportedFate::Kept, _) => match joining_spf(domain, owner, record_type, data) {
            Some(joins) => format!("kept as your own; {joins}"),
            None => "kept as your own".to_owned(),
        },
        (ImportedFate::Present, _) => "is your own already".to_owned(),
        (ImportedFate::Replaced, Some(by)) => format!("replaced by {by}"),
        (ImportedFate::Replaced, None) => "replaced".to_owned(),
        (ImportedFate::Made, _) => "made by Postern".to_owned(),
    }
}
