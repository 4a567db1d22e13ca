use super::{cut, width, wrap};

#[test]
fn lines_are_broken_below_their_last_column() {
    for (line, max, expected) in [
        ("short", 20, "short"),
        ("collector    it is down since noon", 24, "collector    it is down\n             since noon"),
        ("         -> fix all of it", 20, "         -> fix all\n            of it"),
        ("a sentence of words", 10, "a sentence\n  of words"),
        ("x    aaaaaaaaaaaaaaaaaaaa", 15, "x    aaaaaaaaaa\n     aaaaaaaaaa"),
        ("x    日本語日本語日本語", 11, "x    日本語\n     日本語\n     日本語"),
        ("x    \x1b[31mred red\x1b[0m", 8, "x    \x1b[31mred\n     red\x1b[0m"),
        ("run `a 'b c' d` now", 12, "run `a \\\n  'b c' d`\n  now"),
        ("a ` b", 3, "a `\n  b"),
    ] {
        assert_eq!(wrap(line, max), expected, "{line}");
    }
}

#[test]
fn texts_are_cut_by_their_columns() {
    for (text, max, expected) in
        [("shop", 4, "shop"), ("shop", 3, "sh…"), ("日本語", 5, "日本…"), ("日本語", 4, "日…")]
    {
        assert_eq!(cut(text, max), expected);
        assert!(width(expected) <= max);
    }
}
