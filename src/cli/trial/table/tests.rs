use super::*;

#[test]
fn columns_fit_their_cells_and_empty_ones_are_omitted() {
    let mut table = Table::new(["a", "none", "c"]);
    table.add(["long enough", "", "last"]);
    table.add(["x", "", "\x1b[31mred"]);
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines, ["a            c", "long enough  last", "x            \\u{1b}[31mred"]);
}
