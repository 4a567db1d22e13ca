use super::*;

#[test]
fn columns_fit_their_cells_and_empty_ones_are_omitted() {
    let mut table = Table::new(["a", "none", "c"]);
    table.add(["long enough", "", "last"]);
    table.add(["x", "", "\x1b[31mred"]);
    assert_eq!(table.lines(None), ["a            c", "long enough  last", "x            \\u{1b}[31mred"]);
    assert_eq!(table.lines(Some(14)), ["a       c", "long …  last", "x       \\u{1b…"]);
}

#[test]
fn wide_characters_are_counted_by_their_columns() {
    let mut table = Table::new(["service", "title"]);
    table.add(["日本語の店", "決済"]);
    table.add(["shop", "x"]);
    assert_eq!(table.lines(None), ["service     title", "日本語の店  決済", "shop        x"]);
    assert_eq!(table.lines(Some(14)), ["service  title", "日本語…  決済", "shop     x"]);
}
