use super::*;

#[track_caller]
fn assert_trailers(message: &str, expected: &str) {
    for message in [message.to_string(), message.replace('\n', "\r\n")] {
        let found: Vec<String> =
            read(message.as_bytes()).iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(found.join(" "), expected, "{message:?}");
    }
}

#[test]
fn trailers_before_a_line_of_hyphens_count() {
    for (message, expected) in [
        ("T\n\nA: 1\n\n---------\n\nB: 2\n", "A=1 B=2"),
        ("T\n\nA: 1\n---------\nB: 2", "A=1 B=2"),
        ("T\n\nA: 1\n\n---------\n", "A=1"),
        ("T\n\nA: 1\n\n-------------\n\nB: 2\n\n---------\n\nC: 3\n", "A=1 B=2 C=3"),
        ("T\n\ntext\n\n---------\n\nB: 2\n", "B=2"),
        ("A: 1\n\n---------\n\nB: 2\n", "B=2"),
        ("A: 1\n---------\nB: 2\n", "B=2"),
        ("---------\n\nB: 2\n", "B=2"),
        // Text follows, so the line is not Gitea's.
        ("T\n\nA: 1\n\n---------\n\ntext\n", ""),
        ("T\n\nA: 1\n\n---------\n\ntext\n\nB: 2\n", "B=2"),
        ("T\n\nA: 1\n\n---\n\nB: 2\n", "B=2"),
    ] {
        assert_trailers(message, expected);
    }
}

#[test]
fn paragraph_that_names_the_pull_request_counts() {
    let on = "Reviewed-on: https://x/pulls/1\nReviewed-by: Ann";
    let read = "Reviewed-on=https://x/pulls/1 Reviewed-by=Ann";
    for (message, expected) in [
        (format!("T\n\n{on}\n"), read.to_string()),
        (format!("T\n\n{on}\n\nCo-authored-by: Bo\n"), format!("{read} Co-authored-by=Bo")),
        (format!("T\n\n{on}\n\nCo-authored-by: Bo\n\n"), format!("{read} Co-authored-by=Bo")),
        (format!("T\n\n{on}\n\ntext\n"), String::new()),
        (format!("T\n\nA: 1\n\n{on}\n\n---------\n\nB: 2"), format!("{read} B=2")),
        // git's rule.
        ("T\n\nA: 1\n\nB: 2\n".into(), "B=2".into()),
    ] {
        assert_trailers(&message, &expected);
    }
}

#[test]
fn work_on_a_hostile_message_is_bounded() {
    let message = format!("T\n\n{}", "A: 1\n\n---------\n\n".repeat(100_000));
    assert_eq!(read(message.as_bytes()).len(), MAX_PARTS - 1);
    assert_eq!(read("A: 1\n".repeat(1_000_000).as_bytes()).len(), 0);
}
