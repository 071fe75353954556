//! Every key of a configuration file, with its meaning, as the commented default file of each program has it.
//!
//! In: the text of that file (docs/home.toml, docs/edge.toml), whose form is: a comment, then `key = default`, or
//! `# key = example` where a key is absent by default; keys without a comment of their own share that of the key above.
//! Each program's tests hold the file to its types. Out: [`Key`]s, and what a [`Source`] makes of each. Refused: nothing;
//! a file that is not of that form gives fewer keys, which those tests notice.

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::{ConfigError, Source, line_and_column, nearest, table_header};

/// One key of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// The dotted name, such as `tunnel.mtu`.
    pub name: String,
    /// Whole sentences.
    pub meaning: String,
    /// What holds where the file does not give the key; `None` where the meaning says what is then done.
    pub default: Option<Value>,
    /// A value that it may have.
    pub example: Value,
}

/// What holds for one key.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The key.
    pub key: Key,
    /// What holds; `None` as for [`Key::default`].
    pub value: Option<Value>,
    /// The line of the file that gives it, counted from 1; `None` for a default.
    pub line: Option<usize>,
}

impl Key {
    /// The kind of value, as an operator says it.
    pub fn kind(&self) -> &'static str {
        match &self.example {
            Value::String(_) => "text in \"double quotes\"",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Boolean(_) => "true or false",
            Value::Datetime(_) => "a date and time",
            Value::Array(_) => "a list in [square brackets]",
            Value::Table(_) => "a table in {braces}",
        }
    }

    /// The unit of a number that carries one in its name.
    pub fn unit(&self) -> Option<&'static str> {
        let units = ["octets", "seconds", "minutes", "hours", "days"];
        let last = self.name.rsplit(['.', '_']).next()?;
        units.into_iter().find(|unit| *unit == last)
    }
}

/// The keys that the commented default file `text` shows, in its order.
pub fn keys(text: &str) -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    let (mut table, mut comment, mut shared) = (String::new(), Vec::new(), String::new());
    for line in text.lines().map(str::trim) {
        let (is_comment, body) = line.strip_prefix('#').map_or((false, line), |rest| (true, rest.trim()));
        if line.is_empty() {
            comment.clear();
        } else if let Some(name) = table_header(line) {
            // What stands above the header is about the section, and about a first key that has no comment of its own.
            table = name;
            shared = comment.join(" ");
            comment.clear();
        } else if let Some((key, value)) = assignment(body) {
            if !comment.is_empty() {
                shared = comment.join(" ");
                comment.clear();
            }
            let name = if table.is_empty() { key } else { format!("{table}.{key}") };
            let default = (!is_comment).then(|| value.clone());
            keys.push(Key { name, meaning: shared.clone(), default, example: value });
        } else if is_comment {
            comment.push(body);
        }
    }
    keys
}

/// The key called `name`.
///
/// # Errors
/// A sentence that names the nearest key there is.
pub fn find(keys: &[Key], name: &str) -> Result<Key, String> {
    if let Some(key) = keys.iter().find(|key| key.name == name) {
        return Ok(key.clone());
    }
    let names: Vec<String> = keys.iter().map(|key| key.name.clone()).collect();
    let within: Vec<&str> = names
        .iter()
        .filter(|known| {
            known.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
                || known.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'))
        })
        .map(String::as_str)
        .collect();
    let hint = match nearest(name, &names) {
        _ if !within.is_empty() => format!("Write one of: {}.", within.join(", ")),
        Some(right) => format!("Did you mean `{right}`?"),
        None => "`config show` lists the keys.".to_owned(),
    };
    Err(format!("there is no key `{name}`. {hint}"))
}

/// What `source` and the defaults make of each of `keys`.
///
/// # Errors
/// [`ConfigError::Content`] where the file is no TOML.
pub fn settings(keys: Vec<Key>, source: &Source) -> Result<Vec<Setting>, ConfigError> {
    let given: Table = source.parse()?;
    let places = DeTable::parse(&source.text).map_err(|error| source.explain(&error))?;
    let setting = |key: Key| {
        let given = value_of(&given, &key.name);
        let line = given.and_then(|_| offset_of(places.get_ref(), &key.name));
        let line = line.map(|offset| line_and_column(&source.text, offset).0);
        let value = given.or(key.default.as_ref()).cloned();
        Setting { key, value, line }
    };
    Ok(keys.into_iter().map(setting).collect())
}

/// A line `key = value`; a sentence with an equals sign in it is none.
fn assignment(line: &str) -> Option<(String, Value)> {
    let (key, _) = line.split_once(" = ")?;
    if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return None;
    }
    let value = line.parse::<Table>().ok()?.remove(key)?;
    Some((key.to_owned(), value))
}

fn value_of<'a>(table: &'a Table, name: &str) -> Option<&'a Value> {
    match name.split_once('.') {
        Some((first, rest)) => value_of(table.get(first)?.as_table()?, rest),
        None => table.get(name),
    }
}

/// The offset in octets at which the key's own name is written.
fn offset_of(table: &DeTable<'_>, name: &str) -> Option<usize> {
    let (first, rest) = name.split_once('.').map_or((name, None), |(first, rest)| (first, Some(rest)));
    let (key, value) = table.iter().find(|(key, _)| key.get_ref().as_ref() == first)?;
    match (rest, value.get_ref()) {
        (None, _) => Some(key.span().start),
        (Some(rest), DeValue::Table(inner)) => offset_of(inner, rest),
        (Some(_), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const FILE: &str = "# About the file.\n\n# Where mail is.\nstate_dir = \"/var\"\n\n# How fast\n# clients may be, x = y.\n\
        [limits]\nper_minute = 5\nburst = 6\n# So long.\nhold_seconds = 7\n# Who. Default: none.\n# names = [\"a\"]\n";

    #[test]
    fn each_key_has_the_comment_above_it_or_that_of_the_key_above() {
        let keys = keys(FILE);
        let read: Vec<(&str, &str)> =
            keys.iter().map(|key| (key.name.as_str(), key.meaning.as_str())).collect();
        let fast = "How fast clients may be, x = y.";
        let expected = [
            ("state_dir", "Where mail is."),
            ("limits.per_minute", fast),
            ("limits.burst", fast),
            ("limits.hold_seconds", "So long."),
            ("limits.names", "Who. Default: none."),
        ];
        assert_eq!(read, expected);
        assert_eq!(keys[3].unit(), Some("seconds"));
        assert_eq!(keys[1].unit(), None);
        assert_eq!(keys[4].default, None);
        assert_eq!(keys[4].kind(), "a list in [square brackets]");
    }

    #[test]
    fn each_value_comes_from_its_line_or_is_the_default() {
        let text = "limits.burst = 9\n\n[limits . inner]\nx = 1\n";
        let source = Source::from_text(Path::new("x"), text);
        let settings = settings(keys(FILE), &source).expect("TOML");
        assert_eq!((settings[2].value.clone(), settings[2].line), (Some(Value::Integer(9)), Some(1)));
        assert_eq!((settings[1].value.clone(), settings[1].line), (Some(Value::Integer(5)), None));
        assert_eq!((settings[4].value.clone(), settings[4].line), (None, None));
        let source = Source::from_text(Path::new("x"), "\n[limits]\n# one\n hold_seconds = 1\n");
        assert_eq!(super::settings(keys(FILE), &source).expect("TOML")[3].line, Some(4));
    }

    #[test]
    fn an_unknown_key_is_told_its_neighbours() {
        let keys = keys(FILE);
        assert_eq!(find(&keys, "limits.burst").expect("known").example, Value::Integer(6));
        assert!(find(&keys, "limits.brust").unwrap_err().contains("`limits.burst`?"));
        assert!(find(&keys, "burst").unwrap_err().contains("Write one of: limits.burst."));
        assert!(find(&keys, "limits").unwrap_err().contains("limits.per_minute, limits.burst"));
        assert!(find(&keys, "elephant").unwrap_err().contains("`config show`"));
    }
}
