use super::*;

#[test]
fn quotations_are_removed() {
    for (message, own) in [
        ("a", "a"),
        ("a\n> b\n  > c\nd", "a d"),
        ("a\n```\nb\n> c\n```\nd", "a d"),
        ("a\n~~~ text\nb\n```\nc\n~~~~\nd", "a d"),
        ("a\n```\nb", "a"),
        ("a <details>b</details> c", "a c"),
        ("a\n<DETAILS open>\n<summary>b</summary>\n<details>\nc\n</details>\nd\n</Details>\ne", "a e"),
        ("a\n<details>\n```\n</details>\nb", "a b"),
        ("a\n<details>\nb", "a"),
        ("</details> a", "</details> a"),
        ("a < b and ü <details>ü</details>ü", "a < b and ü ü"),
        ("\u{130}<details>b</details>c", "\u{130}c"),
    ] {
        let found = without(message);
        assert_eq!(found.split_whitespace().collect::<Vec<_>>().join(" "), own, "{message:?}");
    }
}
