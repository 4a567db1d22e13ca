use super::*;

#[test]
fn title_matches_git_log_subject() {
    // Compared with `git log --format=%s`, which keeps leading white space.
    for (message, shown) in [
        ("one", "one"),
        ("\n\n  \n  Pay by card \nand  by\n\tcash  \n\nbody", "Pay by card and  by \tcash"),
        ("a\r\nb\r\n\r\nc", "a b"),
        (" \n", ""),
        ("", ""),
    ] {
        assert_eq!(title(message.as_bytes()), shown, "{message:?}");
    }
    assert_eq!(title("ä".repeat(300).as_bytes()).chars().count(), MAX_TITLE);
}
