use super::*;

#[test]
fn command_is_shown_with_shell_quoting() {
    assert_eq!(typed(&["tag", "-m", "two words", "v1"]), "git tag -m 'two words' v1");
}

#[test]
fn long_lines_are_folded() {
    let long = format!("remote: gitea-lightstep: {} {}", "a".repeat(60), "b".repeat(90));
    let lines = folded(&long);
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line.chars().count() <= 98), "{lines:?}");
    assert_eq!(folded("remote: short"), ["remote: short"]);
}
