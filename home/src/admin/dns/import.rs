//! Taking over a master file.

use postern_message::address::DomainName;

use super::{Admin, Refusal, facts, survey};
use crate::admin::wire::dns::{Import, Imported, ImportedFate, ImportedRecord, RefusedLine};
use crate::zone::import::{Fate, Plan, Read, Refused, plan};
use crate::zone::presentation;
use crate::zone::renew::RenewError;

pub(super) fn import(admin: &Admin, domain: &DomainName, body: &Import) -> Result<Imported, Refusal> {
    let facts = facts(admin, domain)?;
    if facts.addresses.is_empty() {
        return Err(survey::nothing(domain));
    }
    let Plan { added, read, refused } = plan(&facts, &body.file).map_err(RenewError::from)?;
    let applied = refused.is_empty() && !body.dry_run;
    if applied {
        let records = added.len();
        admin.directory.add_records(domain, added)?;
        tracing::info!(%domain, records, "master file imported");
    }
    let refused = refused.into_iter().map(|Refused { line, reason }| RefusedLine { line, reason }).collect();
    Ok(Imported { applied, records: read.into_iter().map(imported).collect(), refused })
}

fn imported(read: Read) -> ImportedRecord {
    let Read { line, owner, record_type, data, fate } = read;
    let (fate, replaced_by) = match fate {
        Fate::Kept => (ImportedFate::Kept, None),
        Fate::Present => (ImportedFate::Present, None),
        Fate::Replaced(by) => (ImportedFate::Replaced, Some(by)),
        Fate::Made => (ImportedFate::Made, None),
    };
    let record_type = presentation::type_text(record_type);
    ImportedRecord { line, owner, record_type, data, fate, replaced_by }
}
