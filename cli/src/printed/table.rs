//! Tables.

use std::fmt::Write as _;

use super::{Paint, harmless};

/// The longest cell, in characters: a name of Kubernetes with its namespace, and more.
const CELL: usize = 512;

/// How many rows are shown: more than there are frontends, scrapers or files of a bundle.
const ROWS: usize = 5_000;

/// Rows whose columns are as wide as the widest cell; the first row has the titles.
///
/// # Invariants
///
/// - No cell is longer than its limit, and none has what a terminal would obey, or a line break.
/// - There are no more rows than the limit. Further ones are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    rows: Vec<Vec<String>>,
    /// How many rows are left out.
    more: usize,
}

impl Table {
    /// A table with these titles.
    #[must_use]
    pub fn new(titles: &[&str]) -> Self {
        Self {
            rows: vec![titles.iter().map(ToString::to_string).collect()],
            more: 0,
        }
    }

    /// One more row. Cells without a value are empty, and shown as `-`.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        if self.rows.len() > ROWS {
            self.more += 1;
            return;
        }
        let cells = cells.into_iter().map(|text| cell(&text));
        self.rows.push(cells.collect());
    }

    /// The text, with a faint first line.
    #[must_use]
    pub fn text(&self, paint: Paint) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths);
            let line: Vec<String> = cells
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            let line = line.join("  ");
            let line = line.trim_end();
            let line = if index == 0 {
                paint.faint(line)
            } else {
                line.to_owned()
            };
            text.push_str(&line);
            text.push('\n');
        }
        if self.more > 0 {
            writeln!(text, "and {} more", self.more).ok();
        }
        text
    }
}

fn cell(text: &str) -> String {
    if text.is_empty() {
        return "-".to_owned();
    }
    let Some((end, _)) = text.char_indices().nth(CELL) else {
        return harmless(text);
    };
    harmless(text.get(..end).unwrap_or_default()) + "..."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["NAME", "N"]);
        table.row(["worker-1".to_owned(), "1".to_owned()]);
        table.row([String::new(), "23".to_owned()]);
        assert_eq!(
            table.text(Paint::PLAIN),
            "NAME      N\nworker-1  1\n-         23\n"
        );
    }

    #[test]
    fn cells_of_any_length_and_any_number_of_rows_are_shown_within_limits() {
        let mut table = Table::new(&["NAME", "N"]);
        for length in [512, 513, 65_536, 10_000_000] {
            table.row(["é".repeat(length), "1".to_owned()]);
        }
        let text = table.text(Paint::PLAIN);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5);
        assert_eq!(lines[1], format!("{}     1", "é".repeat(512)));
        for line in &lines[2..] {
            assert_eq!(*line, format!("{}...  1", "é".repeat(512)));
        }
        let mut table = Table::new(&["NAME"]);
        (0..1_000_000).for_each(|_| table.row(["x".to_owned()]));
        let text = table.text(Paint::PLAIN);
        assert_eq!(text.lines().count(), 5_002);
        assert_eq!(text.lines().last(), Some("and 995000 more"));
    }

    #[test]
    fn a_cell_breaks_no_line() {
        let mut table = Table::new(&["NAME"]);
        table.row(["a\nb\u{1b}[2Jc\u{202e}d".to_owned()]);
        assert_eq!(table.text(Paint::PLAIN), "NAME\na b [2Jc d\n");
    }
}
