//! The key of a repository: what opens it on any machine.
//!
//! In: `STATE_DIR/backup.key`, or what a person typed from the recovery kit. Out: 160 random bits as eight groups of four
//! letters and digits, in Crockford's alphabet: it leaves out what is mistaken for something else. Refused: anything else.

use std::fmt::{self, Debug, Formatter};
use std::path::Path;
use std::str::FromStr;

use postern_shared::durable;
use zeroize::Zeroizing;

use super::BackupError;

/// Without I, L, O and U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters, five bits each.
const LENGTH: usize = 32;

/// What opens a repository.
#[derive(Clone, PartialEq, Eq)]
pub struct BackupKey(Zeroizing<String>);

/// Not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected eight groups of four letters and digits, as the recovery kit shows them")]
pub struct MalformedKey;

impl BackupKey {
    /// The key of this home, made at its first use.
    ///
    /// # Errors
    /// Where the file cannot be read or written, or holds something else.
    pub fn of(state_dir: &Path) -> Result<Self, BackupError> {
        let path = state_dir.join("backup.key");
        match std::fs::read_to_string(&path).map(Zeroizing::new) {
            Ok(text) => text.parse().map_err(|cause| BackupError::Key { path, cause }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let failed = |cause| BackupError::Io { path: path.clone(), cause };
                let key = Self::random().map_err(failed)?;
                durable::write_secret(&path, format!("{}\n", key.0.as_str()).as_bytes()).map_err(failed)?;
                Ok(key)
            }
            Err(cause) => Err(BackupError::Io { path, cause }),
        }
    }

    fn random() -> std::io::Result<Self> {
        let mut octets = Zeroizing::new([0; LENGTH]);
        let no_random = |_| std::io::Error::other("no random numbers");
        aws_lc_rs::rand::fill(octets.as_mut()).map_err(no_random)?;
        let character = |octet: &u8| char::from(ALPHABET[usize::from(octet % 32)]);
        Ok(Self::grouped(octets.iter().map(character)))
    }

    fn grouped(characters: impl Iterator<Item = char>) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(LENGTH + LENGTH / 4));
        for (place, character) in characters.enumerate() {
            if place > 0 && place.is_multiple_of(4) {
                text.push('-');
            }
            text.push(character);
        }
        Self(text)
    }

    /// As it is typed, and as restic wants it for a password.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for BackupKey {
    type Err = MalformedKey;

    fn from_str(text: &str) -> Result<Self, MalformedKey> {
        let meant = |character: char| match character.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        };
        let is_apart = |character: &char| *character != '-' && !character.is_whitespace();
        let characters = Zeroizing::new(text.chars().filter(is_apart).map(meant).collect::<String>());
        let is_known = |character: char| u8::try_from(character).is_ok_and(|octet| ALPHABET.contains(&octet));
        if characters.chars().count() != LENGTH || !characters.chars().all(is_known) {
            return Err(MalformedKey);
        }
        Ok(Self::grouped(characters.chars()))
    }
}

impl Debug for BackupKey {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("BackupKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_read_as_it_is_typed() {
        let state = tempfile::tempdir().expect("a directory");
        let key = BackupKey::of(state.path()).expect("made");
        assert_eq!(BackupKey::of(state.path()).expect("read"), key);
        let typed = key.expose().to_lowercase().replace('-', " ").replace('1', "l").replace('0', "o");
        assert_eq!(typed.parse(), Ok(key.clone()));
        assert_eq!(format!("{key:?}"), "BackupKey(..)");
        assert_eq!("ABCD-EFGH".parse::<BackupKey>(), Err(MalformedKey));
        assert_eq!(
            key.expose().replace(key.expose().get(..1).expect("a letter"), "U").parse::<BackupKey>(),
            Err(MalformedKey)
        );
    }
}
