use super::*;

#[test]
fn api_errors_are_read_in_all_known_formats() {
    for (body, expected) in [
        (r#"{"errors":["invalid query"]}"#, "invalid query"),
        (r#"{"errors":[{"title":"Bad","detail":"no such project"},{"message":"x"}]}"#, "no such project; x"),
        (r#"{"errors":[{"code":7}]}"#, r#"{"code":7}"#),
        (r#"{"errors":[]}"#, r#"{"errors":[]}"#),
        ("<html>nginx</html>\n", "<html>nginx</html>"),
        ("", ""),
    ] {
        assert_eq!(said(body.as_bytes()), expected, "{body}");
    }
}

#[test]
fn bearer_prefix_is_stripped_from_keys() {
    for key in ["abc", "Bearer abc", "bearer  abc"] {
        assert_eq!(bare(key), "abc");
    }
    assert_eq!(bare("\u{20ac}\u{20ac}\u{20ac}"), "\u{20ac}\u{20ac}\u{20ac}");
}
