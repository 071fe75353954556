//! One daemon for one state directory.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use postern_shared::cli::Failure;
use rustix::fs::{FlockOperation, flock};

/// Makes the state directory (0700) where it is missing and holds it until the file is dropped. `STATE_DIR/lock` holds
/// the process number of whoever has it.
pub(crate) fn state_dir(path: &Path) -> Result<File, Failure> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| unusable(path, &error))?;
    let lock = path.join("lock");
    let opened =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&lock);
    let mut file = opened.map_err(|error| unusable(path, &error))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Err(in_use(path, &mut file)),
        Err(error) => return Err(unusable(path, &error.into())),
    }
    let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(|error| unusable(path, &error))?;
    Ok(file)
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    let shown = path.display();
    Failure::failed(format!(
        "{shown}: the state directory cannot be used: {error}. The service's user must be able to write there (`ls -ld {shown}`); \
         the key `state_dir` can name another directory."
    ))
}

fn in_use(path: &Path, lock: &mut File) -> Failure {
    let mut holder = String::new();
    // Without the number the sentence is still true.
    let _ = lock.read_to_string(&mut holder);
    let holder = holder.trim();
    let who = if holder.is_empty() { String::new() } else { format!(" (process {holder})") };
    let shown = path.display();
    Failure::failed(format!(
        "{shown}: another postern-home uses this state directory{who}. Stop it first, or name another directory with the key `state_dir`."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_daemon_is_refused_and_told_who_is_there() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let first = state_dir(directory.path()).expect("free");
        let refusal = state_dir(directory.path()).expect_err("taken").message;
        assert!(refusal.contains(&format!("(process {})", std::process::id())), "{refusal}");
        drop(first);
        state_dir(directory.path()).expect("free again");
    }

    #[test]
    fn a_state_directory_that_is_a_file_is_refused() {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        let refusal = state_dir(file.path()).expect_err("refused").message;
        assert!(refusal.contains("the state directory cannot be used"), "{refusal}");
    }
}
