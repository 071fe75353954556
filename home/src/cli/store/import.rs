//! `postern-home store import`: a Maildir or mbox files brought into a user's mailboxes. Works on the disk itself, while the
//! daemon does not run; what it would do is counted while the daemon runs, too.

use std::fmt::Write;
use std::path::PathBuf;

use clap::{Args, ValueHint};
use postern_message::address::EmailAddress;
use postern_shared::cli::{Exit, Failure, Output};
use postern_store::account::{Account, AccountId};
use postern_store::{Inspection, Place, Store};

use super::super::bar::Bar;
use super::{account_of, failed, hold};
use crate::import::{self, Folder, Form, Mode, Report};

/// What is imported, and for whom.
#[derive(Debug, Args)]
pub struct Import {
    /// The user
    user: EmailAddress,
    /// A Maildir, an mbox file, a directory of mbox files, or a .zip of Google Takeout
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    source: PathBuf,
    /// How the mail is written; otherwise a directory with a `cur` is a Maildir, a .zip Takeout's, and all else mbox
    #[arg(long, value_name = "FORM")]
    form: Option<Form>,
    /// Into this mailbox, and those of a directory below it, in the place of INBOX
    #[arg(long, value_name = "NAME")]
    mailbox: Option<String>,
    /// Count what would come in, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn execute(state_dir: &Place, output: Output, import: &Import) -> Result<Exit, Failure> {
    let Import { user, source, form, mailbox, dry_run } = import;
    let unreadable = |error| Failure::failed(format!("{}: {error}.", source.display()));
    let folders = import::folders(source, *form, mailbox.as_deref()).map_err(unreadable)?;
    let inspection = Inspection::of(state_dir);
    let account = account_of(&inspection, user)?;
    let report = match dry_run {
        true => count(&inspection, account, &folders)?,
        false => store(state_dir, account, &folders)?,
    };
    output.print(&report, story(&report, import))?;
    Ok(Exit::of_warnings(&report.lost))
}

fn count(inspection: &Inspection, id: AccountId, folders: &[Folder]) -> Result<Report, Failure> {
    let is_there = inspection.accounts().is_ok_and(|accounts| accounts.contains(&id));
    let account = is_there.then(|| inspection.account(id)).transpose().map_err(failed)?;
    with_progress(folders, account.as_ref(), &Mode::Count)
}

fn store(state_dir: &Place, id: AccountId, folders: &[Folder]) -> Result<Report, Failure> {
    let _lock = hold(state_dir.path())?;
    let store = Store::open(state_dir).map_err(failed)?;
    let account = store.account(id).map_err(failed)?;
    let report = with_progress(folders, Some(&account), &Mode::Store(&store))?;
    // The daemon would do so behind the mail; where there is much of it, it had better be done.
    if let Err(error) = account.index_all() {
        eprintln!("the search index is filled later: {error}");
    }
    Ok(report)
}

fn with_progress(folders: &[Folder], account: Option<&Account>, mode: &Mode<'_>) -> Result<Report, Failure> {
    let (mut bar, total) = (Bar::new(), folders.iter().map(|folder| folder.octets).sum());
    let report = import::import(account, mode, folders, |behind, mailbox| bar.show(behind, total, mailbox));
    drop(bar);
    report.map_err(|error| {
        Failure::failed(format!(
            "{error}; what came before it is stored: the same command goes on from there."
        ))
    })
}

fn story(report: &Report, import: &Import) -> String {
    let verb = if import.dry_run { "would come in" } else { "came in" };
    let mut text =
        format!("{} message(s) {verb}, {} are there already.", report.messages(), report.present());
    for one in &report.mailboxes {
        let _ = write!(text, "\n  {}: {} + {}", one.mailbox, one.messages, one.present);
    }
    for lost in &report.lost {
        let _ = write!(text, "\nleft out: {lost}");
    }
    text
}
