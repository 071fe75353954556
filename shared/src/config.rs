//! Reads a TOML configuration file and says, in one paragraph, what is wrong with it.
//!
//! In: a path. Out: the caller's configuration type, or a [`ConfigError`] naming file, line, column and key, the
//! nearest right spelling, what was expected, and how to mend it. Refused: files that cannot be read, broken TOML,
//! wrong types, and (where the type says `deny_unknown_fields`, as every configuration type here must) unknown keys.
//! Meaning beyond types, such as addresses that conflict, is checked by each program, which reports through
//! [`Source::invalid`] so that such errors name their line too.

pub mod reference;

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// Reads the file at `path` into `T`.
///
/// # Errors
/// A [`ConfigError`] whose `Display` is the whole paragraph for the operator.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    Source::read(path)?.parse()
}

/// The text of a configuration file together with its path, so that later checks can still name a line.
#[derive(Debug, Clone)]
pub struct Source {
    path: PathBuf,
    text: String,
}

/// Why a configuration file was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there.
    #[error("{}: there is no such file. Write the configuration there, or name another file with --config PATH.", path.display())]
    Missing {
        /// The file that was asked for.
        path: PathBuf,
    },
    /// The file may not be read by this user.
    #[error("{}: this user may not read the file. Run as the service's user or as root, or correct the owner and mode (`ls -l {}`).", path.display(), path.display())]
    Permission {
        /// The file that was asked for.
        path: PathBuf,
    },
    /// Reading failed in another way.
    #[error("{}: reading the file failed: {source}. Name the right file with --config PATH.", path.display())]
    Read {
        /// The file that was asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file was read and says something that cannot be accepted.
    #[error("{}, {place}: {complaint}", path.display())]
    Content {
        /// The file that was read.
        path: PathBuf,
        /// Line, column and key.
        place: Place,
        /// What is wrong, what was expected, and how to mend it.
        complaint: String,
    },
}

/// A position in a configuration file, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// The dotted key at that place, where one could be told.
    pub key: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)?;
        self.key.as_ref().map_or(Ok(()), |key| write!(f, ", key `{key}`"))
    }
}

impl Source {
    /// Reads the file at `path` as UTF-8 text.
    ///
    /// # Errors
    /// [`ConfigError::Missing`], [`ConfigError::Permission`] or [`ConfigError::Read`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let owned = path.to_path_buf();
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self { path: owned, text }),
            Err(error) => Err(match error.kind() {
                io::ErrorKind::NotFound => ConfigError::Missing { path: owned },
                io::ErrorKind::PermissionDenied => ConfigError::Permission { path: owned },
                _ => ConfigError::Read { path: owned, source: error },
            }),
        }
    }

    /// Takes text that is already in memory, under the name `path` for messages.
    pub fn from_text(path: &Path, text: &str) -> Self {
        Self { path: path.to_path_buf(), text: text.to_owned() }
    }

    /// The path that messages name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Parses the text into `T`.
    ///
    /// # Errors
    /// [`ConfigError::Content`] for the first thing that is wrong.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        toml::from_str(&self.text).map_err(|error| self.explain(&error))
    }

    /// The error for a well-formed value that cannot be used: at `key` (dotted), `complaint` being whole sentences.
    pub fn invalid(&self, key: &str, complaint: impl Into<String>) -> ConfigError {
        let (line, column) = find_key(&self.text, key).unwrap_or((1, 1));
        let place = Place { line, column, key: Some(key.to_owned()) };
        ConfigError::Content { path: self.path.clone(), place, complaint: complaint.into() }
    }

    fn explain(&self, error: &toml::de::Error) -> ConfigError {
        let span = error.span().unwrap_or(0..0);
        let (line, column) = line_and_column(&self.text, span.start);
        let place = Place { line, column, key: key_at(&self.text, &span) };
        ConfigError::Content { path: self.path.clone(), place, complaint: complaint(error.message()) }
    }
}

/// Turns serde's wording into sentences that say what was expected and how to mend it.
fn complaint(message: &str) -> String {
    let message = message.trim().replace('\n', " ");
    if let Some((wrong, known)) = unknown_name(&message, "unknown field `") {
        return misspelt(
            "there is no such key",
            &wrong,
            &known,
            "Known keys here",
            "Correct or remove the line.",
        );
    }
    if let Some((wrong, known)) = unknown_name(&message, "unknown variant `") {
        return misspelt("there is no such value", &wrong, &known, "Possible values", "Write one of them.");
    }
    if let Some(key) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        return format!("the key `{key}` must be given and is not. Add a line `{key} = …`.");
    }
    if message.starts_with("invalid type: ") || message.starts_with("invalid value: ") {
        return wrong_type(&message);
    }
    if message.starts_with("duplicate key") {
        return "the same key is given twice. Remove one of the two lines.".to_owned();
    }
    if let Some(expected) = unparsed(&message) {
        return format!("expected {expected}. Correct the value.");
    }
    format!("{message}. Correct this line.")
}

/// What should have stood where the parsers of the standard library say only that it did not.
fn unparsed(message: &str) -> Option<&'static str> {
    Some(match message {
        "invalid socket address syntax" => "an address and a port, like \"192.0.2.1:25\" or \"[::]:25\"",
        "invalid IP address syntax" => "an IP address, like \"192.0.2.1\" or \"2001:db8::1\"",
        "invalid IPv4 address syntax" => "an IPv4 address, like \"10.118.0.1\"",
        "invalid IPv6 address syntax" => "an IPv6 address, like \"fd70:6f73:7465::1\"",
        "wanted string or table" => "text in \"double quotes\"",
        _ => return None,
    })
}

fn wrong_type(message: &str) -> String {
    let found = message.split_once(": ").map_or(message, |(_, rest)| rest);
    let (found, expected) = found.rsplit_once(", expected ").unwrap_or((found, "another kind of value"));
    format!("found {found}; expected {}. Correct the value.", plain_type(expected))
}

/// Rust's type names as an operator would say them.
fn plain_type(expected: &str) -> String {
    match expected {
        "u8" => "a whole number from 0 to 255".to_owned(),
        "u16" => "a whole number from 0 to 65535".to_owned(),
        "u32" => "a whole number from 0 to 4294967295".to_owned(),
        "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "a nonzero u16" => "a whole number from 1 to 65535".to_owned(),
        "i8" | "i16" | "i32" | "i64" => "a whole number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" | "string" | "path string" => "text in \"double quotes\"".to_owned(),
        "a sequence" => "a list in [square brackets]".to_owned(),
        "a map" => "a table".to_owned(),
        other if other.starts_with("struct ") => "a table of keys".to_owned(),
        other => other.to_owned(),
    }
}

fn misspelt(what: &str, wrong: &str, known: &[String], label: &str, mend: &str) -> String {
    let hint = nearest(wrong, known).map_or(String::new(), |right| format!("; did you mean `{right}`?"));
    if known.is_empty() {
        return format!("{what}: `{wrong}`. {mend}");
    }
    let stop = if hint.is_empty() { "." } else { "" };
    format!("{what}: `{wrong}`{hint}{stop} {label}: {}. {mend}", known.join(", "))
}

/// Splits "unknown field `x`, expected one of `a`, `b`" into the wrong name and the known ones.
fn unknown_name(message: &str, prefix: &str) -> Option<(String, Vec<String>)> {
    let rest = message.strip_prefix(prefix)?;
    let (wrong, expected) = rest.split_once('`')?;
    let known = expected.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    Some((wrong.to_owned(), known))
}

/// The known name that is closest to `wrong`, if it is close enough to be a misspelling of it.
pub fn nearest<'a>(wrong: &str, known: &'a [String]) -> Option<&'a str> {
    let limit = (wrong.chars().count() / 3).max(2);
    known
        .iter()
        .map(|name| (edit_distance(wrong, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name.as_str())
}

/// Damerau's distance in its restricted form: insertions, deletions, substitutions and swaps of neighbours.
fn edit_distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut rows = vec![vec![0; right.len() + 1]; left.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=right.len()).collect();
    for i in 1..=left.len() {
        for j in 1..=right.len() {
            let substitution = rows[i - 1][j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut best = substitution.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[left.len()][right.len()]
}

fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

/// The dotted key of the line that holds `span`: the table header above it and what stands left of the `=`.
fn key_at(text: &str, span: &Range<usize>) -> Option<String> {
    let start = text.get(..span.start)?.rfind('\n').map_or(0, |at| at + 1);
    let line = text.get(start..)?.lines().next()?;
    if let Some(table) = table_header(line) {
        return Some(table);
    }
    let (key, _) = line.split_once('=')?;
    let table = text.get(..start)?.lines().filter_map(table_header).next_back();
    Some(table.map_or(key.trim().to_owned(), |table| format!("{table}.{}", key.trim())))
}

fn table_header(line: &str) -> Option<String> {
    let line = line.trim();
    let inner = line.strip_prefix('[')?.split_once(']')?.0;
    Some(inner.trim_start_matches('[').trim().to_owned())
}

/// Where the dotted `key` is written, as line and column; the nearest table header if the key itself is absent.
fn find_key(text: &str, key: &str) -> Option<(usize, usize)> {
    let (wanted_table, wanted_key) = key.rsplit_once('.').unwrap_or(("", key));
    let mut table = String::new();
    let mut header = None;
    for (index, line) in text.lines().enumerate() {
        if let Some(name) = table_header(line) {
            header = (name == wanted_table).then_some((index + 1, 1)).or(header);
            table = name;
        } else if let Some((left, _)) = line.split_once('=')
            && table == wanted_table
            && left.trim() == wanted_key
        {
            let indent = line.chars().take_while(|c| c.is_whitespace()).count();
            return Some((index + 1, indent + 1));
        }
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        #[serde(default)]
        tunnel: Tunnel,
        mode: Option<Mode>,
        listen: Option<std::net::SocketAddr>,
        directory: Option<PathBuf>,
    }

    #[derive(Debug, PartialEq, Deserialize, Default)]
    #[serde(deny_unknown_fields, default)]
    struct Tunnel {
        port: u16,
        interface: String,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        Text,
        Json,
    }

    fn failure(text: &str) -> String {
        let source = Source::from_text(Path::new("/etc/edge.toml"), text);
        source.parse::<Example>().expect_err("the text is wrong").to_string()
    }

    #[test]
    fn a_right_file_is_read() {
        let source = Source::from_text(Path::new("x"), "mode = \"json\"\n[tunnel]\nport = 1\n");
        let tunnel = Tunnel { port: 1, interface: String::new() };
        assert_eq!(
            source.parse::<Example>().unwrap(),
            Example { tunnel, mode: Some(Mode::Json), listen: None, directory: None }
        );
    }

    #[test]
    fn unknown_key_names_place_and_nearest_spelling() {
        let text = failure("mode = \"text\"\n\n[tunnel]\nprot = 51820\n");
        assert!(text.starts_with("/etc/edge.toml, line 4, column 1, key `tunnel.prot`: "), "{text}");
        assert!(text.contains("did you mean `port`?"), "{text}");
        assert!(text.contains("Known keys here: port, interface."), "{text}");
    }

    #[test]
    fn wrong_type_says_what_was_expected() {
        let text = failure("[tunnel]\nport = \"51820\"\n");
        assert!(text.contains("line 2, column 8, key `tunnel.port`"), "{text}");
        assert!(text.contains("expected a whole number from 0 to 65535"), "{text}");
        assert!(failure("[tunnel]\nport = 70000\n").contains("from 0 to 65535"));
    }

    #[test]
    fn the_words_of_parsers_become_what_was_expected() {
        assert!(failure("listen = \":25\"\n").contains("expected an address and a port, like"));
        assert!(failure("directory = 5\n").contains("found integer `5`; expected text in"));
        assert!(failure("mode = 5\n").contains("expected text in"));
    }

    #[test]
    fn wrong_value_of_a_choice_lists_the_choices() {
        let text = failure("mode = \"jsno\"\n");
        assert!(text.contains("`jsno`; did you mean `json`? Possible values: text, json."), "{text}");
    }

    #[test]
    fn broken_toml_is_one_paragraph_with_a_place() {
        let text = failure("[tunnel\nport = 1\n");
        assert!(text.contains("line 1"), "{text}");
        assert!(!text.contains('\n'), "{text}");
    }

    #[test]
    fn missing_file_says_how_to_name_another() {
        let error = load::<Example>(Path::new("/nonexistent/edge.toml")).unwrap_err();
        assert!(matches!(error, ConfigError::Missing { .. }));
        assert!(error.to_string().contains("--config"));
    }

    #[test]
    fn later_checks_still_name_the_line() {
        let source = Source::from_text(Path::new("e.toml"), "a = 1\n[tunnel]\n  port = 5\n");
        let text = source.invalid("tunnel.port", "the port is taken.").to_string();
        assert_eq!(text, "e.toml, line 3, column 3, key `tunnel.port`: the port is taken.");
        assert!(source.invalid("tunnel.mtu", "x").to_string().contains("line 2"));
    }

    #[test]
    fn swapped_letters_are_one_edit() {
        assert_eq!(edit_distance("prot", "port"), 1);
        assert_eq!(edit_distance("", "port"), 4);
        assert_eq!(nearest("elephant", &["port".to_owned()]), None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,200}") {
            let _ = Source::from_text(Path::new("x"), &text).parse::<Example>().map_err(|e| e.to_string());
        }

        #[test]
        fn no_lines_panic(text in "[\\[\\]a-z=.\"\n\u{e9} ]{0,80}") {
            let _ = Source::from_text(Path::new("x"), &text).parse::<Example>().map_err(|e| e.to_string());
        }
    }
}
