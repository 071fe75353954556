//! Aligned columns for people.

use std::fmt::{self, Display, Formatter};

use jiff::Timestamp;

/// Rows under a heading, each column as wide as its widest cell, two spaces between columns.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new<const N: usize>(heading: [&str; N]) -> Self {
        Self { rows: vec![heading.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row; control characters in a cell (a stranger's reply may hold some) become spaces.
    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        let printable = |cell: String| cell.replace(char::is_control, " ");
        self.rows.push(cells.into_iter().map(printable).collect());
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    }
}

impl Display for Table {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            let cells =
                row.iter().enumerate().map(|(column, cell)| format!("{cell:<0$}", self.width(column)));
            writeln!(formatter, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// A time to the minute, in UTC, as the log has it.
pub(super) fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%MZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_escapes_to_the_terminal() {
        let mut table = Table::new(["NAME", "N"]);
        table.row(["jürgen".to_owned(), "1".to_owned()]);
        table.row(["\u{1b}[2J".to_owned(), "22".to_owned()]);
        assert_eq!(table.to_string(), "NAME    N\njürgen  1\n [2J    22\n");
    }
}
