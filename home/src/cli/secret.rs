//! Passwords and join codes: prompted for on a terminal, else the first line of a file or of standard input.
//!
//! A password is asked for twice and not shown. A file that every user may read draws a warning.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use postern_message::address::EmailAddress;
use postern_shared::cli::Failure;
use zeroize::Zeroizing;

use crate::admin::wire::Password;

/// Most octets that are read for one secret.
const MAX_OCTETS: u64 = 64 * 1024;

/// A new password for a user.
pub(super) fn new_password(user: &EmailAddress, file: Option<&Path>) -> Result<Password, Failure> {
    let mut line = match file {
        Some(path) => first_line_of(path)?,
        None if io::stdin().is_terminal() => return prompt_twice(user),
        None => first_line(io::stdin().lock()).map_err(|error| unreadable("standard input", &error))?,
    };
    if line.is_empty() {
        return Err(empty());
    }
    Ok(Password::new(std::mem::take(&mut *line)))
}

/// A password that somebody else has given.
pub(super) fn password(prompt: &str, file: Option<&Path>) -> Result<Password, Failure> {
    let mut line = match file {
        Some(path) => first_line_of(path)?,
        None => passphrase(prompt)?,
    };
    if line.is_empty() {
        return Err(empty());
    }
    Ok(Password::new(std::mem::take(&mut *line)))
}

/// The passphrase of sealed mail.
pub(super) fn passphrase(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    match io::stdin().is_terminal() {
        true => rpassword::prompt_password(prompt)
            .map(Zeroizing::new)
            .map_err(|error| unreadable("the terminal", &error)),
        false => first_line(io::stdin().lock()).map_err(|error| unreadable("standard input", &error)),
    }
}

/// A passphrase that is new; a person types it twice.
pub(super) fn new_passphrase() -> Result<Zeroizing<String>, Failure> {
    let first = passphrase("New passphrase of the mail: ")?;
    if io::stdin().is_terminal() && first != passphrase("The same again: ")? {
        return Err(Failure::failed("the two passphrases differ. Nothing was changed; try again."));
    }
    Ok(first)
}

/// A join code. It may be broken over several lines, so all of them are read.
pub(super) fn join_code(file: Option<&Path>) -> Result<String, Failure> {
    let mut code = String::new();
    let read = match file {
        Some(path) => File::open(path).and_then(|file| file.take(MAX_OCTETS).read_to_string(&mut code)),
        None if io::stdin().is_terminal() => prompt_code(&mut code),
        None => io::stdin().lock().take(MAX_OCTETS).read_to_string(&mut code),
    };
    let name = file.map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
    read.map_err(|error| unreadable(&name, &error))?;
    Ok(code.trim().to_owned())
}

fn empty() -> Failure {
    Failure::usage("the password is empty. It must be the first line of the file or of standard input.")
}

fn prompt_twice(user: &EmailAddress) -> Result<Password, Failure> {
    let ask = |prompt: String| {
        rpassword::prompt_password(prompt)
            .map(Password::new)
            .map_err(|error| unreadable("the terminal", &error))
    };
    let first = ask(format!("New password for {user}: "))?;
    if first == ask("The same again: ".to_owned())? {
        Ok(first)
    } else {
        Err(Failure::failed("the two passwords differ. Nothing was changed; try again."))
    }
}

fn prompt_code(code: &mut String) -> io::Result<usize> {
    io::stderr().lock().write_all(b"Join code (from `postern-edge invite`): ")?;
    io::stdin().lock().take(MAX_OCTETS).read_line(code)
}

/// The first line of a file.
pub(super) fn first_line_of(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let failed = |error: io::Error| unreadable(&path.display().to_string(), &error);
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o004 != 0 {
        let warning = format!(
            "postern-home: warning: {0}: every user of this machine may read the password file (`chmod 600 {0}`).",
            path.display()
        );
        let _ = writeln!(io::stderr().lock(), "{warning}");
    }
    first_line(BufReader::new(file)).map_err(failed)
}

/// The first line without its end; spaces belong to the secret.
fn first_line(reader: impl BufRead) -> io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    reader.take(MAX_OCTETS).read_line(&mut line)?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::failed(format!("{name} cannot be read: {error}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_with_its_spaces() {
        let line = |text: &str| first_line(text.as_bytes()).expect("read").to_string();
        assert_eq!(line(" two words \r\nnext"), " two words ");
        assert_eq!(line("no end"), "no end");
        assert_eq!(line(""), "");
    }

    #[test]
    fn an_empty_or_missing_file_is_refused() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("password");
        let user = "ana@home.example".parse().expect("an address");
        let refusal = || new_password(&user, Some(&path)).map(|_| ()).expect_err("refused").message;
        assert!(refusal().contains("password cannot be read"));
        std::fs::write(&path, "\nsecond").expect("written");
        assert!(refusal().contains("the password is empty"));
    }
}
