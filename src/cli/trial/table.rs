//! A table for a terminal. Each column is as wide as its content, and empty columns are left out.

use crate::text;

/// Maximum length of a cell, in characters.
const MAX_CELL: usize = 40;

/// Maximum length of the last cell, in characters.
const MAX_LAST: usize = 60;

/// Minimum width of a cell that is cut to fit a terminal, as long as others can be cut, and in any case.
const GOOD_CELL: usize = 8;
const MIN_CELL: usize = 4;

/// Space between two columns.
const GAP: &str = "  ";

/// Rows of `N` cells under `N` headings. The text may have characters of any width.
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

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the headings, then each row, in at most `max` columns of a terminal.
    pub fn lines(&self, max: Option<usize>) -> Vec<String> {
        let widest = |nth: usize| self.rows.iter().map(|row| text::width(&row[nth])).max().unwrap_or(0);
        let mut widths = [0; N];
        for (nth, width) in widths.iter_mut().enumerate() {
            *width = match widest(nth) {
                0 => 0,
                widest => widest.max(self.heads[nth].len()),
            };
        }
        shrink(&mut widths, max.unwrap_or(usize::MAX));
        let heads = self.heads.map(ToString::to_string);
        std::iter::once(&heads).chain(&self.rows).map(|row| line(row, widths)).collect()
    }
}

/// Takes columns from the cells until a line has at most `max`: first from the last ones, which matter
/// least, and then from the widest.
fn shrink(widths: &mut [usize], max: usize) {
    let gaps = GAP.len() * widths.iter().filter(|width| **width > 0).count().saturating_sub(1);
    let excess = |widths: &[usize]| (widths.iter().sum::<usize>() + gaps).saturating_sub(max);
    for nth in (0..widths.len()).rev() {
        let taken = excess(widths).min(widths[nth].saturating_sub(GOOD_CELL));
        widths[nth] -= taken;
    }
    while excess(widths) > 0 {
        let Some(widest) = widths.iter_mut().max().filter(|widest| **widest > MIN_CELL) else { return };
        *widest -= 1;
    }
}

fn line<const N: usize>(cells: &[String; N], widths: [usize; N]) -> String {
    let shown = cells.iter().zip(widths).filter(|(_, width)| *width > 0);
    let filled: Vec<_> = shown
        .map(|(cell, width)| {
            let cell = text::cut(cell, width);
            let padding = width - text::width(&cell);
            format!("{cell}{}", " ".repeat(padding))
        })
        .collect();
    filled.join(GAP).trim_end().to_string()
}

#[cfg(test)]
mod tests;
