use super::*;

#[test]
fn cut_marks_truncation_with_an_ellipsis() {
    for (length, expected) in [(-1, ""), (0, ""), (1, "…"), (3, "éa…"), (5, "éabcd"), (9, "éabcd")] {
        assert_eq!(cut("éabcd", length), expected);
    }
}
