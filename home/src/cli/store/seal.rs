//! `postern-home store seal`, `unseal` and `rekey`: with the daemon stopped, which the lock of the state directory shows.

use std::io::{IsTerminal, Write, stderr};
use std::path::Path;

use postern_shared::cli::{Exit, Failure, Output};
use postern_store::seal::{self, Envelope, Phase, Progress, Secret, SecretKind};
use serde::Serialize;

use super::super::secret;
use crate::config::KeySource;
use crate::run::lock;
use crate::store_key::{self, Keys};

/// Whether the mail is sealed.
#[derive(Debug, Serialize)]
struct Standing {
    /// None: nothing is sealed.
    phase: Option<Phase>,
    /// What opens it.
    opened_by: Option<SecretKind>,
}

pub(super) fn status(state_dir: &Path, output: Output) -> Result<Exit, Failure> {
    let envelope = Envelope::of(state_dir).map_err(|error| Failure::failed(format!("{error}.")))?;
    let standing = Standing {
        phase: envelope.as_ref().map(Envelope::phase),
        opened_by: envelope.as_ref().map(Envelope::secret_kind),
    };
    let text = match (standing.phase, standing.opened_by) {
        (None, _) => "The mail is not sealed.",
        (Some(Phase::Sealed), Some(SecretKind::Passphrase)) => "The mail is sealed; a passphrase opens it.",
        (Some(Phase::Sealed), _) => "The mail is sealed; a key opens it.",
        (Some(Phase::Sealing), _) => "A part of the mail is sealed; `postern-home store seal` goes on.",
        (Some(Phase::Unsealing), _) => "A part of the mail is sealed; `postern-home store unseal` goes on.",
    };
    output.print(&standing, text)?;
    let is_whole = matches!(standing.phase, None | Some(Phase::Sealed));
    Ok(if is_whole { Exit::Done } else { Exit::Warnings })
}

pub(super) fn seal(state_dir: &Path, keys: &Keys, output: Output) -> Result<Exit, Failure> {
    let source = keys.source.as_ref().ok_or_else(|| {
        Failure::failed(
            "home.toml names no key. Add `key = \"file:/etc/postern/store.key\"` (which is made if it is not there), \
             `key = \"credential:NAME\"` or `key = \"passphrase\"` to its section [store].",
        )
    })?;
    let _lock = lock::state_dir(state_dir)?;
    let is_new = Envelope::of(state_dir).map_err(|error| keys.refusal(error))?.is_none();
    let secret = if is_new { new_secret(keys, source)? } else { known_secret(keys, source)? };
    seal::seal(state_dir, &secret, &mut shown()).map_err(|error| keys.refusal(error))?;
    let text = match source {
        KeySource::Passphrase => {
            "The mail is sealed. Without the passphrase it is lost; nothing else opens it.".to_owned()
        }
        source => format!(
            "The mail is sealed. Keep a copy of the key ({source}) in another place: without it the mail is lost."
        ),
    };
    output.print(&Standing { phase: Some(Phase::Sealed), opened_by: Some(kind(&secret)) }, text)?;
    Ok(Exit::Done)
}

pub(super) fn unseal(state_dir: &Path, keys: &Keys, output: Output) -> Result<Exit, Failure> {
    let source =
        keys.source.as_ref().ok_or_else(|| Failure::failed("home.toml names no key (`store.key`)."))?;
    let _lock = lock::state_dir(state_dir)?;
    let secret = known_secret(keys, source)?;
    seal::unseal(state_dir, &secret, &mut shown()).map_err(|error| keys.refusal(error))?;
    let text = "The mail is not sealed any more. Remove `key` from the section [store] of home.toml before the daemon starts.";
    output.print(&Standing { phase: None, opened_by: None }, text)?;
    Ok(Exit::Done)
}

pub(super) fn rekey(state_dir: &Path, keys: &Keys, to: KeySource, output: Output) -> Result<Exit, Failure> {
    let source =
        keys.source.as_ref().ok_or_else(|| Failure::failed("home.toml names no key (`store.key`)."))?;
    let _lock = lock::state_dir(state_dir)?;
    let old = known_secret(keys, source)?;
    let new = new_secret(keys, &to)?;
    seal::rekey(state_dir, &old, &new).map_err(|error| keys.refusal(error))?;
    let text = format!(
        "The mail opens with {to} from now on, and with nothing else. Write `key = \"{to}\"` into the section [store] of home.toml \
         before the daemon starts."
    );
    output.print(&Standing { phase: Some(Phase::Sealed), opened_by: Some(kind(&new)) }, text)?;
    Ok(Exit::Done)
}

fn known_secret(keys: &Keys, source: &KeySource) -> Result<Secret, Failure> {
    keys.secret(source, || secret::passphrase("Passphrase of the mail: "))
}

fn new_secret(keys: &Keys, source: &KeySource) -> Result<Secret, Failure> {
    if let KeySource::File(path) = source
        && store_key::make(path)?
    {
        let _ = writeln!(stderr().lock(), "postern-home: a new key is in {}.", path.display());
    }
    keys.secret(source, secret::new_passphrase)
}

fn kind(secret: &Secret) -> SecretKind {
    match secret {
        Secret::Key(_) => SecretKind::Key,
        Secret::Passphrase(_) => SecretKind::Passphrase,
    }
}

/// Shows on a terminal how far it is.
fn shown() -> impl FnMut(Progress) {
    let is_terminal = stderr().is_terminal();
    let mut last = None;
    move |Progress { done, total }| {
        let percent = done.min(total).saturating_mul(100) / total.max(1);
        if is_terminal && last != Some(percent) {
            last = Some(percent);
            let _ = write!(stderr().lock(), "\r{percent} %");
            let _ = if percent == 100 { writeln!(stderr().lock()) } else { Ok(()) };
        }
    }
}
