//! The answers of `config show` and `config explain`.

use std::fmt::{self, Display, Formatter};
use std::path::Path;

use serde::Serialize;
use toml::Value;

use super::{Exit, Failure, Output, write_row};
use crate::config::Source;
use crate::config::reference::{Key, Setting, find, keys, settings};

/// Whether `config show` says where each value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origins {
    /// Values alone.
    Hidden,
    /// The line of the file, or "default".
    Shown,
}

impl Origins {
    /// The choice that the switch `--origin` makes.
    pub fn from_switch(origin: bool) -> Self {
        if origin { Self::Shown } else { Self::Hidden }
    }
}

/// One line of `config show`.
#[derive(Debug, Serialize)]
struct Shown {
    key: String,
    /// Absent where the file does not give the key and it has no fixed default.
    value: Option<Value>,
    /// "file" or "default".
    origin: &'static str,
    line: Option<usize>,
}

/// The answer of `config explain`.
#[derive(Debug, Serialize)]
struct Explained {
    key: String,
    meaning: String,
    r#type: &'static str,
    unit: Option<&'static str>,
    default: Option<Value>,
    example: String,
}

/// Prints every key that `reference` (the commented default file) shows, with what holds for it by `source`; the values of
/// `secrets` are not printed where the file gives them.
///
/// # Errors
/// When the file is no TOML or standard output cannot be written.
pub fn show_config(
    reference: &str,
    source: &Source,
    secrets: &[&str],
    origins: Origins,
    output: Output,
) -> Result<Exit, Failure> {
    let settings = settings(keys(reference), source)?;
    let shown: Vec<Shown> = settings.into_iter().map(|setting| shown(setting, secrets)).collect();
    output.print(&shown, Listing { shown: &shown, origins, file: source.path() })?;
    Ok(Exit::Done)
}

/// Prints what `reference` says of the key `name`.
///
/// # Errors
/// When there is no such key or standard output cannot be written.
pub fn explain_config(reference: &str, name: &str, output: Output) -> Result<Exit, Failure> {
    let key = find(&keys(reference), name).map_err(Failure::usage)?;
    let explained = explained(key);
    output.print(&explained, &explained)?;
    Ok(Exit::Done)
}

fn shown(setting: Setting, secrets: &[&str]) -> Shown {
    let is_secret = setting.line.is_some() && secrets.contains(&setting.key.name.as_str());
    let value = if is_secret { Some(Value::from("(secret)")) } else { setting.value };
    let origin = if setting.line.is_some() { "file" } else { "default" };
    Shown { key: setting.key.name, value, origin, line: setting.line }
}

fn explained(key: Key) -> Explained {
    let (kind, unit) = (key.kind(), key.unit());
    let (table, last) = key.name.rsplit_once('.').unwrap_or(("", &key.name));
    let place = if table.is_empty() { String::new() } else { format!("[{table}] ") };
    let example = format!("{place}{last} = {}", key.example);
    Explained { key: key.name, meaning: key.meaning, r#type: kind, unit, default: key.default, example }
}

struct Listing<'a> {
    shown: &'a [Shown],
    origins: Origins,
    file: &'a Path,
}

impl Display for Listing<'_> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        for Shown { key, value, line, .. } in self.shown {
            let value = value.as_ref().map_or("(not set)".to_owned(), Value::to_string);
            write!(formatter, "{key} = {value}")?;
            match (self.origins, line) {
                (Origins::Hidden, _) => writeln!(formatter)?,
                (Origins::Shown, None) => writeln!(formatter, "  # default")?,
                (Origins::Shown, Some(line)) => {
                    writeln!(formatter, "  # {}, line {line}", self.file.display())?;
                }
            }
        }
        Ok(())
    }
}

impl Display for Explained {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.key)?;
        write_row(formatter, 10, "Meaning:", &self.meaning)?;
        write_row(formatter, 10, "Type:", self.r#type)?;
        if let Some(unit) = self.unit {
            write_row(formatter, 10, "Unit:", unit)?;
        }
        let default = self.default.as_ref().map_or("(not set)".to_owned(), Value::to_string);
        write_row(formatter, 10, "Default:", default)?;
        write_row(formatter, 10, "Example:", &self.example)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "[notices]\n# Where. Default: nowhere.\n# webhook = \"https://x\"\n# So many.\nkeep_days = 3\n";

    #[test]
    fn a_secret_of_the_file_is_not_shown_and_its_line_is() {
        let source = Source::from_text(Path::new("h.toml"), "[notices]\nwebhook = \"https://token\"\n");
        let settings = settings(keys(FILE), &source).expect("TOML");
        let shown: Vec<Shown> =
            settings.into_iter().map(|setting| shown(setting, &["notices.webhook"])).collect();
        let listing = Listing { shown: &shown, origins: Origins::Shown, file: Path::new("h.toml") };
        let expected = "notices.webhook = \"(secret)\"  # h.toml, line 2\nnotices.keep_days = 3  # default\n";
        assert_eq!(listing.to_string(), expected);
    }

    #[test]
    fn a_key_is_explained_in_rows() {
        let key = find(&keys(FILE), "notices.keep_days").expect("known");
        let expected = "notices.keep_days\nMeaning:  So many.\nType:     a whole number\nUnit:     days\n\
            Default:  3\nExample:  [notices] keep_days = 3\n";
        assert_eq!(explained(key).to_string(), expected);
    }
}
