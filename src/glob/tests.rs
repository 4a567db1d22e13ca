use std::time::Instant;

use gix_glob::wildmatch;
use proptest::prelude::*;

use super::*;

#[test]
fn patterns_match_like_git() {
    for (pattern, yes, no) in [
        ("a/b", &["a/b"][..], &["a", "a/b/c", "a/bc", ""][..]),
        ("*", &["", "a", ".a"], &["a/b", "/"]),
        ("a*", &["a", "ab"], &["a/b", "b"]),
        ("**", &["", "a", "a/b/c"], &[]),
        ("a/**", &["a/b", "a/b/c", "a/"], &["a", "ab/c"]),
        ("**/b", &["b", "a/b", "a/c/b", "/b"], &["ab", "a/bc"]),
        ("a/**/b", &["a/b", "a/c/b", "a//b", "a/c/d/b"], &["ab", "a/cb", "a/b/c"]),
        ("a**/b", &["a/b", "ac/b"], &["a/c/b"]),
        ("a/**b", &["a/b", "a/cb"], &["a/c/b"]),
        ("***/b", &["b", "a/b"], &["ab"]),
        (r"**\/b", &["a/b", "/b", "a/c/b"], &["b"]),
        ("a?c", &["abc"], &["a/c", "ac"]),
        ("[a-c]", &["a", "b", "c"], &["d", "-", ""]),
        ("[!a]", &["b"], &["a", "/"]),
        ("[^a]", &["b"], &["a", "/"]),
        ("[]-]", &["]", "-"], &["a"]),
        ("[a-]", &["a", "-"], &["b"]),
        ("[[:digit:]x]", &["7", "x"], &["d", ":"]),
        ("[[:nope:]]", &[], &["n", "[:nope:]"]),
        ("[[:x]", &["[", ":", "x"], &["y"]),
        (r"[\]]", &["]"], &["\\"]),
        ("[a", &[], &["a", "[a"]),
        (r"\*", &["*"], &["a"]),
        ("\\", &[], &["\\", ""]),
    ] {
        for text in yes {
            assert!(is_match(pattern, text.as_bytes()), "{pattern} {text}");
        }
        for text in no {
            assert!(!is_match(pattern, text.as_bytes()), "{pattern} {text}");
        }
    }
}

#[test]
fn matching_time_is_bounded_for_hostile_patterns() {
    let text = format!("{}b", "a/a".repeat(1000));
    for part in ["**/*a*/", "*a", "**/", "[ab]*", "?*", "*?*?"] {
        let pattern = format!("{}x", part.repeat(1024 / part.len() - 1));
        let start = Instant::now();
        assert!(!is_match(&pattern, text.as_bytes()));
        assert!(start.elapsed().as_secs() < 2, "{part}: {:?}", start.elapsed());
    }
}

#[test]
fn matcher_handles_several_patterns_and_resumes_in_a_directory() {
    let globs = Globs::new(&["a/**", "docs/*.md"]);
    let mut matcher = globs.matcher();
    assert!(["a/b/c", "docs/x.md"].iter().all(|text| matcher.matches(text.as_bytes())));
    assert!(!["docs/x/y.md", "b"].iter().any(|text| matcher.matches(text.as_bytes())));
    matcher.begin();
    assert!(matcher.goes_on(b"docs/"));
    let docs = matcher.position().clone();
    assert!(!matcher.goes_on(b"x/"), "nothing below can match");
    matcher.go_to(&docs);
    assert!(matcher.goes_on(b"x.md") && matcher.is_at_end());
}

#[test]
fn pattern_length_and_wildcards_are_limited() {
    assert_eq!(flaw(&"**/a*/".repeat(64)), None);
    let flaw = |pattern: String| flaw(&pattern).expect("too long");
    assert_eq!(flaw("a".repeat(1025)), "the pattern has 1025 bytes, the limit is 1024; shorten it");
    let many = "the pattern has 130 wildcards, the limit is 128; write several patterns";
    assert_eq!(flaw("**/a*/".repeat(65)), many);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]
    #[test]
    fn matching_agrees_with_gix(pattern in r"[ab/*?!\[\]\\-]{0,12}", text in "[ab/\\]-]{0,10}") {
        let mode = wildmatch::Mode::NO_MATCH_SLASH_LITERAL;
        let expected = gix_glob::wildmatch(pattern.as_str().into(), text.as_str().into(), mode);
        prop_assert_eq!(is_match(&pattern, text.as_bytes()), expected);
        prop_assert_eq!(Globs::new(&["x", &pattern, "y"]).matcher().matches(text.as_bytes()), expected);
    }
}
