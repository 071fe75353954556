//! `postern-home backup`: works on the disk itself, whether the daemon runs or not.

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueHint};
use postern_shared::cli::{Exit, Failure, Output};
use postern_store::seal::{Envelope, SecretKind};
use postern_store::{Inspection, Place};
use serde::Serialize;

use super::{secret, store};
use crate::backup::{self, Backup, BackupKey, Continuity, Drilled, Listed, Made, Progress, Vault};
use crate::config::Config;
use crate::hostname::mail_host;
use crate::store_key::Keys;

use super::table::{Table, minute};

/// `postern-home backup …`
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Make a backup now; the daemon may run, and mail goes on being delivered
    #[command(after_help = "Example:\n  postern-home backup create")]
    Create {
        /// Begin a new repository, or go on with another one than before
        #[arg(long)]
        new: bool,
    },
    /// List the backups
    #[command(after_help = "Example:\n  postern-home backup list --json")]
    List(From),
    /// Read the whole repository and compare everything with its hashes; ends with 3 and names what is damaged
    #[command(after_help = "Example:\n  postern-home backup verify")]
    Verify(From),
    /// Bring everything back into an empty state directory, and compare it with what was backed up; the daemon must not run
    #[command(
        after_help = "Examples:\n  postern-home backup restore --from /mnt/backup\n  postern-home backup restore --snapshot 1a2b3c4d --to /srv/look"
    )]
    Restore {
        /// Where it comes from
        #[command(flatten)]
        from: From,
        /// This backup instead of the newest
        #[arg(long, value_name = "ID")]
        snapshot: Option<String>,
        /// Into this directory instead of home.toml's state_dir
        #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
        to: Option<PathBuf>,
    },
    /// Restore the newest backup into a directory of its own, compare it, and remove it; ends with 3 when it is not whole
    #[command(after_help = "Example:\n  postern-home backup drill")]
    Drill,
    /// Print the recovery kit: the place, the keys and the way back. It holds secrets
    #[command(after_help = "Example:\n  postern-home backup kit | lp")]
    Kit,
}

/// Which repository.
#[derive(Debug, clap::Args)]
pub struct From {
    /// The repository in this directory instead of home.toml's; its key is asked for, or read from standard input
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    from: Option<PathBuf>,
    /// Read its key from the first line of this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "from")]
    key_file: Option<PathBuf>,
}

/// What was found wrong.
#[derive(Debug, Serialize)]
struct Verified {
    repository: String,
    damages: Vec<String>,
}

pub(super) fn execute(
    config: &Config,
    keys: &Keys,
    output: Output,
    command: BackupCommand,
) -> Result<Exit, Failure> {
    match command {
        BackupCommand::Create { new } => {
            let backup = plan(config, keys)?;
            let continuity = if new { Continuity::New } else { Continuity::Same };
            let made = backup.create(continuity, Progress::of_terminal()).map_err(failed)?;
            output.print(&made, told(&made))?;
            Ok(Exit::Done)
        }
        BackupCommand::List(from) => {
            let snapshots = vault(config, &from)?.snapshots().map_err(failed)?;
            output.print(&snapshots, table(&snapshots))?;
            Ok(Exit::Done)
        }
        BackupCommand::Verify(from) => {
            let vault = vault(config, &from)?;
            let damages = vault.check().map_err(failed)?;
            let verified = Verified { repository: vault.shown().to_owned(), damages };
            output.print(&verified, verdict(&verified))?;
            Ok(Exit::of_warnings(&verified.damages))
        }
        BackupCommand::Restore { from, snapshot, to } => restore(config, keys, output, &from, snapshot, to),
        BackupCommand::Drill => {
            let backup = plan(config, keys)?;
            let open = |target: &Path| Ok(backup.place.elsewhere(target));
            let drilled = backup.drill(Progress::of_terminal(), &open).map_err(failed)?;
            report(output, &drilled, "It was removed again.")
        }
        BackupCommand::Kit => kit(config, keys, output),
    }
}

/// What home.toml wants.
fn plan(config: &Config, keys: &Keys) -> Result<Backup, Failure> {
    let repository = config.backup.repository.clone().ok_or_else(no_repository)?;
    store::require_owner(&config.state_dir)?;
    let place = store::opened(&config.state_dir, keys)?;
    Ok(Backup {
        host: host(config, &place)?,
        place,
        configuration: config.path.clone(),
        repository,
        keep: config.backup.keep(),
    })
}

fn host(config: &Config, place: &Place) -> Result<String, Failure> {
    if let Some(hostname) = &config.hostname {
        return Ok(hostname.to_string());
    }
    let users = Inspection::of(place).directory().map_err(failed)?;
    let name = users.first_domain().and_then(mail_host);
    Ok(name.map_or_else(|| "a home without a domain".to_owned(), |name| name.to_string()))
}

fn no_repository() -> Failure {
    Failure::failed(
        "home.toml names no place for backups. Add a section `[backup]` with `repository = \"/mnt/usb/postern\"`, a directory on \
         another disk.",
    )
}

fn vault(config: &Config, from: &From) -> Result<Vault, Failure> {
    let (directory, key) = match &from.from {
        Some(directory) => (directory.clone(), typed_key(from.key_file.as_deref())?),
        None => {
            let directory = config.backup.repository.clone().ok_or_else(no_repository)?;
            store::require_owner(&config.state_dir)?;
            (directory, BackupKey::of(&config.state_dir).map_err(failed)?)
        }
    };
    Vault::open(&directory, &key, Progress::of_terminal()).map_err(failed)
}

fn typed_key(file: Option<&Path>) -> Result<BackupKey, Failure> {
    let text = match file {
        Some(file) => secret::first_line_of(file)?,
        None => secret::passphrase("Key to the backup: ")?,
    };
    text.parse().map_err(|error: backup::MalformedKey| Failure::failed(format!("the key: {error}.")))
}

fn restore(
    config: &Config,
    keys: &Keys,
    output: Output,
    from: &From,
    snapshot: Option<String>,
    to: Option<PathBuf>,
) -> Result<Exit, Failure> {
    let target = to.unwrap_or_else(|| config.state_dir.clone());
    store::require_owner(&target)?;
    let vault = vault(config, from)?;
    let open = |target: &Path| store::opened(target, keys).map_err(|failure| failure.to_string());
    let drilled = backup::restore(vault, snapshot.as_deref(), &target, &open).map_err(failed)?;
    report(output, &drilled, &format!("It is in {}.", target.display()))
}

fn report(output: Output, drilled: &Drilled, end: &str) -> Result<Exit, Failure> {
    let Drilled { snapshot, restored } = drilled;
    let mut text = format!(
        "The backup of {} ({}) came back with {} message(s). {end}",
        minute(snapshot.made),
        snapshot.id,
        restored.messages()
    );
    for account in &restored.accounts {
        let verdict = if account.damages.is_empty() { "whole, as it was" } else { "DAMAGED" };
        text.push_str(&format!("\n{}: {} message(s), {verdict}", account.user, account.messages));
        account.damages.iter().for_each(|damage| text.push_str(&format!("\n  {damage}")));
    }
    restored.damages.iter().for_each(|damage| text.push_str(&format!("\nDAMAGED: {damage}")));
    output.print(drilled, text)?;
    Ok(if restored.damage().is_none() { Exit::Done } else { Exit::Warnings })
}

fn kit(config: &Config, keys: &Keys, output: Output) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Kit {
        kit: String,
    }
    let repository = config.backup.repository.clone().ok_or_else(no_repository)?;
    store::require_owner(&config.state_dir)?;
    let place = store::opened(&config.state_dir, keys)?;
    let envelope = Envelope::of(&config.state_dir).map_err(failed)?;
    let kind = envelope.as_ref().map(Envelope::secret_kind);
    let seal = match (kind, &keys.source) {
        (Some(SecretKind::Key), Some(source)) => Some(keys.secret(source, || Err(no_repository()))?),
        (Some(SecretKind::Passphrase), _) => {
            Some(postern_store::seal::Secret::Passphrase(Default::default()))
        }
        _ => None,
    };
    let key = BackupKey::of(&config.state_dir).map_err(failed)?;
    let kit = backup::kit(&host(config, &place)?, &repository, &key, seal.as_ref());
    output.print(&Kit { kit: kit.clone() }, kit)?;
    Ok(Exit::Done)
}

fn told(made: &Made) -> String {
    let Made { snapshot, messages, forgotten } = made;
    let gone = if *forgotten == 0 { String::new() } else { format!(" {forgotten} old backup(s) went.") };
    format!(
        "Backup {} holds {messages} message(s), {} in all; {} are new in the repository.{gone}",
        snapshot.id,
        size(snapshot.octets),
        size(snapshot.added)
    )
}

fn table(snapshots: &[Listed]) -> Table {
    let mut table = Table::new(["ID", "MADE", "HOME", "SIZE", "ADDED"]);
    for one in snapshots {
        table.row([one.id.clone(), minute(one.made), one.host.clone(), size(one.octets), size(one.added)]);
    }
    table
}

fn verdict(verified: &Verified) -> String {
    if verified.damages.is_empty() {
        return format!("The repository {} is whole.", verified.repository);
    }
    format!("The repository {} is DAMAGED:\n  {}", verified.repository, verified.damages.join("\n  "))
}

fn size(octets: u64) -> String {
    match octets {
        0..1_000_000 => format!("{} kB", octets.div_ceil(1000)),
        1_000_000..1_000_000_000 => format!("{} MB", octets / 1_000_000),
        _ => format!("{}.{} GB", octets / 1_000_000_000, octets % 1_000_000_000 / 100_000_000),
    }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::failed(format!("{error}."))
}
