//! What opens sealed mail: the key from where home.toml says that it is.
//!
//! In: the source, the directory in which systemd puts a service's credentials. Out: the state directory, opened or waiting for
//! a passphrase. Refused, with the place and the mend, and nothing touched: a key that is missing, short, wrong or readable by
//! others; sealed mail without a key in home.toml, and the reverse.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use postern_shared::cli::Failure;
use postern_shared::durable;
use postern_store::Place;
use postern_store::seal::{Envelope, SealError, Secret};
use zeroize::Zeroizing;

use crate::config::KeySource;

/// The longest key that is read, in octets.
const KEY_OCTETS_MAX: u64 = 64 * 1024;

/// Where keys are looked for.
#[derive(Debug, Clone)]
pub struct Keys {
    /// What home.toml, or the command line, names.
    pub source: Option<KeySource>,
    /// Where systemd puts the credentials of this process (`$CREDENTIALS_DIRECTORY`).
    pub credentials: Option<PathBuf>,
}

/// A state directory at the start.
#[derive(Debug)]
pub enum Opened {
    /// Its mail can be read.
    Open(Place),
    /// A passphrase is needed.
    Locked(Locked),
}

/// A state directory that waits for its passphrase.
#[derive(Debug)]
pub struct Locked {
    state_dir: PathBuf,
    envelope: Envelope,
}

impl Locked {
    /// Opens it.
    ///
    /// # Errors
    /// [`SealError::WrongSecret`]
    pub fn unlock(&self, passphrase: Zeroizing<String>) -> Result<Place, SealError> {
        self.envelope.unseal(&self.state_dir, &Secret::Passphrase(passphrase))
    }
}

impl Keys {
    /// Opens the state directory as far as it can be opened without a person.
    ///
    /// # Errors
    /// Why it cannot be.
    pub fn open(&self, state_dir: &Path) -> Result<Opened, Failure> {
        let envelope = Envelope::of(state_dir).map_err(|error| self.refusal(error))?;
        let (envelope, source) = match (envelope, &self.source) {
            (None, None) => return Ok(Opened::Open(Place::from(state_dir))),
            (None, Some(source)) => return Err(not_yet_sealed(source)),
            (Some(_), None) => return Err(no_key()),
            (Some(envelope), Some(source)) => (envelope, source),
        };
        if *source == KeySource::Passphrase {
            return Ok(Opened::Locked(Locked { state_dir: state_dir.to_owned(), envelope }));
        }
        let secret = self.secret(source, no_terminal)?;
        envelope.unseal(state_dir, &secret).map(Opened::Open).map_err(|error| self.refusal(error))
    }

    /// The secret that a source has; a passphrase is asked for.
    ///
    /// # Errors
    /// Where it cannot be read, or others can read it too.
    pub fn secret(
        &self,
        source: &KeySource,
        ask: impl FnOnce() -> Result<Zeroizing<String>, Failure>,
    ) -> Result<Secret, Failure> {
        match source {
            KeySource::Passphrase => ask().map(Secret::Passphrase),
            KeySource::File(path) => read_private(path).map(Secret::Key),
            KeySource::Credential(name) => read(&self.credential(name)?).map(Secret::Key),
        }
    }

    fn credential(&self, name: &str) -> Result<PathBuf, Failure> {
        let directory = self.credentials.as_ref().ok_or_else(|| {
            Failure::failed(format!(
                "the key is the credential `{name}`, and systemd has passed none. The service needs \
                 `LoadCredential={name}:/PATH` or `LoadCredentialEncrypted=`; a command that is run by hand can be told where the \
                 key is by `store --key file:/PATH`."
            ))
        })?;
        Ok(directory.join(name))
    }

    /// Says where the key came from, and what to do.
    pub fn refusal(&self, error: SealError) -> Failure {
        let source = self.source.as_ref().map_or_else(String::new, ToString::to_string);
        Failure::failed(match error {
            SealError::WrongSecret { .. } => format!(
                "{error}. Nothing was touched. It came from `{source}` (key `store.key` of home.toml): name the right one there, or put \
                 it back in its place."
            ),
            SealError::Unfinished { .. } => format!("{error}. The daemon must not run meanwhile."),
            error => format!("{error}."),
        })
    }
}

/// Makes a key where there is none; gives whether it was made.
///
/// # Errors
/// Where it cannot be written.
pub fn make(path: &Path) -> Result<bool, Failure> {
    if path.exists() {
        return Ok(false);
    }
    let failed =
        |error: io::Error| Failure::failed(format!("{}: no key can be made here: {error}.", path.display()));
    let mut octets = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(octets.as_mut()).map_err(|_| failed(io::Error::other("no random numbers")))?;
    let digits = octets.iter().map(|octet| format!("{octet:02x}"));
    let line = Zeroizing::new(digits.chain(["\n".to_owned()]).collect::<String>());
    durable::write_secret(path, line.as_bytes()).map_err(failed)?;
    Ok(true)
}

fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mode = fs::metadata(path).map_err(|error| unreadable(path, &error))?.permissions().mode();
    if mode & 0o077 != 0 {
        let shown = path.display();
        return Err(Failure::failed(format!(
            "{shown}: other users of this machine may read the key to the mail. `chmod 600 {shown}` keeps it private; a key that \
             others have read should be replaced with `postern-home store rekey`."
        )));
    }
    read(path)
}

/// The octets; of text without the end of the last line, which editors add. Random octets may end like a line, and stay whole.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let length = fs::metadata(path).map_err(|error| unreadable(path, &error))?.len();
    if length > KEY_OCTETS_MAX {
        return Err(Failure::failed(format!("{}: this is no key: it has {length} octets.", path.display())));
    }
    let mut key = Zeroizing::new(fs::read(path).map_err(|error| unreadable(path, &error))?);
    let line_ends = key.iter().rev().take_while(|octet| matches!(octet, b'\r' | b'\n')).count();
    let text = key.len() - line_ends;
    if key.iter().take(text).all(|octet| matches!(octet, b' '..=b'~')) {
        key.truncate(text);
    }
    Ok(key)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!(
        "{}: the key to the mail cannot be read: {error}. Put it back, or name its place with the key `store.key` of home.toml.",
        path.display()
    ))
}

fn no_terminal() -> Result<Zeroizing<String>, Failure> {
    Err(Failure::failed("the mail is locked. `postern-home unlock` opens it."))
}

fn not_yet_sealed(source: &KeySource) -> Failure {
    Failure::failed(format!(
        "home.toml names a key (`store.key` is `{source}`), and the mail is not sealed. `postern-home store seal` seals it; or remove \
         the key."
    ))
}

fn no_key() -> Failure {
    Failure::failed(
        "the mail is sealed, and home.toml names no key. Say where it is with `key` in the section [store]: \
         \"file:/PATH\", \"credential:NAME\" or \"passphrase\".",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_line_is_no_part_of_a_text_and_is_one_of_random_octets() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("key");
        for (written, key) in [
            (&b"0123456789abcdef0123456789abcdef\r\n"[..], &b"0123456789abcdef0123456789abcdef"[..]),
            (b"0123456789abcdef0123456789abcdef", b"0123456789abcdef0123456789abcdef"),
            (b"\xf1\x02345678901234567890123456789\r\n", b"\xf1\x02345678901234567890123456789\r\n"),
        ] {
            fs::write(&path, written).expect("written");
            assert_eq!(read(&path).expect("read").as_slice(), key);
        }
    }
}
