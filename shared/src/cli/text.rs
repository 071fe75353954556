//! Lines for people: a label in front, and no line longer than a terminal of 80 columns.

use std::fmt::{self, Display, Write};

/// The columns of the narrowest terminal that is written for.
const COLUMNS: usize = 80;

/// Writes `label`, then `value` from column `indent` on, broken between words where it would pass column 80.
///
/// # Errors
/// What the writer gives.
pub fn write_row(writer: &mut impl Write, indent: usize, label: &str, value: impl Display) -> fmt::Result {
    write!(writer, "{label:<indent$}")?;
    // What another machine said must not reach the terminal as commands.
    let value = value.to_string().replace(char::is_control, " ");
    let mut column = label.chars().count().max(indent);
    let mut first = true;
    for word in value.split_whitespace() {
        let width = word.chars().count();
        if first {
            write!(writer, "{word}")?;
        } else if column + 1 + width <= COLUMNS {
            write!(writer, " {word}")?;
            column += 1;
        } else {
            write!(writer, "\n{:indent$}{word}", "")?;
            column = indent;
        }
        column += width;
        first = false;
    }
    writeln!(writer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_broken_between_words_and_indented() {
        let mut text = String::new();
        write_row(&mut text, 9, "warning:", "word ".repeat(20)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS), "{text}");
        assert!(lines[0].starts_with("warning: word") && lines[1].starts_with("         word"), "{text}");
    }

    #[test]
    fn a_word_that_is_too_long_stands_alone() {
        let mut text = String::new();
        write_row(&mut text, 2, "", format_args!("a {}", "x".repeat(90))).unwrap();
        assert_eq!(text, format!("  a\n  {}\n", "x".repeat(90)));
    }
}
