//! The labs of this machine: their state directories, and the removal of those whose lab is gone.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::control::{self, Request};

/// The directory that holds one directory for each lab.
pub const BASE: &str = "/run/postern-lab";

/// The state directory of the lab called `name`.
pub fn state_directory(name: &str) -> PathBuf {
    Path::new(BASE).join(name)
}

/// The control socket of the lab called `name`.
pub fn control_socket(name: &str) -> PathBuf {
    state_directory(name).join("control.sock")
}

/// Claims a name: makes its state directory.
///
/// # Errors
/// When the name is not letters, digits and `-`, or a lab of that name exists.
pub fn claim(name: &str) -> Result<PathBuf> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        bail!("a lab's name is made of letters, digits and '-'; {name:?} is not");
    }
    let _lock = sweep()?;
    let state = state_directory(name);
    if let Err(error) = fs::create_dir(&state) {
        bail!(
            "the lab {name:?} exists already ({}: {error}); `lab down {name}` ends it, `lab list` shows all",
            state.display()
        );
    }
    fs::write(state.join("owner"), std::process::id().to_string())?;
    Ok(state)
}

/// The names of the labs that answer.
pub fn list() -> Result<Vec<String>> {
    let mut names: Vec<_> = directories()?.into_iter().filter(|name| answers(name)).collect();
    names.sort();
    Ok(names)
}

/// Removes the state directories of labs that were killed: neither supervisor nor owner lives. Until the
/// returned lock is dropped no other process claims or sweeps.
pub fn sweep() -> Result<File> {
    fs::create_dir_all(BASE)?;
    let lock = File::create(Path::new(BASE).join(".lock"))?;
    lock.lock()?;
    for name in directories()?.into_iter().filter(|name| !answers(name) && !owner_lives(name)) {
        fs::remove_dir_all(state_directory(&name)).ok();
    }
    Ok(lock)
}

fn directories() -> Result<Vec<String>> {
    let Ok(entries) = fs::read_dir(BASE) else { return Ok(Vec::new()) };
    Ok(entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect())
}

fn answers(name: &str) -> bool {
    control::ask(&control_socket(name), &Request::Status).is_ok()
}

fn owner_lives(name: &str) -> bool {
    let owner = fs::read_to_string(state_directory(name).join("owner")).unwrap_or_default();
    !owner.is_empty() && Path::new("/proc").join(owner).exists()
}
