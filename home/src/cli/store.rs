//! `postern-home store`: looks at the disk itself, whether the daemon runs or not. Only a repair and an import change something
//! there, and hold the state directory meanwhile, as the daemon does; so does what seals the mail.

mod import;
mod seal;

use std::fmt::Write;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueHint};
use postern_message::address::EmailAddress;
use postern_shared::cli::{Exit, Failure, Output};
use postern_store::account::AccountId;
use postern_store::{Inspection, Place, Store};
use serde::Serialize;

use super::secret;
use crate::config::KeySource;
use crate::export::{self, Form, Report};
use crate::memory;
use crate::run::lock;
use crate::store_key::{Keys, Opened};

/// `postern-home store …`
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Check every database, message, index and counter; ends with 3 and names what is damaged
    #[command(after_help = "Example:\n  postern-home store verify")]
    Verify {
        /// Only this user's mail
        user: Option<EmailAddress>,
        /// Put right what can be: indexes, counters and references; the daemon must not run
        #[arg(long)]
        repair: bool,
    },
    /// Write all mail of a user, with flags and dates, into a new directory; what is damaged is named and left out
    #[command(
        after_help = "Examples:\n  postern-home store export ana@home.example /srv/ana\n  postern-home store export ana@home.example ana --form mbox"
    )]
    Export {
        /// The user
        user: EmailAddress,
        /// The directory; it must not be there yet
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        target: PathBuf,
        /// How the mail is written
        #[arg(long, value_name = "FORM", default_value = "maildir")]
        form: Form,
    },
    /// Bring a Maildir or mbox files into a user's mailboxes, with flags and dates; the daemon must not run. Again after an
    /// interruption: what is there already is passed over
    #[command(
        after_help = "Examples:\n  postern-home store import ana@home.example /srv/Maildir --dry-run\n  postern-home store import ana@home.example /srv/Maildir\n  postern-home store import ana@home.example lists.mbox --mailbox Lists\n  postern-home store import ana@home.example takeout-20261123-001.zip"
    )]
    Import(import::Import),
    /// Encrypt the mail, the queue and the users with the key of home.toml; the daemon must not run. Again after an interruption
    #[command(after_help = "Examples:\n  postern-home store seal\n  postern-home store seal --status")]
    Seal {
        /// Only say whether the mail is sealed; ends with 3 when a part of it is
        #[arg(long)]
        status: bool,
    },
    /// Decrypt what was sealed; the daemon must not run
    #[command(after_help = "Example:\n  postern-home store unseal")]
    Unseal,
    /// Have another key or passphrase open the mail from now on; the mail is not written anew, the daemon must not run
    #[command(
        after_help = "Examples:\n  postern-home store rekey --to file:/etc/postern/new.key\n  postern-home store rekey --to passphrase"
    )]
    Rekey {
        /// Where the new one is: file:/PATH (made if it is not there), credential:NAME or passphrase
        #[arg(long, value_name = "SOURCE")]
        to: KeySource,
    },
}

/// What is wrong with one account, or with the databases of all.
#[derive(Debug, Serialize)]
struct Checked {
    place: String,
    damages: Vec<String>,
}

pub(super) fn execute(
    state_dir: &Path,
    keys: &Keys,
    output: Output,
    command: StoreCommand,
) -> Result<Exit, Failure> {
    memory::keep_out_of_core_dumps();
    match command {
        StoreCommand::Verify { user, repair } => {
            let place = opened(state_dir, keys)?;
            let inspection = Inspection::of(&place);
            if repair {
                repair_all(&place, &inspection, user.as_ref())?;
            }
            verify(&inspection, output, user.as_ref())
        }
        StoreCommand::Import(import) => import::execute(&opened(state_dir, keys)?, output, &import),
        StoreCommand::Seal { status: true } => seal::status(state_dir, output),
        StoreCommand::Seal { status: false } => seal::seal(state_dir, keys, output),
        StoreCommand::Unseal => seal::unseal(state_dir, keys, output),
        StoreCommand::Rekey { to } => seal::rekey(state_dir, keys, to, output),
        StoreCommand::Export { user, target, form } => {
            let inspection = Inspection::of(&opened(state_dir, keys)?);
            let account = account_of(&inspection, &user)?;
            let account = inspection.account(account).map_err(failed)?;
            let report = export::export(&account, &target, form)
                .map_err(|error| Failure::failed(format!("{}: {error}.", target.display())))?;
            output.print(&report, story(&report, &target))?;
            Ok(Exit::of_warnings(&report.lost))
        }
    }
}

/// The state directory, to be read.
pub(super) fn opened(state_dir: &Path, keys: &Keys) -> Result<Place, Failure> {
    match keys.open(state_dir)? {
        Opened::Open(place) => Ok(place),
        Opened::Locked(locked) => {
            let passphrase = secret::passphrase("Passphrase of the mail: ")?;
            locked.unlock(passphrase).map_err(|error| keys.refusal(error))
        }
    }
}

fn verify(inspection: &Inspection, output: Output, user: Option<&EmailAddress>) -> Result<Exit, Failure> {
    let mut checked = Vec::new();
    let accounts = match user {
        Some(user) => vec![account_of(inspection, user)?],
        None => {
            checked.push(Checked { place: "server".to_owned(), damages: inspection.verify_server() });
            inspection.accounts().map_err(failed)?
        }
    };
    checked.extend(accounts.into_iter().map(|account| check(inspection, account)));
    output.print(&checked, list(&checked))?;
    let whole = checked.iter().all(|checked| checked.damages.is_empty());
    Ok(if whole { Exit::Done } else { Exit::Warnings })
}

/// Holds the state directory.
fn hold(state_dir: &Path) -> Result<File, Failure> {
    require_owner(state_dir)?;
    lock::state_dir(state_dir)
}

/// Files that another than its owner made in the state directory, the daemon could not open afterwards.
pub(super) fn require_owner(state_dir: &Path) -> Result<(), Failure> {
    let owner = std::fs::metadata(state_dir).map(|metadata| metadata.uid());
    let own = rustix::process::geteuid().as_raw();
    match owner {
        Ok(owner) if owner != own => Err(Failure::failed(format!(
            "{}: belongs to the user with the number {owner}, and what is made there must too. Run this as that user (`runuser -u NAME -- …`).",
            state_dir.display()
        ))),
        _ => Ok(()),
    }
}

/// Repairs, and says on standard error what was repaired: the answer is what is found afterwards.
fn repair_all(place: &Place, inspection: &Inspection, user: Option<&EmailAddress>) -> Result<(), Failure> {
    let _lock = hold(place.path())?;
    let accounts = match user {
        Some(user) => vec![account_of(inspection, user)?],
        None => inspection.accounts().map_err(failed)?,
    };
    let store = Store::open(place).map_err(failed)?;
    for account in accounts {
        match store.existing_account(account).and_then(|account| account.repair()) {
            Ok(repaired) => repaired.iter().for_each(|line| eprintln!("accounts/{account}: repaired {line}")),
            Err(error) => eprintln!("accounts/{account}: {error}"),
        }
    }
    Ok(())
}

fn check(inspection: &Inspection, account: AccountId) -> Checked {
    let damages = inspection.account(account).and_then(|account| account.verify());
    let damages = damages.unwrap_or_else(|error| vec![error.to_string()]);
    // A damaged directory of users is told of in its own place; the account then goes by its number.
    let user = inspection.directory().ok().and_then(|users| Some(users.user(account)?.address.to_string()));
    let place = match user {
        Some(user) => format!("{user} (accounts/{account})"),
        None => format!("accounts/{account}"),
    };
    Checked { place, damages }
}

fn list(checked: &[Checked]) -> String {
    let mut text = String::new();
    for Checked { place, damages } in checked {
        let verdict = if damages.is_empty() { "whole" } else { "DAMAGED" };
        let _ = writeln!(text, "{place}: {verdict}");
        for damage in damages {
            let _ = writeln!(text, "  {damage}");
        }
    }
    text
}

fn story(report: &Report, target: &Path) -> String {
    let mut text = format!("{} message(s) are in {}.", report.messages, target.display());
    for renamed in &report.renamed {
        let _ = write!(text, "\nname too long: {renamed}");
    }
    for lost in &report.lost {
        let _ = write!(text, "\ncould not be read: {lost}");
    }
    text
}

fn account_of(inspection: &Inspection, user: &EmailAddress) -> Result<AccountId, Failure> {
    let directory = inspection.directory().map_err(failed)?;
    let found = directory.user_at(user).map(|user| user.account);
    found.ok_or_else(|| Failure::failed(format!("there is no user {user}.")))
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::failed(format!("{error}."))
}
