use super::*;

fn redacted(patterns: &[&str], text: &str) -> String {
    let mut redaction = Redaction::default();
    patterns.iter().for_each(|pattern| redaction.add(pattern).expect("valid"));
    let mut text = text.to_string();
    redaction.apply(&mut text);
    text
}

#[test]
fn each_match_is_replaced() {
    assert_eq!(redacted(&[], "token=abc"), "token=abc");
    assert_eq!(redacted(&[r"token=\S+"], "a token=abc, token=d e"), "a [redacted] [redacted] e");
    assert_eq!(redacted(&["a", "b"], "abc"), "[redacted][redacted]c");
    // A replacement is a text, not a template.
    assert_eq!(redacted(&["(x)"], "x$1"), "[redacted]$1");
    assert_eq!(redacted(&["(?i)geheim"], "GEHEIM schön"), "[redacted] schön");
}

#[test]
fn patterns_that_cannot_work_are_refused() {
    let mut redaction = Redaction::default();
    for (pattern, why) in [
        ("(", "is not a regular expression"),
        ("", "matches the empty text"),
        ("x*", "matches the empty text"),
        ("(a{1000}){1000}", "is not a regular expression"),
    ] {
        let flaw = redaction.add(pattern).expect_err("refused");
        assert!(flaw.contains(why), "{flaw}");
    }
    assert!(redaction.is_empty());
}
