//! The recovery kit: a page to print and put away, with all that a dead machine took with it.
//!
//! In: the key, the place of the repository, the key to sealed mail. Out: text. It holds secrets: whoever has it and the
//! repository reads all mail.

use std::path::Path;

use postern_store::seal::Secret;

use super::BackupKey;

/// Writes it. `seal` is what opens sealed mail, where it is sealed.
pub fn kit(host: &str, repository: &Path, key: &BackupKey, seal: Option<&Secret>) -> String {
    let repository = repository.display();
    let key = key.expose();
    let seal = match seal {
        None => String::new(),
        Some(Secret::Passphrase(_)) => "\
            The mail is sealed. You know the passphrase that opens it; it is not printed here.\n\n"
            .to_owned(),
        Some(Secret::Key(octets)) => format!(
            "The mail is sealed. Its key is the content of the file that home.toml names under `store.key`. Make that file\n\
             again, readable by its owner only, with this line in it:\n\n    {}\n\n",
            String::from_utf8_lossy(octets).trim()
        ),
    };
    format!(
        "RECOVERY KIT of {host}\n\n\
         Keep this page away from the machine. Whoever has it and the backup can read all mail.\n\n\
         The backup:        {repository}\n\
         Key to the backup: {key}\n\n\
         {seal}\
         On a new machine, of whatever architecture:\n\n\
         1. Install postern-home; do not start it.\n\
         2. Make the backup readable there, say under /mnt/backup.\n\
         3. postern-home backup restore --from /mnt/backup\n\
         \u{20}  It asks for the key, brings everything back, and compares it with what was backed up.\n\
         4. Copy restored-home.toml from the state directory to /etc/postern/home.toml, and look at its paths.\n\
         5. Start it. It finds the edge by itself. Never start the old machine again beside it.\n\n\
         Without Postern: the backup is a restic repository, and the key its password.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kit_has_the_place_the_key_and_the_way_back() {
        let state = tempfile::tempdir().expect("a directory");
        let key = BackupKey::of(state.path()).expect("made");
        let text = kit("mail.home.example", Path::new("/mnt/usb/postern"), &key, None);
        for part in ["mail.home.example", "/mnt/usb/postern", key.expose(), "backup restore --from"] {
            assert!(text.contains(part), "{part}");
        }
        let seal = Secret::Key(zeroize::Zeroizing::new(b"0123abcd\n".to_vec()));
        assert!(kit("h", Path::new("/b"), &key, Some(&seal)).contains("    0123abcd\n"));
    }
}
