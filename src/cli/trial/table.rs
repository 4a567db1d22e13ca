//! A table for a terminal. Each column is as wide as its content, and empty columns are left out.

use crate::text;

/// Maximum length of a cell, in characters.
const MAX_CELL: usize = 40;

/// Maximum length of the last cell, in characters.
const MAX_LAST: usize = 60;

/// Rows of `N` cells under `N` headings. The last column is not padded, so its text may use
/// characters of any width.
pub(super) struct Table<const N: usize> {
    heads: [&'static str; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub fn new(heads: [&'static str; N]) -> Self {
        Self { heads, rows: Vec::new() }
    }

    /// Adds a row, with control characters escaped and long cells shortened.
    pub fn add(&mut self, cells: [&str; N]) {
        let mut nth = 0;
        self.rows.push(cells.map(|cell| {
            nth += 1;
            text::line_of(cell, if nth == N { MAX_LAST } else { MAX_CELL })
        }));
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the headings, then each row.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let widest = |nth: usize| self.rows.iter().map(|row| row[nth].chars().count()).max().unwrap_or(0);
        let mut widths = [0; N];
        for (nth, width) in widths.iter_mut().enumerate() {
            *width = match widest(nth) {
                0 => 0,
                widest => widest.max(self.heads[nth].len()),
            };
        }
        let heads = self.heads.map(ToString::to_string);
        std::iter::once(line(&heads, widths)).chain(self.rows.iter().map(move |row| line(row, widths)))
    }
}

fn line<const N: usize>(cells: &[String; N], widths: [usize; N]) -> String {
    let shown = cells.iter().zip(widths).filter(|(_, width)| *width > 0);
    let filled: Vec<_> = shown.map(|(cell, width)| format!("{cell:<width$}")).collect();
    filled.join("  ").trim_end().to_string()
}

#[cfg(test)]
mod tests;
