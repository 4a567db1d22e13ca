use super::*;

#[test]
fn problem_without_an_end_spans_one_word() {
    for (rest, width) in [("brnch == 1", 5), ("\"a b\" x", 5), ("é", 2), ("(x)", 1), ("", 0), ("\"open", 5)]
    {
        assert_eq!(word(rest), width, "{rest}");
    }
}
